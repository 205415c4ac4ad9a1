"""Another program saves, renames or deletes a photo while a plan moves it: no version of it is ever lost."""

import json
import os
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.plan_files import write_plan
from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile, PlannedGroup, content_hash

SHM = Path("/dev/shm")
NEEDS_TWO_FILE_SYSTEMS = pytest.mark.skipif(
    not SHM.is_dir() or SHM.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev,
    reason="needs a second file system",
)
pytestmark = [
    pytest.mark.trust,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="forks the other program at named points"),
]


def disturbed(base: Path, elsewhere: Path, *words: object) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.crash.other_program", base, elsewhere, *map(str, words)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("running", "place"), [("apply", 0), ("undo", 1)])
def test_a_version_that_is_saved_while_its_file_moves_is_never_lost(tmp_path, running, place):
    report = disturbed(
        tmp_path / "here", tmp_path / "there", "each", "trash", running, "save", "copy.jpg", place
    )
    assert report["wrong"] == []
    assert report["kinds"]["os.rename"] >= 1


@pytest.mark.parametrize(("running", "place"), [("apply", 0), ("undo", 1)])
def test_it_is_not_lost_either_where_files_move_by_links(tmp_path, running, place):
    report = disturbed(
        tmp_path / "here", tmp_path / "there", "each", "trash", running, "save", "copy.jpg", place, "by-links"
    )
    assert report["wrong"] == []
    assert report["kinds"]["os.link"] >= 1
    assert report["kinds"]["os.remove"] >= 1


@NEEDS_TWO_FILE_SYSTEMS
@pytest.mark.parametrize("kind", ["save", "write"])
@pytest.mark.parametrize(("running", "place"), [("apply", 0), ("undo", 1)])
def test_nor_while_it_moves_to_another_file_system_and_back(tmp_path, running, place, kind):
    with tempfile.TemporaryDirectory(dir=SHM) as elsewhere:
        report = disturbed(
            tmp_path / "here", Path(elsewhere), "each", "move", running, kind, "copy.jpg", place
        )
    assert report["wrong"] == []
    assert sum(report["kinds"].values()) >= 3


# Waits when it has compared all files with the plan, which is when it makes the trash.
APPLY = """
import sys
from pathlib import Path
from vitsearch.duplicates.cleanup.applying import apply_plan
waited = []
def wait(event, arguments):
    if event == "os.mkdir" and not waited:
        waited.append(event)
        print("ready", flush=True)
        sys.stdin.readline()
sys.addaudithook(wait)
apply_plan(Path(sys.argv[1]))
"""


def test_two_plans_at_once_that_keep_what_the_other_moves_leave_one_photo_of_each_pair(tmp_path):
    """Not even where no lock keeps them apart: two libraries, or two machines, with the same photos."""
    photos = tmp_path / "photos"
    photos.mkdir()
    pairs = [(photos / f"a{number}.jpg", photos / f"b{number}.jpg") for number in range(150)]
    for number, pair in enumerate(pairs):
        for path in pair:
            path.write_bytes(b"%d " % number * 500)
    plans = []
    for turn, name in ((1, "first.json"), (-1, "second.json")):
        groups = tuple(
            PlannedGroup(PlannedFile(keep, content_hash(keep)), (PlannedFile(other, content_hash(other)),))
            for keep, other in (pair[::turn] for pair in pairs)
        )
        plans.append(tmp_path / name)
        write_plan(Plan("trash", (photos,), groups), plans[-1])
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", APPLY, plan], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for plan in plans
    ]
    for run in runs:
        assert run.stdout is not None
        assert run.stdout.readline() == "ready\n"
    for run in runs:
        assert run.stdin is not None
        run.stdin.write("go\n")
        run.stdin.flush()
    for run in runs:
        run.communicate(timeout=120)
    assert [pair for pair in pairs if not any(path.exists() for path in pair)] == []
    trash = photos / ".vitsearch-trash"
    for pair in pairs:
        assert sum(path.exists() for path in (*pair, *(trash / path.name for path in pair))) == 2


@pytest.mark.parametrize("kind", ["save", "delete", "rename"])
def test_a_group_is_left_alone_when_its_kept_file_changes_before_the_action(tmp_path, kind):
    """At every point: no copy is gone whose kept file had changed or gone before it was moved."""
    report = disturbed(tmp_path / "here", tmp_path / "there", "each", "trash", "apply", kind, "keep.jpg", 0)
    assert report["wrong"] == []
    assert report["kinds"]["os.rename"] >= 1


