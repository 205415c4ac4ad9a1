"""The tables of embedding spaces and embeddings in SQLite."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vitsearch.errors import LibraryDamaged, LibraryMissing
from vitsearch.space import Space
from vitsearch.storage.sql import in_parts, marks, rows_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.storage.database import Database, Value
    from vitsearch.storage.sql import Ids


# Random and not a count: a cache must not look current to a library that was restored or begun anew beside it.
NEW_GENERATION = "random() & 0x7fffffffffffffff"


# What `spaces.active` says: the main space, or one that every run keeps complete beside it, for words. An earlier
# version of vitsearch, which knows 1 alone, leaves the others as they are.
_MAIN, _ALSO = 1, 2


class StoredSpace(NamedTuple):
    """A space of the library and its id."""

    id: int
    space: Space


@dataclass(frozen=True, slots=True)
class SpaceContents:
    """A space of the library and its number of embeddings.

    - `active`: it is the main space.
    - `also`: it is an additional space, which every run completes, for text searches.
    """

    id: int
    space: Space
    active: bool
    vectors: int
    also: bool = False


class VectorTables:
    """The tables `spaces` and `vectors`. Every method that writes is a short transaction."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def active_space(self) -> StoredSpace | None:
        """Return the main space, which searches use, or None if the library is empty."""
        spaces = self._used_as(_MAIN)
        return spaces[0] if spaces else None

    def require_space(self) -> StoredSpace:
        """Return the main space.

        Raises:
            LibraryMissing: the library is empty.

        """
        active = self.active_space()
        if active is None:
            raise holds_no_photos(self.database.path.parent)
        return active

    def also_spaces(self) -> list[StoredSpace]:
        """Return the additional spaces, which every run completes, oldest first."""
        return self._used_as(_ALSO)

    def _used_as(self, use: int) -> list[StoredSpace]:
        rows = self.database.rows(
            "SELECT id, description, revision FROM spaces WHERE active = ? ORDER BY id", [use]
        )
        return [StoredSpace(self._number(row[0]), self._space(*row[1:])) for row in rows]

    def _number(self, value: Value) -> int:
        if not isinstance(value, int):  # folders are named by it
            raise LibraryDamaged(
                f"{self.database.path} is damaged (a model's number): run `vitsearch doctor`"
            )
        return value

    def space(self, space: int) -> Space:
        """Return the space with this id.

        Raises:
            LibraryDamaged: its description cannot be read.

        """
        rows = self.database.rows("SELECT description, revision FROM spaces WHERE id = ?", [space])
        return self._space(*(rows[0] if rows else (None, "")))

    def _space(self, text: Value, revision: Value) -> Space:
        try:
            return replace(_parsed_space(str(text)), revision=str(revision))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise LibraryDamaged(
                f"{self.database.path} is damaged (a model's description): run `vitsearch doctor`"
            ) from error

    def spaces(self) -> list[SpaceContents]:
        """Return all spaces with their numbers of embeddings, oldest first."""
        rows = self.database.rows(
            "SELECT id, description, revision, active, (SELECT count(*) FROM vectors v WHERE v.space = s.id) "
            "FROM spaces s ORDER BY id",
            row=tuple[int, str, str | None, int, int],
        )
        return [
            SpaceContents(
                i,
                self._space(text, revision),
                active == _MAIN,
                count,
                also=active == _ALSO,
            )
            for i, text, revision, active, count in rows
        ]

    def add_space(self, space: Space) -> int:
        """Store a space, or the revision of a known one, and return its id."""
        description = space.to_json()
        with self.database.write():
            self.database.run(
                "INSERT OR IGNORE INTO spaces (description, model, dimension) VALUES (?, ?, ?)",
                [description, space.model, space.dimension],
            )
            self.database.run(
                "UPDATE spaces SET revision = ? WHERE description = ? AND revision = ''",
                [space.revision, description],
            )
        return self.database.number("SELECT id FROM spaces WHERE description = ?", [description])

    def activate_space(self, space: int) -> None:
        """Make a space the main one; additional spaces are not affected."""
        with self.database.write():
            self.database.run(f"UPDATE spaces SET active = 0 WHERE active = {_MAIN}")
            self.database.run(f"UPDATE spaces SET active = {_MAIN} WHERE id = ?", [space])

    def use_also(self, space: int) -> None:
        """Make a space an additional one, which every run completes; the main space is not affected."""
        with self.database.write():
            self.database.run(f"UPDATE spaces SET active = {_ALSO} WHERE id = ? AND active = 0", [space])

    def remove_space(self, space: int) -> int:
        """Delete a space and its embeddings; return how many there were."""
        with self.database.write():
            count = self.database.run("DELETE FROM vectors WHERE space = ?", [space]).rowcount
            self.database.run("DELETE FROM spaces WHERE id = ?", [space])
            self.database.run("DELETE FROM settings WHERE name IN (?, ?)", _settings(space))
        return count

    def note_embedding(self, space: int, photos: int, seconds: float) -> None:
        """Add to the number of photos embedded in this space, and the time that took."""
        if not photos:
            return
        with self.database.write():
            self.database.run_many(
                "INSERT INTO settings VALUES (?, ?) "
                "ON CONFLICT (name) DO UPDATE SET value = value + excluded.value",
                list(zip(_settings(space), (photos, round(seconds * 1000)), strict=True)),
            )

    def embedding_rate(self, space: int, *, at_least: int = 1) -> float | None:
        """Return the photos per second at which all runs together have embedded in this space.

        None if they were fewer than `at_least`.
        """
        photos, milliseconds = (
            self.database.scalar("SELECT value FROM settings WHERE name = ?", [name], kind=int)
            for name in _settings(space)
        )
        return 1000 * photos / milliseconds if photos and milliseconds and photos >= at_least else None

    def drop_vectors(self, rows: Sequence[int]) -> None:
        """Delete embeddings by row id; the next index run computes them again."""
        with self.database.write():
            for part in in_parts(rows):
                self.database.run(
                    f"UPDATE spaces SET generation = {NEW_GENERATION} "
                    f"WHERE id IN (SELECT space FROM vectors WHERE id IN ({marks(part)}))",
                    part,
                )
                self.database.run(f"DELETE FROM vectors WHERE id IN ({marks(part)})", part)

    def count_without_vector(self, space: int) -> int:
        """Count the photos with a file that is not missing and no embedding in this space."""
        sql = (
            "SELECT count(DISTINCT photo) FROM files f WHERE missing = 0 AND photo IS NOT NULL "
            "AND NOT EXISTS (SELECT 1 FROM vectors v WHERE v.space = ? AND v.photo = f.photo)"
        )
        return self.database.number(sql, [space])

    def generation(self, space: int) -> int:
        """Return the number that changes whenever the set of vectors of a space does; 0 if there is no such space."""
        return self.database.scalar("SELECT generation FROM spaces WHERE id = ?", [space], kind=int) or 0

    def count_vectors(self, space: int, *, after: int = 0) -> int:
        """Count the embeddings of a space, all or those stored after the row with this id."""
        if after:
            sql = "SELECT count(*) FROM vectors NOT INDEXED WHERE space = ? AND id > ?"
            return self.database.number(sql, [space, after])
        return self.database.number("SELECT count(*) FROM vectors WHERE space = ?", [space])

    def count_visitors(self) -> int:
        """Count the photos without a file in an indexed folder: query images and examples of heads."""
        with_files = "SELECT count(DISTINCT photo) FROM files WHERE photo IS NOT NULL"
        return self.database.number(f"SELECT (SELECT count(*) FROM photos) - ({with_files})")

    def visitors(self) -> Ids:
        """Return the ids of the photos that `count_visitors` counts, (n,) int64, ascending."""
        return self.database.ids(
            "SELECT p.id FROM photos p WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id) ORDER BY p.id"
        )

    def count_vectors_of_files(self, space: int) -> int:
        """Count the embeddings of a space without those of visitors."""
        count = self.count_vectors(space)
        if not self.count_visitors():  # as nearly always; the rest looks at each photo
            return count
        return count - self.database.number(
            "SELECT count(*) FROM photos p CROSS JOIN vectors v ON v.space = ? AND v.photo = p.id "
            "WHERE NOT EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id)",
            [space],
        )

    def renew_for_visitors(self, photos: Sequence[int]) -> None:
        """Change the generation of the spaces with embeddings of those of these photos that have no file yet.

        Called inside a transaction that gives them one: caches keyed by generation were made without them.
        """
        for part in in_parts(photos):
            self.database.run(
                f"UPDATE spaces SET generation = {NEW_GENERATION} WHERE EXISTS (SELECT 1 FROM vectors v "
                f"WHERE v.space = spaces.id AND v.photo IN ({marks(part)}) "
                "AND NOT EXISTS (SELECT 1 FROM files f WHERE f.photo = v.photo))",
                part,
            )

    def embedded_ids(self, space: int) -> Ids:
        """Return the ids of all photos with an embedding in this space, (n,) int64, ascending."""
        return self.database.ids("SELECT photo FROM vectors WHERE space = ? ORDER BY photo", [space])

    def vector_batches(
        self, space: int, dimension: int, *, batch: int = 8192, after: int = 0
    ) -> Iterator[tuple[Ids, npt.NDArray[np.float16]]]:
        """Yield the embeddings of a space as (ids (n,) int64, rows (n, d) float16), in the order of storage.

        `after` skips those up to the row with this id. Each batch is a transaction of its own, so that writers need
        not wait for the whole pass.
        """
        last = after
        while True:
            # Not by the index on (space, photo): each batch would sort all that are left.
            rows = self.database.rows(
                "SELECT id, photo, vector FROM vectors NOT INDEXED WHERE id > ? AND space = ? ORDER BY id LIMIT ?",
                [last, space, batch],
                row=tuple[int, int, bytes],
            )
            if not rows:
                return
            last = rows[-1][0]
            yield _unpacked([row[1:] for row in rows], dimension)

    def newest_vectors(
        self, space: int, dimension: int, limit: int, *, through: int | None = None
    ) -> tuple[int, Ids, npt.NDArray[np.float16]]:
        """Return the embeddings stored last, up to the row with the id `through`: that row's id, ids (m,), rows (m, d).

        The row id is 0 if there are none.
        """
        bound = "" if through is None else "AND id <= ?"
        rows = self.database.rows(
            f"SELECT id, photo, vector FROM vectors NOT INDEXED WHERE space = ? {bound} ORDER BY id DESC LIMIT ?",
            [space, *([] if through is None else [through]), limit],
            row=tuple[int, int, bytes],
        )
        newest = rows[0][0] if rows else 0
        return newest, *_unpacked([row[1:] for row in rows], dimension)

    def vectors(self, space: int, dimension: int, photos: Ids) -> tuple[Ids, npt.NDArray[np.float16]]:
        """Return the stored embeddings of these photos, if any: ids (m,) and rows (m, d) float16."""
        sql = "SELECT photo, vector FROM vectors WHERE space = ? AND photo IN (?*)"
        return _unpacked(list(rows_in(self.database, sql, photos, before=[space])), dimension)

    def embeddings(
        self, space: int, dimension: int, photos: Ids
    ) -> tuple[Ids, npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Return ids (m,), unit rows (m, d) float32 and norms (m,) float32 of these photos, if embedded."""
        sql = "SELECT photo, vector, norm FROM vectors WHERE space = ? AND photo IN (?*)"
        found = list(rows_in(self.database, sql, photos, before=[space]))
        ids, rows = _unpacked(found, dimension)
        norms = np.fromiter((row[2] for row in found), np.float32, len(found))
        return ids, rows.astype(np.float32), norms

    def reference_ids(self, space: int, limit: int) -> Ids:
        """Return a fixed random sample of embedded photos with files: those with the smallest photo hashes."""
        rows = self.database.rows(
            "SELECT p.id FROM photos p CROSS JOIN vectors v ON v.space = ? AND v.photo = p.id "
            "WHERE EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id) ORDER BY p.photo_hash LIMIT ?",
            [space, limit],
        )
        return np.array([row[0] for row in rows], np.int64)


def holds_no_photos(folder: Path) -> LibraryMissing:
    """Build the error for an empty library."""
    return LibraryMissing(
        f"the library in {folder} holds no photos yet: add a folder with `vitsearch index FOLDER`"
    )


def _settings(space: int) -> list[str]:
    """Return the names of the settings that count the photos embedded in a space, and the milliseconds that took."""
    return [f"embedded in space {space}", f"milliseconds in space {space}"]


@cache
def _parsed_space(text: str) -> Space:
    return Space.from_json(text)


def _unpacked(rows: Sequence[tuple[int, bytes]], dimension: int) -> tuple[Ids, npt.NDArray[np.float16]]:
    ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    try:
        blob = b"".join(row[1] for row in rows)
    except TypeError:
        blob = b""
    if len(blob) != len(rows) * dimension * 2:
        raise LibraryDamaged("a stored vector has the wrong length: run `vitsearch doctor`")
    return ids, np.frombuffer(blob, "<f2").reshape(len(rows), dimension)
