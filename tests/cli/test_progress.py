"""How far long commands are, where no terminal is there to draw a bar."""

import io
import json
import re
import sys
import time

import pytest

import vitsearch.cli
from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.cli import progress
from vitsearch.library import Library
from vitsearch.records import Progress

LINE = re.compile(r"(.+?)(: [\d,]+ of [\d,]+(, about .+ left)?| ?: [\d,]+ so far)? \(.+ since the start\)")


@pytest.fixture
def program(tmp_path, monkeypatch, capfd):
    """Run the command line in this process, with the folder `library`; return what is on stdout and stderr."""

    def run(*words):
        monkeypatch.setattr(
            "sys.argv", ["vitsearch", "--library", str(tmp_path / "library"), *map(str, words)]
        )
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            vitsearch.cli.main()
        assert ended.value.code == 0
        return capfd.readouterr()

    return run


@pytest.fixture
def photos(tmp_path, picture):
    for number in range(40):
        picture(tmp_path / f"photos/{number}.png", (number * 6, 255 - number * 6, number))
    return tmp_path / "photos"


@pytest.fixture
def indexed(photos, tmp_path):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])


def lines_of_progress(errors):
    return [line for line in errors.splitlines() if LINE.fullmatch(line)]


def test_a_long_index_run_says_now_and_then_how_far_it_is(program, photos, tmp_path, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.02)
    done = program("index", photos, "--model", make_checkpoint("vit", tmp_path / "model"))
    assert any(line.startswith("embedding: ") and " of 40" in line for line in lines_of_progress(done.err))
    assert lines_of_progress(done.out) == []


def test_a_short_run_says_nothing_of_that(program, photos, tmp_path):
    done = program("index", photos, "--model", make_checkpoint("vit", tmp_path / "model"))
    assert done.out.startswith("40 photos in 40 files: ")
    assert lines_of_progress(done.err) == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["duplicates"], "looking for look-alikes"),
        (["doctor"], "reading the library"),
        (["backup", "saved.zip"], "writing"),
    ],
    ids=" ".join,
)
def test_every_long_command_does(program, indexed, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0005)
    # A small library is read in less time than a thread mostly waits for its turn.
    patience = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        done = program(*words)
    finally:
        sys.setswitchinterval(patience)
    assert any(line.startswith(says) for line in lines_of_progress(done.err))
    assert lines_of_progress(done.out) == []


def test_applying_a_plan_and_undoing_it_do(program, photos, tmp_path, monkeypatch):
    for number in range(40):
        (photos / f"copy-{number}.png").write_bytes((photos / f"{number}.png").read_bytes())
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    program("duplicates", "--tier", "exact", "--plan", tmp_path / "plan.json")
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0005)
    done = program("apply", tmp_path / "plan.json")
    assert any(line.startswith("comparing with the plan: ") for line in lines_of_progress(done.err))
    assert len(done.out.splitlines()) == 40
    done = program("undo", tmp_path / "plan.json")
    assert any(line.startswith("putting back: ") for line in lines_of_progress(done.err))


def test_a_document_has_nothing_beside_it(program, indexed, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0005)
    done = program("doctor", "--json")
    assert json.loads(done.out)["sound"]
    assert done.err == ""


def test_a_stage_that_tells_nothing_is_told_all_the_same(capfd, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.05)
    with progress.progress_bar(quiet=False) as show:
        show(Progress("load", 0, None))
        time.sleep(0.18)
        show(Progress("embed", 25, 100))  # a new stage is told at once
    told = lines_of_progress(capfd.readouterr().err)
    assert len(told) >= 3
    assert told[0].startswith("loading the model (")
    assert told[-1].startswith("embedding: 25 of 100, about ")


def test_a_command_goes_on_where_nobody_reads_its_progress(monkeypatch):
    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", Gone())
    lines = progress._Lines("starting", 0.0)
    lines.show(Progress("scan", 1, 2))
    lines.show(Progress("embed", 1, 2))
    lines.tell()
