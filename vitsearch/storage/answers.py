"""A cache of slow computations, stored with a library, keyed by a digest of everything that a result depends on.

Nothing needs invalidating: other files or other code give another digest, and old entries are deleted when the cache
is full. Losing the file only costs time.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import zlib
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from hashlib import blake2b
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.storage.private import create_file

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

    from vitsearch.storage.layout import Layout

# About a million photos' worth of pairs, three quarters of which are nothing to each other.
MOST_BYTES = 512_000_000
_WAITING = 512
_SUM_BYTES = 4
_BUSY_SECONDS = 2.0
_SCHEMA = "CREATE TABLE IF NOT EXISTS answers (key BLOB NOT NULL UNIQUE, answer BLOB NOT NULL)"
_VERSION = 1

Json = Mapping[str, "Json"] | Sequence["Json"] | str | int | float | bool | None


class AnswerCache:
    """A persistent cache of JSON values. A thread-safe context manager.

    If it cannot be stored (read-only library, full disk), nothing is cached, and no error is raised.
    """

    def __init__(self, path: Path | None, *, rules: bytes = b"", most_bytes: int = MOST_BYTES) -> None:
        """Open the cache in a file, which is created if necessary; None caches nothing.

        `rules`: a digest of the code and settings that the values depend on.
        """
        self._path = path
        self._rules = rules
        self._most_bytes = most_bytes
        self._waiting: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def beside(cls, layout: Layout, *, rules: bytes) -> AnswerCache:
        """Return the cache of a library."""
        with suppress(LibraryError):
            layout.make_private()
            return cls(layout.answers, rules=rules)
        return cls(None)

    def __enter__(self) -> AnswerCache:
        if self._path is not None:
            self._connection = _opened(self._path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._write()
            if self._connection is not None:
                with closing(self._connection), suppress(sqlite3.Error):
                    self._make_room()
                self._connection = None

    def question(self, kind: str, *parts: object) -> bytes:
        """Return the key of a computation of this kind; `parts` are all its inputs besides the rules."""
        return blake2b(repr((kind, parts)).encode(), digest_size=16, key=self._rules).digest()

    def get(self, key: bytes) -> tuple[Json] | None:
        """Return the cached value in a tuple, because the value may be None; or None if there is none."""
        with self._lock:
            stored = self._waiting.get(key) or self._stored(key)
        if stored is None or not _fits(key, stored):
            return None
        return (json.loads(stored[_SUM_BYTES:]),)

    def keep(self, key: bytes, answer: Json) -> None:
        """Cache a value. It is written to disk a few hundred values later, or at the end."""
        if self._path is None:
            return
        with self._lock:
            text = json.dumps(answer, separators=(",", ":")).encode()
            self._waiting[key] = _sum(key, text) + text
            if len(self._waiting) >= _WAITING:
                self._write()

    def _stored(self, key: bytes) -> bytes | None:
        if self._connection is None:
            return None
        try:
            row = self._connection.execute("SELECT answer FROM answers WHERE key = ?", [key]).fetchone()
        except sqlite3.OperationalError:  # another process writes
            return None
        except sqlite3.DatabaseError:
            self._give_up()
            return None
        return bytes(row[0]) if row else None

    def _give_up(self) -> None:
        """Delete a file that turns out to be damaged; the next run creates a new one."""
        assert self._connection is not None
        assert self._path is not None
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = None
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        """Write pending values; drop them if another process is writing or the disk is full."""
        if self._connection is not None and self._waiting:
            try:
                with self._connection:
                    self._connection.executemany(
                        "INSERT OR REPLACE INTO answers VALUES (?, ?)", self._waiting.items()
                    )
            except sqlite3.OperationalError:
                pass
            except sqlite3.DatabaseError:
                self._give_up()
        self._waiting.clear()

    def _make_room(self) -> None:
        """Delete the older half of the values if the file has grown beyond its limit."""
        assert self._connection is not None
        pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
        if pages * self._connection.execute("PRAGMA page_size").fetchone()[0] <= self._most_bytes:
            return
        low, high = self._connection.execute(
            "SELECT ifnull(min(rowid), 0), ifnull(max(rowid), 0) FROM answers"
        ).fetchone()
        with self._connection:
            self._connection.execute("DELETE FROM answers WHERE rowid <= ?", [(low + high) // 2])
        self._connection.execute("VACUUM")


def _sum(key: bytes, text: bytes) -> bytes:
    return zlib.crc32(key + text).to_bytes(_SUM_BYTES, "big")


def _fits(key: bytes, stored: bytes) -> bool:
    return stored[:_SUM_BYTES] == _sum(key, stored[_SUM_BYTES:])


def _opened(path: Path) -> sqlite3.Connection | None:
    """Open or create the file. A damaged one is replaced; returns None if that does not help."""
    for attempt in range(2):
        connection: sqlite3.Connection | None = None
        try:
            create_file(path)
            connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
            connection.execute("PRAGMA synchronous = NORMAL")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, _VERSION):
                raise sqlite3.DatabaseError("another version wrote it")
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_VERSION}")
            connection.commit()
        except sqlite3.OperationalError:  # locked, read-only or full
            if connection is not None:
                connection.close()
            return None
        except (OSError, sqlite3.Error):
            if connection is not None:
                connection.close()
            if attempt:
                return None
            with suppress(OSError):
                path.unlink(missing_ok=True)
        else:
            return connection
    return None
