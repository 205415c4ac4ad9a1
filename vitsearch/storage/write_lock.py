"""One process at a time may change the vectors of a library."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryBusy, LibraryError
from vitsearch.storage.earlier_layout import adopt_earlier_files
from vitsearch.storage.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def lease(folder: Path, *, prepare: bool = True) -> Iterator[None]:
    """Hold the right to change vectors; the operating system frees it when the process dies.

    Then the private folder is there, with the files in it that an earlier version kept elsewhere, unless `prepare` is
    false.

    Raises:
        LibraryBusy: another process holds it.
        LibraryError: the library's folder cannot be written to.

    """
    from filelock import FileLock, Timeout

    layout = Layout.of(folder)
    if prepare:
        layout.make_private()
    lock = FileLock(layout.lock, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise LibraryBusy(
            f"another run is changing the library in {folder}: wait for it to finish, then try again"
        ) from None
    except OSError as error:
        raise LibraryError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        if prepare:
            adopt_earlier_files(layout)
        yield
    finally:
        lock.release()
