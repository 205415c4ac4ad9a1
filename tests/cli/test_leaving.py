"""How a search ends: nothing that it wrote is lost, and nobody who waits for its end is let down."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.library import Library

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def library(tmp_path, picture):
    for number in range(60):
        picture(tmp_path / f"photos/a long name that fills a pipe {number:03}.png", (4 * number, 9, 250))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    return tmp_path


def search(folder, *arguments, **options):
    query = folder / "photos/a long name that fills a pipe 007.png"
    command = [sys.executable, "-m", "vitsearch", "--library", str(folder / "library"), "search", str(query)]
    return subprocess.run(
        [*command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False, **options
    )


def test_all_of_a_long_answer_arrives_through_a_pipe_and_in_a_file(library, tmp_path):
    done = search(library, "--json", "-k", "50")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["results"]) == 50
    page = tmp_path / "page.html"
    done = search(library, "--html", str(page), "--copy-to", str(tmp_path / "copies"), "-k", "50")
    assert done.returncode == 0, done.stderr
    assert page.read_text("utf-8").rstrip().endswith("</html>")
    assert len(list((tmp_path / "copies").iterdir())) == 50


def test_an_answer_that_cannot_be_written_is_not_taken_for_one_that_was(library):
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    query = library / "photos/a long name that fills a pipe 007.png"
    command = [sys.executable, "-m", "vitsearch", "--library", str(library / "library"), "search", str(query)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "No space left" in done.stderr


def test_the_library_can_be_written_to_right_after(library):
    for _ in range(3):
        assert search(library).returncode == 0
        with Library.open(library / "library", backbone=MeanColour()) as opened:
            assert opened.index([library / "photos"]).unchanged == 60
    assert list((library / "library").glob("*journal*")) == []


PROGRAM = """
import atexit, sys, threading, time
from vitsearch.cli import program

class Told:
    def __del__(self):
        print("taken apart", flush=True)

def late():
    time.sleep(0.5)
    print("a thread ended", flush=True)

told = Told()
sys.argv = ["vitsearch", *sys.argv[1:]]
if "--thread" in sys.argv:
    sys.argv.remove("--thread")
    # As a library may, while the command runs.
    real = sys.modules["vitsearch.cli"].main
    def main():
        atexit.register(print, "others are asked", flush=True)
        threading.Thread(target=late).start()
        real()
    sys.modules["vitsearch.cli"].main = main
program()
"""


@pytest.mark.parametrize(("arguments", "status"), [(["--version"], 0), (["roots", "list"], 1), (["nix"], 2)])
def test_the_program_ends_without_taking_itself_apart_and_keeps_its_status(arguments, status, tmp_path):
    command = [sys.executable, "-c", PROGRAM, "--library", str(tmp_path), *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert "taken apart" not in done.stdout
    assert done.stdout + done.stderr


def test_threads_have_ended_and_others_were_asked_before_it_does(tmp_path):
    command = [sys.executable, "-c", PROGRAM, "--thread", "--library", str(tmp_path), "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:] == ["a thread ended", "others are asked"]


def test_a_program_that_calls_the_command_line_goes_on():
    script = "import sys\nfrom vitsearch.cli import main\nsys.argv = ['vitsearch', '--version']\n"
    script += "try:\n    main()\nexcept SystemExit:\n    pass\nprint('still here')\n"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("still here\n")
