"""What a person sees of a search in a terminal, and that a pipe sees none of it."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from scripts.terminal_screen import lines_drawn, on_terminal, screen
from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.cli.matches import print_matches, short_paths
from vitsearch.cli.terminal import Terminal, cells, fitted
from vitsearch.library import Library
from vitsearch.records import Match, SearchResult

PROGRAM = [sys.executable, "-m", "vitsearch"]


def photo(path, colour, *, taken=None, place=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (64, 48), colour)
    exif = Image.Exif()
    if taken:
        exif.get_ifd(0x8769)[0x9003] = taken
    if place:
        (latitude, north), (longitude, east) = place
        gps = exif.get_ifd(0x8825)
        gps |= {1: north, 2: (latitude, 0, 0), 3: east, 4: (longitude, 0, 0)}
    image.save(path, exif=exif)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A library of a few photos in two folders, which tests only read from."""
    folder = tmp_path_factory.mktemp("made")
    pictures = folder / "Pictures"
    photo(pictures / "red.jpg", "red")
    photo(pictures / "2024/orange.jpg", "orange", taken="2024:05:17 12:00:00", place=((48, "N"), (2, "E")))
    photo(pictures / "2024/magenta.jpg", "magenta", taken="2024:06:01 09:30:00")
    photo(folder / "phone/blue.jpg", "blue", taken="2023:01:02 03:04:05", place=((33, "S"), (70, "W")))
    with Library.open(folder / "library", backbone=MeanColour()) as library:
        library.index([pictures, folder / "phone"])
    return folder


@pytest.fixture
def search(made):
    def run(*words, columns=120, cwd="/", **environment):
        command = [*PROGRAM, "--library", made / "library", "search", made / "Pictures/red.jpg", *words]
        return on_terminal(command, columns=columns, cwd=cwd, **environment)

    return run


def test_paths_are_short_below_an_indexed_folder_and_below_the_working_directory(search, made):
    elsewhere = [line.split("%  ")[1].split()[0] for line in search().lines]
    assert elsewhere == ["Pictures/2024/orange.jpg", "Pictures/2024/magenta.jpg", "phone/blue.jpg"]
    inside = [line.split("%  ")[1].split()[0] for line in search(cwd=made / "Pictures").lines]
    assert inside == ["2024/orange.jpg", "2024/magenta.jpg", "phone/blue.jpg"]


def test_two_folders_of_one_name_are_told_apart_by_whole_paths():
    one, two, other = Path("/a/DCIM"), Path("/b/DCIM"), Path("/c/Photos")
    names = short_paths([one / "x.jpg", two / "x.jpg", other / "y.jpg"], [one, two, other])
    assert names == ["/a/DCIM/x.jpg", "/b/DCIM/x.jpg", "Photos/y.jpg"]


def test_each_path_is_a_link_to_its_file(search, made):
    links = search().links
    assert links[0] == (
        f"file://{socket.gethostname()}{made}/Pictures/2024/orange.jpg",
        "Pictures/2024/orange.jpg",
    )
    assert len(links) == 3


def test_a_link_holds_nothing_that_acts_on_a_terminal(tmp_path):
    terminal = Terminal(is_terminal=True, colours=True, links=True, columns=80)
    hostile = tmp_path / "a\x1b]8;;http:evil\x1b\\ %\n.jpg"
    link = terminal.link("name", hostile)
    assert link.count("\x1b") == 4  # two that open and close the link, each with its end
    assert "%1B%5D8%3B%3Bhttp%3Aevil%1B%5C%20%25%0A.jpg" in link


def test_dates_and_places_stand_where_there_is_room(search):
    wide = search(columns=120).lines
    assert wide[0].endswith("2024-05-17     48.00°N 2.00°E")
    assert wide[1].endswith("2024-06-01")
    assert wide[2].endswith("2023-01-02    33.00°S 70.00°W")
    middle = search(columns=60).lines
    assert middle[0].endswith("orange.jpg         2024-05-17")
    narrow = search(columns=50).lines
    assert narrow[0].endswith("Pictures/2024/orange.jpg")
    assert all(len(line) <= 50 for line in narrow)


def test_a_path_that_is_too_long_is_shortened_in_its_middle_and_the_link_is_whole(search, made):
    done = search(columns=38)
    assert [len(line) <= 38 for line in done.lines] == [True] * 3
    assert done.lines[0].endswith("orange.jpg")
    assert "…" in done.lines[0]
    assert done.links[0][0].endswith("/Pictures/2024/orange.jpg")


