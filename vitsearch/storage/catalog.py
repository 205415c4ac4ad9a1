"""What the library knows: roots, files and photos, in SQLite, on top of its vectors."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from vitsearch.errors import LibraryError
from vitsearch.paths import is_offline, names_of, state_of
from vitsearch.records import FoundFile
from vitsearch.storage.database import Value, path_to_value, value_to_path, values_to_paths
from vitsearch.storage.decisions import bring_decisions_back, decisions_are_kept
from vitsearch.storage.facts import (
    EDITABLE_FACTS,
    FACT_COLUMNS,
    FACTS_SQL,
    facts_from,
    facts_values,
    newest_facts_sql,
)
from vitsearch.storage.filters import below as below_root
from vitsearch.storage.filters import inside
from vitsearch.storage.following import follow_hash
from vitsearch.storage.removal import ROWS_AT_ONCE
from vitsearch.storage.sql import rows_in
from vitsearch.storage.vectors import NEW_GENERATION
from vitsearch.storage.walks import WalkTables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from vitsearch.records import PhotoFacts
    from vitsearch.storage.filters import Filter

    Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that is indexed, and the latest run that walked all of it."""

    id: int
    path: Path
    last_run: int

    def is_offline(self) -> bool:
        """Whether the folder is absent, empty or unreadable: an unmounted drive looks like that."""
        return is_offline(self.path)


# What `files.missing` says: 0, it is there; 1, it is gone; 2, it is on a drive that is not there now.
OFFLINE = 2

KnownFile = tuple[str | bytes, int, int | None, int, int, int, int]
"""A file row as a run needs it: path, id, file system, size, mtime_ns, sidecars, and what it lacks.

A plain tuple as SQLite gives it: a rescan asks for all rows of a root. What nearly all files lack is 0; otherwise the
sum of `IS_MISSING`, `HAS_NO_PHOTO` (it could not be read) and `HAS_NO_VECTOR`.
"""
IS_MISSING = 3
HAS_NO_PHOTO = 4
HAS_NO_VECTOR = 8


@dataclass
class Seen:
    """Files that were seen on one file system: known ones by their ids, new ones by their paths below the root."""

    files: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReadableFile:
    """A file that was read: what is stored of it and, where it was embedded, its vector.

    `root` is None for a photo that is embedded without being given a place in the library.
    `row`: (d,), unit length, stored as float16, or None if the photo's vector is already stored. A photo that is
    stored by its `earlier_hash` is from then on known by `photo_hash`, with all that is known of it.
    """

    root: int | None
    found: FoundFile
    file_hash: bytes
    photo_hash: bytes
    facts: PhotoFacts
    perceptual: bytes | None
    row: npt.NDArray[np.floating] | None
    norm: float
    earlier_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """A file that could not be read, and why.

    `passing`: what the file holds was not at fault, so that it is read again by the next run.
    """

    root: int | None
    found: FoundFile
    reason: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files of a place are present and readable, missing, and unreadable.

    `offline`: those of a drive or network inside the place that is not there now.
    """

    files: int
    missing: int
    unreadable: int
    offline: int = 0


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo's facts and the places where it is: present files first seen first."""

    id: int
    facts: PhotoFacts
    paths: tuple[Path, ...]


# So many files tell whether a folder is the one that it is said to be.
_SAMPLED_FILES = 100


