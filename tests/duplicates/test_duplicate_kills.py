"""A run that is killed at any point: a rerun or an undo ends in a consistent state, and no byte of a photo is lost."""

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

SHM = Path("/dev/shm")

# Runs in a process of its own, without threads, so that it may fork: each child does one run and ends itself, as hard
# as a kill, right before the n-th time it is about to change the file system.
CHILD = '''
import json, os, sys
from pathlib import Path
from tests.support.unsynced import wait_for_nothing
from vitsearch.duplicates.cleanup import renaming
from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.plan_files import write_plan
from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile, PlannedGroup, content_hash

wait_for_nothing()  # a process dies, not the power
base, elsewhere, action = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
if sys.argv[4:] == ["by links"]:
    renaming.exclusive_rename = lambda: None
CHANGES = ("os.link", "os.rename", "os.remove", "os.symlink", "os.mkdir", "os.rmdir", "os.truncate", "open",
           "os.utime", "os.chmod", "os.chown", "os.setxattr")
CONTENTS = {"keep.jpg": b"one" * 700, "copy.jpg": b"one" * 700, "sub/copy.jpg": b"one" * 700}

def fresh(number):
    photos, moved = base / str(number) / "photos", elsewhere / str(number)
    for name, content in CONTENTS.items():
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(content)
    keep, *rest = (PlannedFile(photos / name, content_hash(photos / name)) for name in CONTENTS)
    if sys.argv[4:] == ["desktop"]:
        os.environ["XDG_DATA_HOME"] = str(moved)
    plan = photos.parent / "plan.json"
    destination = moved if action == "move" else None
    write_plan(Plan(action, (photos,), (PlannedGroup(keep, tuple(rest)),), destination), plan)
    return photos, moved, plan

def state(photos, moved):
    found = {}
    for folder in (photos, moved):
        for path in sorted(folder.rglob("*")):
            name = f"{folder.name if folder == photos else 'moved'}/{path.relative_to(folder)}"
            if path.is_symlink():
                found[name] = "link to " + path.readlink().name
            elif path.suffix == ".trashinfo":
                found[name] = "says where it comes from"
            elif path.is_file():
                found[name] = path.read_bytes().decode() + (" x2" if path.stat().st_nlink > 1 else "")
    return found

def killed(work, plan, point):
    """Run in a child that dies before its point-th change; return whether it died."""
    back, out = os.pipe()
    child = os.fork()
    if not child:
        seen = 0
        def hook(event, arguments):
            nonlocal seen
            if event not in CHANGES or not any(str(base) in str(a) or str(elsewhere) in str(a) for a in arguments):
                return
            if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR):
                return
            seen += 1
            if seen == point:
                # The parent reads which kind of change it was that did not happen any more.
                os.write(out, event.encode())
                os._exit(9)
        sys.addaudithook(hook)
        try:
            work(plan)
        finally:
            os._exit(0)
    os.close(out)
    with os.fdopen(back) as pipe:
        event = pipe.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9 and event

photos, moved, plan = fresh("whole")
before = state(photos, moved)
apply_plan(plan)
after = state(photos, moved)
report = {"before": before, "after": after, "killed before": {}, "wrong": []}

def check(what, expected, photos, moved):
    seen = state(photos, moved)
    if seen != expected:
        report["wrong"].append([what, seen])

for ending, work, finish, expected in (
    ("apply, apply", apply_plan, [apply_plan], after), ("apply, undo", apply_plan, [undo_plan], before),
    ("undo, undo", undo_plan, [undo_plan], before), ("undo, apply", undo_plan, [undo_plan, apply_plan], after),
):
    point = 1
    while True:
        photos, moved, plan = fresh(f"{ending}-{point}".replace(", ", "-"))
        if work is undo_plan:
            apply_plan(plan)
        died = killed(work, plan, point)
        kept = [text for text in state(photos, moved).values() if text.startswith("one" * 700)]
        if len(kept) < 3:
            report["wrong"].append([f"{ending} at {point}: bytes lost", state(photos, moved)])
        for run in finish:
            run(plan)
        check(f"{ending} at {point}", expected, photos, moved)
        if not died:
            break
        report["killed before"].setdefault(ending, []).append(died)
        point += 1
print(json.dumps(report))
'''


def killed_everywhere(base: Path, elsewhere: Path, action: str, *more: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(base), str(elsewhere), action, *more],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def assert_killed_before_each_change(report: dict[str, Any], changes: list[str], more: list[str]) -> None:
    """Each of the two files goes through these `changes`, there and back, and through `more` when a plan is applied."""
    assert set(report["killed before"]) == {"apply, apply", "apply, undo", "undo, undo", "undo, apply"}
    for ending, seen in report["killed before"].items():
        expected = Counter([*changes, *(more if ending.startswith("apply") else [])] * 2)
        assert Counter(seen) >= expected, ending


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks children to kill them")
@pytest.mark.parametrize("action", ["trash", "move", "hardlink", "symlink"])
def test_a_kill_at_any_point_can_be_finished_or_undone(tmp_path, action):
    report = killed_everywhere(tmp_path, tmp_path / "moved", action)
    assert report["wrong"] == []
    assert report["before"] != report["after"]
    links = {"trash": [], "move": [], "hardlink": ["os.link"], "symlink": ["os.symlink"]}[action]
    assert_killed_before_each_change(report, ["os.rename"], links)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks children to kill them")
@pytest.mark.parametrize("action", ["trash", "hardlink"])
def test_a_kill_where_files_move_by_links_can_be_finished_or_undone(tmp_path, action):
    """As on systems that cannot rename without replacing: a link, then the old name aside, then away."""
    report = killed_everywhere(tmp_path, tmp_path / "moved", action, "by links")
    assert report["wrong"] == []
    assert_killed_before_each_change(report, ["os.link", "os.rename", "os.remove"], [])


@pytest.mark.trust
@pytest.mark.skipif(sys.platform != "linux", reason="the trash of Linux desktops")
@pytest.mark.parametrize("action", ["trash", "symlink"])
def test_a_kill_while_files_go_to_the_trash_of_the_desktop_can_be_finished_or_undone(tmp_path, action):
    report = killed_everywhere(tmp_path, tmp_path / "data", action, "desktop")
    assert report["wrong"] == []
    assert "moved/Trash/files/copy.jpg" in report["after"]
    # The note on where it comes from is opened for writing, and removed on the way back.
    assert_killed_before_each_change(report, ["os.rename"], ["open"])


@pytest.mark.skipif(
    not SHM.is_dir() or SHM.stat().st_dev == Path(tempfile.gettempdir()).stat().st_dev,
    reason="needs a second file system",
)
def test_a_kill_while_copying_to_another_file_system_can_be_finished_or_undone(tmp_path):
    with tempfile.TemporaryDirectory(dir=SHM) as elsewhere:
        report = killed_everywhere(tmp_path, Path(elsewhere), "move")
    assert report["wrong"] == []
    # The file goes aside; the copy is opened for writing, gets its times and its name; what is aside is removed.
    changes = ["os.rename", "open", "os.utime", "os.rename", "os.remove"]
    assert_killed_before_each_change(report, changes, [])
