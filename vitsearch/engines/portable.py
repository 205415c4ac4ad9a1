"""Photos in the form in which libraries and engines exchange them, without this library's ids."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.paths import absolute_path
from vitsearch.storage.database import value_to_path
from vitsearch.storage.facts import FACTS_SQL, facts_from
from vitsearch.storage.filters import Filter
from vitsearch.storage.sql import rows_in

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vitsearch.library import Library
    from vitsearch.records import PhotoFacts
    from vitsearch.space import Space
    from vitsearch.storage.catalog import Catalog

    Ids = npt.NDArray[np.int64]

# Photos read from SQLite at once: some ten megabytes with their vectors.
PHOTOS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class Place:
    """A file of a photo: `root` and `path` (relative, with slashes) are text that may contain surrogates."""

    root: str
    path: str
    size: int
    mtime_ns: int
    file_hash: bytes


@dataclass(frozen=True, slots=True, eq=False)
class PortablePhoto:
    """Everything known about a photo: its files, and `row`, (d,) float16, its unit vector in one space."""

    id: int
    photo_hash: bytes
    facts: PhotoFacts
    perceptual: bytes | None
    places: tuple[Place, ...]
    row: npt.NDArray[np.float16]
    norm: float


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """The photos of a library to export: those that are not missing and are embedded in the main space."""

    catalog: Catalog
    space_id: int
    space: Space
    ids: Ids

    @classmethod
    def of(cls, library: Library, folders: Sequence[str | os.PathLike[str]] = ()) -> Selection:
        """Select all photos, or those in these folders, including photos on drives that are not mounted.

        Raises:
            LibraryMissing: nothing has been indexed yet.
            LibraryError: a folder was never indexed.

        """
        catalog = library.catalog
        active = catalog.require_space()
        wanted = catalog.select(Filter(tuple(map(absolute_path, folders))))
        return cls(catalog, *active, np.intersect1d(wanted, catalog.embedded_ids(active.id)))

    def batches(self, *, size: int = PHOTOS_AT_ONCE) -> Iterator[list[PortablePhoto]]:
        """Yield the photos ordered by id; each batch reflects the database at that moment."""
        for start in range(0, len(self.ids), size):
            yield self.photos(self.ids[start : start + size])

    def photos(self, ids: Ids) -> list[PortablePhoto]:
        """Return those of these photos that still exist, ordered by id."""
        places = self._places(ids)
        known: dict[int, tuple[bytes, PhotoFacts, bytes | None]] = {}
        sql = f"SELECT id, photo_hash, perceptual, {FACTS_SQL} FROM photos WHERE id IN (?*)"
        for photo, photo_hash, perceptual, *facts in rows_in(self.catalog.database, sql, ids):
            known[photo] = photo_hash, facts_from(facts), perceptual
        found, rows, norms = self.catalog.embeddings(self.space_id, self.space.dimension, ids)
        half = rows.astype(np.float16)  # as stored: nothing is rounded twice
        order = np.argsort(found)
        return [
            PortablePhoto(
                photo, *known[photo], tuple(places.get(photo, ())), half[index], float(norms[index])
            )
            for index in order.tolist()
            if (photo := int(found[index])) in known
        ]

    def _places(self, ids: Ids) -> dict[int, list[Place]]:
        roots = {root.id: str(root.path) for root in self.catalog.roots()}
        places: dict[int, list[Place]] = {}
        sql = (
            "SELECT photo, root, path, size, mtime_ns, file_hash FROM files "
            "WHERE missing = 0 AND photo IN (?*) ORDER BY id"
        )
        for photo, root, path, *facts in rows_in(self.catalog.database, sql, ids):
            places.setdefault(photo, []).append(Place(roots[root], value_to_path(path), *facts))
        return places
