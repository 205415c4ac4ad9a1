"""Answers that took long, kept beside a library under a digest of all that they depend on.

There is nothing to invalidate: a question that is asked of other files or by other rules has another digest, and what
is not asked any more makes room. Losing the file costs time and nothing else.
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


class KeptAnswers:
    """Answers by key. Use it as a context manager; threads may share it.

    Where nothing can be kept (a read-only library, a full disk), questions are just never known, and nothing is said:
    everything works as without it.
    """

    def __init__(self, path: Path | None, *, rules: bytes = b"", most_bytes: int = MOST_BYTES) -> None:
        """`path`: the file, which is made if it is not there; None keeps nothing.

        `rules`: a digest of how questions are answered.
        """
        self._path = path
        self._rules = rules
        self._most_bytes = most_bytes
        self._waiting: dict[bytes, bytes] = {}
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    @classmethod
    def beside(cls, layout: Layout, *, rules: bytes) -> KeptAnswers:
        """The answers of one library."""
        with suppress(LibraryError):
            layout.make_private()
            return cls(layout.answers, rules=rules)
        return cls(None)

    def __enter__(self) -> KeptAnswers:
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
        """Return the key of a question of this kind; `parts` are all that its answer depends on, beside the rules."""
        return blake2b(repr((kind, parts)).encode(), digest_size=16, key=self._rules).digest()

    def get(self, key: bytes) -> tuple[Json] | None:
        """Return the answer that is kept under a key, in a tuple of its own: None may be one. None if none is kept."""
        with self._lock:
            stored = self._waiting.get(key) or self._stored(key)
        if stored is None or not _fits(key, stored):
            return None
        return (json.loads(stored[_SUM_BYTES:]),)

    def keep(self, key: bytes, answer: Json) -> None:
        """Keep an answer, which is on the disk a few hundred answers later, or at the end."""
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
        """Delete a file that turns out to be damaged: the next run makes it anew."""
        assert self._connection is not None
        assert self._path is not None
        with suppress(sqlite3.Error):
            self._connection.close()
        self._connection = None
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _write(self) -> None:
        """Write what waits; where that fails, another process is writing or the disk is full, and it is asked again."""
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
        """Let go of the older half of a file that has grown beyond what it may take."""
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
    """Open or make the file; a damaged one is made anew, and None is returned where that does not help."""
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
