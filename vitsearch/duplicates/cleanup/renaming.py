"""Giving a file another name without ever taking that name from another file.

A check before a plain rename is not enough: another program may take the name in between, and would lose its file.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

from blake3 import blake3

from vitsearch.storage.shared_files import NO_SUCH_RENAME, exclusive_rename

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# What file systems say that know no hard links, or too many of one file.
_NO_LINKS = frozenset((*NO_SUCH_RENAME, errno.EPERM, errno.EMLINK, errno.EACCES))


def rename_without_replacing(source: Path, target: Path) -> None:
    """Rename, in one step where the system can do that; by a link and an unlink elsewhere.

    A file system that can do neither is looked at first and renamed on then: only there may a file that another
    program puts at `target` in that moment be lost.

    Raises:
        FileExistsError: something is at `target`.
        OSError: the system says why not, EXDEV if `target` is on another file system.

    """
    if sys.platform == "win32":
        source.rename(target)  # MoveFileEx without MOVEFILE_REPLACE_EXISTING
        return
    call = exclusive_rename()
    code = errno.ENOSYS if call is None else call(source, target)
    if code in NO_SUCH_RENAME:
        _by_link(source, target)
    elif code:
        raise OSError(code, os.strerror(code), str(source), None, str(target))


def set_aside(path: Path) -> Path:
    """Give a file the name that is kept for it beside its own, so that nobody else works on it; return that name."""
    aside = aside_of(path)
    if os.path.lexists(aside):
        raise FileExistsError(errno.EEXIST, "what an interrupted run has put aside is in the way", str(aside))
    path.rename(aside)
    return aside


def aside_of(path: Path) -> Path:
    """Where `set_aside` puts a file: the same name in every run, so that the next one finds it after a kill."""
    return path.with_name(f".{blake3(os.fsencode(path.name)).hexdigest()[:40]}.aside")


def discard(path: Path, *, is_surplus: Callable[[Path], bool]) -> bool:
    """Remove a file that `is_surplus`, asked once nobody else can save under its name; what is not is put back."""
    aside = set_aside(path)
    surplus = False
    try:
        surplus = is_surplus(aside)
    finally:
        if not surplus:
            rename_without_replacing(aside, path)
    if surplus:
        aside.unlink()
    return surplus


def _by_link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
        return
    linked = target.lstat()
    try:
        # Another program may save under the old name by now: only what was linked may go.
        if not discard(source, is_surplus=lambda aside: os.path.samestat(aside.lstat(), linked)):
            raise FileExistsError(errno.EEXIST, "another program has saved it at that moment", str(source))
    except OSError:
        target.unlink()
        raise
