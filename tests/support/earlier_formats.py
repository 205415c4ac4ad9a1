"""Databases as earlier versions wrote them."""

import sqlite3


def as_format_1(path):
    """Give a new database the names that its tables and columns had in the first format."""
    connection = sqlite3.connect(path)
    connection.executescript("""
        ALTER TABLE spaces DROP COLUMN revision;
        ALTER TABLE files DROP COLUMN file_system;
        ALTER TABLE files DROP COLUMN sidecars;
        DROP TABLE file_systems;
        DROP TABLE kept_not_duplicates;
        DROP TABLE kept_head_examples;
        DROP TABLE favourites;
        DROP TABLE runs;
        ALTER TABLE photos RENAME COLUMN photo_hash TO payload;
        ALTER TABLE files RENAME COLUMN file_hash TO content;
        ALTER TABLE settings RENAME TO counters;
        DELETE FROM _sqlite_migrations WHERE name > 'm002';
        PRAGMA user_version = 1;
    """)
    connection.close()
