"""Tests do not wait for the disk, but where that is what they test: an index run of three photos waits sixty times.

A sync keeps what was written through a power cut. What a process has handed to the system outlives the process without
one, however it ends, so that no test on a running machine can see a difference. What is written, in which order, and
each error but those of the disk stay as they are. The real waits remain in tests that ask for `synced`, in all
processes that tests start as users start them, and in those of `tests/crash`, whose disk fails at a sync too.
"""

from __future__ import annotations

import os
import sqlite3
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import HasFileno

_sync, _connect = os.fsync, sqlite3.connect


class _Connection(sqlite3.Connection):
    """A connection that waits for nothing, whatever the program asks for."""

    def execute(self, sql: str, *parameters: Any) -> sqlite3.Cursor:
        if sql.startswith("PRAGMA synchronous = "):
            sql = "PRAGMA synchronous = OFF"
        return super().execute(sql, *parameters)


def wait_for_nothing() -> None:
    """Make syncs of this process, and of those forked from it, cost nothing."""
    os.fsync, sqlite3.connect = _check, _connected


def wait_as_ever() -> None:
    """Make syncs real again."""
    os.fsync, sqlite3.connect = _sync, _connect


def _check(fd: int | HasFileno) -> None:
    os.fstat(fd if isinstance(fd, int) else fd.fileno())  # a closed file is an error still


def _connected(*arguments: Any, **options: Any) -> Any:
    return _connect(*arguments, **{"factory": _Connection, **options})
