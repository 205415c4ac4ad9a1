"""Drives come and go while plans are carried out and undone: no photo is put where a drive will hide it."""

import os

import pytest

from tests.support.mounts import Mounts
from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.journal import Journal
from vitsearch.duplicates.cleanup.plan_files import write_plan
from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile, PlannedGroup, content_hash
from vitsearch.errors import PlanError

pytestmark = pytest.mark.trust


@pytest.fixture
def mounts():
    made = Mounts()
    yield made
    made.close()


def move_plan(photos, destination, *, below=""):
    """A plan that moves two copies, in a folder of the photos or beside them."""
    groups = []
    for number in range(2):
        keep, copy = photos / f"keep-{number}.jpg", photos / below / f"copy-{number}.jpg"
        for path in (keep, copy):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"%d" % number * 500)
        groups.append(
            PlannedGroup(PlannedFile(keep, content_hash(keep)), (PlannedFile(copy, content_hash(copy)),))
        )
    plan = photos.parent / "plan.json"
    write_plan(Plan("move", (photos,), tuple(groups), destination), plan)
    return plan


def names(folder):
    return sorted(path.name for path in folder.rglob("*.jpg"))


COPIES, KEPT = ["copy-0.jpg", "copy-1.jpg"], ["keep-0.jpg", "keep-1.jpg"]


@pytest.mark.parametrize("below", ["", "sub"])
def test_undo_puts_nothing_below_the_mount_point_of_a_drive_that_is_away(tmp_path, mounts, below):
    photos, drive, moved = (tmp_path / name for name in ("photos", "drive", "moved"))
    photos.mkdir()
    drive.mkdir()
    mounts.drive(drive)
    mounts.bind(drive, photos)
    plan = move_plan(photos, moved, below=below)
    assert [outcome.done for outcome in apply_plan(plan)] == [True, True]
    mounts.unmount(photos)
    outcomes = undo_plan(plan)
    assert [outcome.done for outcome in outcomes] == [False, False]
    assert all("is not mounted" in outcome.text for outcome in outcomes)
    assert (names(photos), names(moved)) == ([], COPIES)
    mounts.bind(drive, photos)
    assert [outcome.done for outcome in undo_plan(plan)] == [True, True]
    assert names(photos) == [*COPIES, *KEPT]


def test_undo_puts_photos_onto_another_drive_that_a_person_has_put_in_the_place_of_theirs(tmp_path, mounts):
    photos, moved = tmp_path / "photos", tmp_path / "moved"
    photos.mkdir()
    mounts.drive(photos)
    plan = move_plan(photos, moved)
    apply_plan(plan)
    mounts.unmount(photos)
    mounts.drive(photos)
    assert not any(outcome.done for outcome in undo_plan(plan))
    (photos / "some file").write_bytes(b"")
    assert all(outcome.done for outcome in undo_plan(plan))
    assert (names(photos), names(moved)) == (COPIES, [])


@pytest.mark.parametrize("folder", ["", "copies"])
def test_apply_moves_nothing_below_the_mount_point_of_a_destination_that_is_away(tmp_path, mounts, folder):
    photos, drive = tmp_path / "photos", tmp_path / "drive"
    drive.mkdir()
    mounts.drive(drive)
    plan = move_plan(photos, drive / folder)
    mounts.unmount(drive)
    with pytest.raises(PlanError, match="on another drive than when the plan was made"):
        apply_plan(plan)
    assert names(photos) == [*COPIES, *KEPT]
    assert list(drive.iterdir()) == []


def test_a_person_may_write_another_destination_into_a_plan(tmp_path, mounts):
    photos, drive = tmp_path / "photos", tmp_path / "drive"
    drive.mkdir()
    mounts.drive(drive)
    plan = move_plan(photos, drive)
    plan.write_text(
        plan.read_text().replace(f'"destination": "{drive}"', f'"destination": "{tmp_path}/moved"')
    )
    assert all(outcome.done for outcome in apply_plan(plan))
    assert names(tmp_path / "moved") == COPIES


@pytest.mark.parametrize("then", ["apply", "undo"])
def test_a_batch_that_is_killed_is_found_where_one_file_system_is_mounted_twice(
    tmp_path, mounts, monkeypatch, then
):
    """As in a container: the device is one, no file can be renamed from there to here, and a copy has a new number."""
    photos, store, moved = (tmp_path / name for name in ("photos", "store", "moved"))
    store.mkdir()
    moved.mkdir()
    mounts.bind(store, moved)
    plan = move_plan(photos, moved)
    child = os.fork()
    if not child:
        note_all = Journal.note_all

        def until_done(journal, steps, state):
            if state == "done":
                os._exit(9)
            note_all(journal, steps, state)

        monkeypatch.setattr(Journal, "note_all", until_done)
        apply_plan(plan)
        os._exit(1)
    os.waitpid(child, 0)
    assert (names(photos), names(moved)) == (KEPT, COPIES)
    if then == "apply":
        assert all(outcome.done for outcome in apply_plan(plan))
        assert names(moved) == COPIES
    assert all(outcome.done for outcome in undo_plan(plan))
    assert (names(photos), names(moved)) == ([*COPIES, *KEPT], [])


def test_undo_between_drives_brings_back_a_time_of_the_distant_future(tmp_path, mounts):
    """A damaged disk says so; it is more nanoseconds than 64 bits hold."""
    photos, moved = tmp_path / "photos", tmp_path / "moved"
    photos.mkdir()
    mounts.drive(photos)
    plan = move_plan(photos, moved)
    copy = photos / "copy-0.jpg"
    os.utime(copy, ns=(0, 10 * 10**18))
    before = copy.stat().st_mtime_ns
    assert before > 1 << 63
    assert all(outcome.done for outcome in apply_plan(plan))
    assert all(outcome.done for outcome in undo_plan(plan))
    assert copy.stat().st_mtime_ns == before
