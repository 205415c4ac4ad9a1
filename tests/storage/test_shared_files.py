"""Other programs at work on the same files: what is written, swapped or looked at beside them."""

import os
import subprocess
import sys
import time

import pytest

from vitsearch.errors import OutputError
from vitsearch.storage.atomic import Draft
from vitsearch.storage.outputs import Output
from vitsearch.storage.own_files import PAGE_MARK
from vitsearch.storage.shared_files import exchange, exclusive_rename, is_written_to

pytestmark = [
    pytest.mark.trust,
    pytest.mark.skipif(sys.platform != "linux", reason="the system calls of Linux"),
]

WRITING = "import os, sys\nwhile True: os.close(os.open(sys.argv[1], os.O_WRONLY))"


def test_whether_a_file_is_written_to_is_asked_without_being_ended_by_whoever_begins_to(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    other = subprocess.Popen([sys.executable, "-c", WRITING, path])
    child = os.fork()
    if not child:
        with path.open("rb") as file:
            end = time.monotonic() + 2
            while time.monotonic() < end:
                is_written_to(file)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    other.kill()
    other.wait()
    assert os.waitstatus_to_exitcode(status) == 0


def test_a_file_is_written_to_as_long_as_somebody_has_it_open_for_it(tmp_path):
    path = tmp_path / "photo.jpg"
    path.write_bytes(b"photo")
    with path.open("rb") as file:
        with path.open("r+b"):
            assert is_written_to(file)
        assert not is_written_to(file)


def test_names_are_swapped_in_one_step_and_none_is_replaced(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"1")
    second.write_bytes(b"2")
    assert exchange(first, second)
    assert (first.read_bytes(), second.read_bytes()) == (b"2", b"1")
    rename = exclusive_rename()
    assert rename is not None
    assert rename(first, second)
    assert (first.read_bytes(), second.read_bytes()) == (b"2", b"1")
    with pytest.raises(FileNotFoundError):
        exchange(first, tmp_path / "third")


@pytest.mark.parametrize("saves", [1, 2])
def test_a_draft_takes_no_place_in_which_something_else_has_been_saved(tmp_path, saves):
    """Also where it is saved between the look and the step, and once more while the draft gives way."""
    target = tmp_path / "file"
    target.write_bytes(b"read")
    draft = Draft(target)
    draft.file.write(b"ours")
    draft.finish()
    looks = []

    def looked_at(path):
        looks.append(path.read_bytes())
        if len(looks) <= saves:
            (tmp_path / "new").write_bytes(b"saved %d" % len(looks))
            (tmp_path / "new").replace(target)
        return looks[-1] == b"read"

    assert not draft.publish_over(looked_at)
    assert target.read_bytes() == b"saved %d" % saves
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_page_that_another_program_has_replaced_in_that_moment_stays(tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_bytes(PAGE_MARK.encode())
    publish_over = Draft.publish_over

    def beside_another_program(draft, is_expected):
        def looked_at(path):
            answer = is_expected(path)
            if path == page:
                (tmp_path / "new").write_bytes(b"a person's page")
                (tmp_path / "new").replace(page)
            return answer

        return publish_over(draft, looked_at)

    monkeypatch.setattr(Draft, "publish_over", beside_another_program)
    with pytest.raises(OutputError, match="did not write"):
        Output(page, "page").write(PAGE_MARK.encode() + b"new")
    assert page.read_bytes() == b"a person's page"
