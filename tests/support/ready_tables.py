"""New libraries get at once the tables that the steps of the schema end with, which take ten times as long.

What is written, under which lock, and all that the program does before and after are as ever: the statements are those
that the steps have left in a first database. Libraries of an earlier format are upgraded by the real steps; these make
new libraries, too, in tests that ask for `table_by_table` and in all processes that tests start as users start them.
"""

from __future__ import annotations

import sqlite3
from functools import cache
from typing import TYPE_CHECKING

import sqlite_utils

from vitsearch.storage.migrations import migrations

if TYPE_CHECKING:
    from collections.abc import Iterable

_apply = migrations.apply


def make_tables_at_once() -> None:
    """Do so in this process, and in those forked from it."""
    migrations.apply = _apply_to_new_ones


def make_tables_step_by_step() -> None:
    """Make them as the program does."""
    migrations.apply = _apply


def _apply_to_new_ones(db: sqlite_utils.Database, *, stop_before: str | Iterable[str] | None = None) -> None:
    (tables,) = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables or stop_before:
        _apply(db, stop_before=stop_before)
        return
    statements, rows = _result()
    for sql in statements:
        db.execute(sql)
    for sql, values in rows:
        db.execute(sql, values)


@cache
def _result() -> tuple[list[str], list[tuple[str, tuple[object, ...]]]]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    _apply(sqlite_utils.Database(made, execute_plugins=False))
    schema = made.execute(
        "SELECT name, type, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_%' ORDER BY rowid"
    ).fetchall()
    tables = [name for name, kind, _ in schema if kind == "table"]
    rows = [
        (f'INSERT INTO "{name}" VALUES ({", ".join("?" * len(row))})', row)
        for name in tables
        for row in made.execute(f'SELECT * FROM "{name}"')
    ]
    made.close()
    return [sql for _, _, sql in schema], rows
