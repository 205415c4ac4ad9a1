"""Carry a plan out, file by file, and put everything back.

Nothing is deleted. Files that go are moved to a trash on their own file system, so that a move is one rename that
cannot fill a disk, and `undo` knows where they are. Whoever wants the space empties that trash.
"""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the HTTP API describes these records from their annotations
from typing import TYPE_CHECKING

from vitsearch.duplicates.cleanup.attributes import attributes_of, may_give_back
from vitsearch.duplicates.cleanup.journal import Journal, Step, check_journal, check_target
from vitsearch.duplicates.cleanup.plans import PlannedFile, read_plan, real_place
from vitsearch.duplicates.cleanup.renaming import discard
from vitsearch.duplicates.cleanup.safe_move import finish, held, move, recover, settle
from vitsearch.duplicates.cleanup.trash import (
    TRASH,
    forget_in_trash,
    free_target,
    note_in_trash,
    trash_folder,
    trash_target,
)
from vitsearch.errors import FileDisturbed, PlanError
from vitsearch.paths import identity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vitsearch.duplicates.cleanup.plans import Plan, PlannedGroup
    from vitsearch.duplicates.cleanup.safe_move import HeldFile


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: `text` says it in a few words, `done` whether it is as wished.

    `trash` is the folder to empty for the space of one that was put into the trash.
    """

    path: Path
    done: bool
    text: str
    trash: Path | None = None


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
    path: Path, *, roots: Sequence[Path] | None = None, on_outcome: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Carry out a plan; a second run finishes what an interrupted one began and repeats nothing.

    `roots` are the folders that plans may speak of at all. First every file is compared with the plan, then each
    one again right before its turn; a file that cannot be moved is reported, and the rest is done.

    Raises:
        ChangedFiles: files have changed since the plan was made; nothing was done.
        PlanError: the plan is not sound, or another run is at work on it.

    """
    with _opened(path, roots) as (plan, journal):
        changed = [
            outcome
            for group in plan.groups
            for file, is_kept in (
                *((file, True) for file in group.kept),
                *((file, False) for file in group.leaving),
            )
            if (outcome := _change(file, journal, kept=is_kept)) is not None
        ]
        if changed:
            raise ChangedFiles(path, changed)
        kept = frozenset(
            identity(file.path, file.path.stat())
            for group in plan.groups
            for file in group.kept
            if file.path.exists()  # not if it has gone since it was compared: its own group is left alone
        )
        outcomes = []
        for group in plan.groups:
            stayed: set[Path] = set()
            for file in group.leaving:
                outcome = _sidecar_left_alone(file, stayed, journal)
                outcome = outcome or _apply(plan, group, file, journal, kept)
                if not outcome.done:
                    stayed.add(file.path)
                outcomes.append(outcome)
                on_outcome(outcome)
    return outcomes


def undo_plan(
    path: Path, *, roots: Sequence[Path] | None = None, on_outcome: Callable[[Outcome], None] = lambda _: None
) -> list[Outcome]:
    """Put back every file that a plan has moved, last one first, and take its links away.

    Raises:
        PlanError: the plan or its journal is not sound, or another run is at work on it.

    """
    outcomes = []
    with _opened(path, roots) as (_, journal):
        for step in reversed(list(journal.steps.values())):
            if step.state != "undone":
                outcomes.append(_undo(step, journal))
                on_outcome(outcomes[-1])
    return outcomes


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
    reason = _difference(file)
    return None if reason is None else Outcome(file.path, done=False, text=reason)


def _difference(file: PlannedFile) -> str | None:
    try:
        with held(file.path) as opened:
            return None if opened.file_hash() == file.file_hash else "its content has changed"
    except FileDisturbed as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"


def _apply(
    plan: Plan,
    group: PlannedGroup,
    file: PlannedFile,
    journal: Journal,
    kept: frozenset[tuple[int, int] | str],
) -> Outcome:
    step = journal.steps.get(file.path)
    if step is not None and step.state == "done":
        return _done(step)
    try:
        with nullcontext() if group.keep is None else _kept(group.keep) as keep:
            if step is None or step.state == "undone" or not _resumed(step):
                _check(plan, group, file, kept)
                if step is not None:
                    _forget(step)
                step = _begun(plan, group, file)
                journal.note(step, "begun")
                if step.action != "move":
                    note_in_trash(step.target, step.path)
                move(step.path, step.target, file_hash=step.file_hash)
            if group.keep is not None and keep is not None:
                _check_still_kept(group.keep, keep)
                _leave_link(step, keep)
            else:
                settle(step.path.parent)
            journal.note(step, "done")
    except (OSError, FileDisturbed) as error:
        return _left_alone(file, error, journal)
    return _done(step)


def _sidecar_left_alone(file: PlannedFile, stayed: set[Path], journal: Journal) -> Outcome | None:
    """Leave a sidecar beside its photo, where that was left alone."""
    step = journal.steps.get(file.path)
    if file.to is None or (step is not None and step.state != "undone"):
        return None
    name = file.path.stem.casefold()
    for photo in stayed:
        names = (photo.stem.casefold(), photo.name.casefold())
        if photo.parent == file.path.parent and name in names:
            return Outcome(file.path, done=False, text=f"left alone: so was its photo, {photo.name}")
    return None


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


