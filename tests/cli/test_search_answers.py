"""What a search does with its answer: copies and links in a folder, a viewer, and a reason where there is none."""

import json
import os
import shutil
import stat
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from PIL import Image

from scripts.terminal_screen import on_terminal
from tests.support.mean_colour import MeanColour
from vitsearch.cli.nothing_found import why_nothing
from vitsearch.cli.viewer import show_file
from vitsearch.errors import VitsearchError
from vitsearch.library import Library
from vitsearch.storage.filters import ALL_PHOTOS

COLOURS = ["red", "orange", "yellow", "lime", "blue", "magenta"]


@pytest.fixture
def made(tmp_path):
    (tmp_path / "photos").mkdir()
    for colour in COLOURS:
        Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{colour}.png")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    return tmp_path


@pytest.fixture
def search(made, programs):
    def run(*words, query="photos/red.png", env=None):
        return programs.run(
            "--library", made / "library", "search", made / query, *words, environment=env or os.environ
        )

    return run


def reindexed(made):
    with Library.open(made / "library", backbone=MeanColour()) as library:
        library.index()


def test_limit_is_another_name_of_k(search):
    assert search("--limit", "2").stdout == search("-k", "2").stdout
    assert search("--limit", "2").stdout.count("\n") == 2


def test_matches_are_copied_with_their_times_and_never_over_another_file(search, made):
    os.utime(made / "photos/orange.png", (1e9, 1e9))
    reindexed(made)
    target = made / "found"
    done = search("-k", "2", "--copy-to", target)
    assert (done.returncode, done.stderr) == (0, f"2 copies in {target}\n")
    assert sorted(path.name for path in target.iterdir()) == ["magenta.png", "orange.png"]
    assert (target / "orange.png").read_bytes() == (made / "photos/orange.png").read_bytes()
    assert (target / "orange.png").stat().st_mtime == 1e9
    (target / "orange.png").write_bytes(b"mine")
    again = search("-k", "2", "--copy-to", target)
    assert again.stderr == f"1 copy in {target}; 1 there already\n"
    assert (target / "orange.png").read_bytes() == b"mine"
    assert (target / "orange (2).png").read_bytes() == (made / "photos/orange.png").read_bytes()
    third = search("-k", "2", "--copy-to", target)
    assert third.stderr == f"0 copies in {target}; 2 there already\n"


def test_matches_are_linked_and_a_link_of_someone_else_stays(search, made):
    target = made / "found"
    target.mkdir()
    (target / "orange.png").symlink_to("/nowhere")
    done = search("-k", "2", "--link-to", target)
    assert (done.returncode, done.stderr) == (0, f"2 links in {target}\n")
    assert (target / "orange.png").readlink() == Path("/nowhere")
    assert (target / "orange (2).png").resolve() == made / "photos/orange.png"
    assert search("-k", "2", "--link-to", target).stderr == f"0 links in {target}; 2 there already\n"


def test_a_copy_is_never_written_through_a_link_that_is_there(search, made):
    target = made / "found"
    target.mkdir()
    (made / "mine.txt").write_text("mine")
    (target / "orange.png").symlink_to(made / "mine.txt")
    search("-k", "1", "--copy-to", target)
    assert (made / "mine.txt").read_text() == "mine"
    assert (target / "orange (2).png").is_file()


def test_a_photo_that_has_gone_since_costs_its_own_copy_and_the_status(search, made):
    (made / "photos/orange.png").unlink()
    done = search("-k", "2", "--copy-to", made / "found", "--json")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"1 copy in {made / 'found'}",
        f"not collected: {made / 'photos/orange.png'}: No such file or directory",
    ]
    assert [path.name for path in (made / "found").iterdir()] == ["magenta.png"]


@pytest.mark.parametrize("option", ["--copy-to", "--link-to"])
def test_a_folder_that_cannot_be_used_is_one_line_before_the_search(search, made, option):
    done = search(option, made / "none/deeper")
    assert (done.returncode, done.stdout) == (1, "")
    assert (
        done.stderr
        == f"vitsearch: cannot make the folder {made / 'none/deeper'}: No such file or directory; "
        "choose a folder in one that is there and that you may write to\n"
    )
    done = search(option, made / "library/.vitsearch/thumbnails")
    assert (done.returncode, done.stdout) == (1, "")
    assert "it belongs to a library; choose another folder" in done.stderr


