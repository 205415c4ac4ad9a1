"""Carry a plan out, file by file, and put everything back.

Nothing is deleted. Files that go are moved to a trash on their own file system, so that a move is one rename that
cannot fill a disk, and `undo` knows where they are. Whoever wants the space empties that trash.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path  # noqa: TC003 - the HTTP API describes these records from their annotations
from typing import TYPE_CHECKING

from vitsearch.duplicates.cleanup.batches import Unsettled, batches, device_of, size_of
from vitsearch.duplicates.cleanup.drives import check_destination
from vitsearch.duplicates.cleanup.journal import Journal, check_journal, never_begun
from vitsearch.duplicates.cleanup.moving_out import MovingOut, Turn
from vitsearch.duplicates.cleanup.plan_files import read_plan
from vitsearch.duplicates.cleanup.putting_back import Outcome, difference, put_back, remove_empty
from vitsearch.errors import PlanError
from vitsearch.paths import identity
from vitsearch.records import Progress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vitsearch.duplicates.cleanup.journal import Step
    from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile


class ChangedFiles(PlanError):
    """Files are not as the plan describes them; `changed` lists each one with the reason."""

    def __init__(self, plan: Path, changed: Sequence[Outcome]) -> None:
        first = changed[0]
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        super().__init__(
            f"{first.path}{more}: {first.text} since {plan.name} was made. Nothing was done: make the plan again, or "
            "take these files out of it"
        )
        self.changed = tuple(changed)


def apply_plan(
    path: Path,
    *,
    roots: Sequence[Path] | None = None,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> list[Outcome]:
    """Carry out a plan; a second run finishes what an interrupted one began and repeats nothing.

    `roots` are the folders that plans may speak of at all. First every file is compared with the plan, then each
    one again right before its turn; a file that cannot be moved is reported, and the rest is done. Files are moved in
    batches, which are on the disk before `on_outcome` is told of them. `on_progress` is told how far either is.

    Raises:
        ChangedFiles: files have changed since the plan was made; nothing was done.
        PlanError: the plan is not sound, another run is at work on it, or the drive of its destination is not there.

    """
    with _opened(path, roots) as (plan, journal):
        check_destination(plan.destination, plan.drive)
        files = [
            (file, is_kept)
            for group in plan.groups
            for files_of, is_kept in ((group.kept, True), (group.leaving, False))
            for file in files_of
        ]
        changed = []
        for place, (file, is_kept) in enumerate(files):
            on_progress(Progress("check", place, len(files)))
            if (outcome := _change(file, journal, kept=is_kept)) is not None:
                changed.append(outcome)
        if changed:
            raise ChangedFiles(path, changed)
        kept = frozenset(
            identity(file.path, file.path.stat())
            for group in plan.groups
            for file in group.kept
            if file.path.exists()  # not if it has gone since it was compared: its own group is left alone
        )
        moving = MovingOut(plan, journal, kept)
        turns = [Turn(group, file) for group in plan.groups for file in group.leaving]
        outcomes: list[Outcome] = []
        for batch in batches(turns, _size_in(plan)):
            on_progress(Progress("move", len(outcomes), len(turns)))
            for outcome in moving.carry_out(batch):
                outcomes.append(outcome)
                on_outcome(outcome)
    return outcomes


def undo_plan(
    path: Path,
    *,
    on_outcome: Callable[[Outcome], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> list[Outcome]:
    """Put back every file that a plan has moved, last one first, and take its links away.

    Of a plan that was never applied there is nothing to put back, and nothing is written. Whether a library knows the
    plan's folders is not asked: it may have forgotten them since.

    Raises:
        PlanError: the plan or its journal is not sound, or another run is at work on it.

    """
    outcomes: list[Outcome] = []
    if never_begun(path):
        read_plan(path)
        return outcomes
    with _opened(path, None) as (_, journal):
        steps = [step for step in reversed(list(journal.steps.values())) if step.state != "undone"]
        # A file that comes from another file system is a copy that is synced by itself.
        for batch in batches(steps, lambda step: size_of(step.target) if step.attributes is None else None):
            on_progress(Progress("put back", len(outcomes), len(steps)))
            for outcome in _put_back(batch, journal):
                outcomes.append(outcome)
                on_outcome(outcome)
    return outcomes


def _put_back(steps: Sequence[Step], journal: Journal) -> list[Outcome]:
    """Put the files of a batch back; what is said of them is on the disk then."""
    unsettled = Unsettled()
    was_done = [step for step in steps if step.state == "done" and os.path.lexists(step.target)]
    # Either place is right for a step that is begun, so that a kill leaves nothing that is not so.
    journal.note_all([replace(step, inode=None, had_moved=True) for step in was_done], "begun")
    outcomes: list[Outcome] = []
    back: list[Step] = []
    try:
        for step in steps:
            outcome = put_back(step, settled=unsettled.add)
            outcomes.append(outcome)
            if outcome.done:
                back.append(step)
    finally:
        unsettled.settle()
        journal.note_all(back, "undone")
        # The one that it ended at may be on its way.
        changed = {step.path for step in (*back, *steps[len(outcomes) : len(outcomes) + 1])}
        journal.note_all([step for step in was_done if step.path not in changed], "done")
    for step in back:
        remove_empty(step.target.parent)
    return outcomes


def _size_in(plan: Plan) -> Callable[[Turn], int | None]:
    """Return what says how large a file is that is moved within its file system; None of one that is copied."""
    elsewhere = None if plan.destination is None else device_of(plan.destination)

    def size(turn: Turn) -> int | None:
        try:
            status = turn.file.path.lstat()
        except OSError:
            return 0
        is_copied = elsewhere is not None and turn.file.to is None and status.st_dev != elsewhere
        return None if is_copied else status.st_size

    return size


@contextmanager
def _opened(path: Path, roots: Sequence[Path] | None) -> Iterator[tuple[Plan, Journal]]:
    """Read and check a plan, and lock it with its journal."""
    before = _version(path)
    plan = _admitted(path, roots)
    with Journal(path) as journal:
        if _version(path) != before:
            raise PlanError(f"{path} was changed or deleted at this moment: nothing was done, try again")
        check_journal(journal, plan)
        yield plan, journal


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns


def _admitted(path: Path, roots: Sequence[Path] | None) -> Plan:
    plan = read_plan(path)
    for root in plan.roots if roots is not None else ():
        if not any(root.resolve().is_relative_to(known.resolve()) for known in roots or ()):
            raise PlanError(f"{path} names the root {root}, which is in no folder that this library knows")
    return plan


def _change(file: PlannedFile, journal: Journal, *, kept: bool) -> Outcome | None:
    """Say how a file differs from the plan, or None; one that an earlier run moved is where the journal says."""
    step = None if kept else journal.steps.get(file.path)
    if step is not None and step.state != "undone":
        return None
    reason = difference(file.path, file.file_hash)
    return None if reason is None else Outcome(file.path, done=False, text=reason)
