"""Move the files of a plan out of their places, a batch at a time."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from vitsearch.duplicates.cleanup.attributes import attributes_of, may_give_back
from vitsearch.duplicates.cleanup.batches import Unsettled, device_of
from vitsearch.duplicates.cleanup.journal import Step, check_target
from vitsearch.duplicates.cleanup.plans import content_hash, real_place
from vitsearch.duplicates.cleanup.putting_back import Outcome, forget, is_at_target, is_our_link, put_back
from vitsearch.duplicates.cleanup.renaming import discard
from vitsearch.duplicates.cleanup.safe_move import finish, held, move
from vitsearch.duplicates.cleanup.trash import free_target, note_in_trash, trash_folder, trash_target
from vitsearch.duplicates.group.sidecars import Sidecars, goes_with_a_photo
from vitsearch.errors import NOT_ALLOWED, FileDisturbed, PlanError
from vitsearch.folders.file_system import FileSystems
from vitsearch.paths import identity
from vitsearch.photos.formats import RAW_EXTENSIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from vitsearch.duplicates.cleanup.journal import Journal
    from vitsearch.duplicates.cleanup.plans import Plan, PlannedFile, PlannedGroup
    from vitsearch.duplicates.cleanup.safe_move import HeldFile

# How often another place is sought for a file whose place another program has taken meanwhile.
_TRIES = 3


@dataclass(slots=True, eq=False)
class Turn:
    """A file whose turn it is: the `step` that is begun with it, and what became of it.

    `has_left`: its file may have left its place in this run.
    """

    group: PlannedGroup
    file: PlannedFile
    step: Step | None = None
    outcome: Outcome | None = None
    has_left: bool = False


class MovingOut:
    """Carries a plan out; `kept` tells the files that stay from all others, whatever their names."""

    def __init__(self, plan: Plan, journal: Journal, kept: frozenset[tuple[int, int] | str]) -> None:
        self._plan = plan
        self._journal = journal
        self._kept = kept
        # What has to go with its photo: files that were left alone, and what is to leave but for these.
        self._stayed: set[Path] = set()
        self._leaving = {file.path for group in plan.groups for file in group.leaving}
        self._sidecars = Sidecars()
        self._drives = FileSystems()

    def carry_out(self, turns: Sequence[Turn]) -> list[Outcome]:
        """Move the files of a batch; what is said of them is on the disk then.

        Raises:
            PlanError: the journal cannot be written.

        """
        unsettled = Unsettled()
        self._drives = FileSystems()
        taken: set[str] = set()
        for turn in turns:
            self._prepare(turn, taken)
        self._journal.note_all([turn.step for turn in turns if turn.step is not None], "begun")
        moved: list[Step] = []
        waiting = list(turns)
        try:
            while waiting:
                turn = waiting[0]
                step = self._act(turn, unsettled)
                if step is not None:
                    moved.append(step)
                waiting.pop(0)
        finally:
            # Whatever ended it, a kill aside: the first of those that wait may be on its way, the others are not.
            unsettled.settle()
            self._journal.note_all(moved, "done")
            self._journal.note_all([turn.step for turn in waiting[1:] if turn.step is not None], "undone")
        return [turn.outcome for turn in turns if turn.outcome is not None]

    def _prepare(self, turn: Turn, taken: set[str]) -> None:
        """Choose where a file goes, unless an earlier run has begun with it."""
        step = self._journal.steps.get(turn.file.path)
        if step is not None and step.state != "undone":
            return
        try:
            root = self._check(turn)
            if step is not None:
                forget(step)
            turn.step = self._begun(turn, root, taken)
        except (OSError, FileDisturbed) as error:
            turn.outcome = _left_alone(turn.file, error)

    def _act(self, turn: Turn, unsettled: Unsettled) -> Step | None:
        """Give a file its turn, and say what became of it; return the step if that is to be noted as done."""
        moved = None
        beside = self._sidecar_left_alone(turn)
        if beside is not None:
            turn.outcome = beside
            if turn.step is not None:
                self._journal.note(turn.step, "undone")
        elif turn.outcome is None:
            step = self._journal.steps[turn.file.path]
            if step.state == "done":
                turn.outcome = _done_before(step)
            else:
                moved = self._tried(turn, unsettled)
        if turn.outcome is not None and not turn.outcome.done:
            self._stayed.add(turn.file.path)
            self._leaving.discard(turn.file.path)
        return moved

    def _tried(self, turn: Turn, unsettled: Unsettled) -> Step | None:
        keep = turn.group.keep
        try:
            with nullcontext() if keep is None else _kept(keep) as held_keep:
                step = self._moved(turn, unsettled)
                if keep is not None and held_keep is not None:
                    _check_still_kept(keep, held_keep)
                    _leave_link(step, held_keep)
                unsettled.add(step.path.parent)
        except (OSError, FileDisturbed) as error:
            turn.outcome = self._taken_back(turn, error)
            return None
        turn.outcome = _done(step)
        return step

    def _moved(self, turn: Turn, unsettled: Unsettled) -> Step:
        """Move a file, or find it where an earlier run has moved it."""
        begun = self._journal.steps[turn.file.path]
        if turn.step is None:
            if _resumed(begun):
                return begun
            self._begin_again(turn, begun)
        for tries_left in reversed(range(_TRIES)):
            step = turn.step
            assert step is not None
            self._check(turn)
            self._check_target(step.target)
            try:
                if step.action != "move":
                    note_in_trash(step.target, step.path)
                turn.has_left = True
                move(step.path, step.target, file_hash=step.file_hash, settled=unsettled.add)
            except FileExistsError:
                # Another program has taken the place since it was chosen; the file has not moved.
                turn.has_left = False
                if turn.file.to is not None or not tries_left:
                    self._journal.note(step, "undone")
                    raise
                self._begin_again(turn, step)
            else:
                return step
        raise AssertionError("the last try returns or raises")

    def _begin_again(self, turn: Turn, before: Step) -> None:
        root = self._check(turn)
        forget(before)
        turn.step = self._begun(turn, root, set())
        self._journal.note(turn.step, "begun")

    def _taken_back(self, turn: Turn, error: OSError | FileDisturbed) -> Outcome:
        """Take back what was begun: where no link can be made, or it was disturbed, a file stays where it was."""
        step = self._journal.steps[turn.file.path]
        if step.state == "begun" and turn.step is not None and not turn.has_left:
            # What is at its target by now is not ours.
            forget(step)
            self._journal.note(step, "undone")
        elif step.state == "begun":
            back = put_back(step)
            if back.done:
                self._journal.note(step, "undone")
            elif os.path.lexists(step.target):
                return back
        return _left_alone(turn.file, error)

    def _sidecar_left_alone(self, turn: Turn) -> Outcome | None:
        """Leave a sidecar beside its photo where that stays: it was left alone, or taken out of the plan."""
        path = turn.file.path
        step = self._journal.steps.get(path)
        if turn.group.keep is None or (turn.step is None and step is not None and step.state != "undone"):
            return None
        is_raw = path.suffix.casefold() in RAW_EXTENSIONS
        for owner in self._sidecars.owners(path) if goes_with_a_photo(path) else ():
            if owner in self._stayed:
                return Outcome(path, done=False, text=f"left alone: so was its photo, {owner.name}")
            # A raw file whose photo cannot be read is a photo itself, and may go alone.
            if owner not in self._leaving and not is_raw:
                return Outcome(path, done=False, text=f"left alone: its photo stays, {owner.name}")
        return None

    def _check(self, turn: Turn) -> Path:
        """The last look before a file is touched, which returns its root; what is in it is looked at afterwards."""
        file, keep = turn.file, turn.group.keep
        if not os.path.lexists(file.path):
            raise FileDisturbed("it has gone")
        if identity(file.path, file.path.lstat()) in self._kept:
            raise FileDisturbed("it is a kept file under another name")
        if self._plan.action in ("hardlink", "symlink") and (
            keep is None or file.file_hash != keep.file_hash
        ):
            raise FileDisturbed(
                "it has not the same bytes as the kept file, so no link can stand for it: use trash or move"
            )
        try:
            return self._plan.root_of(file.path)
        except PlanError as error:
            raise FileDisturbed(str(error)) from None

    def _check_target(self, target: Path) -> None:
        try:
            check_target(target, self._plan)
        except PlanError:
            place = real_place(target)
            raise FileDisturbed(
                f"{target} is behind a link, at {place}, from where undo takes nothing back"
            ) from None

    def _begun(self, turn: Turn, root: Path, taken: set[str]) -> Step:
        file = turn.file
        target = file.to or self._free_target(file, root, taken)
        if file.to is not None and os.path.lexists(target):
            raise FileDisturbed(f"{target} is there by now")
        self._check_target(target)
        attributes = None
        status = file.path.lstat()
        inode = status.st_ino or None
        if status.st_dev != device_of(target):
            inode = None  # a copy has another one
            attributes = attributes_of(file.path)
            if not may_give_back(attributes):
                raise FileDisturbed(
                    "it belongs to another user, who could not be given it back from another drive"
                )
        # Names that differ in case are one on some file systems.
        taken.add(str(target).casefold())
        keep = None if turn.group.keep is None else turn.group.keep.path
        action = self._plan.action if file.to is None else "move"
        return Step(
            file.path,
            target,
            keep,
            file.file_hash,
            action,
            attributes=attributes,
            inode=inode,
            drive=self._drives.of(os.path.realpath(file.path.parent)),
        )

    def _free_target(self, file: PlannedFile, root: Path, taken: set[str]) -> Path:
        """Choose where a file goes: to the trash, or below the destination at its own place below the root."""

        def is_taken(target: Path) -> bool:
            return str(target).casefold() in taken

        if self._plan.destination is None:
            return trash_target(file.path, root, is_taken)
        return free_target(self._plan.destination / file.path.relative_to(root), is_taken)


@contextmanager
def _kept(file: PlannedFile) -> Iterator[HeldFile]:
    """Hold the kept file open, as it was when the plan was made. Raises `FileDisturbed`."""
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(held(file.path))
            reason = None if opened.file_hash() == file.file_hash else "its content has changed"
        except FileDisturbed as error:
            reason = str(error)
        except OSError as error:
            reason = f"it cannot be read ({error.strerror or error})"
        if reason is not None:
            raise FileDisturbed(f"of the kept file {file.path}, {reason}")
        yield opened


def _check_still_kept(file: PlannedFile, opened: HeldFile) -> None:
    """The kept file is still there after another has been moved on its account.

    Of two runs that each move away what the other keeps, whatever locks they hold, the one that looks later finds its
    kept file gone: it puts back what it has moved.
    """
    if not opened.is_at(file.path):
        raise FileDisturbed(f"of the kept file {file.path}, it has changed or gone at that moment")


def _resumed(step: Step) -> bool:
    """Finish a move that was cut short; whether the file is at its target now."""
    if os.path.lexists(step.target) and not is_at_target(step):
        return False
    if is_our_link(step, step.path):
        return True
    if finish(step.path, step.target, file_hash=step.file_hash):
        return True
    both = os.path.lexists(step.target) and os.path.lexists(step.path)
    if both and not step.target.is_symlink() and content_hash(step.target) == step.file_hash:
        # Only the journal knows where it is: another step for this name would forget it.
        raise FileDisturbed(
            f"another program has saved a file in its place; the one before is at {step.target}"
        )
    return False


def _leave_link(step: Step, keep: HeldFile) -> None:
    if step.action in ("trash", "move"):
        return
    assert step.keep is not None
    if step.action == "hardlink" and not os.path.lexists(step.path):
        os.link(step.keep, step.path)
        linked = step.path.lstat()
        if not os.path.samestat(linked, keep.status):
            discard(step.path, is_surplus=lambda path: os.path.samestat(path.lstat(), linked))
            raise FileDisturbed(f"of the kept file {step.keep}, it was replaced at that moment")
    elif step.action == "symlink" and not os.path.lexists(step.path):
        step.path.symlink_to(step.keep)


def _left_alone(file: PlannedFile, error: OSError | FileDisturbed) -> Outcome:
    reason = str(error) if isinstance(error, FileDisturbed) else error.strerror or str(error)
    if isinstance(error, OSError) and error.errno in NOT_ALLOWED:
        reason += ": make its folder writable, and apply the plan again"
    return Outcome(file.path, done=False, text=f"left alone: {reason}")


def _done_before(step: Step) -> Outcome:
    if step.action in ("trash", "move") and os.path.lexists(step.path):
        text = f"left alone: an earlier run moved it to {step.target}, and a file is in its place again"
        return Outcome(step.path, done=False, text=text)
    return replace(_done(step), before=True)


def _done(step: Step) -> Outcome:
    verb = {"trash": "moved to", "move": "moved to", "hardlink": "now a hard link; the file is at",
            "symlink": "now a link; the file is at"}[step.action]  # fmt: skip
    trash = None if step.action == "move" else trash_folder(step.target)
    return Outcome(step.path, done=True, text=f"{verb} {step.target}", trash=trash)
