"""Favourites, by photo hash: copying, moving, tagging or pruning photos does not affect them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.storage.sql import in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from vitsearch.storage.database import Database


class Favourites:
    """The favourites of a library."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def ids(self) -> npt.NDArray[np.int64]:
        """Return the ids (n,) int64 of the favourites that are in the library, ascending."""
        rows = self._database.rows(
            "SELECT p.id FROM favourites f JOIN photos p ON p.photo_hash = f.photo_hash ORDER BY p.id"
        )
        return np.array([row[0] for row in rows], np.int64)

    def put(self, photos: Sequence[int], *, favourite: bool) -> int:
        """Add these photos, by id, to the favourites, or remove them. Returns how many changed."""
        before = self._count()
        for part in in_parts(photos):
            marks = ",".join("?" * len(part))
            hashes = f"SELECT photo_hash FROM photos WHERE id IN ({marks})"
            with self._database.write():
                if favourite:
                    self._database.run(f"INSERT OR IGNORE INTO favourites (photo_hash) {hashes}", part)
                else:
                    self._database.run(f"DELETE FROM favourites WHERE photo_hash IN ({hashes})", part)
        return abs(self._count() - before)

    def _count(self) -> int:
        return self._database.number("SELECT count(*) FROM favourites")