def test_wide_characters_take_two_columns():
    assert (cells("abc"), cells("日本"), cells("é")) == (3, 4, 1)
    assert fitted("写真/旅行/二〇二四年/日本.jpg", 16).endswith("本.jpg")
    assert cells(fitted("写真/旅行/二〇二四年/日本.jpg", 16)) <= 16


def test_colours_are_left_out_where_a_person_said_so_and_links_stay(search):
    assert "\x1b[1m" in search().sent
    plain = search(NO_COLOR="1")
    assert "\x1b[" not in plain.sent
    assert len(plain.links) == 3
    assert "\x1b" not in search(TERM="dumb").sent


def test_a_pipe_gets_whole_paths_and_nothing_else(made):
    command = [*PROGRAM, "--library", made / "library", "search", made / "Pictures/red.jpg"]
    done = subprocess.run(
        command, capture_output=True, check=True, cwd=made, env={**os.environ, "TERM": "xterm"}
    )
    lines = done.stdout.decode().splitlines()
    assert [line.split()[-1] for line in lines] == [
        str(made / name)
        for name in ("Pictures/2024/orange.jpg", "Pictures/2024/magenta.jpg", "phone/blue.jpg")
    ]
    assert b"\x1b" not in done.stdout


def match(name, score):
    return Match(Path(f"/photos/{name}.jpg"), score, 50.0, 1, 64, 48, None, None)


@pytest.mark.parametrize(
    ("scores", "floor", "place"),
    [((0.9, 0.8, 0.3), 0.5, 2), ((0.9, 0.8), 0.5, None), ((0.4, 0.3), 0.5, None), ((0.9, 0.3), None, None)],
)
def test_a_line_says_where_matches_end(capsys, scores, floor, place):
    matches = tuple(match(str(number), score) for number, score in enumerate(scores))
    terminal = Terminal(is_terminal=True, colours=False, links=False, columns=80)
    print_matches(SearchResult(("q",), "m", matches, floor), roots=[Path("/photos")], terminal=terminal)
    lines = capsys.readouterr().out.splitlines()
    ends = [
        number for number, line in enumerate(lines) if line.strip() == "(from here on nothing stands out)"
    ]
    assert ends == ([] if place is None else [place])
    assert [line.split()[-1] for line in lines if "%" in line] == [
        f"photos/{number}.jpg" for number in range(len(scores))
    ]


def test_a_list_of_models_has_a_header_for_a_person_and_none_for_a_program(made):
    command = [*PROGRAM, "--library", made / "library", "models", "list"]
    assert on_terminal(command, columns=120).lines[0].split() == ["name", "dimensions", "from"]
    piped = subprocess.run(command, capture_output=True, text=True, check=True)
    assert piped.stdout.splitlines()[0].split()[1].isdigit()


def test_photos_that_only_filters_name_are_listed_with_their_dates(made):
    command = [*PROGRAM, "--library", made / "library", "search"]
    done = on_terminal([*command, "--after", "2023", "-k", "2"], cwd="/")
    assert [" ".join(line.split()) for line in done.lines] == [
        "2024-06-01 09:30 Pictures/2024/magenta.jpg",
        "2024-05-17 12:00 Pictures/2024/orange.jpg 48.00°N 2.00°E",
        "the newest 2 of 3 photos: -k 3 lists all",
    ]


def test_names_cannot_act_on_the_terminal(tmp_path):
    photo(tmp_path / "photos/red.jpg", "red")
    photo(tmp_path / "photos/\x1b[2J\nred 2.jpg", (250, 0, 0))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    done = on_terminal([*PROGRAM, "--library", tmp_path / "library", "search", tmp_path / "photos/red.jpg"])
    assert "\x1b[2J" not in done.sent
    (line,) = done.lines
    assert line.endswith(r"photos/\x1b[2J\nred 2.jpg")


@pytest.mark.weights
def test_a_first_run_draws_no_broken_line(tmp_path):
    shutil.copytree(SAMPLES / "things", tmp_path / "photos")
    command = [*PROGRAM, "--library", tmp_path / "library", "index", tmp_path / "photos"]
    done = on_terminal(command, HF_HUB_OFFLINE="1")
    assert done.status == 0
    assert not [line for line in done.lines if "━" in line]
    assert done.lines[0].startswith("using clip-vit-base-patch16-int8: the Hugging Face hub is switched off")
    # At no time did a message and the bar stand in one line.
    drawn = list(lines_drawn(done.sent, columns=100))
    assert any("━" in line for line in drawn)
    assert not [line for line in drawn if "━" in line and "using" in line]


def test_a_screen_obeys_what_a_bar_sends():
    assert screen("one\r\ntwo\r\x1b[2K\x1b[1A\x1b[2Kthree\r\n", columns=20) == ["three"]
