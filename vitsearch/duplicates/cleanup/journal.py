"""What a run intends and has done, written before and after each batch: any run can be finished or undone."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

from vitsearch.duplicates.cleanup.attributes import Attributes, attributes_document, parsed_attributes
from vitsearch.duplicates.cleanup.plan_files import one_of, parsed_hash, parsed_path
from vitsearch.duplicates.cleanup.plans import Action, real_place
from vitsearch.duplicates.cleanup.trash import is_in_desktop_trash
from vitsearch.errors import NOT_ALLOWED, PlanError
from vitsearch.paths import real_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from vitsearch.duplicates.cleanup.plans import Plan

State = Literal["begun", "done", "undone"]
# How each line begins.
_START = b'{"path": "'


@dataclass(frozen=True, slots=True)
class Step:
    """One file on its way: it moves from `path` to `target`, and a link to `keep`, if one is kept, may take its place.

    `attributes` are those it had before, which a copy on another file system may not all have kept. `inode` is the
    file's number while a run has begun with it: of a run that was killed, it tells whether what is at `target` is this
    file, or one that somebody else has put there before its turn came. None where it is certain, or nobody can tell.
    `had_moved`: an undo has begun with it, so that an earlier run had moved it. `drive` names the file system that its
    folder was on, as far as that is known.
    """

    path: Path
    target: Path
    keep: Path | None
    file_hash: str
    action: Action
    state: State = "begun"
    attributes: Attributes | None = None
    inode: int | None = None
    had_moved: bool = False
    drive: str | None = None


class Journal:
    """The journal beside a plan, `PLAN.journal`: one JSON object a line, the last one for a path counts.

    Opening it locks the plan: two runs of one plan wait for nothing, the second one is refused.
    """

    def __init__(self, plan: Path) -> None:
        self._plan = plan
        # By any of its names a plan has one journal; one that an earlier version left beside a link is read there.
        if plan.is_symlink() and not plan.with_name(f"{plan.name}.journal").exists():
            plan = real_path(plan)
        self.path = plan.with_name(f"{plan.name}.journal")
        self.lock = plan.with_name(f"{plan.name}.journal.lock")
        self.steps: dict[Path, Step] = {}

    def __enter__(self) -> Self:
        from filelock import FileLock, Timeout

        self._lock = FileLock(self.lock, timeout=0, mode=self._mode())
        try:
            self._lock.acquire()
            self._file = open(
                self.path, "ab", buffering=0, opener=lambda path, flags: os.open(path, flags, self._mode())
            )
        except Timeout:
            raise PlanError(
                f"another run is at work on this plan ({self.path}): wait for it to finish"
            ) from None
        except OSError as error:
            self._lock.release()
            advice = "; move the plan to a folder that you may write to" if error.errno in NOT_ALLOWED else ""
            raise PlanError(
                f"cannot write the journal {self.path}: {error.strerror or error}{advice}"
            ) from error
        try:
            self.steps = self._read()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def _mode(self) -> int:
        """What a journal says is as private as the plan beside it."""
        try:
            return self._plan.stat().st_mode & 0o666
        except OSError:
            return 0o600

    def _close(self) -> None:
        self._file.close()
        self._lock.release()

    def note(self, step: Step, state: State) -> None:
        """Record a step as `note_all` does."""
        self.note_all([step], state)

    def note_all(self, steps: Sequence[Step], state: State) -> None:
        """Record steps, which are then all in this state; that is on the disk when this returns.

        Raises:
            PlanError: the journal cannot be written, so nothing more may be done.

        """
        if not steps:
            return
        noted = [replace(step, state=state) for step in steps]
        try:
            self._append(b"".join(map(_line, noted)))
        except OSError as error:
            raise PlanError(f"cannot write the journal {self.path}: {error.strerror or error}") from error
        self.steps.update((step.path, step) for step in noted)

    def _append(self, lines: bytes) -> None:
        before = os.fstat(self._file.fileno()).st_size
        try:
            rest = memoryview(lines)
            while rest:
                rest = rest[self._file.write(rest) :]
            os.fsync(self._file.fileno())
        except OSError:
            # A full disk leaves half a line, which must not become the start of a later one.
            with suppress(OSError):
                self._file.truncate(before)
            raise

    def _read(self) -> dict[Path, Step]:
        lines = self.path.read_bytes().split(b"\n")
        steps = _parsed(self.path, lines[:-1])
        # A run that was killed while it wrote leaves half a line, of a step that had not begun.
        if lines[-1]:
            if not (lines[-1].startswith(_START) or _START.startswith(lines[-1])):
                raise PlanError(
                    f"{self.path} is no journal of vitsearch, and stays as it is: nothing was done"
                )
            self._file.truncate(self.path.stat().st_size - len(lines[-1]))
        return steps


def _line(step: Step) -> bytes:
    values: dict[str, Any] = {
        "path": str(step.path),
        "target": str(step.target),
        "keep": None if step.keep is None else str(step.keep),
        "content": step.file_hash,
        "action": step.action,
        "state": step.state,
    }
    if step.attributes is not None and step.state == "begun":
        values["attributes"] = attributes_document(step.attributes)
    if step.inode is not None and step.state == "begun":
        values["inode"] = step.inode
    if step.drive is not None and step.state == "begun":
        values["drive"] = step.drive
    return json.dumps(values).encode("ascii") + b"\n"


def clear_journal(plan: Path) -> None:
    """See to it that a plan that is about to be written gets no journal of an earlier one of its name.

    A journal by which everything is back in its place goes; nothing else does.

    Raises:
        PlanError: photos are where the earlier plan has put them, or the journal is none of ours.

    """
    journal = Journal(plan)
    if os.path.lexists(plan) or not os.path.lexists(journal.path):
        return
    with journal:
        if any(step.state != "undone" for step in journal.steps.values()):
            raise PlanError(
                f"{journal.path} says where an earlier plan of this name, which is gone, has put photos: keep it, and "
                "give this plan another name"
            )
        journal.path.unlink(missing_ok=True)
    journal.lock.unlink(missing_ok=True)


def never_begun(plan: Path) -> bool:
    """Whether no run has carried out anything of a plan."""
    try:
        return not Journal(plan).path.stat().st_size
    except FileNotFoundError:
        return True
    except OSError:  # whoever opens it says why
        return False


def last_changed(plan: Path) -> datetime | None:
    """Return when a run last did something for a plan, in local time; None if none has."""
    try:
        status = Journal(plan).path.stat()
    except OSError:
        return None
    return datetime.fromtimestamp(status.st_mtime).astimezone() if status.st_size else None


def read_steps(plan: Path) -> dict[Path, Step]:
    """Return what the journal beside a plan says so far, also while a run is at work on it.

    Raises:
        PlanError: the journal is damaged.

    """
    path = plan.with_name(f"{plan.name}.journal")
    return _parsed(path, path.read_bytes().split(b"\n")[:-1]) if path.exists() else {}


def _parsed(path: Path, lines: Sequence[bytes]) -> dict[Path, Step]:
    steps: dict[Path, Step] = {}
    for number, line in enumerate(lines, 1):
        try:
            values = json.loads(line)
            step = Step(
                path=parsed_path(values["path"]),
                target=parsed_path(values["target"]),
                keep=None if values["keep"] is None else parsed_path(values["keep"]),
                file_hash=parsed_hash(values["content"]),
                action=one_of(values["action"], Action),
                state=one_of(values["state"], State),
                attributes=_attributes(values, steps),
                inode=_inode(values),
                had_moved=_had_moved(values, steps),
                drive=_drive(values, steps),
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise PlanError(f"{path} is damaged at line {number}: nothing was done") from error
        steps[step.path] = step
    return steps


def _inode(values: dict[str, Any]) -> int | None:
    inode = values.get("inode")
    if inode is not None and type(inode) is not int:
        raise ValueError("an inode is no number")
    return inode


def _drive(values: dict[str, Any], steps: dict[Path, Step]) -> str | None:
    """The file system that a step was begun on, which later lines on it leave out."""
    if "drive" in values:
        return str(values["drive"])
    before = steps.get(Path(values["path"]))
    return None if before is None or values["state"] == "begun" else before.drive


def _had_moved(values: dict[str, Any], steps: dict[Path, Step]) -> bool:
    """Whether a line was written by an undo: only that begins with what is done, and it notes no inode."""
    before = steps.get(Path(values["path"]))
    if before is None or values["state"] != "begun" or "inode" in values:
        return False
    return before.state == "done" or before.had_moved


def _attributes(values: dict[str, Any], steps: dict[Path, Step]) -> Attributes | None:
    """The attributes that a step was begun with, which later lines on it leave out."""
    if "attributes" in values:
        return parsed_attributes(values["attributes"])
    before = steps.get(Path(values["path"]))
    return None if before is None or values["state"] == "begun" else before.attributes


def check_journal(journal: Journal, plan: Plan) -> None:
    """Check that a journal belongs to this plan: each step starts in a root and ends where the plan puts files.

    Raises:
        PlanError: it does not.

    """
    for step in journal.steps.values():
        plan.root_of(step.path)
        if step.keep is not None:
            plan.root_of(step.keep)
        check_target(step.target, plan)


def check_target(target: Path, plan: Plan) -> None:
    """Check that a file that is moved to `target` can be taken back from there.

    Raises:
        PlanError: it is in none of the places that the plan names, as it is written or behind a link.

    """
    if plan.destination is None and is_in_desktop_trash(target):
        return
    if plan.destination is None or not _is_inside(target, plan.destination):
        plan.root_of(target)


def _is_inside(path: Path, folder: Path) -> bool:
    """Whether a path lies in a folder, both as it is written and after links in it are followed."""
    written = path.is_relative_to(folder) and ".." not in path.parts
    return written and real_place(path).is_relative_to(real_path(folder))
