"""A pool of opened libraries for concurrent requests, and values cached per state of the library."""

from __future__ import annotations

import queue
import secrets
import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, TypeVar, cast

from vitsearch.errors import LibraryError, LibraryMissing
from vitsearch.storage.database import Database
from vitsearch.storage.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator

    from vitsearch.library import Library
    from vitsearch.web.settings import LibrarySettings

T = TypeVar("T")


class Stamp(NamedTuple):
    """A state of the library: it changes with every commit of any process, and when a drive is mounted or unmounted."""

    file: tuple[int, int]
    version: int
    online: tuple[int, ...]


class LibraryPool:
    """A pool of opened libraries that requests borrow, because SQLite and FAISS are for one thread at a time."""

    def __init__(self, settings: LibrarySettings, *, count: int = 6) -> None:
        self._settings = settings
        self._idle: queue.LifoQueue[Library] = queue.LifoQueue()
        self._all = [settings.open() for _ in range(count)]
        for library in self._all:
            self._idle.put(library)
        self._file: dict[int, tuple[int, int]] = {}
        self._watch = _Watch(settings)
        self._naming = threading.Lock()
        self._named: tuple[int, int] | None = None
        self._images = secrets.token_hex(4)

    @property
    def images(self) -> str:
        """A token in the addresses of pictures, so that browsers may cache them; it differs for each library."""
        with self._naming, suppress(LibraryError):
            now = _identity(self._settings)
            if self._named not in (None, now):
                self._images = secrets.token_hex(4)
            self._named = now
        return self._images

    @contextmanager
    def library(self) -> Iterator[Library]:
        """Borrow a library; waits while all are in use."""
        library = self._idle.get()
        try:
            self.open_again(library)
            yield library
        finally:
            self._idle.put(library)

    def stamp(self) -> Stamp:
        """Return the current state of the library.

        Raises:
            LibraryMissing: there is no library yet.

        """
        return self._watch.stamp()

    def close(self) -> None:
        """Close all libraries; none may be in use."""
        self._watch.close()
        for library in self._all:
            library.close()

    def open_again(self, library: Library) -> None:
        """Reopen a database that was replaced (restored from a copy, or deleted and created again).

        Raises:
            LibraryMissing: there is no library now.

        """
        now = _identity(self._settings)
        if self._file.setdefault(id(library), now) != now:
            library.close()
            self._file[id(library)] = now


class _Watch:
    """A separate connection that only checks whether other connections have written."""

    def __init__(self, settings: LibrarySettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._database: Database | None = None
        self._file = (0, 0)

    def stamp(self) -> Stamp:
        from vitsearch.storage.catalog import Catalog

        with self._lock:
            file = _identity(self._settings)
            if self._database is not None and file != self._file:
                self.close()
            if self._database is None:
                self._database = Database.open(Layout.of(self._settings.folder).database)
                self._file = file
            version = self._database.number("PRAGMA data_version")
            roots = Catalog(self._database).roots()
            return Stamp(file, version, tuple(root.id for root in roots if not root.is_offline()))

    def close(self) -> None:
        if self._database is not None:
            self._database.close()
        self._database = None


def _identity(settings: LibrarySettings) -> tuple[int, int]:
    path = Layout.of(settings.folder).database
    try:
        status = path.stat()
    except FileNotFoundError:
        raise LibraryMissing(
            f"there is no library in {settings.folder} yet: add a folder of photos to make one"
        ) from None
    except OSError as error:
        raise LibraryError(f"cannot read {path}: {error.strerror or error}") from error
    return status.st_dev, status.st_ino


class StateCache:
    """Values that depend on the library's state only: computed once per state, by one thread.

    While an index run commits batch after batch, a value may be up to `patience` seconds old.
    """

    def __init__(self, *, size: int = 32, patience: float = 3.0) -> None:
        self._size = size
        self._patience = patience
        self._lock = threading.Lock()
        self._making: dict[Hashable, threading.Lock] = {}
        self._kept: dict[Hashable, tuple[Stamp, float, object]] = {}

    def get(self, key: Hashable, stamp: Stamp, make: Callable[[], T], *, patient: bool = False) -> T:
        """Return the value for a key in this state; computes it if it is not cached."""
        with self._lock:
            turn = self._making.setdefault(key, threading.Lock())
            found = self._kept.get(key)
        # While one thread makes the new value, the others take the old one and do not wait.
        if not turn.acquire(blocking=not (patient and found is not None and found[0].file == stamp.file)):
            assert found is not None
            return cast("T", found[2])
        try:
            found = self._kept.get(key)
            if found is not None:
                same = found[0] == stamp
                fresh = patient and time.monotonic() - found[1] < self._patience
                if same or (fresh and found[0].file == stamp.file):
                    return cast("T", found[2])
            value = make()
            with self._lock:
                self._kept.pop(key, None)
                self._kept[key] = (stamp, time.monotonic(), value)
                while len(self._kept) > self._size:
                    oldest = next(iter(self._kept))
                    del self._kept[oldest]
                    self._making.pop(oldest, None)
        finally:
            turn.release()
        return value