class Catalog(WalkTables):
    """The tables of one library. Every method that writes is one short transaction."""

    def roots(self) -> list[Root]:
        """Return all roots, sorted by path."""
        rows = self.database.rows("SELECT id, path, last_run FROM roots")
        return sorted(
            (Root(cast("int", i), Path(value_to_path(path)), cast("int", run)) for i, path, run in rows),
            key=lambda root: root.path,
        )

    def has_files(self, root: int) -> bool:
        """Whether anything is known of a root's files, also of those that are missing or on a drive that is away."""
        return bool(self.database.number("SELECT EXISTS (SELECT 1 FROM files WHERE root = ?)", [root]))

    def add_root(self, folder: Path) -> tuple[Root, str]:
        """Make sure that `folder` (absolute) is covered by a root; return that root and the subfolder below it.

        A folder inside a known root becomes a part of that root, and known roots inside a new one are absorbed by
        it, so that no file ever has two rows.
        """
        for root in self.roots():
            if folder.is_relative_to(root.path):
                inner = folder.relative_to(root.path).as_posix()
                return root, "" if inner == "." else f"{inner}/"
        with self.database.write():
            new = self.database.run(
                "INSERT INTO roots (path) VALUES (?) RETURNING id", [path_to_value(str(folder))]
            ).fetchone()[0]
            for root in self.roots():
                if root.id != new and root.path.is_relative_to(folder):
                    prefix = root.path.relative_to(folder).as_posix()
                    self._move_files(root.id, new, f"{prefix}/")
                    self.database.run("DELETE FROM roots WHERE id = ?", [root.id])
        return Root(new, folder, 0), ""

    def _move_files(self, old: int, new: int, prefix: str) -> None:
        rows = self.database.rows("SELECT id, path FROM files WHERE root = ?", [old])
        self.database.run_many(
            "UPDATE files SET root = ?, path = ? WHERE id = ?",
            [(new, path_to_value(prefix + value_to_path(path)), i) for i, path in rows],
        )

    def check_overlap(self, root: Root, folder: Path) -> None:
        """Raise `LibraryError` if a folder that a root is to be moved to overlaps another root."""
        for other in self.roots():
            overlaps = folder.is_relative_to(other.path) or other.path.is_relative_to(folder)
            if other.id != root.id and overlaps:
                raise LibraryError(f"{folder} overlaps the root {other.path}: forget that one first")

    def relocate_root(self, root: Root, folder: Path) -> None:
        """Say that a root's files are now below `folder`, which `check_overlap` passes; nothing is read again."""
        with self.database.write():
            self.database.run("UPDATE roots SET path = ? WHERE id = ?", [path_to_value(str(folder)), root.id])

    def _sample_of_files(self, root: Root) -> list[tuple[str, int]]:
        """Return the paths below a root and the sizes of some of its readable files, spread over all of them."""
        among = "FROM files WHERE root = ? AND photo IS NOT NULL"
        count = self.database.number(f"SELECT count(*) {among}", [root.id])
        rows = self.database.rows(
            f"SELECT path, size FROM (SELECT path, size, row_number() OVER (ORDER BY id) AS number {among}) "
            f"WHERE number % {max(1, count // _SAMPLED_FILES)} = 0 LIMIT {_SAMPLED_FILES}",
            [root.id],
        )
        return [(value_to_path(path), cast("int", size)) for path, size in rows]

    def check_sample(self, root: Root, folder: Path) -> None:
        """Raise `LibraryError` unless at least half of a sample of a root's files are in a folder, with their sizes."""

        def is_there(relative: str, size: int) -> bool:
            try:
                return (folder / relative).stat().st_size == size
            except OSError:
                return False

        files = self._sample_of_files(root)
        found = sum(is_there(relative, size) for relative, size in files)
        if 2 * found < len(files):
            raise LibraryError(
                f"{folder} does not hold the photos of {root.path}: of {len(files)} that were looked for, {found} are "
                "there with their sizes; name the right folder, or use --force"
            )

    def forget_root(self, root: Root) -> Ids:
        """Drop a root, its file rows, and the photos that were nowhere else; return the ids of those, (n,) int64."""
        removed = self.delete_files("root = ?", [root.id])
        # Last: as long as the root is known, a run that was cut short can be finished.
        with self.database.write():
            self.database.run("DELETE FROM roots WHERE id = ?", [root.id])
            self.forget_unfinished(root.id)  # the next root may get its number
        return np.array(removed, np.int64)

    def count_only_in(self, root: Root) -> tuple[int, int]:
        """Count the photos with files in this root and in no other: those that nothing keeps, and heads' examples."""
        only = (
            "SELECT photo FROM files WHERE root = ?1 AND photo IS NOT NULL "
            "EXCEPT SELECT photo FROM files WHERE root <> ?1"
        )
        examples = f"{only} INTERSECT SELECT photo FROM head_examples"
        both = self.database.number(f"SELECT count(*) FROM ({only})", [root.id])
        kept = self.database.number(f"SELECT count(*) FROM ({examples})", [root.id])
        return both - kept, kept

    def library_id(self) -> int:
        """Return a random number that tells this library from others; a copy of its folder has the same."""
        with self.database.write():
            self.database.run(
                f"INSERT OR IGNORE INTO settings (name, value) VALUES ('library', {NEW_GENERATION})"
            )
        return self.database.number("SELECT value FROM settings WHERE name = 'library'")

    def is_watched(self) -> bool:
        """Return whether the page is to index what changes in the folders at once."""
        return bool(self.database.scalar("SELECT value FROM settings WHERE name = 'watch'"))

    def set_watched(self, on: bool) -> None:  # noqa: FBT001
        """Remember whether the page is to index what changes in the folders at once."""
        with self.database.write():
            self.database.run(
                "INSERT INTO settings (name, value) VALUES ('watch', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [int(on)],
            )

    def table_written(self, table: str) -> int | None:
        """Return the digest that was noted of a table of labels, by the name it is noted under."""
        return cast(
            "int | None",
            self.database.scalar("SELECT value FROM settings WHERE name = ?", [f"table {table}"]),
        )

    def note_table(self, table: str, digest: int) -> None:
        """Remember the digest of a table of labels that was written: another one is a person's work."""
        with self.database.write():
            self.database.run(
                "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", [f"table {table}", digest]
            )

    def begin_run(self) -> int:
        """Start an index run and return its number."""
        with self.database.write():
            self.database.run("UPDATE settings SET value = value + 1 WHERE name = 'run'")
            self.database.run(
                "INSERT OR REPLACE INTO runs SELECT value, ? FROM settings WHERE name = 'run'", [time.time()]
            )
        return self.database.number("SELECT value FROM settings WHERE name = 'run'")

    def known_files(self, root: int, below: str, space: int) -> dict[str, KnownFile]:
        """Return the file rows below a subfolder of a root, by relative path."""
        # After most runs every photo has a vector, which two counts tell sooner than a look at each.
        embedded = self.database.scalar(
            "SELECT (SELECT count(*) FROM vectors WHERE space = ?) = (SELECT count(*) FROM photos)", [space]
        )
        has_vector = (
            "f.photo IS NOT NULL"
            if embedded
            else f"EXISTS (SELECT 1 FROM vectors v WHERE v.space = {space:d} AND v.photo = f.photo)"
        )
        rows = self.database.rows(
            "SELECT f.path, f.id, f.file_system, f.size, f.mtime_ns, f.sidecars, "
            f"f.missing + {HAS_NO_PHOTO} * (f.photo IS NULL) + {HAS_NO_VECTOR} * (NOT {has_vector}) "
            "FROM files f WHERE f.root = ?",
            [root],
        )
        files = cast("list[KnownFile]", rows)
        known = dict(zip(values_to_paths([file[0] for file in files]), files, strict=True))
        return {path: file for path, file in known.items() if path.startswith(below)} if below else known

    def file_systems(self) -> dict[int | None, str]:
        """Return the names of the file systems that files were seen on, by their ids."""
        return dict(
            cast("list[tuple[int | None, str]]", self.database.rows("SELECT id, name FROM file_systems"))
        )

    def note_file_systems(self, root: Root, seen: Mapping[str, Seen]) -> None:
        """Store on which file systems files were seen, by the names of these; some a transaction."""
        for name, files in seen.items():
            with self.database.write():
                self.database.run("INSERT OR IGNORE INTO file_systems (name) VALUES (?)", [name])
            system = self.database.scalar("SELECT id FROM file_systems WHERE name = ?", [name])
            updates: list[tuple[str, list[tuple[Value, ...]]]] = [
                ("id = ?", [(system, file) for file in files.files]),
                ("root = ? AND path = ?", [(system, root.id, path_to_value(path)) for path in files.paths]),
            ]
            for condition, rows in updates:
                for start in range(0, len(rows), ROWS_AT_ONCE):
                    with self.database.write():
                        self.database.run_many(
                            f"UPDATE files SET file_system = ? WHERE {condition}",
                            rows[start : start + ROWS_AT_ONCE],
                        )

    def files_without_vector(self, space: int) -> list[tuple[int, FoundFile]]:
        """Return one file, with the id of its root, of each photo that is here now and not embedded in a space."""
        online = {root.id: root.path for root in self.roots() if not root.is_offline()}
        rows = self.database.rows(
            "SELECT root, path, size, mtime_ns, sidecars, min(id) FROM files f WHERE missing = 0 AND photo IS NOT NULL "
            f"AND root IN ({','.join(map(str, online))}) "
            "AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.space = ? AND v.photo = f.photo) "
            "GROUP BY photo ORDER BY root, path",
            [space],
        )
        return [
            (root, FoundFile(online[root], value_to_path(path), size, mtime_ns, sidecars))
            for root, path, size, mtime_ns, sidecars, _ in cast(
                "list[tuple[int, Value, int, int, int, int]]", rows
            )
        ]

    def files_at(self, root: int, relative: str) -> list[int]:
        """Return the id of the file row at a path below a root, if there is one."""
        rows = self.database.rows(
            "SELECT id FROM files WHERE root = ? AND path = ?", [root, path_to_value(relative)]
        )
        return [cast("int", row[0]) for row in rows]

    def files_below(self, root: int, below: str) -> list[int]:
        """Return the ids of the file rows below a subfolder of a root ("" for all of it)."""
        place, values = below_root(root, below)
        return [
            cast("int", row[0]) for row in self.database.rows(f"SELECT id FROM files WHERE {place}", values)
        ]

    def photo_id(self, *hashes: bytes, present: bool = False) -> int | None:
        """Return the id of the photo with the first of these hashes that is known, or None if there is none.

        With `present` it has a file that is not missing: what heads have learnt from is known without one.
        """
        has_file = (
            " AND EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id AND f.missing = 0)" if present else ""
        )
        for photo_hash in hashes:
            found = self.database.scalar(
                f"SELECT p.id FROM photos p WHERE p.photo_hash = ?{has_file}", [photo_hash]
            )
            if found is not None:
                return cast("int", found)
        return None

    def with_vectors(self, photo_hashes: Sequence[bytes], space: int) -> set[bytes]:
        """Return those photo hashes whose photos are stored and embedded in this space."""
        sql = (
            "SELECT p.photo_hash FROM photos p JOIN vectors v ON v.space = ? AND v.photo = p.id "
            "WHERE p.photo_hash IN (?*)"
        )
        return {photo_hash for (photo_hash,) in rows_in(self.database, sql, photo_hashes, before=[space])}

    def store(
        self, run: int, space: int, readable: Sequence[ReadableFile], rejected: Sequence[RejectedFile]
    ) -> int:
        """Commit one batch of read files in one transaction; return how many vectors were added."""
        with self.database.write():
            photos = self._put_photos(readable)
            if decisions_are_kept(self.database):
                for photo_hash, photo in photos.items():
                    bring_decisions_back(self.database, photo_hash, photo)
            added = self.database.run_many(
                "INSERT OR IGNORE INTO vectors (space, photo, norm, vector) VALUES (?, ?, ?, ?)",
                [
                    (space, photos[file.photo_hash], file.norm, file.row.astype("<f2").tobytes())
                    for file in readable
                    if file.row is not None
                ],
            )
            self.renew_for_visitors(
                [photos[file.photo_hash] for file in readable if file.row is None and file.root is not None]
            )
            self._put_files(
                run,
                [
                    (file.root, file.found, photos[file.photo_hash], file.file_hash, None)
                    for file in readable
                    if file.root is not None
                ],
            )
            lost = [file for file in rejected if file.root is not None]
            self._put_files(
                run,
                [(file.root, file.found, None, None, file.reason) for file in lost if not file.passing],
            )
            self._put_unread(run, [file for file in lost if file.passing])
            if added:
                self.database.run(f"UPDATE spaces SET generation = {NEW_GENERATION} WHERE id = ?", [space])
        return added

    def _put_photos(self, files: Sequence[ReadableFile]) -> dict[bytes, int]:
        """Store the photos of files; return their ids by their photo hashes."""
        for file in files:
            if file.earlier_hash is not None:
                follow_hash(self.database, file.earlier_hash, file.photo_hash)
        # What somebody took out of the only file of a photo is not to be found any more.
        self.database.run_many(
            f"UPDATE photos SET {', '.join(f'{name} = NULL' for name in EDITABLE_FACTS)} WHERE photo_hash = ? "
            "AND EXISTS (SELECT 1 FROM files f WHERE f.photo = photos.id AND f.root = ? AND f.path = ?) "
            "AND NOT EXISTS (SELECT 1 FROM files f WHERE f.photo = photos.id AND (f.root, f.path) <> (?, ?))",
            [
                (file.photo_hash, *2 * (file.root, path_to_value(file.found.relative)))
                for file in files
                if file.root is not None
            ],
        )
        self.database.run_many(
            f"INSERT INTO photos (photo_hash, perceptual, {FACTS_SQL}) VALUES (?, ?{', ?' * len(FACT_COLUMNS)}) "
            # Metadata may be corrected at any time; a copy that was stripped of it takes nothing away.
            f"ON CONFLICT (photo_hash) DO UPDATE SET perceptual = coalesce(excluded.perceptual, perceptual), "
            f"{newest_facts_sql()}",
            [(file.photo_hash, file.perceptual, *facts_values(file.facts)) for file in files],
        )
        sql = "SELECT photo_hash, id FROM photos WHERE photo_hash IN (?*)"
        return dict(rows_in(self.database, sql, [file.photo_hash for file in files]))

    def _put_files(
        self,
        run: int,
        files: Iterable[tuple[int | None, FoundFile, int | None, bytes | None, str | None]],
    ) -> None:
        """Store files, each (root, file, photo, file hash, reason)."""
        self.database.run_many(
            "INSERT INTO files (root, path, photo, file_hash, size, mtime_ns, reason, added_run) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (root, path) DO UPDATE SET photo = excluded.photo, "
            "file_hash = excluded.file_hash, size = excluded.size, mtime_ns = excluded.mtime_ns, "
            "reason = excluded.reason, missing = 0, "
            "added_run = CASE WHEN photo IS excluded.photo THEN added_run ELSE excluded.added_run END",
            [
                (
                    root,
                    path_to_value(found.relative),
                    photo,
                    file_hash,
                    found.size,
                    found.mtime_ns,
                    reason,
                    run,
                )
                for root, found, photo, file_hash, reason in files
            ],
        )

    def _put_unread(self, run: int, files: Sequence[RejectedFile]) -> None:
        """Note files that could not be read just now; one that was read before keeps its photo."""
        # A size that no file has: the next run sees a change and reads it.
        self.database.run_many(
            "INSERT INTO files (root, path, size, mtime_ns, reason, added_run) VALUES (?, ?, -1, -1, ?, ?) "
            "ON CONFLICT (root, path) DO UPDATE SET size = -1, mtime_ns = -1, reason = excluded.reason, missing = 0 "
            "WHERE photo IS NULL",
            [(file.root, path_to_value(file.found.relative), file.reason, run) for file in files],
        )

    def finish_walk(
        self,
        run: int,
        root: Root,
        *,
        gone: Sequence[int],
        offline: Sequence[int],
        returned: Sequence[int],
        whole: bool,
    ) -> int:
        """Record the end of a complete walk: `gone` file rows are not there any more, `returned` ones are again.

        A file that is gone and whose photo has turned up at another path since the root's last complete walk has moved:
        its old row is dropped. All others are marked missing and kept; `offline` ones are marked, and kept whatever
        comes. Returns how many had moved.
        """
        moved: list[int] = []
        with self.database.write():
            # First of all: two copies that go together must not vouch for each other.
            self.database.run_many("UPDATE files SET missing = 0 WHERE id = ?", [(i,) for i in returned])
            self.database.run_many("UPDATE files SET missing = 1 WHERE id = ?", [(i,) for i in gone])
            self.database.run_many(
                f"UPDATE files SET missing = {OFFLINE} WHERE id = ?", [(i,) for i in offline]
            )
            for file in gone:
                newer = self.database.scalar(
                    "SELECT n.id FROM files o JOIN files n ON n.photo = o.photo AND n.id <> o.id "
                    "WHERE o.id = ? AND n.missing = 0 AND n.added_run > ? LIMIT 1",
                    [file, root.last_run],
                )
                if newer is not None:
                    moved.append(file)
            self.database.run_many("DELETE FROM files WHERE id = ?", [(i,) for i in moved])
            # Of a file that never could be read there is nothing to keep.
            self.database.run_many("DELETE FROM files WHERE id = ? AND photo IS NULL", [(i,) for i in gone])
            if whole:
                self.database.run("UPDATE roots SET last_run = ? WHERE id = ?", [run, root.id])
                self.forget_unfinished(root.id)
        return len(moved)

    def counts(self, root: int, below: str) -> Counts:
        """Count the file rows below a subfolder of a root ("" for all of it)."""
        place, values = below_root(root, below)
        rows = self.database.rows(
            "SELECT count(*) FILTER (WHERE photo IS NOT NULL AND NOT missing), count(*) FILTER (WHERE missing = 1), "
            f"count(*) FILTER (WHERE photo IS NULL AND NOT missing), count(*) FILTER (WHERE missing = {OFFLINE}) "
            f"FROM files WHERE {place}",
            values,
        )
        return Counts(*cast("tuple[int, int, int, int]", rows[0]))

    def count_photos(self, places: Sequence[tuple[int, str]]) -> int:
        """Count the distinct photos present below these (root id, subfolder) places."""
        if not places:
            return 0
        parts = [below_root(root, below) for root, below in places]
        condition = " OR ".join(f"({place})" for place, _ in parts)
        sql = f"SELECT count(DISTINCT photo) FROM files WHERE missing = 0 AND ({condition})"
        return self.database.number(sql, [value for _, values in parts for value in values])

    def unreadable(self, root: int, below: str) -> list[tuple[str, str]]:
        """Return (relative path, reason) of the present files below a subfolder that could not be read."""
        place, values = below_root(root, below)
        rows = self.database.rows(
            f"SELECT path, reason FROM files WHERE photo IS NULL AND missing = 0 AND {place}", values
        )
        return [(value_to_path(path), str(reason)) for path, reason in rows]

    def photos(self, ids: Sequence[int]) -> dict[int, PhotoRow]:
        """Return photos by id with the paths where they are present, offline roots left out."""
        online = {root.id: root.path for root in self.roots() if not root.is_offline()}
        places: dict[int, list[Path]] = {}
        sql = "SELECT photo, root, path FROM files WHERE missing = 0 AND photo IN (?*) ORDER BY id"
        for photo, root, path in rows_in(self.database, sql, ids):
            if root in online:
                places.setdefault(photo, []).append(online[root] / value_to_path(path))
        sql = f"SELECT id, {FACTS_SQL} FROM photos WHERE id IN (?*)"
        return {
            photo: PhotoRow(photo, facts_from(facts), tuple(places.get(photo, ())))
            for photo, *facts in rows_in(self.database, sql, ids)
        }

    def file_hashes(self, ids: Sequence[int] | Ids) -> dict[Path, bytes]:
        """Return the present files of photos, offline roots left out, and the hash of what each held when indexed."""
        online = {root.id: root.path for root in self.roots() if not root.is_offline()}
        sql = "SELECT root, path, file_hash FROM files WHERE missing = 0 AND photo IN (?*) ORDER BY id"
        return {
            online[root] / value_to_path(path): file_hash
            for root, path, file_hash in rows_in(self.database, sql, ids)
            if root in online
        }

    def is_indexed(self, path: Path) -> bool:
        """Whether a walk has found a file at this absolute path, by this name or the one behind its links."""
        for root in self.roots():
            for place in names_of([path]):
                for folder in names_of([root.path]):
                    if place.is_relative_to(folder):
                        relative = path_to_value(place.relative_to(folder).as_posix())
                        sql = "SELECT 1 FROM files WHERE root = ? AND path = ?"
                        if self.database.scalar(sql, [root.id, relative]) is not None:
                            return True
        return False

    def unchanged_photo(self, path: Path, space: int) -> int | None:
        """Return the photo of a file that is stored with this size and time and embedded in this space, or None."""
        try:
            info = path.stat()
        except OSError:
            return None
        for root in self.roots():
            if path.is_relative_to(root.path):
                relative = path_to_value(path.relative_to(root.path).as_posix())
                return cast(
                    "int | None",
                    self.database.scalar(
                        "SELECT f.photo FROM files f JOIN vectors v ON v.space = ? AND v.photo = f.photo "
                        "WHERE f.root = ? AND f.path = ? AND f.size = ? AND f.mtime_ns = ?",
                        [space, root.id, relative, *state_of(info)],
                    ),
                )
        return None

    def select(self, criteria: Filter) -> Ids:
        """Return the ids of the present photos that a filter keeps, (n,) int64, ascending."""
        facts, values = criteria.about_photos()
        if not criteria.folders:
            sql = "EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id AND f.missing = 0)"
            condition = " AND ".join([*facts, sql])
            return self.database.ids(f"SELECT p.id FROM photos p WHERE {condition} ORDER BY p.id", values)
        place, located = self._inside(criteria.folders)
        if facts:
            place += f" AND EXISTS (SELECT 1 FROM photos p WHERE p.id = f.photo AND {' AND '.join(facts)})"
        return self.database.ids(
            "SELECT DISTINCT f.photo FROM files f "
            f"WHERE f.photo IS NOT NULL AND f.missing = 0 AND {place} ORDER BY f.photo",
            [*located, *values],
        )

    def kept(self, criteria: Filter, photos: Sequence[int] | Ids) -> set[int]:
        """Return those of these photos that `select` would return."""
        facts, values = criteria.about_photos()
        place, located = self._inside(criteria.folders) if criteria.folders else ("1", [])
        sql = (
            "SELECT DISTINCT p.id FROM files f CROSS JOIN photos p ON p.id = f.photo "
            f"WHERE {' AND '.join(['f.photo IN (?*)', 'f.missing = 0', place, *facts])}"
        )
        return {photo for (photo,) in rows_in(self.database, sql, photos, after=[*located, *values])}

    def _inside(self, folders: Sequence[Path]) -> tuple[str, list[Value]]:
        return inside(folders, ((root.id, root.path) for root in self.roots()))