def _begun(plan: Plan, group: PlannedGroup, file: PlannedFile) -> Step:
    target = file.to or _free_target(plan, file)
    if file.to is not None and os.path.lexists(target):
        raise FileDisturbed(f"{target} is there by now")
    try:
        check_target(target, plan)
    except PlanError:
        place = real_place(target)
        raise FileDisturbed(
            f"{target} is behind a link, at {place}, from where undo takes nothing back"
        ) from None
    attributes = None
    if file.path.lstat().st_dev != _device(target):
        attributes = attributes_of(file.path)
        if not may_give_back(attributes):
            raise FileDisturbed(
                "it belongs to another user, who could not be given it back from another drive"
            )
    keep = None if group.keep is None else group.keep.path
    action = plan.action if file.to is None else "move"
    return Step(file.path, target, keep, file.file_hash, action, attributes=attributes)


def _device(path: Path) -> int:
    """The file system that a path that is not there yet would be on."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


def _left_alone(file: PlannedFile, error: OSError | FileDisturbed, journal: Journal) -> Outcome:
    """Take back what was begun: where no link can be made, or its turn was disturbed, a file stays where it was."""
    step = journal.steps.get(file.path)
    if step is not None and step.state == "begun":
        back = _undo(step, journal)
        if not back.done and os.path.lexists(step.target):
            return back
    reason = str(error) if isinstance(error, FileDisturbed) else error.strerror or str(error)
    return Outcome(file.path, done=False, text=f"left alone: {reason}")


def _check(
    plan: Plan, group: PlannedGroup, file: PlannedFile, kept: frozenset[tuple[int, int] | str]
) -> None:
    """The last look before a file is touched; what is in it is looked at when it has left its name."""
    if not os.path.lexists(file.path):
        raise FileDisturbed("it has gone")
    if identity(file.path, file.path.lstat()) in kept:
        raise FileDisturbed("it is a kept file under another name")
    if plan.action in ("hardlink", "symlink") and (
        group.keep is None or file.file_hash != group.keep.file_hash
    ):
        raise FileDisturbed(
            "it has not the same bytes as the kept file, so no link can stand for it: use trash or move"
        )
    try:
        plan.root_of(file.path)
    except PlanError as error:
        raise FileDisturbed(str(error)) from None


def _resumed(step: Step) -> bool:
    """Finish a move that was cut short; whether the file is at its target now."""
    if _is_our_link(step, step.path):
        return True
    return finish(step.path, step.target, file_hash=step.file_hash)


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
    settle(step.path.parent)


def _is_our_link(step: Step, path: Path) -> bool:
    """Whether a path is a link of ours, made for a file whose bytes are safe at the target."""
    if not os.path.lexists(step.target) or not os.path.lexists(path):
        return False
    if step.keep is None:
        return False
    if step.action == "symlink":
        return path.is_symlink() and path.readlink() == step.keep
    if step.action == "hardlink":
        return step.keep.exists() and path.samefile(step.keep) and not path.samefile(step.target)
    return False


def _undo(step: Step, journal: Journal) -> Outcome:
    try:
        # An apply was cut short, or an undo.
        recover(step.path, step.target, file_hash=step.file_hash)
        recover(step.target, step.path, file_hash=step.file_hash)
        if not os.path.lexists(step.target):
            return _undone_without_a_move(step, journal)
        if _is_our_link(step, step.path):
            discard(step.path, is_surplus=lambda path: _is_our_link(step, path))
        same = finish(step.target, step.path, file_hash=step.file_hash) or move(
            step.target,
            step.path,
            file_hash=step.file_hash,
            attributes=step.attributes or attributes_of(step.target),
        )
        _forget(step)
        journal.note(step, "undone")
        _remove_empty(step.target.parent)
    except FileExistsError:
        return Outcome(
            step.path, done=False, text=f"another file is in its place now; it stays at {step.target}"
        )
    except FileDisturbed as error:
        return Outcome(step.path, done=False, text=f"it was not put back from {step.target}: {error}")
    except OSError as error:
        return Outcome(step.path, done=False, text=f"it stays at {step.target}: {error.strerror or error}")
    return Outcome(
        step.path, done=True, text="put back" if same else "put back, with what was changed in it since"
    )


def _undone_without_a_move(step: Step, journal: Journal) -> Outcome:
    if not os.path.lexists(step.path):
        # Its drive may be away: another undo finds it when it is back.
        return Outcome(step.path, done=False, text=f"it is neither here nor at {step.target}")
    if step.state == "done" and _difference(PlannedFile(step.path, step.file_hash)) is not None:
        text = f"another file is in its place now, and it is no longer at {step.target}"
        return Outcome(step.path, done=False, text=text)
    _forget(step)
    journal.note(step, "undone")
    text = "it was never moved" if step.state == "begun" else "it was put back before"
    return Outcome(step.path, done=True, text=text)


def _forget(step: Step) -> None:
    if step.action != "move":
        forget_in_trash(step.target, step.path)


def _free_target(plan: Plan, file: PlannedFile) -> Path:
    """Choose where a file goes: to the trash, or below the destination at its own place below the root."""
    root = plan.root_of(file.path)
    if plan.destination is None:
        return trash_target(file.path, root)
    return free_target(plan.destination / file.path.relative_to(root))


def _remove_empty(folder: Path) -> None:
    """Take away the empty folders that a trash leaves behind."""
    while TRASH in folder.parts:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _done(step: Step) -> Outcome:
    verb = {"trash": "moved to", "move": "moved to", "hardlink": "now a hard link; the file is at",
            "symlink": "now a link; the file is at"}[step.action]  # fmt: skip
    trash = None if step.action == "move" else trash_folder(step.target)
    return Outcome(step.path, done=True, text=f"{verb} {step.target}", trash=trash)
