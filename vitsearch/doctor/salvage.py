"""Salvage a damaged `library.db`: copy every readable row to a new file, and keep the damaged one."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, cast

from vitsearch.doctor.pages import INDEX_INTERIOR, INDEX_LEAF, TABLE_LEAF, BadPage, PageFile, Row
from vitsearch.errors import LibraryDamaged, LibraryError, LibraryTooNew
from vitsearch.space import Space
from vitsearch.storage.atomic import sync_folder
from vitsearch.storage.database import SCHEMA_VERSION, Database, held_alone
from vitsearch.storage.layout import LIBRARY_FILE, Layout
from vitsearch.storage.vectors import NEW_GENERATION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from vitsearch.storage.database import Value

_ROWS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class SalvagedTable:
    """How many rows of a table were saved, and how many were dropped because they refer to lost rows."""

    name: str
    saved: int
    dropped: int


@dataclass(frozen=True, slots=True)
class SalvageReport:
    """The result of a salvage: `kept` is where the damaged file is now; `unreadable` of its `pages` were malformed."""

    kept: Path
    tables: tuple[SalvagedTable, ...]
    pages: int
    unreadable: int


@dataclass
class _Table:
    """A table of the schema: its columns in storage order, and its pages in the old file."""

    name: str
    root: int
    columns: tuple[str, ...]
    kinds: tuple[str, ...]
    required: tuple[bool, ...]
    has_rowid: bool
    rowid_column: int | None
    read: int = 0
    pages: list[int] = field(default_factory=list)

    def fits(self, row: Row, *, exactly: bool) -> bool:
        """Return whether a row can belong to this table; older rows may lack columns that were added later."""
        count = len(row.values)
        if count > len(self.columns) or (exactly and count < len(self.columns)):
            return False
        if (row.rowid is not None) != self.has_rowid:
            return False
        return all(
            index == self.rowid_column or (_is_of_kind(value, kind) and not (value is None and required))
            for index, (value, kind, required) in enumerate(
                zip(row.values, self.kinds, self.required, strict=False)
            )
        )

    def stored(self, row: Row) -> tuple[Value, ...]:
        """Return the row's values, including its id if the file stores it as the rowid."""
        if self.rowid_column is None:
            return row.values
        values = list(row.values)
        values[self.rowid_column] = row.rowid
        return tuple(values)


