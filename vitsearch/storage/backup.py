"""Backups: one small file with labels, corrections, decisions, heads and folders, which cannot be computed again.

A backup is an SQLite file. Photos are identified by their hashes, so that it fits any library with the same photos.
The library keeps backups of its own, written before each operation that removes or repairs something, and once a day.
"""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryDamaged, LibraryError, LibraryTooNew
from vitsearch.storage.atomic import sync_folder
from vitsearch.storage.database import Database
from vitsearch.storage.decisions import bring_all_decisions_back
from vitsearch.storage.layout import BACKUP_FILES, Layout, made_files
from vitsearch.storage.private import create_file, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.storage.database import Value

FORMAT = 1
_KEPT, _KEPT_BYTES = 20, 512 << 20
_DAY_SECONDS = 24 * 3600
_HASH_BYTES = 32
_LONGEST_NAME = 1000
_AT_ONCE = 1000

_TABLES = (
    "CREATE TABLE examples (head TEXT, photo_hash BLOB, label TEXT, corrected INTEGER)",
    "CREATE TABLE not_duplicates (first BLOB, second BLOB)",
    "CREATE TABLE favourites (photo_hash BLOB)",
    "CREATE TABLE heads (name TEXT, file BLOB)",
    "CREATE TABLE roots (path)",
    "CREATE TABLE spaces (description TEXT)",
)
# The columns of a library, by hash where a backup has hashes; what waits for its photo belongs to it too.
_COPIED = {
    "examples": (
        "SELECT e.head, p.photo_hash, e.label, e.corrected FROM head_examples e JOIN photos p ON p.id = e.photo "
        "UNION SELECT head, photo_hash, label, corrected FROM kept_head_examples ORDER BY 1, 2, 3"
    ),
    "not_duplicates": (
        "SELECT min(a.photo_hash, b.photo_hash), max(a.photo_hash, b.photo_hash) FROM not_duplicates n "
        "JOIN photos a ON a.id = n.first JOIN photos b ON b.id = n.second "
        "UNION SELECT first, second FROM kept_not_duplicates ORDER BY 1, 2"
    ),
    "favourites": "SELECT photo_hash FROM favourites ORDER BY photo_hash",
    "roots": "SELECT path FROM roots ORDER BY path",
    "spaces": "SELECT description FROM spaces WHERE active = 1",
}


@dataclass(frozen=True, slots=True)
class Restored:
    """What a backup added to the library, and how many labels and decisions are waiting for their photos."""

    labels: int
    decisions: int
    waiting: int
    favourites: int = 0

    @property
    def in_words(self) -> tuple[str, ...]:
        """The parts with their counts: "3 labels", "1 favourite"."""
        counts = ((self.labels, "label"), (self.decisions, "decision"), (self.favourites, "favourite"))
        return tuple(f"{count:,} {noun}{'' if count == 1 else 's'}" for count, noun in counts if count)


def write_backup(database: Database, layout: Layout, path: Path) -> int:
    """Write a new backup; return its number of labels, decisions and heads.

    Raises:
        LibraryError: the disk is full, or the file cannot be created.

    """
    create_file(path)
    backup = Database.open_backup(path)
    try:
        written = 0
        with backup.write():
            for table in _TABLES:
                backup.run(table)
            for name, sql in _COPIED.items():
                rows = database.rows(sql)
                if rows:
                    backup.run_many(f"INSERT INTO {name} VALUES ({','.join('?' * len(rows[0]))})", rows)
                written += len(rows) if name in ("examples", "not_duplicates", "favourites") else 0
            for head in sorted(layout.heads.glob("*.safetensors")):
                backup.run("INSERT INTO heads VALUES (?, ?)", [head.stem, head.read_bytes()])
                written += 1
            backup.run(f"PRAGMA user_version = {FORMAT}")
    except OSError as error:
        raise LibraryError(f"cannot back up to {path}: {error.strerror or error}") from error
    finally:
        backup.close()
    return written


