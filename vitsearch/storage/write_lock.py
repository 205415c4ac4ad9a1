"""Locks: one process at a time may change the embeddings of a library, and one may move its photos."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryBusy, LibraryError
from vitsearch.storage.earlier_layout import adopt_earlier_files
from vitsearch.storage.layout import WRITABLE_LIBRARY, Layout
from vitsearch.storage.private import FILE_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


# Seconds, as for SQLite's own locks.
_PATIENCE = 30.0


@contextmanager
def write_lock(folder: Path, *, prepare: bool = True) -> Iterator[None]:
    """Hold the lock for changing embeddings; the operating system releases it when the process dies.

    Creates the private folder, with the files that an earlier version kept elsewhere, unless `prepare` is false.

    Raises:
        LibraryBusy: another process holds it.
        LibraryError: the library's folder cannot be written to.

    """
    layout = Layout.of(folder)
    if prepare:
        layout.make_private()
    busy = f"another run is changing the library in {folder}: wait for it to finish, then try again"
    with _locked(layout.lock, busy):
        if prepare:
            adopt_earlier_files(layout)
        yield


@contextmanager
def photos_lock(folder: Path) -> Iterator[None]:
    """Hold the lock for moving photos of a library; the operating system releases it when the process dies.

    Without it, two plans at once, one of which keeps what the other moves, would leave no photo in place.

    Raises:
        LibraryBusy: another process holds it.
        LibraryError: the library's folder cannot be written to.

    """
    layout = Layout.of(folder)
    layout.make_private()
    busy = f"another plan is being applied or undone in the library in {folder}: wait for it to finish, then try again"
    with _locked(layout.photos_lock, busy):
        yield


@contextmanager
def heads_lock(folder: Path) -> Iterator[None]:
    """Hold the lock for creating and deleting heads, so that a head's file and its examples change together.

    It is only held for a moment, so this waits for it.

    Raises:
        LibraryBusy: another process still holds it.
        LibraryError: the library's folder cannot be written to.

    """
    layout = Layout.of(folder)
    layout.make_private()
    busy = f"another command is changing the heads in {folder}: wait for it to finish, then try again"
    with _locked(layout.heads_lock, busy, patience=_PATIENCE):
        yield


@contextmanager
def _locked(path: Path, busy: str, *, patience: float = 0.0) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=patience, mode=FILE_MODE)
    try:
        lock.acquire()
    except Timeout:
        raise LibraryBusy(busy) from None
    except OSError as error:
        raise LibraryError(
            f"cannot write to {path.parent}: {error.strerror or error}; {WRITABLE_LIBRARY}"
        ) from error
    try:
        yield
    finally:
        lock.release()
