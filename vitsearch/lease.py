"""One process at a time may change the vectors of a library."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryBusy, LibraryError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def lease(folder: Path) -> Iterator[None]:
    """Hold the right to change vectors; the operating system frees it when the process dies."""
    from filelock import FileLock, Timeout

    lock = FileLock(folder / "index.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise LibraryBusy(
            f"another run is changing the library in {folder}: wait for it to finish, then try again"
        ) from None
    except OSError as error:
        raise LibraryError(f"cannot write to {folder}: {error.strerror or error}") from error
    try:
        yield
    finally:
        lock.release()