@pytest.mark.parametrize("seed", [1])
def test_fifty_rounds_beside_another_program_lose_no_version(tmp_path, seed):
    with tempfile.TemporaryDirectory(dir=SHM if SHM.is_dir() else None) as elsewhere:
        report = disturbed(tmp_path / "here", Path(elsewhere), "random", 50, seed)
    assert report["rounds"] == 50
    assert report["wrong"] == []


def attributes(path: Path) -> tuple[Any, ...]:
    status = path.stat()
    names = sorted(os.listxattr(path)) if hasattr(os, "listxattr") else []
    extended = {name: os.getxattr(path, name) for name in names if not name.startswith("security.")}
    return status.st_uid, status.st_gid, status.st_mode, status.st_mtime_ns, extended


# A list as `setfacl -m u:1234:r` writes it: a version, then tag, permissions and user of each entry.
ACCESS_LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, permissions, user)
    for tag, permissions, user in (
        (1, 6, 0xFFFFFFFF), (2, 4, 1234), (4, 0, 0xFFFFFFFF), (16, 4, 0xFFFFFFFF), (32, 0, 0xFFFFFFFF),
    )
)  # fmt: skip


@NEEDS_TWO_FILE_SYSTEMS
@pytest.mark.parametrize("loses", [False, True])
def test_undo_gives_back_owner_mode_times_and_extended_attributes(tmp_path, loses):
    """Also where the other file system has kept none of them."""
    keep, copy = tmp_path / "keep.jpg", tmp_path / "copy.jpg"
    for path in (keep, copy):
        path.write_bytes(b"photo" * 100)
    copy.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(copy, 1234, 2345)
    with suppress(OSError):  # as far as this file system has them
        os.setxattr(copy, "user.xdg.tags", b"holiday")
        os.setxattr(copy, "system.posix_acl_access", ACCESS_LIST)
    os.utime(copy, ns=(10**18, 10**18 + 123_456_789))
    before = attributes(copy)
    with tempfile.TemporaryDirectory(dir=SHM) as elsewhere:
        plan = tmp_path / "plan.json"
        group = PlannedGroup(PlannedFile(keep, content_hash(keep)), (PlannedFile(copy, content_hash(copy)),))
        write_plan(Plan("move", (tmp_path,), (group,), Path(elsewhere)), plan)
        assert [outcome.done for outcome in apply_plan(plan)] == [True]
        moved = Path(elsewhere) / "copy.jpg"
        if loses:
            for name in os.listxattr(moved):
                os.removexattr(moved, name)
            moved.chmod(0o666)
            os.utime(moved, ns=(0, 0))
            os.chown(moved, os.geteuid(), os.getegid())
        assert [outcome.text for outcome in undo_plan(plan)] == ["put back"]
    assert attributes(copy) == before


def test_undo_puts_back_a_photo_that_was_edited_where_it_was_moved_to(tmp_path):
    keep, copy = tmp_path / "keep.jpg", tmp_path / "copy.jpg"
    for path in (keep, copy):
        path.write_bytes(b"photo" * 100)
    plan = tmp_path / "plan.json"
    group = PlannedGroup(PlannedFile(keep, content_hash(keep)), (PlannedFile(copy, content_hash(copy)),))
    write_plan(Plan("move", (tmp_path,), (group,), tmp_path / "moved"), plan)
    apply_plan(plan)
    (tmp_path / "moved/copy.jpg").write_bytes(b"rated")
    (outcome,) = undo_plan(plan)
    assert (outcome.done, outcome.text) == (True, "put back, with what was changed in it since")
    assert copy.read_bytes() == b"rated"


def test_undo_finds_a_photo_whose_drive_was_away_at_the_first_try(tmp_path):
    keep, copy = tmp_path / "keep.jpg", tmp_path / "copy.jpg"
    for path in (keep, copy):
        path.write_bytes(b"photo" * 100)
    plan = tmp_path / "plan.json"
    group = PlannedGroup(PlannedFile(keep, content_hash(keep)), (PlannedFile(copy, content_hash(copy)),))
    write_plan(Plan("move", (tmp_path,), (group,), tmp_path / "moved"), plan)
    apply_plan(plan)
    (tmp_path / "moved").rename(tmp_path / "away")
    assert [outcome.done for outcome in undo_plan(plan)] == [False]
    (tmp_path / "away").rename(tmp_path / "moved")
    assert [outcome.done for outcome in undo_plan(plan)] == [True]
    assert copy.read_bytes() == b"photo" * 100
