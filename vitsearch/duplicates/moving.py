"""Moving a file without ever writing over another one or losing a byte, also across file systems."""

from __future__ import annotations

import errno
import os
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from vitsearch.duplicates.plans import content_hash
from vitsearch.durable import sync_folder

if TYPE_CHECKING:
    from pathlib import Path

# What file systems say that know no hard links, or too many of one file.
_NO_LINKS = frozenset(
    (errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL, errno.EACCES)
)


def move(source: Path, target: Path, *, content: str) -> None:
    """Move a file to a free place; at every moment one of the two names holds all of it.

    `content` is the file's hash, checked where the file has to be copied.

    Raises:
        FileExistsError: something is at `target`.
        OSError: the system says why not; the file is still at `source`.

    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError as error:
        if error.errno == errno.EXDEV:
            _copy(source, target, content)
        elif error.errno in _NO_LINKS:
            _rename(source, target)
            return
        else:
            raise
    settle(target.parent)
    try:
        source.unlink()
    except OSError:
        # Its folder lets nothing go: the file is where it was, and the second name must not stay.
        target.unlink()
        raise
    settle(source.parent)


def finish(source: Path, target: Path, *, content: str) -> bool:
    """Complete a `move` that was cut short between its two names; return whether the file is at `target` now."""
    sweep(target, content=content)
    if not os.path.lexists(target):
        return False
    if not os.path.lexists(source):
        return True
    if target.is_symlink() or source.is_symlink():
        return False
    if source.samefile(target) or (content_hash(target) == content == content_hash(source)):
        source.unlink()
        settle(source.parent)
        return True
    return False


def sweep(target: Path, *, content: str) -> None:
    """Remove what a copy that was cut short has left beside `target`."""
    _partial(target, content).unlink(missing_ok=True)


def settle(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where the system can do that."""
    with suppress(OSError):
        sync_folder(folder)


def _rename(source: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
    source.rename(target)
    settle(target.parent)
    settle(source.parent)


def _copy(source: Path, target: Path, content: str) -> None:
    """Copy to another file system, and give the copy its name only when it is complete and the same."""
    partial = _partial(target, content)
    # It may be one of two names of a file that arrived before a kill: never write into it.
    sweep(target, content=content)
    try:
        with source.open("rb") as reader, partial.open("xb") as writer:
            shutil.copyfileobj(reader, writer, 1 << 20)
            writer.flush()
            os.fsync(writer.fileno())
        shutil.copystat(source, partial)
        if content_hash(partial) != content:
            raise OSError(errno.EIO, "the copy is not the same as the file")
        try:
            os.link(partial, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _rename(partial, target)
    finally:
        sweep(target, content=content)


def _partial(target: Path, content: str) -> Path:
    """Where a copy grows: the same name in every try, so that the next run can sweep up after one that was killed."""
    return target.with_name(f".{content}.partial")
