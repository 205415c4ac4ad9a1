"""A library whose tables were made at once is what the steps of the schema make."""

import sqlite3

from tests.support.ready_tables import make_tables_at_once
from vitsearch.storage.database import Database


def contents(path):
    """All statements and rows, but for when the steps were taken."""
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE _sqlite_migrations SET applied_at = ''")
        settings = [connection.execute(f"PRAGMA {name}").fetchone() for name in ("user_version", "page_size")]
        found = [settings, *connection.iterdump()]
    connection.close()
    return found


def test_tables_that_are_made_at_once_are_those_that_the_steps_make(tmp_path, table_by_table):
    step_by_step, at_once = tmp_path / "steps.db", tmp_path / "at-once.db"
    Database.open(step_by_step, create=True).close()
    make_tables_at_once()
    Database.open(at_once, create=True).close()
    assert contents(at_once) == contents(step_by_step)
    assert len(contents(at_once)) > 30
