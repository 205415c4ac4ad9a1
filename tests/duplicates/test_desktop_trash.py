"""What a plan trashes is in the trash of a Linux desktop, as its specification says, and undo takes it back."""

import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.samples import SAMPLES
from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.plan_files import write_plan
from vitsearch.duplicates.cleanup.plans import Action, Plan, PlannedFile, PlannedGroup, content_hash

pytestmark = [
    pytest.mark.trust,
    pytest.mark.skipif(sys.platform != "linux", reason="the trash of Linux desktops"),
]
COPIES = ("a copy ö 1.jpg", "sub/a copy ö 1.jpg", "100%.jpg")


@pytest.fixture
def trash(tmp_path, monkeypatch):
    """The trash of a home folder on the file system of the photos."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data/Trash"


def plan_in(photos: Path, plan: Path, action: Action = "trash") -> Path:
    for name in ("keep.jpg", *COPIES):
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        (photos / name).write_bytes(b"photo" * 100)
    keep, *copies = (
        PlannedFile(photos / name, content_hash(photos / name)) for name in ("keep.jpg", *COPIES)
    )
    write_plan(Plan(action, (photos,), (PlannedGroup(keep, tuple(copies)),)), plan)
    return plan


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


@pytest.mark.parametrize("action", ["trash", "hardlink", "symlink"])
def test_trashed_photos_are_in_the_trash_of_the_home_folder_and_come_back(tmp_path, trash, action):
    photos = tmp_path / "photos"
    plan = plan_in(photos, tmp_path / "plan.json", action)
    before = names(photos)
    outcomes = apply_plan(plan)
    assert [(outcome.done, outcome.trash) for outcome in outcomes] == [(True, trash)] * 3
    files = {"a copy ö 1.jpg", "a copy ö 1-1.jpg", "100%.jpg"}
    assert names(trash) == {f"files/{name}" for name in files} | {f"info/{name}.trashinfo" for name in files}
    assert trash.stat().st_mode & 0o777 == 0o700
    first, path, date = (trash / "info/a copy ö 1-1.jpg.trashinfo").read_text().splitlines()
    assert (first, path) == ("[Trash Info]", f"Path={photos}/sub/a%20copy%20%C3%B6%201.jpg")
    deleted = datetime.fromisoformat(date.removeprefix("DeletionDate=")).astimezone()
    assert abs((datetime.now(UTC) - deleted).total_seconds()) < 60
    assert "Path=" in (trash / "info/100%.jpg.trashinfo").read_text()
    assert [outcome.text for outcome in undo_plan(plan)] == ["put back"] * 3
    assert names(trash) == set()
    assert names(photos) == before


def test_what_was_emptied_is_said_to_be_gone_and_the_rest_comes_back(tmp_path, trash):
    plan = plan_in(tmp_path / "photos", tmp_path / "plan.json")
    apply_plan(plan)
    (trash / "files/100%.jpg").unlink()
    (trash / "info/100%.jpg.trashinfo").unlink()
    assert [outcome.done for outcome in undo_plan(plan)] == [False, True, True]
    shutil.rmtree(trash)
    assert [outcome.done for outcome in undo_plan(plan)] == [False]


def test_a_file_of_another_program_in_the_trash_is_never_replaced_nor_its_note_taken_away(tmp_path, trash):
    for folder, name in (
        ("files", "100%.jpg"),
        ("info", "100%.jpg.trashinfo"),
        ("info", "a copy ö 1.jpg.trashinfo"),
    ):
        (trash / folder).mkdir(parents=True, exist_ok=True)
        (trash / folder / name).write_text("[Trash Info]\nPath=/elsewhere/mine.jpg\n")
    theirs = names(trash)
    plan = plan_in(tmp_path / "photos", tmp_path / "plan.json")
    assert all(outcome.done for outcome in apply_plan(plan))
    assert all(outcome.done for outcome in undo_plan(plan))
    assert names(trash) == theirs


@pytest.mark.parametrize("kind", ["a file in the way", "a link", "a name that leaves no room"])
def test_where_the_trash_cannot_be_used_photos_go_to_a_folder_of_their_own(tmp_path, trash, kind):
    photos = tmp_path / "photos"
    plan = plan_in(photos, tmp_path / "plan.json")
    trash.parent.mkdir()
    if kind == "a link":
        (tmp_path / "elsewhere").mkdir()
        trash.symlink_to(tmp_path / "elsewhere")
    elif kind == "a file in the way":
        trash.touch()
    else:
        plan.unlink()
        keep, long = photos / "keep.jpg", photos / ("x" * 245 + ".jpg")
        shutil.copy(keep, long)
        group = PlannedGroup(PlannedFile(keep, content_hash(keep)), (PlannedFile(long, content_hash(long)),))
        write_plan(Plan("trash", (photos,), (group,)), plan)
    outcomes = apply_plan(plan)
    assert {(outcome.done, outcome.trash) for outcome in outcomes} == {(True, photos / ".vitsearch-trash")}
    assert all(outcome.done for outcome in undo_plan(plan))
    assert not (photos / ".vitsearch-trash").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a drive")
@pytest.mark.parametrize("shared", [False, True])
def test_photos_on_another_drive_are_in_the_trash_of_that_drive(tmp_path, trash, shared):
    drive = tmp_path / "drive"
    drive.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", drive], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this system lets nothing be mounted")
    try:
        if shared:
            (drive / ".Trash").mkdir()
            (drive / ".Trash").chmod(0o1777)
        plan = plan_in(drive / "photos", tmp_path / "plan.json")
        outcomes = apply_plan(plan)
        folder = drive / (f".Trash/{os.getuid()}" if shared else f".Trash-{os.getuid()}")
        assert {outcome.trash for outcome in outcomes} == {folder}
        assert "Path=photos/100%25.jpg\n" in (folder / "info/100%.jpg.trashinfo").read_text()
        assert all(outcome.done for outcome in undo_plan(plan))
        assert names(folder) == set()
    finally:
        subprocess.run(["umount", drive], check=True)


def test_the_command_says_where_photos_are_and_how_to_free_the_space(library, tmp_path, trash, run):
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("cat.jpg", "copy.jpg"):
        shutil.copy(SAMPLES / "animals/cat-1.jpg", photos / name)
    library.index([photos])
    plan = tmp_path / "plan.json"
    assert run("duplicates", "--plan", plan).returncode == 0
    done = run("apply", plan)
    assert done.returncode == 0
    assert f"they are in {trash}: empty the trash of your desktop to free the space" in done.stderr
    assert run("undo", plan).returncode == 0
    assert names(trash) == set()
