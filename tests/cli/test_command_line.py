"""The program as a person or a script meets it: documents, lines, exit statuses, and no traceback."""

import ast
import io
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete
from PIL import Image

import vitsearch.cli
from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.cli import cli
from vitsearch.cli.index import print_report
from vitsearch.cli.output import hidden_native_messages
from vitsearch.errors import LibraryError
from vitsearch.library import Library
from vitsearch.storage.favourites import Favourites

ROOT = Path(__file__).parents[2]
COLOURS = ["red", "orange", "yellow", "lime", "blue", "magenta"]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a library of six photos, which tests only read from."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "photos").mkdir()
    (folder / "loop").symlink_to("loop")
    for colour in COLOURS:
        Image.new("RGB", (64, 48), colour).save(folder / "photos" / f"{colour}.png")
    with Library.open(folder / "library", backbone=MeanColour()) as library:
        library.index([folder / "photos"])
    return folder


class Said:
    """What a run of the program left behind."""

    def __init__(self, status, output, errors):
        self.status, self.output, self.errors = status, output, errors

    @property
    def document(self):
        assert (self.status, self.errors) == (0, "")
        return json.loads(self.output)

    @property
    def line(self):
        """The one line of an error."""
        assert (self.status, self.output) == (1, "")
        assert self.errors.count("\n") == 1
        return self.errors.removesuffix("\n")


