"""`vitsearch roots`, and what is said of folders that are empty, gone or were never there."""

import os
import pty
import shlex
import subprocess
import sys

import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.cli.index import print_report
from vitsearch.heads.tables import HeadTables
from vitsearch.library import Library
from vitsearch.storage.filters import Filter


@pytest.fixture
def indexed(tmp_path, picture):
    """Two folders: one photo is in both, one in the first alone."""
    red = picture(tmp_path / "one/red.png", "red")
    picture(tmp_path / "one/blue.png", "blue")
    (tmp_path / "two").mkdir()
    (tmp_path / "two/copy.png").write_bytes(red.read_bytes())
    (tmp_path / "empty").mkdir()
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "one", tmp_path / "two", tmp_path / "empty"])
    return tmp_path


def test_a_folder_whose_photos_leave_the_library_is_forgotten_only_by_somebody_who_says_so(indexed, run):
    done = run("roots", "forget", indexed / "one")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "1 photo is in no other folder, and would leave the library; their files, labels" in done.stderr
    one = indexed / "one"
    assert done.stderr.endswith(
        "nothing was done, as nobody can be asked here; "
        f"`vitsearch --library {indexed / 'library'} roots forget {one} --yes` does it unasked\n"
    )
    assert str(indexed / "one") in run("roots", "list").stdout
    assert run("roots", "forget", indexed / "two").stdout == f"forgot {indexed / 'two'} and 0 photos\n"
    done = run("roots", "forget", indexed / "one", "--yes")
    assert done.stdout == f"forgot {indexed / 'one'} and 2 photos\n"
    assert (indexed / "one/blue.png").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="asks on a pseudo-terminal")
@pytest.mark.parametrize(("says", "status"), [(b"n\n", 130), (b"y\n", 0)])
def test_on_a_terminal_it_asks(indexed, says, status):
    ours, theirs = pty.openpty()
    os.write(ours, says)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "vitsearch",
            "--library",
            indexed / "library",
            "roots",
            "forget",
            indexed / "one",
        ],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    os.close(ours)
    os.close(theirs)
    assert "Forget them? [y/N]" in done.stderr
    assert done.returncode == status
    with Library.open(indexed / "library", backbone=MeanColour()) as library:
        assert len(library.roots()) == 3 - (status == 0)


def test_an_empty_folder_is_not_offline_and_a_known_one_that_has_become_so_is_told_apart(indexed, run):
    lines = run("roots", "list").stdout.splitlines()
    assert lines[0] == f"{indexed / 'empty'}  (0 files)"
    for path in (indexed / "one").iterdir():
        path.rename(indexed / path.name)
    (indexed / "two").rename(indexed / "renamed")
    lines = run("roots", "list").stdout.splitlines()
    assert lines[1] == f"{indexed / 'one'}  (2 files, empty, as if its drive were not mounted)"
    assert lines[2] == f"{indexed / 'two'}  (1 file, offline: its drive is not mounted, or it was moved)"


def test_a_folder_that_was_renamed_is_told_how_to_be_found_again(indexed, capsys):
    (indexed / "two").rename(indexed / "renamed")
    with Library.open(indexed / "library", backbone=MeanColour()) as library:
        report = library.index()
    assert report.offline_roots == (indexed / "two",)
    print_report(report)
    told = capsys.readouterr().err
    assert f"offline, left as it is: {indexed / 'two'}\n" in told
    assert "`vitsearch roots relocate OLD NEW`" in told


@pytest.mark.parametrize(
    "words", [("index", "nothere"), ("index",), ("index", "s3://bucket/photos"), ("index", "a.txt")]
)
def test_a_slip_of_the_pen_leaves_no_library_behind(run, tmp_path, words):
    (tmp_path / "a.txt").touch()
    done = run(*words, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "library").exists()


def test_a_run_over_a_folder_that_is_away_does_not_count_to_nought(indexed, run):
    (indexed / "two").rename(indexed / "moved")
    done = run("index", indexed / "two")
    assert done.stdout == "nothing to look at now: 1 file stays in the library\n"
    assert done.stderr.splitlines()[0] == f"offline, left as it is: {indexed / 'two'}"
    assert len(done.stderr.splitlines()) == 2
    assert f"not looked at: 1 file in {indexed / 'two'}, which is not there now\n" in run("duplicates").stderr


def test_erasing_says_how_it_is_done_where_nobody_can_be_asked(indexed, run):
    done = run("erase", indexed / "one/blue.png")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "vitsearch: all that is known of 1 photo (1 file) would be erased, which cannot be undone: nothing was done, "
        f"as nobody can be asked here; `vitsearch --library {indexed / 'library'} erase "
        f"{indexed / 'one/blue.png'} --yes` does it unasked\n"
    )


def test_the_command_that_does_it_unasked_can_be_pasted_whatever_names_hold(indexed, run):
    spaced = indexed / "one/a trip; 'there'.png"
    (indexed / "one/blue.png").rename(spaced)
    with Library.open(indexed / "library", backbone=MeanColour()) as library:
        library.index([indexed / "one"])
    told = run("erase", spaced).stderr
    words = shlex.split(told[told.index("`") + 1 : told.rindex("`")])
    assert words == ["vitsearch", "--library", str(indexed / "library"), "erase", str(spaced), "--yes"]


def test_forgetting_says_one_count_of_what_goes_and_what_heads_learn_from_stays(indexed, run, picture):
    picture(indexed / "one/green.png", "green")
    with Library.open(indexed / "library", backbone=MeanColour()) as library:
        library.index()
        photos = library.catalog.photos(library.catalog.select(Filter()).tolist())
        (green,) = (photo for photo, row in photos.items() if row.paths[0].name == "green.png")
        HeadTables(library.catalog.database).correct("mood", green, ("cold",))
        assert (library.photos_only_in(indexed / "one"), library.examples_only_in(indexed / "one")) == (1, 1)
    asked = run("roots", "forget", indexed / "one").stderr
    assert (
        "1 photo is in no other folder, and would leave the library (1 more, from which heads learn, stays known);"
        in asked
    )
    done = run("roots", "forget", indexed / "one", "--yes")
    assert (
        done.stdout == f"forgot {indexed / 'one'} and 1 photo; 1 photo from which heads learn stays known\n"
    )
    with Library.open(indexed / "library", backbone=MeanColour()) as library:
        assert library.catalog.database.number("SELECT count(*) FROM photos") == 2
