"""Moves in batches: the journal says ahead what a batch will do, and folders are synced once for all of it.

Waiting for the disk is what takes time: a file of 100 kB is read and moved in a thousandth of the time that five syncs
take.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from vitsearch.duplicates.cleanup.safe_move import settle

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_Item = TypeVar("_Item")

MOST_FILES = 256
# Each file is read when it has moved: what a person sees of progress should not come to a halt.
MOST_BYTES = 256 << 20


def batches(items: Iterable[_Item], size: Callable[[_Item], int | None]) -> Iterator[list[_Item]]:
    """Yield items in lists of so many files and bytes at most; those without a size each alone."""
    batch: list[_Item] = []
    bytes_so_far = 0
    for item in items:
        count = size(item)
        is_full = len(batch) == MOST_FILES or (count is not None and bytes_so_far + count > MOST_BYTES)
        if batch and (is_full or count is None):
            yield batch
            batch, bytes_so_far = [], 0
        batch.append(item)
        bytes_so_far += count or 0
        if count is None:
            yield batch
            batch, bytes_so_far = [], 0
    if batch:
        yield batch


def size_of(path: Path) -> int:
    """Return the bytes of a file, 0 if it cannot be said."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def device_of(path: Path) -> int:
    """The file system that a path that is not there yet would be on."""
    while not path.exists():
        path = path.parent
    return path.stat().st_dev


class Unsettled:
    """Folders in which names have changed that may not be on the disk yet."""

    def __init__(self) -> None:
        self._folders: dict[Path, None] = {}

    def add(self, folder: Path) -> None:
        """Remember a folder."""
        self._folders[folder] = None

    def settle(self) -> None:
        """Make all of it last through a power cut, where the system can do that."""
        for folder in self._folders:
            settle(folder)
        self._folders.clear()