@pytest.fixture
def program(made, monkeypatch, capfdbinary):
    """Run the command line as `main` runs it, in this process, on the library that is only read from."""

    def run(*words, library=made / "library", stdin=b""):
        monkeypatch.setattr(sys, "argv", ["vitsearch", "--library", str(library), *map(str, words)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            vitsearch.cli.main()
        output, errors = capfdbinary.readouterr()
        return Said(ended.value.code, output.decode(), errors.decode())

    return run


def commands(group=vitsearch.cli.cli, prefix=()):
    for name, command in sorted(group.commands.items()):
        yield (*prefix, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*prefix, name))


@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
def test_every_command_explains_itself_and_all_of_its_options(program, words):
    said = program(*words, "--help")
    assert (said.status, said.errors) == (0, "")
    assert said.output.startswith(f"Usage: vitsearch {' '.join(words)}".rstrip())
    command: click.Command = cli
    for word in words:
        assert isinstance(command, click.Group)
        command = command.commands[word]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{parameter.name} has no help"
    assert program(*words, "-h").output == said.output


def test_help_takes_less_than_half_a_second_of_processor_time():
    best = min(processor_seconds("--help") for _ in range(3))
    assert best < 0.5


def processor_seconds(*words):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-m", "vitsearch", *words], capture_output=True, check=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_the_script_in_the_checkout_and_the_module_are_the_same_program(tmp_path):
    environment = {**os.environ, "VITSEARCH_LIBRARY": str(tmp_path)}
    answers = [
        subprocess.run(
            [sys.executable, *start, "status"], capture_output=True, text=True, cwd=ROOT, env=environment
        )
        for start in (["cli.py"], ["-m", "vitsearch"])
    ]
    assert [(answer.returncode, answer.stdout, answer.stderr) for answer in answers] == [
        (1, "", f"vitsearch: there is no library in {tmp_path}: make one with `vitsearch index FOLDER`\n")
    ] * 2


def test_the_version_is_that_of_the_package(program):
    assert program("--version").output == f"vitsearch, version {vitsearch.__version__}\n"


def test_a_search_as_json_is_one_document_with_the_promised_fields(program, made):
    query = made / "photos/red.png"
    document = program("search", query, "-k", 3, "--json").document
    assert set(document) >= {"query", "model", "results"}
    assert (document["query"], document["model"]) == ([str(query)], "mean-colour")
    assert [Path(result["path"]).stem for result in document["results"]] == ["orange", "magenta", "yellow"]
    for result in document["results"]:
        assert set(result) >= {
            "path",
            "score",
            "percentile",
            "width",
            "height",
            "taken",
            "camera",
            "other_paths",
        }
        assert Path(result["path"]).is_absolute()
    scores = [result["score"] for result in document["results"]]
    assert scores == sorted(scores, reverse=True)


def test_a_search_as_a_table_has_a_line_for_each_match(program, made):
    said = program("search", made / "photos/red.png", "-k", 2)
    assert said.status == 0
    lines = said.output.splitlines()
    assert [line.split()[-1] for line in lines] == [
        str(made / "photos" / name) for name in ("orange.png", "magenta.png")
    ]
    assert lines[0].split()[1:3] == ["80.0", "%"]


def test_a_search_may_print_bare_paths_for_other_programs(program, made):
    said = program("search", made / "photos/red.png", "-k", 2, "--paths")
    assert said.output == f"{made / 'photos/orange.png'}\n{made / 'photos/magenta.png'}\n"


def test_json_of_status_and_roots_has_absolute_paths_and_counts(program, made):
    status = program("status", "--json").document
    expected = {
        "folder": str(made / "library"),
        "model": "mean-colour",
        "photos": 6,
        "files": 6,
        "vectors": 6,
    }
    assert {name: status[name] for name in expected} == expected
    assert program("roots", "list", "--json").document == {
        "roots": [
            {
                "id": 1,
                "path": str(made / "photos"),
                "online": True,
                "files": 6,
                "missing": 0,
                "unreadable": 0,
                "offline": 0,
                "empty": False,
                "to_come": None,
            }
        ]
    }


def test_status_and_roots_in_words_name_the_folder_and_the_model(program, made):
    assert str(made / "photos") in program("status").output
    assert "mean-colour (13 dimensions)" in program("status").output
    assert program("roots", "list").output == f"{made / 'photos'}  (6 files)\n"


def test_an_index_run_as_json_is_one_document_with_the_promised_fields(program, made, tmp_path):
    library = Path(shutil.copytree(made / "library", tmp_path / "library"))
    photos = Path(shutil.copytree(made / "photos", tmp_path / "photos"))
    (photos / "blue.png").unlink()
    (photos / "broken.jpg").write_bytes(b"broken")
    assert program("roots", "relocate", made / "photos", photos, library=library).status == 0
    with Library.open(library, backbone=MeanColour()) as opened:
        opened.index()
    document = program("index", "--json", library=library).document
    seconds = document.pop("seconds")
    assert 0 <= seconds < 60
    assert document == {
        "photos": 5,
        "files": 5,
        "embedded": 0,
        "unchanged": 5,
        "moved": 0,
        "missing": 1,
        "pruned": 0,
        "offline": 0,
        "offline_roots": [],
        "unreadable": [
            {"path": str(photos / "broken.jpg"), "reason": "it is not an image in a format that is read here"}
        ],
        "model": "mean-colour",
        "interrupted": False,
        "left_out": [],
        "remarks": [],
        "also": [],
        "copies": 0,
        "reread": 0,
        "newly_unreadable": [],
        "pruned_files": 0,
        "arrived": 0,
    }


def test_an_index_run_in_words_says_what_was_found_and_once_what_could_not_be_read(program, made, tmp_path):
    library = Path(shutil.copytree(made / "library", tmp_path / "library"))
    photos = Path(shutil.copytree(made / "photos", tmp_path / "photos"))
    program("roots", "relocate", made / "photos", photos, library=library)

    def told(*, retry=False):
        with (
            Library.open(library, backbone=MeanColour()) as opened,
            redirect_stdout(io.StringIO()) as output,
            redirect_stderr(io.StringIO()) as errors,
        ):
            print_report(opened.index(retry=retry))
        assert output.getvalue() == "6 photos in 6 files: 0 new, 6 unchanged\n"
        lines = errors.getvalue().splitlines()
        assert lines[0].startswith("mean-colour, ")
        return lines[1:]

    for number in range(25):
        (photos / f"broken {number:02}.jpg").touch()
    assert told() == [
        "25 files could not be read:",
        "  25: the file is empty",
        f"    {photos / 'broken 00.jpg'}",
        f"    {photos / 'broken 01.jpg'}",
        "  (all with `vitsearch status --unreadable`)",
    ]
    before = "could not be read before: `vitsearch status --unreadable` lists them"
    assert told() == [f"25 files {before}"]
    said = program("index", library=library)
    assert said.output == "6 photos in 6 files: 0 new, 6 unchanged\n"
    assert said.errors.splitlines()[1:] == [f"25 files {before}"]
    (photos / "broken 25.jpg").touch()
    (photos / "broken 00.jpg").write_bytes(b"other")
    assert told() == [
        "2 files could not be read:",
        f"  {photos / 'broken 00.jpg'}: it is not an image in a format that is read here",
        f"  {photos / 'broken 25.jpg'}: the file is empty",
        f"24 more files {before}",
    ]
    # What is tried again is told again.
    assert told(retry=True)[0] == "26 files could not be read:"


def test_files_that_could_not_be_read_are_listed_whenever_a_person_asks(program, made, tmp_path):
    library = Path(shutil.copytree(made / "library", tmp_path / "library"))
    photos = tmp_path / "more"
    photos.mkdir()
    for number in range(25):
        (photos / f"{number:02}.jpg").touch()
    with Library.open(library, backbone=MeanColour()) as opened:
        opened.index([photos])
    said = program("status", "--unreadable", library=library)
    assert said.output.splitlines() == [
        f"{photos / f'{number:02}.jpg'}: the file is empty" for number in range(25)
    ]
    assert said.errors == "25 files could not be read: `vitsearch index --retry` looks at them again\n"
    assert program("status", "--unreadable", "--json", library=library).document == {
        "unreadable": [
            {"path": str(photos / f"{number:02}.jpg"), "reason": "the file is empty"} for number in range(25)
        ]
    }
    assert (
        "25 unreadable (`vitsearch status --unreadable` lists them)"
        in program("status", library=library).output
    )
    assert program("status", "--unreadable").errors == "0 files could not be read\n"


def test_a_folder_that_is_there_and_empty_is_not_called_offline(program, made, tmp_path):
    library = Path(shutil.copytree(made / "library", tmp_path / "library"))
    photos = Path(shutil.copytree(made / "photos", tmp_path / "photos"))
    program("roots", "relocate", made / "photos", photos, library=library)
    shutil.rmtree(photos)
    photos.mkdir()
    for words in (("status",), ("roots", "list")):
        said = program(*words, library=library).output
        assert "empty, as if its drive were not mounted" in said
        assert "offline" not in said
    (root,) = program("roots", "list", "--json", library=library).document["roots"]
    assert (root["online"], root["empty"]) == (False, True)
    (tmp_path / "query.png").write_bytes((made / "photos/red.png").read_bytes())
    said = program("search", tmp_path / "query.png", library=library).errors
    assert said == (
        f"6 photos would be searched, and all are in folders that are empty or not mounted: {photos}\n"
    )
    photos.rmdir()
    assert "(offline: its drive is not mounted, or it was moved)" in program("status", library=library).output


def test_lists_of_nothing_say_so(program):
    said = program("favourites", "list")
    assert (said.status, said.output) == (0, "")
    assert said.errors == "no favourites yet: `vitsearch favourites add PHOTO`, or choose some on the page\n"


def test_favourites_are_chosen_by_their_files_and_are_those_of_the_page(program, made, tmp_path):
    library = Path(shutil.copytree(made / "library", tmp_path / "library"))
    red, blue = made / "photos/red.png", made / "photos/blue.png"
    copy = Path(shutil.copy(red, tmp_path / "elsewhere.png"))
    said = program("favourites", "add", copy, blue, library=library)
    assert (said.status, said.output) == (0, "2 favourites added; there are 2 now\n")
    with Library.open(library) as opened:
        chosen = opened.catalog.photos(Favourites(opened.catalog.database).ids().tolist())
    assert sorted(path for row in chosen.values() for path in row.paths) == [blue, red]
    assert program("favourites", "list", library=library).output.split() == [str(blue), str(red)]
    found = program("search", "--favourite", "--paths", library=library)
    assert sorted(found.output.split()) == [str(blue), str(red)]
    said = program("favourites", "remove", red, blue, "--json", library=library)
    assert said.document == {"changed": 2, "favourites": 0}
    # One that the library does not know changes nothing of the others.
    Image.new("RGB", (64, 48), "brown").save(tmp_path / "stranger.png")
    said = program("favourites", "add", red, tmp_path / "stranger.png", library=library)
    assert (
        said.line
        == f"vitsearch: {tmp_path / 'stranger.png'} is not in the library: run `vitsearch index` first"
    )
    assert program("favourites", "list", library=library).output == ""


def test_what_a_backup_brings_is_counted_and_nothing_else(program, made, tmp_path):
    library = Path(shutil.copytree(made / "library", tmp_path / "library"))
    with Library.open(library) as opened:
        Favourites(opened.catalog.database).put([1], favourite=True)
    program("backup", tmp_path / "mine", library=library)
    assert program("restore", tmp_path / "mine", library=library).output == (
        "nothing to restore: all that it holds is here already\n"
    )
    with Library.open(library) as opened:
        Favourites(opened.catalog.database).put([1], favourite=False)
    assert program("restore", tmp_path / "mine", library=library).output == "restored: 1 favourite\n"


def test_copies_of_known_photos_and_files_that_were_tagged_are_counted(made, tmp_path, capsys):
    library = Path(shutil.copytree(made / "library", tmp_path / "library"))
    photos = Path(shutil.copytree(made / "photos", tmp_path / "photos"))
    with Library.open(library, backbone=MeanColour()) as opened:
        print_report(opened.index([photos]))
        shutil.copy(photos / "red.png", photos / "red again.png")
        os.utime(photos / "blue.png")
        print_report(opened.index([photos]))
        print_report(opened.index([photos]))
    assert capsys.readouterr().out.splitlines() == [
        "6 photos in 6 files: 0 new, 0 unchanged, 6 copies of known photos",
        "6 photos in 7 files: 0 new, 5 unchanged, 1 copy of a known photo, 1 read again",
        "6 photos in 7 files: 0 new, 7 unchanged",
    ]


def test_a_current_folder_that_is_gone_is_named_as_what_is_wrong(program, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for words in (("index", "photos"), ("search", "red.png")):
        said = program(*words).line
        assert said == "vitsearch: the current folder is not there any more: change to another one"


def test_photos_that_were_only_asked_about_are_new_when_their_folder_is_indexed(made, tmp_path, capsys):
    card = Path(shutil.copytree(made / "photos", tmp_path / "card"))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as opened:
        (tmp_path / "few").mkdir()
        shutil.copy(card / "red.png", tmp_path / "few")
        print_report(opened.index([tmp_path / "few"]))
        assert len(opened.embed_files(sorted(card.iterdir())).photos) == 6
        shutil.copy(card / "blue.png", card / "blue again.png")
        print_report(report := opened.index([card]))
        assert (report.embedded, report.arrived, report.copies) == (0, 5, 2)
        print_report(opened.index([card]))
    assert capsys.readouterr().out.splitlines() == [
        "1 photo in 1 file: 1 new, 0 unchanged",
        "6 photos in 7 files: 5 new, 0 unchanged, 2 copies of known photos",
        "6 photos in 7 files: 0 new, 7 unchanged",
    ]


def test_a_library_that_is_not_there_is_one_line_for_every_question(program, made, tmp_path):
    nowhere = tmp_path / "nowhere"
    expected = f"vitsearch: there is no library in {nowhere}: make one with `vitsearch index FOLDER`"
    for words in (
        ("search", made / "photos/red.png"),
        ("search", made / "photos/red.png", "--json"),
        ("status",),
        ("status", "--json"),
        ("roots", "list"),
        ("roots", "forget", tmp_path),
    ):
        assert program(*words, library=nowhere).line == expected
    assert not nowhere.exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("search", "{photos}/none.jpg"), "cannot read {photos}/none.jpg: No such file or directory"),
        (("search", "{photos}"), "cannot read {photos}: it is a folder; name one image in it"),
        (
            ("explain", "{photos}/none.jpg", "--out", "{photos}/seen.png"),
            "cannot read {photos}/none.jpg: No such file or directory",
        ),
        (
            ("explain", "{photos}", "--out", "{photos}/seen.png"),
            "cannot read {photos}: it is a folder; name one image in it",
        ),
        (
            ("heads", "load", "{photos}/none.safetensors"),
            (
                "{photos}/none.safetensors cannot be loaded: there is no such file; name a file that "
                "`heads export` wrote"
            ),
        ),
        (("search", "-"), "cannot read the image on standard input: the file is empty"),
        (
            ("search", "{photos}/red.png", "--not", "/dev/null"),
            "cannot read /dev/null: it is not a regular file",
        ),
        (
            ("search", "{photos}/red.png", "--crop", "0,0,65,48"),
            "the crop 0,0,65,48 does not lie within {photos}/red.png (64 x 48)",
        ),
        (
            ("search", "{photos}/red.png", "--in", "/nowhere"),
            "/nowhere is in no folder that was indexed: see `vitsearch roots list`",
        ),
        (
            ("roots", "relocate", "{photos}", "/nowhere"),
            "/nowhere does not exist: mount its drive, then relocate",
        ),
        (
            ("roots", "forget", "/nowhere"),
            "/nowhere is not a folder that was indexed: see `vitsearch roots list`",
        ),
        (("index", "/nowhere"), "/nowhere does not exist: check the spelling, or mount its drive"),
        (
            ("index", "{photos}/../loop"),
            "{photos}/../loop does not exist: check the spelling, or mount its drive",
        ),
        (
            ("search", "{photos}/red.png", "--in", "{photos}/../loop"),
            "{photos}/../loop is in no folder that was indexed: see `vitsearch roots list`",
        ),
        (("index", "{photos}/red.png"), "{photos}/red.png is a file: give the folder that it is in"),
        (
            ("search", "{photos}/red.png", "--sheet", "/nowhere/sheet.png"),
            (
                "cannot write the contact sheet /nowhere/sheet.png: No such file or directory; "
                "make its folder first, or choose another place"
            ),
        ),
        (
            ("search", "{photos}/red.png", "--sheet", "{photos}/sheet.gif"),
            (
                "cannot write the contact sheet {photos}/sheet.gif: .gif is no kind of picture that is written; "
                "name a .png or .jpg file"
            ),
        ),
        (
            ("search", "{photos}/red.png", "--html", "/nowhere/page.html"),
            (
                "cannot write the page /nowhere/page.html: No such file or directory; "
                "make its folder first, or choose another place"
            ),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_a_person_can_get_wrong_is_one_line_and_exit_status_1(program, made, words, line):
    photos = made / "photos"
    said = program(*(word.format(photos=photos) for word in words))
    assert said.status == 1
    assert "Traceback" not in said.errors
    last = said.errors.splitlines()[-1]
    assert last == f"vitsearch: {line.format(photos=photos)}".replace("/photos/..", "")


@pytest.mark.parametrize(
    "words",
    [
        ("frobnicate",),
        ("search",),
        ("search", "a.jpg", "--crop", "1,2,3"),
        ("search", "a.jpg", "--crop", "-1,2,3,4"),
        ("search", "a.jpg", "-k", "0"),
        ("search", "a.jpg", "-k", "many"),
        ("search", "a.jpg", "--after", "yesterday"),
        ("search", "a.jpg", "--before", "2024-13"),
        ("search", "a.jpg", "--device", "toaster"),
        ("search", "a.jpg", "--nonsense"),
        ("index", "--batch-size", "0"),
        ("roots", "relocate", "one"),
        ("roots", "frobnicate"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_status_2_with_a_hint_at_help(program, words):
    said = program(*words)
    assert (said.status, said.output) == (2, "")
    assert "Try 'vitsearch" in said.errors
    assert "Traceback" not in said.errors


def test_an_image_may_come_from_standard_input(program, made):
    data = (made / "photos/red.png").read_bytes()
    document = program("search", "-", "--json", "-k", 2, stdin=data).document
    assert document["query"] == ["-"]
    assert (
        document["results"]
        == program("search", made / "photos/red.png", "--json", "-k", 2).document["results"]
    )


def test_options_reach_the_search(program, made):
    red, photos = made / "photos/red.png", made / "photos"
    found = {
        words: [
            Path(result["path"]).stem
            for result in program("search", red, "--json", *words).document["results"]
        ]
        for words in (
            ("-k", "1"),
            ("--include-self", "-k", "1"),
            ("--in", str(photos), "-k", "1"),
            ("--after", "2024"),
            ("--camera", "canon"),
            ("--not", str(photos / "orange.png"), "-k", "1"),
            ("--distinct", "-k", "2"),
            ("--exact", "-k", "1"),
        )
    }
    assert found == {
        ("-k", "1"): ["orange"],
        ("--include-self", "-k", "1"): ["red"],
        ("--in", str(photos), "-k", "1"): ["orange"],
        ("--after", "2024"): [],
        ("--camera", "canon"): [],
        ("--not", str(photos / "orange.png"), "-k", "1"): ["magenta"],
        ("--distinct", "-k", "2"): ["orange", "magenta"],
        ("--exact", "-k", "1"): ["orange"],
    }


def test_a_sheet_and_a_page_are_written_beside_a_clean_document(program, made, tmp_path):
    sheet, page = tmp_path / "found.png", tmp_path / "found.html"
    said = program("search", made / "photos/red.png", "--json", "--sheet", sheet, "--html", page)
    assert said.status == 0
    assert len(json.loads(said.output)["results"]) == 5
    assert said.errors == f"contact sheet: {sheet}\npage: {page}\n"
    with Image.open(sheet) as image:
        assert image.width > 1000
    assert page.read_text(encoding="utf-8").count("<img") == 6


@pytest.fixture
def hostile(tmp_path):
    """A library whose photos have names with escape codes, newlines, and bytes that are not UTF-8."""
    photos = tmp_path / "photos\x1b[2J"
    photos.mkdir()
    for name, colour in ((b"a\x1b[31m.png", "red"), (b"b\nc.png", "orange"), (b"caf\xe9.png", "yellow")):
        Image.new("RGB", (64, 48), colour).save(photos / os.fsdecode(name))
    (photos / "broken\x07.jpg").touch()
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    return tmp_path


def test_names_never_act_on_the_terminal(program, hostile):
    photos, library = hostile / "photos\x1b[2J", hostile / "library"
    for words in (
        ("search", photos / "a\x1b[31m.png"),
        ("search", photos / "a\x1b[31m.png", "--json"),
        ("search", photos / "none\x1b[31m.png"),
        ("search", photos / "a\x1b[31m.png", "--sheet", hostile / "sheet\x1b[0m.xyz"),
        ("search", photos / "a\x1b[31m.png", "--html", hostile / "page\x1b[0m.html"),
        ("index",),
        ("index", "--json"),
        ("index", hostile / "nowhere\x1b[0m"),
        ("status",),
        ("roots", "list"),
        ("roots", "forget", hostile / "nowhere\x1b[0m"),
        ("roots", "relocate", photos, photos),
        ("\x1b[31m",),
        ("search", "--\x1b[31m"),
        ("search", "a.png", "--crop", "\x1b[31m"),
    ):
        said = program(*words, library=library)
        for text in (said.output, said.errors):
            assert all(character.isprintable() or character == "\n" for character in text), words
    table = program("search", photos / "a\x1b[31m.png", library=library).output
    assert [line.split("/")[-1] for line in table.splitlines()] == ["b\\nc.png", "caf\\udce9.png"]


def test_names_survive_json_and_bare_paths_byte_for_byte(hostile):
    environment = {**os.environ, "VITSEARCH_LIBRARY": str(hostile / "library")}
    query = hostile / "photos\x1b[2J" / "a\x1b[31m.png"

    def run(*words):
        return subprocess.run(
            [sys.executable, "-m", "vitsearch", "search", query, *words],
            capture_output=True,
            check=True,
            env=environment,
        ).stdout

    names = [b"b\nc.png", b"caf\xe9.png"]
    document = json.loads(run("--json"))
    assert [os.fsencode(result["path"]).rpartition(b"/")[2] for result in document["results"]] == names
    folder = os.fsencode(hostile / "photos\x1b[2J")
    assert run("--paths") == b"".join(folder + b"/" + name + b"\n" for name in names)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_names_are_printed_whatever_the_terminal_can_show(tmp_path, encoding):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name, colour in (("red.png", "red"), ("日本 ü.png", "orange")):
        Image.new("RGB", (64, 48), colour).save(photos / name)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    done = subprocess.run(
        [sys.executable, "-m", "vitsearch", "search", photos / "red.png"],
        capture_output=True,
        env={**os.environ, "VITSEARCH_LIBRARY": str(tmp_path / "library"), "PYTHONIOENCODING": encoding},
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"\\u65e5\\u672c" in done.stdout


def test_a_reader_that_stops_reading_ends_the_program_quietly(made):
    command = [
        sys.executable,
        "-m",
        "vitsearch",
        "--library",
        made / "library",
        "search",
        made / "photos/red.png",
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert errors == b""


def test_damaged_metadata_in_a_photo_is_no_news(made, tmp_path):
    photo = Image.new("RGB", (64, 48), "red")
    photo.save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    block = b"Exif\0\0II*\0\x08\0\0\0\xff\0" + b"\x10\x01\x02\0\xff\xff\0\0\xff\xff\0\0" * 3
    damaged = data[:2] + b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block + data[2:]
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path])
    command = [
        sys.executable,
        "-m",
        "vitsearch",
        "--library",
        tmp_path / "library",
        "search",
        "-",
        "--include-self",
    ]
    done = subprocess.run(command, input=damaged, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.strip().endswith(b"whole.jpg")


def test_output_that_cannot_be_written_is_one_line(made):
    command = [
        sys.executable,
        "-m",
        "vitsearch",
        "--library",
        made / "library",
        "search",
        made / "photos/red.png",
    ]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, check=False, text=True)
    assert (done.returncode, done.stderr) == (1, "vitsearch: No space left on device\n")


def test_debug_shows_the_traceback_of_an_error(made, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "vitsearch", "--debug", "--library", tmp_path / "none", "status"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "vitsearch.errors.LibraryMissing: there is no library" in done.stderr


def test_the_library_comes_from_the_option_then_the_environment(made, monkeypatch, tmp_path):
    def folder(*words, **environment):
        done = subprocess.run(
            [sys.executable, "-m", "vitsearch", *words, "status"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "XDG_DATA_HOME": str(tmp_path / "data"), **environment},
        )
        return done.stderr.partition(" in ")[2].partition(":")[0]

    one, two = str(tmp_path / "one"), str(tmp_path / "two")
    assert folder("--library", one, VITSEARCH_LIBRARY=two) == one
    assert folder(VITSEARCH_LIBRARY=two) == two
    assert folder(VITSEARCH_LIBRARY="") == str(tmp_path / "data/vitsearch")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_checkpoint("vit", tmp_path_factory.mktemp("checkpoint") / "tiny-vit")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of weights of these tests' own: a graph that one of them has made serves the others."""
    return tmp_path_factory.mktemp("cache")


def test_a_folder_is_indexed_and_searched_from_start_to_end(
    run, answer, checkpoint, cache, tmp_path, picture
):
    photos = tmp_path / "photos"
    source = Image.effect_noise((80, 60), 60).convert("RGB")
    for index, colour in enumerate(COLOURS):
        path = picture(photos / f"{colour}.png", colour, size=(80, 60))
        with Image.open(path) as image:
            Image.blend(image, source, 0.1 * index).save(path)
    report = answer("--cache", cache, "index", photos, "--model", checkpoint)
    assert (report["photos"], report["embedded"], report["unreadable"]) == (6, 6, [])
    assert report["model"] == json.loads(run("status", "--json").stdout)["model"]
    again = answer("index")
    assert (again["photos"], again["embedded"], again["unchanged"]) == (6, 0, 6)
    shutil.copy(photos / "red.png", tmp_path / "query.png")
    with Image.open(tmp_path / "query.png") as image:
        image.crop((1, 1, 79, 59)).save(tmp_path / "query.png")
    result = answer("--cache", cache, "search", tmp_path / "query.png", "-k", 6)
    assert result["results"][0]["path"] == str(photos / "red.png")
    refused = run("index", "--model", "clip-vit-base-patch16")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"vitsearch: the library in {tmp_path / 'library'} was indexed with ")
    assert refused.stderr.count("\n") == 1


@pytest.mark.timing
def test_ctrl_c_ends_the_program_within_two_seconds_and_a_rerun_continues(
    answer, checkpoint, cache, tmp_path
):
    photos, library = tmp_path / "photos", tmp_path / "library"
    photos.mkdir()
    for number in range(1500):
        Image.new("RGB", (32, 32), (number % 256, number // 6, 90)).save(photos / f"{number}.bmp")
    command = [
        "--library",
        library,
        "--cache",
        cache,
        "index",
        photos,
        "--model",
        checkpoint,
        "--batch-size",
        "4",
        "--json",
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "vitsearch", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while process.poll() is None and vectors(library) < 8:
        time.sleep(0.02)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - started < 2
    assert (process.returncode, errors.splitlines()[-1]) == (
        130,
        "stopped: run `vitsearch index` to go on from here",
    )
    report = json.loads(output)
    assert report["interrupted"]
    assert report["missing"] == 0
    assert 8 <= report["embedded"] == vectors(library) < 1500
    shutil.rmtree(photos)
    photos.mkdir()
    for number in range(20):
        Image.new("RGB", (32, 32), (number % 256, number // 6, 90)).save(photos / f"{number}.bmp")
    rest = answer("--cache", cache, "index")
    assert rest["photos"] == 20
    assert rest["embedded"] < 20


def vectors(library):
    if not (library / "library.db").exists():
        return 0
    with Library.open(library) as opened:
        return opened.status().vectors


def test_what_libraries_write_to_the_descriptor_is_hidden_and_what_we_say_is_not(capfd):
    before = sys.stderr
    with hidden_native_messages():
        os.write(2, b"from C++\n")
        subprocess.run(
            [sys.executable, "-c", "import sys; print('from a child', file=sys.stderr)"], check=True
        )
        click.echo("from us", err=True)
    os.write(2, b"C++ again\n")
    assert sys.stderr is before
    assert capfd.readouterr().err == "from us\nC++ again\n"


@pytest.mark.parametrize(
    "words",
    [
        ("search", "--label", "cat", "--head", "pets", "--distinct"),
        ("search", "--label", "cat", "--head", "pets", "--exact"),
        ("duplicates", "--not-duplicates", "1-2", "--plan", "plan.json"),
        ("duplicates", "--check", "a.jpg", "b.jpg", "--tier", "exact"),
        ("index", "photos", "--engine", "ray", "--workers", "2"),
        ("index", "s3://bucket/photos", "--engine", "ray", "--prune"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(program, words):
    said = program(*words)
    assert (said.status, said.output) == (2, "")
    assert said.errors.startswith("Usage: vitsearch")


@pytest.mark.parametrize("group", ["99999999999999999999-1", "7-99999999999999999999", "²"])
def test_what_is_no_groups_name_is_said_in_one_line(program, group):
    said = program("duplicates", "--not-duplicates", group)
    assert said.status == 2
    assert f"{group} is no group's name" in said.errors


def test_pairs_that_were_told_apart_are_a_document_where_json_is_asked_for(program, made, tmp_path):
    library = shutil.copytree(made / "library", tmp_path / "library")
    red, blue = made / "photos/red.png", made / "photos/blue.png"
    said = program("duplicates", "--not-duplicates", red, "--not-duplicates", blue, "--json", library=library)
    (pair,) = json.loads(said.output)["told_apart"]
    assert sorted(pair["files"]) == sorted(map(str, (red, blue)))


def test_the_list_of_commands_imports_none_of_them_and_knows_each():
    code = (
        "import sys\nfrom vitsearch.cli import cli\ncli.main(['--help'], standalone_mode=False)\n"
        "print({module for module in sys.modules if module.startswith('vitsearch.cli.')})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    *listed, loaded = done.stdout.splitlines()
    assert ast.literal_eval(loaded) == {f"vitsearch.cli.{name}" for name in ("commands", "output", "session")}
    assert all(any(line.split()[:1] == [name] for line in listed) for name in cli.commands)
    assert all(command.name == name for name, command in cli.commands.items())


@pytest.mark.parametrize(
    "words",
    [
        ("restore", "{there}/none.vs"),
        ("restore", "{there}/photo.png"),
        ("backup", "{there}/new.vs"),
        ("apply", "{there}/plan.json"),
        ("undo", "{there}/plan.json"),
        ("index", "{there}", "--model", "nix"),
        ("index", "{there}", "--model", "{there}/model", "--also", "nix"),
        ("index", "{there}", "--model", "{there}/model", "--also", "dinov2-small"),
        ("index", "file://{there}/empty", "--engine", "ray", "--model", "{there}/model"),
        ("search", "{there}/photo.png", "--copy-to", "{there}/found"),
        ("search", "{there}/photo.png", "--link-to", "{there}/found"),
    ],
)
def test_what_is_refused_leaves_no_library_behind(program, tmp_path, picture, words, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    picture(tmp_path / "there/photo.png")
    (tmp_path / "there/empty").mkdir()
    make_checkpoint("vit", tmp_path / "there/model")
    before = sorted((tmp_path / "there").rglob("*"))
    said = program(*(word.format(there=tmp_path / "there") for word in words), library=tmp_path / "none")
    assert said.status == 1
    assert not (tmp_path / "none").exists()
    assert sorted((tmp_path / "there").rglob("*")) == before


def test_a_head_for_which_no_model_can_be_had_leaves_no_library_behind(run, tmp_path, picture, monkeypatch):
    for number, label in enumerate(["red", "red", "blue", "blue"]):
        picture(tmp_path / f"labelled/{label}/{number}.png", label)
    monkeypatch.setenv("VITSEARCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    done = run("heads", "train", "colours", "--from", tmp_path / "labelled")
    assert done.returncode == 1
    assert not (tmp_path / "library").exists()


@pytest.mark.parametrize(
    "words",
    [
        ("status", "--library", "{library}"),
        ("status", "--library={library}"),
        ("--library", "/nowhere", "status", "--library", "{library}", "--cache", "/nowhere", "--debug"),
        ("duplicates", "--library", "{library}"),
        ("duplicates", "find", "--tier", "exact", "--library", "{library}"),
        ("roots", "--library", "{library}", "list"),
        ("search", "{photos}/red.png", "--library", "{library}"),
    ],
    ids=" ".join,
)
def test_the_programs_own_options_may_stand_after_the_command(made, words, monkeypatch, capfd):
    places = {"library": made / "library", "photos": made / "photos"}
    monkeypatch.delenv("VITSEARCH_LIBRARY", raising=False)
    monkeypatch.setenv("HOME", "/nowhere")
    monkeypatch.setattr(sys, "argv", ["vitsearch", *(word.format(**places) for word in words)])
    with pytest.raises(SystemExit) as ended:
        vitsearch.cli.main()
    assert ended.value.code == 0, capfd.readouterr().err


def test_what_stands_after_two_dashes_is_no_option(program):
    said = program("search", "--", "--library")
    assert (said.status, "reads no words" in said.errors) == (1, True)
    said = program("status", "--library", library=Path("/nowhere"))
    assert (said.status, "Option '--library' requires an argument" in said.errors) == (2, True)


def test_no_command_has_an_option_of_the_programs_own_name():
    own = {name for option in cli.params if isinstance(option, click.Option) for name in option.opts}
    for words in commands():
        command: click.Command = cli
        for word in words:
            assert isinstance(command, click.Group)
            command = command.commands[word]
        names = {name for each in command.params if isinstance(each, click.Option) for name in each.opts}
        assert not own & names, words


def test_a_place_that_may_not_be_written_to_is_told_with_what_to_do(made, own_folder, program):
    closed = own_folder / "closed"
    closed.mkdir(mode=0o500)
    red = made / "photos/red.png"
    line = program("index", made / "photos", "--model", "nix", library=closed / "library").line
    assert "nix" in line  # the model comes first
    with (
        Library.open(closed / "library", backbone=MeanColour()) as library,
        pytest.raises(LibraryError, match=r"keep the library in a folder .* with --library"),
    ):
        library.index([made / "photos"])
    line = program("search", red, "--sheet", closed / "found.png").line
    assert line.endswith("found.png: Permission denied; choose a folder that you may write to")
    line = program("search", red, "--copy-to", closed / "found").line
    assert line.endswith(
        "found: Permission denied; choose a folder in one that is there and that you may write to"
    )


@pytest.mark.parametrize("group", [[], ["heads"], ["roots"], ["models"], ["favourites"]])
def test_a_group_without_a_command_shows_its_help_line_by_line(group):
    done = subprocess.run(
        [sys.executable, "-m", "vitsearch", *group], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert "\\n" not in done.stderr
    assert {"Options:", "Commands:" if group else "Clean up:"} <= set(done.stderr.splitlines())


@pytest.mark.parametrize(
    ("words", "begun", "offered"),
    [
        (["duplicates"], "dis", ["dismiss", "dismissed"]),
        (["duplicates"], "--pl", ["--plan"]),
        (["duplicates", "find"], "--pl", ["--plan"]),
        (["heads"], "tr", ["train"]),
        (["--library"], "", [""]),
        (["index", "--library"], "", [""]),
    ],
)
def test_a_shell_is_offered_what_may_come_next(words, begun, offered):
    shell = ShellComplete(vitsearch.cli.cli, {}, "vitsearch", "_VITSEARCH_COMPLETE")
    assert [item.value for item in shell.get_completions(words, begun)] == offered
