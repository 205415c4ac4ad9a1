"""Paths of files and folders, and how to identify a file whatever its name."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LATEST_NS = (1 << 63) - 1
"""The latest time that a library stores: SQLite's integers have 64 bits, of which one is the sign."""
EARLIEST_NS = -(1 << 63)
"""The earliest one."""

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


def real_path(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path with links resolved. Unlike `Path.resolve` before Python 3.13, it accepts link loops."""
    return Path(os.path.realpath(path))


def absolute_path(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path without resolving links; `..` is removed lexically."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - `Path.absolute` leaves `..` standing


def names_of(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return each of these folders as written and, if it differs, with links resolved."""
    return tuple(dict.fromkeys(name for folder in folders for name in (folder, real_path(folder))))


def identity(path: str | os.PathLike[str], status: os.stat_result) -> tuple[int, int] | str:
    """Return a value that identifies a file or folder whatever its name; `status` is its `stat` result."""
    # Some network file systems number nothing.
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def state_of(status: os.stat_result) -> tuple[int, int]:
    """Return a file's size and modification time in nanoseconds since 1970, which change with its content.

    Times beyond the range of 64 bits (before 1678 or after 2261), left by damaged disks and clocks, are clamped.
    """
    return status.st_size, max(EARLIEST_NS, min(status.st_mtime_ns, LATEST_NS))


def is_in_state(file: Path, size: int, mtime_ns: int) -> bool:
    """Return whether a file exists and has this size and time."""
    try:
        return state_of(file.stat()) == (size, mtime_ns)
    except OSError:
        return False


REPLACED = "it is gone, or another one than when it was indexed: run `vitsearch index`"
"""Why nothing is said or written of a file that is not in the state in which it was read."""


def is_offline(folder: Path) -> bool:
    """Return whether a folder is absent, empty or unreadable."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def is_url(text: str) -> bool:
    """Return whether a text begins like a URL."""
    return _SCHEME.match(text) is not None


def is_within(path: Path, folders: Iterable[Path]) -> bool:
    """Return whether a file is in or below one of these folders, with links resolved."""
    return any(real_path(path).is_relative_to(real_path(folder)) for folder in folders)