def salvage(folder: Path, *, complete: Callable[[Database], None] = lambda _: None) -> SalvageReport:
    """Replace a library's damaged database by a new one with all readable rows. Needs the write lock.

    The damaged file gets another name, and then the complete new file, already on disk, takes its place; a kill at any
    point leaves one of the two in place. If something was lost, `complete` is called with the new database before it
    is moved into place, so that what it restores is there from the start.

    Raises:
        LibraryDamaged: nothing can be read from it; it was left as it is.
        LibraryTooNew: it was written by a later version of vitsearch.
        LibraryBusy: another process is using it.
        LibraryError: there is no space for the new file.

    """
    layout = Layout.of(folder)
    path, partial = layout.database, layout.temporary(LIBRARY_FILE)
    try:
        # Nobody writes what was read already: it would be in the file that is put aside, and in no other. Closing any
        # descriptor of a file drops this process's locks on it: the lock is taken second and let go first.
        with ExitStack() as held:
            file = held.enter_context(path.open("rb"))
            held.enter_context(held_alone(path))
            tables, count, unreadable = _saved(path, file, partial, complete)
            if not any(table.saved for table in tables if table.name in ("roots", "photos", "vectors")):
                raise LibraryDamaged(
                    f"nothing of a library can be read from {path}, so it was left as it is: move it away, then run "
                    "`vitsearch index FOLDER`"
                )
            kept = set_aside(layout)
            if os.name == "nt":  # which replaces no file that is open
                held.close()
            partial.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        raise LibraryError(f"cannot salvage {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
    return SalvageReport(kept, tables, count, unreadable)


def _saved(
    path: Path, file: BinaryIO, partial: Path, complete: Callable[[Database], None]
) -> tuple[tuple[SalvagedTable, ...], int, int]:
    """Write the rows of the old file, which is open, to a new database."""
    _check_version(path, file.read(100))
    file.seek(0)
    pages = PageFile(file)
    database = Database.open(partial, create=True)
    try:
        tables, unreadable = _refill(database, pages)
        if unreadable or any(table.dropped for table in tables):
            complete(database)
    finally:
        database.close()
    return tables, pages.count, unreadable


def _check_version(path: Path, header: bytes) -> None:
    version = int.from_bytes(header[60:64], "big")
    if header.startswith(b"SQLite format 3\x00") and SCHEMA_VERSION < version < 1000:
        raise LibraryTooNew(
            f"{path} was written by a later version of vitsearch (format {version}, this one reads "
            f"{SCHEMA_VERSION}): upgrade with `pip install -U vitsearch`"
        )


def _refill(database: Database, pages: PageFile) -> tuple[tuple[SalvagedTable, ...], int]:
    """Copy the rows of the old file's pages to a new database; return what was saved, and how many pages were not."""
    tables = _tables(database)
    fresh = {
        table.name: database.rows(f"SELECT {', '.join(table.columns)} FROM {table.name}") for table in tables
    }
    highest = _highest_photo(pages)
    stray, unreadable = _assign(pages, tables)
    database.run("PRAGMA foreign_keys = OFF")
    with database.write():
        for table in tables:
            database.run(f"DELETE FROM {table.name}")
            _insert(database, table, _rows_of(pages, table))
        for table, row in _guessed(pages, stray, tables):
            _insert(database, table, [row])
        for table in tables:
            _put(database, table, fresh[table.name])
        saved = _drop_orphans(database, tables)
        _make_consistent(database, highest)
    database.run("PRAGMA foreign_keys = ON")
    return tuple(
        SalvagedTable(table.name, saved[table.name], max(0, table.read - saved[table.name]))
        for table in tables
    ), unreadable


def _tables(database: Database) -> list[_Table]:
    """Describe the tables of a new library, parents before their children."""
    found = []
    for name, root, sql in cast(
        "list[tuple[str, int, str]]",
        database.rows("SELECT name, rootpage, sql FROM sqlite_schema WHERE type = 'table' ORDER BY rowid"),
    ):
        if name.startswith(("sqlite_", "_sqlite")):
            continue
        info = cast(
            "list[tuple[int, str, str, int, object, int]]", database.rows(f"PRAGMA table_info({name})")
        )
        has_rowid = not re.search(r"\)\s*WITHOUT\s+ROWID", sql, re.IGNORECASE)
        if not has_rowid:
            # Such a table is an index over its key: the key's columns come first (section 2.4 of the file format).
            info.sort(key=lambda column: (column[5] == 0, column[5] or column[0]))
        keys = [place for place, column in enumerate(info) if column[5] and column[2].upper() == "INTEGER"]
        alias = keys[0] if has_rowid and len(keys) == 1 and sum(bool(c[5]) for c in info) == 1 else None
        found.append(
            _Table(
                name,
                root,
                tuple(column[1] for column in info),
                tuple(column[2].upper() for column in info),
                tuple(bool(column[3]) for column in info),
                has_rowid,
                alias,
            )
        )
    return found


def _is_of_kind(value: Value, kind: str) -> bool:
    if value is None:
        return True
    if kind == "INTEGER":
        return isinstance(value, int)
    if kind == "REAL":  # a whole number is stored as an integer
        return isinstance(value, (int, float))
    if kind == "TEXT":
        return isinstance(value, str)
    if kind == "BLOB":
        return isinstance(value, bytes)
    return True


# What tables were called before.
_RENAMED = {"negatives": "settings"}


def _old_schema(pages: PageFile) -> tuple[dict[str, int], list[int]]:
    """Return the root page of each table and index in the old file's schema; empty if the schema is lost."""
    tables: dict[str, int] = {}
    indexes = []
    for number in _tree(pages, 1, set()):
        for row in _readable_rows(pages, number):
            if len(row.values) == 5 and isinstance(row.values[3], int):
                if row.values[0] == "table":
                    name = str(row.values[1])
                    tables[_RENAMED.get(name, name)] = row.values[3]
                elif row.values[0] == "index":
                    indexes.append(row.values[3])
    return tables, indexes


def _highest_photo(pages: PageFile) -> int:
    """Return the highest photo id ever used; ids must never be reused."""
    root = _old_schema(pages)[0].get("sqlite_sequence", 0)
    rows = [row.values for number in _tree(pages, root, set()) for row in _readable_rows(pages, number)]
    known = [values[1] for values in rows if len(values) == 2 and values[0] == "photos"]
    return max((value for value in known if isinstance(value, int)), default=0)


def _assign(pages: PageFile, tables: list[_Table]) -> tuple[list[int], int]:
    """Assign pages to tables; return those of no known table, and how many of the tables' pages are malformed."""
    roots, indexes = _old_schema(pages)
    seen = pages.free_pages() | {1}
    bad = 0
    for table in tables:
        table.pages = list(_tree(pages, roots.get(table.name, 0) if roots else table.root, seen))
        bad += sum(pages.kind(number) == 0 for number in table.pages)
    for root in indexes:
        seen.update(_tree(pages, root, seen))
    kinds = (TABLE_LEAF, INDEX_LEAF, INDEX_INTERIOR)
    stray = [
        number for number in range(1, pages.count + 1) if number not in seen and pages.kind(number) in kinds
    ]
    return stray, bad


def _tree(pages: PageFile, root: int, seen: set[int]) -> Iterator[int]:
    """Yield the pages of a b-tree, as far as they can be followed, each page once."""
    waiting = [root]
    while waiting:
        number = waiting.pop()
        if not 1 <= number <= pages.count or number in seen:
            continue
        seen.add(number)
        yield number
        with suppress(BadPage):
            waiting.extend(reversed(pages.children(number)))


def _readable_rows(pages: PageFile, number: int) -> Iterator[Row]:
    with suppress(BadPage):
        yield from pages.rows(number)


def _rows_of(pages: PageFile, table: _Table) -> Iterator[Row]:
    for number in table.pages:
        yield from (row for row in _readable_rows(pages, number) if table.fits(row, exactly=False))


def _guessed(pages: PageFile, stray: list[int], tables: list[_Table]) -> Iterator[tuple[_Table, Row]]:
    """Assign rows of unassigned pages to the only table whose columns they fit, if there is exactly one.

    A page of an index looks like one of a table without rowids. The library's indexes only hold integers and photo
    hashes, so a row with text is not mistaken for theirs.
    """
    names = {table.name for table in tables}
    for number in stray:
        for row in _readable_rows(pages, number):
            if row.rowid is None and not isinstance(row.values[0], str):
                continue
            if row.values[0] in names:  # SQLite's own note of the highest id in a table
                continue
            fitting = [table for table in tables if table.fits(row, exactly=True)]
            if len(fitting) == 1:
                yield fitting[0], row


def _insert(database: Database, table: _Table, rows: Iterable[Row]) -> None:
    waiting: list[tuple[Value, ...]] = []
    for row in rows:
        waiting.append(table.stored(row))
        if len(waiting) == _ROWS_AT_ONCE:
            _put(database, table, waiting)
            waiting = []
    _put(database, table, waiting)


def _put(database: Database, table: _Table, rows: list[tuple[Value, ...]]) -> None:
    before = database.number("SELECT total_changes()")
    for width in {len(row) for row in rows}:
        names, marks = ", ".join(table.columns[:width]), ", ".join("?" * width)
        database.run_many(
            f"INSERT OR IGNORE INTO {table.name} ({names}) VALUES ({marks})",
            [row for row in rows if len(row) == width],
        )
    table.read += database.number("SELECT total_changes()") - before


def _drop_orphans(database: Database, tables: list[_Table]) -> dict[str, int]:
    """Delete rows that refer to lost rows; return how many rows of each table remain."""
    for space, description in database.rows("SELECT id, description FROM spaces"):
        try:
            Space.from_json(str(description))
        except (ValueError, TypeError, KeyError, AttributeError):
            database.run("DELETE FROM spaces WHERE id = ?", [space])
    references = []
    for table in tables:
        for row in database.rows(f"PRAGMA foreign_key_list({table.name})"):
            parent, column, key = cast("tuple[str, str, str]", row[2:5])
            if row[6] == "SET NULL":  # the row says as much without it
                database.run(
                    f"UPDATE {table.name} SET {column} = NULL WHERE {column} NOT IN (SELECT {key} FROM {parent})"
                )
            else:
                references.append((table.name, parent, column, key))
    deleted = 1
    while deleted:
        deleted = sum(
            database.run(
                f"DELETE FROM {child} WHERE {column} IS NOT NULL AND {column} NOT IN (SELECT {key} FROM {parent})"
            ).rowcount
            for child, parent, column, key in references
        )
    return {table.name: database.number(f"SELECT count(*) FROM {table.name}") for table in tables}


def _make_consistent(database: Database, highest: int) -> None:
    """Restore invariants between rows: run numbers increase, ids are not reused, at most one space is the main one."""
    database.run(
        "UPDATE settings SET value = max(value, (SELECT coalesce(max(added_run), 0) FROM files), "
        "(SELECT coalesce(max(last_run), 0) FROM roots)) WHERE name = 'run'"
    )
    database.run("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'photos'", [highest])
    # The caches were made from another file: none may look current.
    database.run(f"UPDATE spaces SET generation = {NEW_GENERATION}")
    database.run(
        "UPDATE spaces SET active = 1 WHERE NOT EXISTS (SELECT 1 FROM spaces WHERE active = 1) AND id = "
        "(SELECT space FROM vectors GROUP BY space ORDER BY count(*) DESC LIMIT 1)"
    )


def set_aside(layout: Layout) -> Path:
    """Give a damaged database a second name, and move its journal, which belongs to no other file, there."""
    path, number = layout.database, 1
    layout.backups.mkdir(mode=0o700, exist_ok=True)
    while os.path.lexists(kept := layout.backups / f"{path.name}.damaged-{number}"):
        number += 1
    second_name(path, kept)
    journal = path.with_name(f"{path.name}-journal")
    if journal.exists():
        second_name(journal, kept.with_name(f"{kept.name}-journal"))
        journal.unlink()
    sync_folder(kept.parent)
    sync_folder(path.parent)
    return kept


def second_name(path: Path, other: Path) -> None:
    """Give a file a second name with a hard link, or else a copy. Raises `OSError`."""
    try:
        os.link(path, other)
    except OSError:  # a file system without hard links
        shutil.copy2(path, other)