def viewer(folder, script):
    program = folder / "xdg-open"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IEXEC)
    return {**os.environ, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.parametrize("named", ["https:/example.org/x.jpg", "--manual", "/none/there.jpg"])
def test_what_is_no_file_is_given_to_no_viewer(monkeypatch, named):
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a viewer was started"))
    with pytest.raises(VitsearchError, match="no viewer could be started"):
        show_file(Path(named))


def test_the_best_match_is_opened(search, made):
    environment = viewer(made, f'echo "$1" > {made}/shown; sleep 60')
    done = search("--open", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert (made / "shown").read_text() == f"{made}/photos/orange.png\n"


@pytest.mark.parametrize("script", [None, "echo no method available >&2; exit 3"])
def test_without_a_viewer_opening_is_one_line_and_exit_status_1(search, made, script):
    if script is None:
        (made / "empty").mkdir()
        environment = {**os.environ, "PATH": str(made / "empty")}
    else:
        environment = viewer(made, script)
    done = search("--open", "-k", "1", env=environment)
    assert (done.returncode, done.stdout.count("\n")) == (1, 1)
    assert done.stderr == (
        f"vitsearch: no viewer could be started for {made}/photos/orange.png: open it yourself, or draw the answer "
        "with --sheet or --html\n"
    )


def test_pictures_are_for_a_person_in_a_terminal(search):
    done = search("--preview", "--json")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--preview shows pictures to a person" in done.stderr
    done = search("--preview")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    needed = "pip install 'vitsearch[preview]'" if find_spec("textual_image") is None else "in a terminal"
    assert needed in done.stderr


@pytest.mark.skipif(find_spec("textual_image") is None, reason="the extra `preview` is not installed")
def test_a_picture_stands_above_each_line(made):
    command = [
        sys.executable,
        "-m",
        "vitsearch",
        "--library",
        made / "library",
        "search",
        made / "photos/red.png",
    ]
    lines = on_terminal([*command, "-k", "2", "--preview"]).lines
    assert [line.split()[-1] for line in lines if "%" in line] == ["photos/orange.png", "photos/magenta.png"]
    assert sum("▀" in line or "▄" in line for line in lines) >= 10


def test_a_folder_whose_name_is_misspelt_is_named(search, made):
    done = search("--in", made / "photos/Kueche")
    assert done.stderr == (
        f"there is no folder {made / 'photos/Kueche'}, and the library knows of none: check the name after --in\n"
    )


def test_an_empty_answer_says_that_filters_keep_nothing(search, made):
    done = search("--after", "2030")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "none of the 6 photos in the library is what --after 2030 asks for: leave it out\n"
    done = search("--camera", "d850", "--rating", "3", "--in", made / "photos")
    assert done.stderr == (
        f"none of the 6 photos in the library is what --in {made / 'photos'} and --camera d850 and --rating 3 ask for "
        "together: leave one of them out\n"
    )


def test_an_empty_answer_says_that_the_drive_is_offline(search, made):
    shutil.copy(made / "photos/red.png", made / "query.png")
    (made / "photos").rename(made / "unmounted")
    done = search(query="query.png")
    assert done.stderr == (
        f"6 photos would be searched, and all are in folders that are not there now (not mounted, moved or renamed): "
        f"{made / 'photos'}\n"
    )


def test_an_empty_answer_says_that_all_files_are_unreadable(made):
    shutil.copy(made / "photos/red.png", made / "query.png")
    for colour in COLOURS:
        (made / f"photos/{colour}.png").write_bytes(b"broken")
    with Library.open(made / "library", backbone=MeanColour()) as library:
        library.index()
        assert library.search(made / "query.png").results == ()
        told = why_nothing(library, ALL_PHOTOS, only_matches=False, include_self=False)
    assert told == (
        "no photo in the indexed folders could be read (6 files): run `vitsearch index --retry` to see why"
    )


def test_an_empty_answer_says_that_the_library_is_empty(made):
    for colour in COLOURS:
        (made / f"photos/{colour}.png").unlink()
    (made / "photos/keep.txt").touch()  # a folder without any entry is offline
    with Library.open(made / "library", backbone=MeanColour()) as library:
        library.index(prune=True)
        Image.new("RGB", (64, 48), "red").save(made / "query.png")
        assert library.search(made / "query.png").results == ()
        told = why_nothing(library, ALL_PHOTOS, only_matches=False, include_self=False)
    assert told == "the library holds no photos: run `vitsearch index FOLDER`"


def test_an_empty_answer_says_that_the_query_itself_is_all_there_is(search, made):
    for colour in COLOURS[1:]:
        (made / f"photos/{colour}.png").unlink()
    reindexed(made)
    done = search()
    assert done.stderr == "the only photos to search are the query itself: add --include-self to see them\n"
    assert search("--include-self").stdout.count("\n") == 1


def test_an_empty_answer_says_that_nothing_stands_out(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    # Towards green in even steps, and a query beyond the last: the scores are spread evenly, and none is an outlier.
    for number in range(40):
        Image.new("RGB", (64, 48), (0, 2 * number, 200)).save(photos / f"{number}.png")
    Image.new("RGB", (64, 48), (60, 90, 60)).save(tmp_path / "query.png")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as opened:
        opened.index([photos])
        near = opened.search(tmp_path / "query.png")
        assert near.matches_above is not None
        assert near.results[0].score < near.matches_above
        assert opened.search(tmp_path / "query.png", only_matches=True).results == ()
        told = why_nothing(opened, ALL_PHOTOS, only_matches=True, include_self=False)
    assert told == "nothing stands out from the library: leave --only-matches out to see the nearest photos"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_for_each_shell(made, shell):
    done = subprocess.run(
        [sys.executable, "-m", "vitsearch", "completion", shell], capture_output=True, text=True, check=True
    )
    assert "_VITSEARCH_COMPLETE" in done.stdout
    assert done.stderr == ""


def test_bash_completes_commands_and_options(made):
    for words, current, expected in (
        ("vitsearch ", 1, "search"),
        ("vitsearch search --copy", 2, "--copy-to"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "vitsearch"],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "_VITSEARCH_COMPLETE": "bash_complete",
                "COMP_WORDS": words,
                "COMP_CWORD": str(current),
            },
        )
        assert f"plain,{expected}" in done.stdout.splitlines()


def test_status_fits_one_screen_and_forecasts_when_asked(made):
    def status(*words):
        command = [sys.executable, "-m", "vitsearch", "--library", made / "library", "status", *words]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert "at 1,000,000" not in status()
    assert status().count("\n") <= 10
    assert "at 1,000,000" in status("--forecast")
    assert '"forecast"' in status("--json")


def test_a_search_imports_no_other_command(made):
    code = (
        "import sys\nfrom vitsearch.cli import cli\n"
        f"cli.main(['--library', {str(made / 'library')!r}, 'search', {str(made / 'photos/red.png')!r}], "
        "standalone_mode=False)\n"
        "print([m for m in sys.modules if m.startswith('vitsearch.cli.')], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for other in ("index", "serve", "duplicates", "heads", "export", "explain"):
        assert f"vitsearch.cli.{other}'" not in done.stderr
    assert Path(made / "photos").is_dir()


def test_matches_whose_files_have_gone_are_marked(search, made):
    (made / "photos/orange.png").unlink()
    done = search("-k", "3")
    marked = [line for line in done.stdout.splitlines() if line.endswith("  (not there now)")]
    assert [line.split()[3] for line in marked] == [str(made / "photos/orange.png")]
    assert done.stderr.splitlines()[-1].startswith(
        "1 photo is not there now: mount the drive, or run `vitsearch index`"
    )
    results = json.loads(search("-k", "3", "--json").stdout)["results"]
    assert {Path(match["path"]).stem: match["present"] for match in results}["orange"] is False
    assert sum(match["present"] for match in results) == 2
    search("-k", "3", "--html", made / "found.html")
    assert (made / "found.html").read_text().count("not there now") == 1


def test_a_copy_that_is_there_is_named_before_one_that_has_gone(search, made):
    shutil.copy(made / "photos/orange.png", made / "photos/same.png")
    reindexed(made)
    (made / "photos/orange.png").unlink()
    done = search("-k", "2")
    assert "not there now" not in done.stdout + done.stderr
    assert any(line.endswith("/photos/same.png  (+1 more)") for line in done.stdout.splitlines())
