"""Files move in batches: what a batch will do is in the journal ahead, and it waits for the disk only a few times."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from vitsearch.duplicates.cleanup import batches, moving_out, safe_move
from vitsearch.duplicates.cleanup.applying import apply_plan, undo_plan
from vitsearch.duplicates.cleanup.journal import Journal, read_steps
from vitsearch.duplicates.cleanup.plan_files import write_plan
from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile, PlannedGroup, content_hash
from vitsearch.duplicates.cleanup.trash import TRASH

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.duplicates.cleanup.putting_back import Outcome

pytestmark = [pytest.mark.trust, pytest.mark.usefixtures("synced")]


def plan_of(folder: Path, count: int) -> Path:
    """A plan that keeps each photo of `a` and puts its copy in one of two folders into the trash."""
    groups = []
    for number in range(count):
        keep, copy = folder / "a" / f"{number}.jpg", folder / f"b{number % 2}" / f"{number}.jpg"
        for path in (keep, copy):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"%d " % number * 50)
        files = [PlannedFile(path, content_hash(path)) for path in (keep, copy)]
        groups.append(PlannedGroup(files[0], (files[1],)))
    plan = folder.parent / "plan.json"
    write_plan(Plan("trash", (folder,), tuple(groups)), plan)
    return plan


@pytest.fixture
def syncs(monkeypatch):
    """How often the disk was waited for."""
    counted = []
    sync = os.fsync

    def counting(descriptor):
        counted.append(descriptor)
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", counting)
    return counted


def test_the_disk_is_waited_for_a_few_times_a_batch(tmp_path, syncs):
    photos = tmp_path / "photos"
    plan = plan_of(photos, 300)
    syncs.clear()
    assert all(outcome.done for outcome in apply_plan(plan))
    # In each of two batches: the journal twice, and the folders that files have left and come to.
    assert len(syncs) <= 2 * (2 + 5)
    syncs.clear()
    assert all(outcome.done for outcome in undo_plan(plan))
    assert len(syncs) <= 2 * (2 + 5)
    assert sorted(path.name for path in photos.iterdir()) == ["a", "b0", "b1"]


@pytest.mark.parametrize("running", ["apply", "undo"])
def test_what_moves_is_in_the_journal_before_and_what_is_told_is_there_after(tmp_path, monkeypatch, running):
    monkeypatch.setattr(batches, "MOST_FILES", 4)
    plan = plan_of(tmp_path / "photos", 10)
    if running == "undo":
        apply_plan(plan)
    renamed = vars(safe_move)["rename_without_replacing"]
    moved = []

    def rename(source, target):
        states = {str(step.path): step.state for step in read_steps(plan).values()}
        photo = source if running == "apply" else target
        moved.append(photo)
        assert states[str(photo)] == "begun"
        renamed(source, target)

    def told(outcome):
        end = {"apply": "done", "undo": "undone"}[running]
        assert read_steps(plan)[outcome.path].state == end

    monkeypatch.setitem(vars(safe_move), "rename_without_replacing", rename)
    (apply_plan if running == "apply" else undo_plan)(plan, on_outcome=told)
    assert len(moved) == 10


def test_a_batch_has_so_many_files_and_bytes_at_most(monkeypatch):
    monkeypatch.setattr(batches, "MOST_FILES", 3)
    monkeypatch.setattr(batches, "MOST_BYTES", 10)
    sizes = [1, 1, 1, 1, 9, 2, 50, None, 1, None, None, 4]
    assert list(batches.batches(sizes, lambda size: size)) == [
        [1, 1, 1], [1, 9], [2], [50], [None], [1], [None], [None], [4],
    ]  # fmt: skip
    assert list(batches.batches([], lambda size: size)) == []


def test_a_place_that_another_program_takes_meanwhile_stays_its_own(tmp_path, monkeypatch):
    photos = tmp_path / "photos"
    plan = plan_of(photos, 3)
    move = safe_move.move
    taken = photos / TRASH / "b1" / "1.jpg"

    def moved(source, target, **options):
        if source.name == "1.jpg" and not taken.exists():
            taken.parent.mkdir(parents=True, exist_ok=True)
            taken.write_bytes(b"of another program")
        return move(source, target, **options)

    monkeypatch.setattr(moving_out, "move", moved)
    outcomes = apply_plan(plan)
    assert [outcome.done for outcome in outcomes] == [True] * 3
    assert taken.read_bytes() == b"of another program"
    assert taken.with_name("1-1.jpg").read_bytes() == b"1 " * 50
    assert all(outcome.done for outcome in undo_plan(plan))
    assert (photos / "b1/1.jpg").read_bytes() == b"1 " * 50
    assert taken.read_bytes() == b"of another program"


@pytest.mark.parametrize("running", ["apply", "undo"])
def test_what_is_interrupted_says_of_each_file_where_it_is(tmp_path, monkeypatch, running):
    """By Ctrl-C, say, in the middle of a batch: only the one that was at work may be at either place."""
    photos = tmp_path / "photos"
    plan = plan_of(photos, 6)
    run: Callable[[Path], list[Outcome]] = apply_plan
    if running == "undo":
        apply_plan(plan)
        run = undo_plan
    renamed = vars(safe_move)["rename_without_replacing"]

    def rename(source, target):
        if source.name == "3.jpg":
            raise KeyboardInterrupt
        renamed(source, target)

    monkeypatch.setitem(vars(safe_move), "rename_without_replacing", rename)
    with pytest.raises(KeyboardInterrupt):
        run(plan)
    states = {path.name: step.state for path, step in read_steps(plan).items()}
    in_place = {path.name for path in (*photos.glob("b0/*"), *photos.glob("b1/*"))}
    assert states.pop("3.jpg") == "begun"
    assert all((state == "undone") == (name in in_place) for name, state in states.items())
    assert {"done", "undone"} <= set(states.values())
    monkeypatch.undo()
    assert all(outcome.done for outcome in run(plan))
    assert len([*photos.glob("b[01]/*")]) == (6 if running == "undo" else 0)


def test_a_file_that_is_saved_in_its_place_after_a_kill_does_not_make_the_journal_forget_the_first(tmp_path):
    photos = tmp_path / "photos"
    plan = plan_of(photos, 1)
    apply_plan(plan)
    # As a kill leaves it: moved, and not noted.
    with Journal(plan) as journal:
        (step,) = journal.steps.values()
        journal.note(step, "begun")
    copy = photos / "b0/0.jpg"
    copy.write_bytes(b"saved since")
    (outcome,) = apply_plan(plan)
    assert (outcome.done, outcome.text) == (
        False,
        f"another file is in its place now; it stays at {step.target}",
    )
    assert copy.read_bytes() == b"saved since"
    copy.rename(photos / "aside.jpg")
    assert [outcome.done for outcome in undo_plan(plan)] == [True]
    assert copy.read_bytes() == b"0 " * 50


def test_a_journal_of_single_steps_as_earlier_versions_wrote_it_is_finished_and_undone(tmp_path):
    photos = tmp_path / "photos"
    plan = plan_of(photos, 4)
    apply_plan(plan)
    journal = plan.with_name("plan.json.journal")
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    by_file = sorted(lines, key=lambda line: (line["path"], line["state"] == "done"))
    journal.write_text("".join(json.dumps(line) + "\n" for line in by_file[:-1]))
    assert all(outcome.done for outcome in apply_plan(plan))
    assert all(outcome.done for outcome in undo_plan(plan))
    assert len([*photos.glob("b[01]/*")]) == 4
