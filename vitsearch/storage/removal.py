"""Remove files and photos: only rows that nothing refers to are deleted, and decisions are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from vitsearch.storage.decisions import keep_decisions
from vitsearch.storage.following import referring_to_photos
from vitsearch.storage.sql import contained
from vitsearch.storage.vectors import NEW_GENERATION, VectorTables

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vitsearch.storage.database import Value

# Rows that are deleted in one transaction: readers and other writers wait for no more than that.
ROWS_AT_ONCE = 2000


class Pruned(NamedTuple):
    """How many missing files were deleted, and how many photos without any other file."""

    files: int
    photos: int


class RemovalTables(VectorTables):
    """The tables of photos and files, as far as rows are deleted from them."""

    def prune(self, files: Sequence[int]) -> Pruned:
        """Delete those of these files that are marked missing, and photos without any other file."""
        photos, gone = 0, 0
        for start in range(0, len(files), ROWS_AT_ONCE):
            ids = ",".join(map(str, files[start : start + ROWS_AT_ONCE]))
            condition = f"missing = 1 AND id IN ({ids})"
            gone += self.database.number(f"SELECT count(*) FROM files WHERE {condition}")
            photos += len(self.delete_files(condition, []))
        return Pruned(gone, photos + self._delete_placeless_photos())

    def erase(self, photos: Mapping[int, bytes], files: Sequence[int]) -> None:
        """Delete photos, given with their hashes, everything that refers to them, decisions on them, and these files.

        Their space on disk is overwritten. A photo is deleted together with its paths, by which the user names it:
        after a kill, the remaining photos can be erased by the same paths.
        """
        self.database.run("PRAGMA secure_delete = ON")
        try:
            doomed = list(photos)
            for start in range(0, len(doomed), ROWS_AT_ONCE):
                part = doomed[start : start + ROWS_AT_ONCE]
                with self.database.write(check_references=False):
                    self.database.run(f"DELETE FROM files WHERE photo IN ({','.join(map(str, part))})")
                    self._delete_photos(part)
                    for photo in part:
                        value = photos[photo]
                        self.database.run("DELETE FROM kept_head_examples WHERE photo_hash = ?", [value])
                        self.database.run("DELETE FROM favourites WHERE photo_hash = ?", [value])
                        self.database.run(
                            "DELETE FROM kept_not_duplicates WHERE first = ? OR second = ?", [value, value]
                        )
            for start in range(0, len(files), ROWS_AT_ONCE):  # those that could not be read
                ids = ",".join(map(str, files[start : start + ROWS_AT_ONCE]))
                with self.database.write(check_references=False):
                    self.database.run(f"DELETE FROM files WHERE id IN ({ids})")
        finally:
            self.database.run("PRAGMA secure_delete = OFF")

    def delete_files(self, condition: str, values: Sequence[Value]) -> list[int]:
        """Delete file rows, and photos without any other file; return the ids of these photos.

        This takes several transactions, so that other processes get their turn; a kill leaves no inconsistent state.
        """
        removed: list[int] = []
        while True:
            with self.database.write(check_references=False):
                rows = self.database.rows(
                    f"SELECT id, photo FROM files WHERE {condition} LIMIT {ROWS_AT_ONCE}",
                    values,
                    row=tuple[int, int | None],
                )
                self.database.run(f"DELETE FROM files WHERE id IN ({','.join(str(row[0]) for row in rows)})")
                removed += self._delete_if_placeless({photo for _, photo in rows if photo is not None})
            if len(rows) < ROWS_AT_ONCE:
                return removed

    def _delete_placeless_photos(self) -> int:
        """Delete all photos without files, such as examples that were embedded without being indexed."""
        # Compared as arrays: a subquery for each of ten million photos, in no order, takes longer.
        photos = self.database.ids("SELECT id FROM photos")
        photos.sort()
        placed = self.database.ids("SELECT photo FROM files WHERE photo IS NOT NULL ORDER BY photo")
        doomed = photos[~contained(photos, placed)].tolist()
        deleted = 0
        for start in range(0, len(doomed), ROWS_AT_ONCE):
            with self.database.write(check_references=False):
                deleted += len(self._delete_if_placeless(doomed[start : start + ROWS_AT_ONCE]))
        return deleted

    def _delete_if_placeless(self, photos: Iterable[int]) -> list[int]:
        """Delete those of these photos that have no file, and everything that refers to them; return their ids.

        Inside a transaction that does not check references: SQLite itself would search all embeddings and labels for
        each photo.
        """
        rows = self.database.rows(
            f"SELECT id FROM photos p WHERE id IN ({','.join(map(str, photos))}) "
            "AND NOT EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id) "
            # What a head was trained on is kept: a person chose it.
            "AND p.id NOT IN (SELECT photo FROM head_examples)",
            row=tuple[int],
        )
        doomed = [photo for (photo,) in rows]
        keep_decisions(self.database, doomed)
        self._delete_photos(doomed)
        return doomed

    def _delete_photos(self, photos: Sequence[int]) -> None:
        """Delete photos and everything that refers to them. Inside a transaction that does not check references."""
        ids = ",".join(map(str, photos))
        self.database.run(
            f"UPDATE spaces SET generation = {NEW_GENERATION} "
            f"WHERE EXISTS (SELECT 1 FROM vectors v WHERE v.space = spaces.id AND v.photo IN ({ids}))"
        )
        # With the space, so that SQLite uses the index that begins with it, and does not look through all vectors.
        self.database.run(f"DELETE FROM vectors WHERE space IN (SELECT id FROM spaces) AND photo IN ({ids})")
        for table, column in referring_to_photos(self.database):
            if table != "vectors":
                self.database.run(f"DELETE FROM {table} WHERE {column} IN ({ids})")
        self.database.run(f"DELETE FROM photos WHERE id IN ({ids})")
