"""The FAISS cache of a library: updated from SQLite, or rebuilt whenever it does not match."""

from __future__ import annotations

from contextlib import suppress
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import LibraryDamaged, LibraryError
from vitsearch.neighbours.files import BACKGROUND, MANIFEST
from vitsearch.neighbours.neighbours import Neighbours, StaleCache
from vitsearch.neighbours.reference_sample import ReferenceSample
from vitsearch.storage.layout import SEARCH_CACHE_FILES, Layout, remove_made
from vitsearch.storage.sql import contained
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.records import Match
    from vitsearch.space import Space
    from vitsearch.storage.catalog import Catalog

    Vector = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

# The newest vectors tell a cache of another history from one that is only behind: a library that was restored from
# an older copy gives the same ids to other photos.
_COMPARED_ROWS = 64
_ROWS_AT_ONCE = 8192
# FAISS and NumPy add up in another order; a score in an answer has six digits.
_SAME_SCORE = 1e-5
# While the library cannot be written to, as during a run, up to this many bytes of rows are copied to see new ones.
_COPIED_BYTES = 1 << 26


class SearchCache:
    """The search index of one space, stored in the library's folder."""

    def __init__(self, library: Path, catalog: Catalog, space_id: int, space: Space) -> None:
        self.space_id = space_id
        self._library = library
        self._catalog = catalog
        self._space = space
        self._folder = Layout.of(library).search_cache(space_id)
        self._scratch: TemporaryDirectory[str] | None = None
        self._loaded: Neighbours | None = None
        self._sample: tuple[int, ReferenceSample] | None = None

    def current(self) -> Neighbours:
        """Return the search index, updated as far as possible without a rebuild.

        Raises:
            LibraryDamaged: the embeddings in SQLite are damaged.

        """
        if self._loaded is None or self._is_stale(self._loaded):
            self._loaded = self._load()
        return self._loaded

    def whole(self) -> Neighbours:
        """Return the same with all rows verified, for callers that could not detect a damaged row."""
        try:
            self.current().check_rows()
        except StaleCache:
            self.renew()
        return self.current()

    def agrees(self, query: Vector, answer: Sequence[Match]) -> bool:
        """Return whether the scores of a query's (d,) matches are those of the embeddings in SQLite.

        The rows of a large cache are not verified before a search. Differences due to photos that were added or
        removed since the cache was saved do not count.
        """
        if self._loaded is None or self._loaded.rows_checked:
            return True
        scores = {match.photo: match.score for match in answer}
        photos = np.fromiter(scores, np.int64, len(scores))
        ids, rows = self._catalog.vectors(self.space_id, self._space.dimension, photos)
        given = np.array([scores[photo] for photo in ids.tolist()], np.float32)
        true = np.minimum(np.vecdot(rows.astype(np.float32), query), 1.0)
        if len(ids) == len(scores) and bool((np.abs(true - given) <= _SAME_SCORE).all()):
            return True
        return self._is_stale(self._loaded)

    def renew(self) -> None:
        """Rebuild the current cache, because it does not match SQLite."""
        self._loaded = self._brought_up_to_date(None, distrusted=self._loaded)

    def reference_sample(self) -> ReferenceSample:
        """Return the reference sample that scores are compared with, of the same generation as the index."""
        generation = self.current().generation if self._loaded is None else self._loaded.generation
        if self._sample is None or self._sample[0] != generation:
            self._sample = generation, self._read_reference_sample(generation)
        return self._sample[1]

    def is_stale(self) -> bool:
        """Return whether the files need an update before the next search."""
        try:
            return self._is_stale(Neighbours.load(self._folder, dimension=self._space.dimension))
        except StaleCache:
            return True

    def bring_up_to_date(self, *, distrusted: Neighbours | None = None) -> None:
        """Add the embeddings that SQLite has and the cache lacks, remove others, and save. Needs the write lock.

        A cache that is `distrusted` is rebuilt.
        """
        generation = self._catalog.generation(self.space_id)
        try:
            neighbours = Neighbours.load(self._folder, dimension=self._space.dimension, known=distrusted)
            if neighbours is distrusted:
                neighbours = self._build(self._folder)
            elif neighbours.generation != generation:
                self._catch_up(neighbours, generation)
        except (StaleCache, ValueError, OSError):
            neighbours = self._build(self._folder)
        self._loaded = neighbours
        self.reference_sample()

    def follow_removal(self, photos: Ids, *, since: int) -> None:
        """Remove photos (n,) that were just deleted from SQLite, and save. Needs the write lock.

        `since` is the generation before the deletion. A cache of that generation need not be compared with the whole
        database.
        """
        try:
            neighbours = Neighbours.load(self._folder, dimension=self._space.dimension)
            if len(photos) and neighbours.generation == since:
                neighbours.remove(photos)
                neighbours.save(generation=self._catalog.generation(self.space_id), newest=self._newest())
        except (StaleCache, ValueError, OSError):
            pass  # it is made anew below
        self.bring_up_to_date()

    def close(self) -> None:
        """Release the embeddings, and delete what could not be stored in the library."""
        self._loaded = None
        self._sample = None
        self._drop_copy()

    def delete(self) -> None:
        """Delete the files of this space."""
        self.close()
        with suppress(OSError):
            # First what names the others: without it they are no cache, with it and without them a damaged one.
            (self._folder / MANIFEST).unlink(missing_ok=True)
            remove_made(self._folder, SEARCH_CACHE_FILES)

    def _is_stale(self, neighbours: Neighbours) -> bool:
        return neighbours.generation != self._catalog.generation(self.space_id)

    def _load(self) -> Neighbours:
        try:
            saved = Neighbours.load(self._folder, dimension=self._space.dimension, known=self._loaded)
            if not self._is_stale(saved):
                return saved
        except StaleCache:
            saved = None
        return self._brought_up_to_date(saved)

    def _brought_up_to_date(
        self, saved: Neighbours | None, *, distrusted: Neighbours | None = None
    ) -> Neighbours:
        try:
            with write_lock(self._library):
                self.bring_up_to_date(distrusted=distrusted)
        except LibraryDamaged:
            raise
        except LibraryError:
            # An index run is under way, or the folder is read-only.
            bytes_a_row = np.dtype(np.float16).itemsize * self._space.dimension
            if saved is None or self._catalog.count_vectors(self.space_id) * bytes_a_row <= _COPIED_BYTES:
                return self._copied()
            return saved  # of a large library, what was saved last answers meanwhile
        assert self._loaded is not None
        self._drop_copy()
        return self._loaded

    def _copied(self) -> Neighbours:
        """Return an index as current as SQLite, stored outside of the library; an existing copy is extended."""
        if self._scratch is not None and self._loaded is not None and self._loaded.is_in(self._scratch.name):
            with suppress(StaleCache, ValueError, OSError):
                self._catch_up(self._loaded, self._catalog.generation(self.space_id))
                return self._loaded
        return self._build(self._scratch_folder())

    def _drop_copy(self) -> None:
        if self._scratch is not None:
            self._scratch.cleanup()
        self._scratch = None

    def _scratch_folder(self) -> Path:
        """Return an empty folder for a cache that cannot be stored in the library."""
        from pathlib import Path

        self.close()
        self._scratch = TemporaryDirectory(prefix="vitsearch-", ignore_cleanup_errors=True)
        return Path(self._scratch.name)

    def _read_reference_sample(self, generation: int) -> ReferenceSample:
        path = self._folder / BACKGROUND
        sample = ReferenceSample.load(path, generation=generation, dimension=self._space.dimension)
        if sample is None:
            sample = ReferenceSample.of(self._catalog, self.space_id, self._space.dimension)
            if self._folder.is_dir() and self._catalog.generation(self.space_id) == generation:
                with suppress(OSError):  # where it cannot be kept it is read again
                    sample.save(path, generation=generation)
        return sample

    def _newest(self) -> int:
        return self._catalog.newest_vectors(self.space_id, self._space.dimension, 1)[0]

    def _build(self, folder: Path) -> Neighbours:
        generation, newest = self._catalog.generation(self.space_id), self._newest()
        batches = self._catalog.vector_batches(self.space_id, self._space.dimension, batch=_ROWS_AT_ONCE)
        try:
            return Neighbours.build(
                self._space.dimension, batches, folder=folder, generation=generation, newest=newest
            )
        except ValueError as error:
            raise LibraryDamaged(
                f"{self._catalog.database.path} is damaged ({error}): run `vitsearch doctor`"
            ) from error
        except OSError as error:
            raise LibraryError(
                f"cannot write the search cache to {folder}: {error.strerror or error}; make room there, or mend its "
                "permissions"
            ) from error

    def _catch_up(self, neighbours: Neighbours, generation: int) -> None:
        """Add the embeddings that SQLite has and this index lacks, remove others, and save it as of this generation."""
        newest = self._newest()
        self._add_and_remove(neighbours)
        neighbours.save(generation=generation, newest=newest)

    def _add_and_remove(self, neighbours: Neighbours) -> None:
        if self._has_only_grown(neighbours):
            new = self._catalog.vector_batches(
                self.space_id, self._space.dimension, batch=_ROWS_AT_ONCE, after=neighbours.newest
            )
            for ids, rows in new:
                neighbours.add(ids, rows)
            return
        stored, cached = self._catalog.embedded_ids(self.space_id), neighbours.ids()
        known = contained(stored, cached)
        ids, rows = self._catalog.vectors(
            self.space_id, self._space.dimension, stored[known][-_COMPARED_ROWS:]
        )
        if not np.array_equal(neighbours.rows(ids), rows.astype(np.float32)):
            raise StaleCache(self._folder, "it is of another library")
        neighbours.remove(cached[~contained(cached, stored)])
        missing = stored[~known]
        for start in range(0, len(missing), _ROWS_AT_ONCE):
            part = missing[start : start + _ROWS_AT_ONCE]
            neighbours.add(*self._catalog.vectors(self.space_id, self._space.dimension, part))

    def _has_only_grown(self, neighbours: Neighbours) -> bool:
        """Return whether all that SQLite has beyond the cache comes after the newest row that the cache knows.

        SQLite gives new rows higher ids than all existing ones, but reuses ids that were deleted at the end: so the
        last known rows are compared, and the rows are counted.
        """
        if not neighbours.newest:
            return False
        last, ids, rows = self._catalog.newest_vectors(
            self.space_id, self._space.dimension, _COMPARED_ROWS, through=neighbours.newest
        )
        try:
            same = np.array_equal(neighbours.rows(ids), rows.astype(np.float32))
        except StaleCache:  # one of them is not in the cache
            return False
        added = self._catalog.count_vectors(self.space_id, after=neighbours.newest)
        count = self._catalog.count_vectors(self.space_id)
        return same and last == neighbours.newest and len(neighbours) + added == count
