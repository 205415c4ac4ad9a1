"""A library of any earlier format opens, is backed up, and becomes what a new one is."""

import sqlite3

import pytest
import sqlite_utils

from vitsearch.storage.database import SCHEMA_VERSION, Database
from vitsearch.storage.migrations import migrations

APPLICATION = 0x76697473
pytestmark = pytest.mark.usefixtures("table_by_table")


def schema(path):
    """Tables with the names of their columns; indexes and triggers by name."""
    with sqlite3.connect(path) as connection:
        names = sorted(connection.execute("SELECT type, name FROM sqlite_schema"))
        columns = {
            name: {row[1] for row in connection.execute(f"PRAGMA table_info({name})")}
            for kind, name in names
            if kind == "table"
        }
    connection.close()
    return names, columns


def as_of_format(number, path):
    """A library as the version with so many steps made it, that knows one folder."""
    connection = sqlite3.connect(path, isolation_level=None)
    database = sqlite_utils.Database(connection, execute_plugins=False)
    later = [step.name for step in migrations.pending(database)][number:]
    migrations.apply(database, stop_before=later)
    connection.execute("INSERT INTO roots (path) VALUES ('/photos')")
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute(f"PRAGMA user_version = {number}")
    connection.close()


def test_the_format_is_the_number_of_steps():
    database = sqlite_utils.Database(memory=True, execute_plugins=False)
    names = [step.name for step in migrations.pending(database)]
    database.close()
    assert [name[:5] for name in names] == [f"m{number:03}_" for number in range(1, SCHEMA_VERSION + 1)]


@pytest.mark.parametrize("number", range(1, SCHEMA_VERSION))
def test_a_library_of_an_earlier_format_becomes_what_a_new_one_is(tmp_path, number):
    new, old = tmp_path / "new/library.db", tmp_path / "old/library.db"
    for path in (new, old):
        path.parent.mkdir()
    Database.open(new, create=True).close()
    as_of_format(number, old)
    with_backup = Database.open(old)
    assert with_backup.rows("SELECT path FROM roots") == [("/photos",)]
    with_backup.close()
    assert schema(old) == schema(new)
    assert [path.name for path in old.parent.rglob("library.db.*")] == [f"library.db.format-{number}"]
