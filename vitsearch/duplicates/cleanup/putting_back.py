"""Put files back where they were: when a plan is undone, or when its action on a file was disturbed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path  # noqa: TC003 - the HTTP API describes these records from their annotations
from typing import TYPE_CHECKING

from vitsearch.duplicates.cleanup.attributes import attributes_of
from vitsearch.duplicates.cleanup.drives import why_away
from vitsearch.duplicates.cleanup.renaming import discard
from vitsearch.duplicates.cleanup.safe_move import finish, held, move, recover, settle
from vitsearch.duplicates.cleanup.trash import (
    TRASH,
    forget_in_trash,
    is_in_desktop_trash,
    is_noted_in_trash,
    trash_folder,
)
from vitsearch.errors import FileDisturbed

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.duplicates.cleanup.journal import Step


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file: `text` says it in a few words, `done` whether it is as wished.

    `trash` is the folder to empty for the space of one that was put into the trash; `before`: an earlier run did it.
    """

    path: Path
    done: bool
    text: str
    trash: Path | None = None
    before: bool = field(default=False, compare=False)


def put_back(step: Step, *, settled: Callable[[Path], None] = settle) -> Outcome:
    """Take a step back; one that is done then is to be noted as undone. `settled` is told of folders as by `move`."""
    try:
        # An apply was cut short, or an undo.
        recover(step.path, step.target, file_hash=step.file_hash)
        recover(step.target, step.path, file_hash=step.file_hash)
        if not is_at_target(step):
            return _put_back_without_a_move(step)
        away = why_away(step.path.parent, step.drive)
        if away is not None:
            return Outcome(step.path, done=False, text=f"it stays at {step.target}: {away}")
        if is_our_link(step, step.path):
            discard(step.path, is_surplus=lambda path: is_our_link(step, path))
        same = finish(step.target, step.path, file_hash=step.file_hash) or move(
            step.target,
            step.path,
            file_hash=step.file_hash,
            attributes=step.attributes or attributes_of(step.target),
            settled=settled,
        )
        forget(step)
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


def difference(path: Path, file_hash: str) -> str | None:
    """Say how a file differs from what had this hash, or None."""
    try:
        with held(path) as opened:
            return None if opened.file_hash() == file_hash else "its content has changed"
    except FileDisturbed as error:
        return str(error)
    except OSError as error:
        return f"it cannot be read ({error.strerror or error})"


def is_at_target(step: Step) -> bool:
    """Whether the file of a step is at its target, and not one of somebody else.

    A run that was killed has chosen places for a whole batch; other programs, and other plans, may have taken those
    whose turn had not come.
    """
    try:
        inode = step.target.lstat().st_ino
    except OSError:
        return False
    if step.state != "begun" or step.inode in (None, inode):
        return True
    if step.action == "move":
        # A copy has a number of its own, and some file systems number their files anew when they are mounted.
        return (
            difference(step.path, step.file_hash) is not None
            and difference(step.target, step.file_hash) is None
        )
    # A file system may number its files anew, but the trash says whose file it is.
    return is_noted_in_trash(step.target, step.path) if is_in_desktop_trash(step.target) else True


def is_our_link(step: Step, path: Path) -> bool:
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


def forget(step: Step) -> None:
    """Take back what the desktop was told of a file that is not in its trash (any more)."""
    if step.action != "move":
        forget_in_trash(step.target, step.path)


def remove_empty(folder: Path) -> None:
    """Take away the empty folders that a trash leaves behind."""
    while TRASH in folder.parts:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _put_back_without_a_move(step: Step) -> Outcome:
    if not os.path.lexists(step.path):
        # Its drive may be away: another undo finds it when it is back.
        emptied = ": was that trash emptied?" if trash_folder(step.target) is not None else ""
        return Outcome(step.path, done=False, text=f"it is neither here nor at {step.target}{emptied}")
    # Whether it was moved before the kill, only its number can tell where there is one.
    is_another = step.inode is not None and _number(step.path) != step.inode
    may_have_left = step.state == "done" or step.had_moved or is_another
    if may_have_left and difference(step.path, step.file_hash) is not None:
        text = f"another file is in its place now, and it is no longer at {step.target}"
        return Outcome(step.path, done=False, text=text)
    forget(step)
    back = step.state == "done" or step.had_moved
    return Outcome(step.path, done=True, text="it was put back before" if back else "it was never moved")


def _number(path: Path) -> int | None:
    try:
        return path.lstat().st_ino
    except OSError:
        return None