def lost_by_replacing(old: Path, new: Path) -> tuple[int, int]:
    """Return how many labels, decisions and heads of a backup are missing from another one, and how many it has in all.

    A label that was changed since does not count as missing: a person has decided on its photo in both. A damaged
    backup has none.

    Raises:
        LibraryTooNew: the old one was written by a later version of vitsearch and cannot be compared.

    """
    try:
        with _reading(old) as backup:
            known = _spoken_of(backup)
    except LibraryTooNew:
        raise
    except LibraryError:
        return 0, 0
    with _reading(new) as backup:
        return len(known - _spoken_of(backup)), len(known)


def _spoken_of(backup: Database) -> set[tuple[Value, ...]]:
    sql = (
        "SELECT DISTINCT 'label', head, photo_hash FROM examples",
        "SELECT 'pair', first, second FROM not_duplicates",
        "SELECT 'head', name, NULL FROM heads",
    )
    found = {row for each in sql for row in backup.rows(each)}
    return found | {("favourite", *row) for row in _favourites(backup)}


def back_up(database: Database, layout: Layout, *, at_most_daily: bool = False) -> Path | None:
    """Write a backup into the library's private folder, unless the newest one is identical; delete the oldest.

    Returns the newest one, or None if there is nothing to back up.

    Raises:
        LibraryError: the disk is full, or the folder cannot be written to.

    """
    import filecmp  # a library that is only searched needs none of it

    known = backups(layout)
    newest = known[-1] if known else None
    if at_most_daily and newest is not None and 0 <= time.time() - newest.stat().st_mtime < _DAY_SECONDS:
        return newest
    if not _anything_to_back_up(database, layout):
        return None
    new = layout.temporary("backup")
    try:
        write_backup(database, layout, new)
        if newest is not None and filecmp.cmp(newest, new, shallow=False):
            os.utime(newest)
            return newest
        make_folder(layout.backups)
        target = layout.new_backup()
        new.replace(target)
        sync_folder(layout.backups)
    except OSError as error:
        raise LibraryError(f"cannot back up to {layout.backups}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)
    _rotate(layout)
    return target


def back_up_daily(database: Database) -> None:
    """Write a backup if the newest one is a day old; errors are ignored."""
    with suppress(LibraryError, OSError):
        back_up(database, Layout.of(database.path.parent), at_most_daily=True)


def backups(layout: Layout) -> list[Path]:
    """Return the library's own backups, oldest first."""
    return made_files(layout.backups, BACKUP_FILES)


def restore(database: Database, path: Path) -> Restored:
    """Add the labels and decisions of a backup to a library; existing ones stay as they are.

    Those of photos that are not in the library apply as soon as the photos are indexed.

    Raises:
        LibraryError: the file is not a backup, or is damaged; nothing was changed.

    """
    before = _counts(database)
    with _reading(path) as backup:
        examples = [row for row in backup.rows("SELECT * FROM examples") if _is_example(row)]
        pairs = [row for row in backup.rows("SELECT * FROM not_duplicates") if _is_pair(row)]
        favourites = [row for row in _favourites(backup) if _is_hash(row[0])]
    with database.write():
        database.run_many(
            "INSERT OR IGNORE INTO kept_head_examples (head, photo_hash, label, corrected) VALUES (?, ?, ?, ?)",
            examples,
        )
        database.run_many("INSERT OR IGNORE INTO kept_not_duplicates VALUES (?, ?)", pairs)
        database.run_many("INSERT OR IGNORE INTO favourites VALUES (?)", favourites)
        bring_all_decisions_back(database)
    after = _counts(database)
    return Restored(
        labels=after[0] + after[2] - before[0] - before[2],
        decisions=after[1] + after[3] - before[1] - before[3],
        waiting=after[2] + after[3],
        favourites=after[4] - before[4],
    )


def heads_in(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the names and files of the heads in a backup. Raises `LibraryError` as `restore` does."""
    with _reading(path) as backup:
        for (name,) in backup.rows("SELECT name FROM heads ORDER BY name"):
            content = backup.scalar("SELECT file FROM heads WHERE name = ?", [name])
            if isinstance(name, str) and isinstance(content, bytes):
                yield name, content


def folders_in(path: Path) -> tuple[list[str | bytes], str | None]:
    """Return the indexed folders recorded in a backup, and its main space as JSON."""
    with _reading(path) as backup:
        roots = [row[0] for row in backup.rows("SELECT path FROM roots") if isinstance(row[0], (str, bytes))]
        space = backup.scalar("SELECT description FROM spaces")
    return roots, space if isinstance(space, str) else None


def erase_from_backups(layout: Layout, photo_hashes: list[bytes], roots: list[str | bytes]) -> None:
    """Erase photos, and folders that the library no longer has, from the library's own backups."""
    for path in backups(layout):
        backup = Database.open_backup(path)
        try:
            with backup.write():
                for start in range(0, len(photo_hashes), _AT_ONCE // 2):
                    part = photo_hashes[start : start + _AT_ONCE // 2]
                    marks = ",".join("?" * len(part))
                    backup.run(f"DELETE FROM examples WHERE photo_hash IN ({marks})", part)
                    backup.run(
                        f"DELETE FROM not_duplicates WHERE first IN ({marks}) OR second IN ({marks})",
                        [*part, *part],
                    )
                    if _has_favourites(backup):
                        backup.run(f"DELETE FROM favourites WHERE photo_hash IN ({marks})", part)
                backup.run(f"DELETE FROM roots WHERE path NOT IN ({','.join('?' * len(roots))})", roots)
            backup.rows("VACUUM")  # outside of any transaction
        finally:
            backup.close()


def _anything_to_back_up(database: Database, layout: Layout) -> bool:
    tables = ("head_examples", "kept_head_examples", "not_duplicates", "kept_not_duplicates", "favourites")
    return any(database.scalar(f"SELECT EXISTS (SELECT 1 FROM {table})") for table in tables) or any(
        layout.heads.glob("*.safetensors")
    )


def _rotate(layout: Layout) -> None:
    """Delete the oldest backups beyond the maximum number, but never the newest."""
    total = 0
    for number, path in enumerate(reversed(backups(layout))):
        with suppress(OSError):
            total += path.stat().st_size
            if number and (number >= _KEPT or total > _KEPT_BYTES):
                path.unlink()


def check_backup(path: Path) -> None:
    """Raise `LibraryError` unless a file is an intact backup."""
    with _reading(path):
        pass


@contextmanager
def _reading(path: Path) -> Iterator[Database]:
    """Open a backup. Raises `LibraryError` unless it is intact."""
    if not path.is_file():
        raise LibraryError(f"{path} does not exist: check the spelling")
    try:
        backup = Database.open_backup(path, read_only=True)
        try:
            version = backup.scalar("PRAGMA user_version")
            if isinstance(version, int) and version > FORMAT:
                raise LibraryTooNew(
                    f"{path} was written by a later version of vitsearch: upgrade with `pip install -U vitsearch`"
                )
            if backup.damage() or version != FORMAT:
                raise LibraryError(f"{path} is damaged, or no backup that vitsearch has written")
            yield backup
        finally:
            backup.close()
    except LibraryDamaged as error:
        raise LibraryError(f"{path} is damaged, or no backup that vitsearch has written") from error


def _counts(database: Database) -> list[int]:
    tables = ("head_examples", "not_duplicates", "kept_head_examples", "kept_not_duplicates", "favourites")
    return [database.number(f"SELECT count(*) FROM {table}") for table in tables]


def _has_favourites(backup: Database) -> bool:
    """Return whether the backup was written by a version with favourites."""
    sql = "SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'favourites')"
    return bool(backup.scalar(sql))


def _favourites(backup: Database) -> list[tuple[Value, ...]]:
    return backup.rows("SELECT photo_hash FROM favourites") if _has_favourites(backup) else []


def _is_example(row: tuple[object, ...]) -> bool:
    head, photo_hash, label, corrected = row
    return (
        isinstance(head, str)
        and isinstance(label, str)
        and len(head) <= _LONGEST_NAME
        and len(label) <= _LONGEST_NAME
        and (head + label).isprintable()
        and _is_hash(photo_hash)
        and corrected in range(7)
    )


def _is_pair(row: tuple[object, ...]) -> bool:
    return all(_is_hash(value) for value in row)


def _is_hash(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == _HASH_BYTES
