"""The catalog of files and photos in SQLite, on top of the tables for roots, walks and vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.paths import is_in_state, names_of, state_of
from vitsearch.records import FoundFile
from vitsearch.storage.database import Value, path_to_value, value_to_path
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
from vitsearch.storage.roots import RootTables
from vitsearch.storage.rows import OFFLINE, Counts, PhotoRow
from vitsearch.storage.sql import rows_in
from vitsearch.storage.vectors import NEW_GENERATION

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from vitsearch.storage.filters import Filter
    from vitsearch.storage.rows import ReadableFile, RejectedFile

    Ids = npt.NDArray[np.int64]


class Catalog(RootTables):
    """The tables of a library. Every method that writes is a short transaction."""

    def library_id(self) -> int:
        """Return a random number that identifies this library; a copy of its folder has the same."""
        with self.database.write():
            self.database.run(
                f"INSERT OR IGNORE INTO settings (name, value) VALUES ('library', {NEW_GENERATION})"
            )
        return self.database.number("SELECT value FROM settings WHERE name = 'library'")

    def is_watched(self) -> bool:
        """Return whether the page indexes changes in the folders as they happen."""
        return bool(self.database.scalar("SELECT value FROM settings WHERE name = 'watch'"))

    def set_watched(self, on: bool) -> None:  # noqa: FBT001
        """Store whether the page indexes changes in the folders as they happen."""
        with self.database.write():
            self.database.run(
                "INSERT INTO settings (name, value) VALUES ('watch', ?) "
                "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                [int(on)],
            )

    def table_written(self, table: str) -> int | None:
        """Return the stored digest of a CSV file of labels, by the name it was stored under."""
        return self.database.scalar("SELECT value FROM settings WHERE name = ?", [f"table {table}"], kind=int)

    def note_table(self, table: str, digest: int) -> None:
        """Store the digest of a CSV file of labels; a file with another digest has been edited by a person."""
        with self.database.write():
            self.database.run(
                "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", [f"table {table}", digest]
            )

    def files_without_vector(self, space: int) -> list[tuple[int, FoundFile]]:
        """Return one present file, with the id of its root, of each photo that is not embedded in a space."""
        online = {root.id: root.path for root in self.roots() if not root.is_offline()}
        rows = self.database.rows(
            "SELECT root, path, size, mtime_ns, sidecars, min(id) FROM files f WHERE missing = 0 AND photo IS NOT NULL "
            f"AND root IN ({','.join(map(str, online))}) "
            "AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.space = ? AND v.photo = f.photo) "
            "GROUP BY photo ORDER BY root, path",
            [space],
            row=tuple[int, str | bytes, int, int, int, int],
        )
        return [
            (root, FoundFile(online[root], value_to_path(path), size, mtime_ns, sidecars))
            for root, path, size, mtime_ns, sidecars, _ in rows
        ]

    def files_at(self, root: int, relative: str) -> list[int]:
        """Return the id of the file row at a path below a root, as a list of at most one."""
        rows = self.database.rows(
            "SELECT id FROM files WHERE root = ? AND path = ?",
            [root, path_to_value(relative)],
            row=tuple[int],
        )
        return [file for (file,) in rows]

    def files_below(self, root: int, below: str) -> list[int]:
        """Return the ids of the file rows below a subfolder of a root; "" is the whole root."""
        place, values = below_root(root, below)
        rows = self.database.rows(f"SELECT id FROM files WHERE {place}", values, row=tuple[int])
        return [file for (file,) in rows]

    def photo_id(self, *hashes: bytes, present: bool = False) -> int | None:
        """Return the id of the photo with the first of these hashes that is known, or None.

        `present`: the photo must have a file that is not missing. Examples of heads may be stored without a file.
        """
        has_file = (
            " AND EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id AND f.missing = 0)" if present else ""
        )
        for photo_hash in hashes:
            found = self.database.scalar(
                f"SELECT p.id FROM photos p WHERE p.photo_hash = ?{has_file}", [photo_hash], kind=int
            )
            if found is not None:
                return found
        return None

    def with_vectors(self, photo_hashes: Sequence[bytes], space: int) -> set[bytes]:
        """Return the hashes whose photos are stored and embedded in this space."""
        sql = (
            "SELECT p.photo_hash FROM photos p JOIN vectors v ON v.space = ? AND v.photo = p.id "
            "WHERE p.photo_hash IN (?*)"
        )
        return {photo_hash for (photo_hash,) in rows_in(self.database, sql, photo_hashes, before=[space])}

    def store(
        self, run: int, space: int, readable: Sequence[ReadableFile], rejected: Sequence[RejectedFile]
    ) -> int:
        """Commit one batch of files that were read; return how many embeddings were added."""
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
        """Record files that could not be read this time; those read before keep their photo."""
        # A size that no file has: the next run sees a change and reads it.
        self.database.run_many(
            "INSERT INTO files (root, path, size, mtime_ns, reason, added_run) VALUES (?, ?, -1, -1, ?, ?) "
            "ON CONFLICT (root, path) DO UPDATE SET size = -1, mtime_ns = -1, reason = excluded.reason, missing = 0 "
            "WHERE photo IS NULL",
            [(file.root, path_to_value(file.found.relative), file.reason, run) for file in files],
        )

    def counts(self, root: int, below: str) -> Counts:
        """Count the file rows below a subfolder of a root; "" is the whole root."""
        place, values = below_root(root, below)
        rows = self.database.rows(
            "SELECT count(*) FILTER (WHERE photo IS NOT NULL AND NOT missing), count(*) FILTER (WHERE missing = 1), "
            f"count(*) FILTER (WHERE photo IS NULL AND NOT missing), count(*) FILTER (WHERE missing = {OFFLINE}) "
            f"FROM files WHERE {place}",
            values,
            row=tuple[int, int, int, int],
        )
        return Counts(*rows[0])

    def count_photos(self, places: Sequence[tuple[int, str]]) -> int:
        """Count the distinct photos present below these (root id, subfolder) pairs."""
        if not places:
            return 0
        parts = [below_root(root, below) for root, below in places]
        condition = " OR ".join(f"({place})" for place, _ in parts)
        sql = f"SELECT count(DISTINCT photo) FROM files WHERE missing = 0 AND ({condition})"
        return self.database.number(sql, [value for _, values in parts for value in values])

    def unreadable(self, root: int, below: str) -> list[tuple[str, str]]:
        """Return (relative path, reason) for the present, unreadable files below a subfolder."""
        place, values = below_root(root, below)
        rows = self.database.rows(
            f"SELECT path, reason FROM files WHERE photo IS NULL AND missing = 0 AND {place}", values
        )
        return [(value_to_path(path), str(reason)) for path, reason in rows]

    def photos(self, ids: Sequence[int]) -> dict[int, PhotoRow]:
        """Return photos by id with the paths of their present files; offline roots are left out."""
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
        """Return the present files of photos with their hashes when indexed; offline roots are left out."""
        online = {root.id: root.path for root in self.roots() if not root.is_offline()}
        sql = "SELECT root, path, file_hash FROM files WHERE missing = 0 AND photo IN (?*) ORDER BY id"
        return {
            online[root] / value_to_path(path): file_hash
            for root, path, file_hash in rows_in(self.database, sql, ids)
            if root in online
        }

    def replaced_files(self, ids: Sequence[int] | Ids) -> set[Path]:
        """Return the files of photos that are gone, or whose size or time has changed since they were read.

        Another program has edited, replaced or swapped them, so that their content is unknown.
        """
        online = {root.id: root.path for root in self.roots() if not root.is_offline()}
        sql = "SELECT root, path, size, mtime_ns FROM files WHERE missing = 0 AND photo IN (?*)"
        return {
            file
            for root, path, *state in rows_in(self.database, sql, ids)
            if root in online and not is_in_state(file := online[root] / value_to_path(path), *state)
        }

    def is_indexed(self, path: Path) -> bool:
        """Return whether a walk has found a file at this absolute path, with or without links resolved."""
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
        """Return the photo of a file with unchanged size and time that is embedded in this space, or None."""
        try:
            info = path.stat()
        except OSError:
            return None
        for root in self.roots():
            if path.is_relative_to(root.path):
                relative = path_to_value(path.relative_to(root.path).as_posix())
                return self.database.scalar(
                    "SELECT f.photo FROM files f JOIN vectors v ON v.space = ? AND v.photo = f.photo "
                    "WHERE f.root = ? AND f.path = ? AND f.size = ? AND f.mtime_ns = ?",
                    [space, root.id, relative, *state_of(info)],
                    kind=int,
                )
        return None

    def select(self, criteria: Filter) -> Ids:
        """Return the ids of the present photos that match a filter, (n,) int64, ascending."""
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
