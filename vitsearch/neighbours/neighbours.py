"""The embeddings of one space as a search index: FAISS over memory-mapped float16 rows, keyed by photo id.

An exact search is a FAISS flat index over the rows on disk. SQLite stores float16 as well, so it is exact with respect
to the database. From `APPROXIMATE_FROM` photos on, an IVF-PQ index proposes candidates, which are ranked by the same
rows. Inside FAISS, a row is known by its slot, its position in the append-only file; a table maps slots to photo ids,
and callers only see photo ids.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import SpaceMismatch
from vitsearch.neighbours.cells import Cells
from vitsearch.neighbours.committing import commit, manifest_or_none, open_rows, read_cells, write_cells
from vitsearch.neighbours.faiss_index import RowIndex, Subset
from vitsearch.neighbours.files import Manifest, StaleCache, cheapest, read_manifest
from vitsearch.neighbours.flat import import_faiss, needs_faiss
from vitsearch.neighbours.row_files import BLOCK_ROWS, RowFiles, are_unit_rows
from vitsearch.neighbours.slots import SlotTable
from vitsearch.neighbours.subsets import subset, without

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float32]
    Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16]

__all__ = ["Neighbours", "StaleCache"]

# An exact search of this many rows of 512 dimensions takes about ten milliseconds.
APPROXIMATE_FROM = 100_000
# Product quantisation trains 16 centroids per subspace, which needs this many rows.
LEAST_FOR_CELLS = 1000
RECALL = 0.99
# Rows that are not in a cell yet are searched exactly; this many cost a few milliseconds per query.
TAIL_ROWS = 32_768
TAIL_SHARE = 0.01
# Cells are trained again when the number of rows has grown by this factor, because they are too full then.
GROWTH = 2
# Dead rows cost time and disk in proportion; compacting at a quarter copies three live rows per removed one.
COMPACT_SHARE = 0.25
# Up to this many excluded photos are searched for as well and dropped from the results.
FEW = 32


class Neighbours:
    """The embeddings of one space, searchable by inner product of unit rows; ids are photo ids (int64).

    One process at a time may change a cache, which the library's write lock ensures. Any number of processes may read
    it, and each keeps seeing what it loaded. Use `build` or `load` to create one. Searches are approximate from
    `approximate_from` photos on, unless they ask for exact results.
    """

    def __init__(
        self, files: RowFiles, table: SlotTable, manifest: Manifest, *, approximate_from: int
    ) -> None:
        self._files = files
        self._table = table
        self._committed = manifest
        self._approximate_from = max(approximate_from, LEAST_FOR_CELLS)
        self._cells: Cells | None = None
        self._cells_record = manifest.cells
        self._index: RowIndex | None = None
        self._alive: Subset | None = None

    @property
    def manifest(self) -> Manifest:
        """The manifest that was last saved or loaded."""
        return self._committed

    @property
    def generation(self) -> int:
        """The library's generation at the last save."""
        return self._committed.generation

    @property
    def newest(self) -> int:
        """The row id in SQLite's table of vectors up to which all rows were included at the last save; 0 if unknown."""
        return self._committed.newest

    @property
    def dimension(self) -> int:
        """The width of a row."""
        return self._files.dimension

    @property
    def recall(self) -> float:
        """The recall@10 of a search, as measured on these embeddings; 1.0 if searches are exact."""
        if self._cells_record is None or len(self) < self._approximate_from:
            return 1.0
        return cheapest(self._cells_record.points, RECALL).recall

    def is_in(self, folder: str | os.PathLike[str]) -> bool:
        """Return whether the files of this cache are in a folder."""
        return self._files.folder == Path(folder)

    def __len__(self) -> int:
        return len(self._table)

    @classmethod
    def build(
        cls,
        dimension: int,
        batches: Iterable[tuple[Ids, Rows]],
        *,
        folder: Path,
        generation: int,
        newest: int = 0,
        approximate_from: int = APPROXIMATE_FROM,
    ) -> Neighbours:
        """Build and save a new cache in bounded memory.

        Each batch is ids (n,) and unit rows (n, d); ascending ids are fastest. A cache that is already in the folder
        stays in use until the new one is complete.
        """
        files = RowFiles.create(folder, dimension=dimension)
        table = SlotTable(files.ids, removed=np.zeros(0, dtype=bool), ascending=True)
        rows, ids = files.names
        empty = Manifest(
            dimension=dimension, generation=generation, count=0, ascending=True, rows=rows, ids=ids
        )
        neighbours = cls(files, table, empty, approximate_from=approximate_from)
        try:
            for photos, vectors in batches:
                neighbours.add(photos, vectors)
            neighbours._tidy()
            neighbours._commit(generation, newest, replaced=manifest_or_none(folder, dimension))
        except BaseException:
            # The manifest may name the files already: that its folder is on disk is waited for last.
            named = manifest_or_none(folder, dimension)
            if named is None or (named.rows, named.ids) != neighbours._files.names:
                neighbours._files.discard()
            raise
        return neighbours

    @classmethod
    def load(
        cls,
        folder: Path,
        *,
        dimension: int,
        known: Neighbours | None = None,
        thorough: bool = False,
        approximate_from: int = APPROXIMATE_FROM,
    ) -> Neighbours:
        """Map a saved cache into memory. `known`, an earlier result, is returned if it is still current.

        All checksums are verified, but those of a large cache's rows only with `thorough`: without it, loading takes
        milliseconds whatever the size.

        Raises:
            StaleCache: there is no cache, or it is damaged, or of another format or dimension.

        """
        manifest = read_manifest(folder, dimension=dimension)
        if known is not None and known.manifest == manifest:
            return known
        try:
            return cls._loaded(folder, manifest, thorough=thorough, approximate_from=approximate_from)
        except (StaleCache, OSError) as error:
            # A writer may have replaced the files between the two.
            if read_manifest(folder, dimension=dimension) != manifest:
                return cls.load(
                    folder, dimension=dimension, thorough=thorough, approximate_from=approximate_from
                )
            if isinstance(error, StaleCache):
                raise
            raise StaleCache(folder, f"it cannot be read: {error.strerror or error}") from error

    @classmethod
    def _loaded(
        cls, folder: Path, manifest: Manifest, *, thorough: bool, approximate_from: int
    ) -> Neighbours:
        files, table = open_rows(folder, manifest, thorough=thorough)
        neighbours = cls(files, table, manifest, approximate_from=approximate_from)
        if thorough and manifest.cells is not None and neighbours._usable_cells() is None:
            raise StaleCache(folder, f"{manifest.cells.file} is damaged")
        return neighbours

    @property
    def rows_checked(self) -> bool:
        """Whether this process has verified all rows, or wrote them itself."""
        return self._files.rows_checked

    def check_rows(self) -> None:
        """Verify all rows, unless that was done before; `load` leaves this out for a large cache.

        Raises:
            StaleCache: the rows are damaged.

        """
        self._files.check_rows()

    def prepare(self) -> None:
        """Import what the first search will need."""
        if needs_faiss(self._files.rows):
            import_faiss()

    def ids(self) -> Ids:
        """Return all photo ids: (n,) int64, ascending."""
        return np.sort(self._files.ids[~self._table.removed])

    def rows(self, ids: Ids) -> Scores:
        """Return the embeddings of these photos: (m, d) float32 unit rows with float16 precision.

        Raises:
            StaleCache: a photo is missing from the cache.

        """
        photos = np.asarray(ids, dtype=np.int64)
        slots = self._table.find(photos)
        if (slots < 0).any():
            missing = int(photos[slots < 0][0])
            raise StaleCache(self._files.folder, f"photo {missing} is not in it")
        return self._files.rows[slots].astype(np.float32)

    def add(self, ids: Ids, rows: Rows) -> None:
        """Add photos, ids (n,) and unit rows (n, d); the row of a known photo is replaced.

        Raises:
            SpaceMismatch: the rows have another dimension.
            ValueError: an id is repeated or negative, or a row does not have unit length.

        """
        photos = np.asarray(ids, dtype=np.int64)
        if rows.shape != (len(photos), self.dimension):
            raise SpaceMismatch(
                f"{len(photos)} rows of {self.dimension} dimensions expected, got an array of shape {rows.shape}: "
                "index the photos with the library's own model"
            )
        if len(photos) == 0:
            return
        if len(np.unique(photos)) < len(photos):
            raise ValueError("a photo id comes twice in one batch")
        if photos.min() < 0:
            raise ValueError("a photo id is negative")
        half = rows.astype("<f2", copy=False)
        if not are_unit_rows(half):
            raise ValueError("a row does not have unit length")
        self._files.append(photos, half)
        self._table.append(photos, self._files.ids)
        self._changed()

    def remove(self, ids: Ids) -> None:
        """Remove photos; unknown ids are ignored."""
        self._table.remove(self._table.find_known(np.unique(np.asarray(ids, dtype=np.int64))))
        self._changed()

    def search(
        self,
        queries: Scores,
        k: int,
        *,
        exact: bool = False,
        recall: float = RECALL,
        within: Ids | None = None,
        exclude: Ids | None = None,
    ) -> tuple[Scores, Ids]:
        """Find the k photos nearest to each query: scores (q, k) float32 and ids (q, k) int64, best first.

        Scores are exact inner products with the stored rows; equal scores are sorted by id. If there are fewer than k
        photos, the remaining scores are -inf and ids -1.

        - `exact`: compare every row. Small libraries and small subsets are always searched exactly.
        - `recall`: the recall@10 to aim for in an approximate search, as measured on these embeddings.
        - `within`: only find these photos.
        - `exclude`: do not find these photos.

        Raises:
            SpaceMismatch: the queries have another dimension.

        """
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise SpaceMismatch(
                f"the query has shape {queries.shape} and the library's vectors have {self.dimension} dimensions: "
                "embed it with the library's own model"
            )
        if within is None and exclude is None:
            return self._search(queries, k, self._living(), exact=exact, recall=recall)
        # Mostly none or one: `np.unique` would import masked arrays for them.
        some = [] if exclude is None else sorted(set(exclude.tolist()))
        left_out = self._table.find_known(np.array(some, np.int64))
        if within is None and len(left_out) <= FEW:
            # A mask over all rows would cost more than a few results too many.
            scores, ids = self._search(queries, k + len(left_out), self._living(), exact=exact, recall=recall)
            return without(scores, ids, self._files.ids[left_out], k) if len(left_out) else (scores, ids)
        kept = subset(self._table, within, left_out)
        return self._search(queries, k, kept, exact=exact, recall=recall)

    def _search(
        self, queries: Scores, k: int, kept: Subset | None, *, exact: bool, recall: float
    ) -> tuple[Scores, Ids]:
        limit = self._files.count if kept is None else kept.count
        width = min(k, limit)
        if width and len(queries):
            cells = None if exact or limit < self._approximate_from else self._usable_cells()
            index = self._index
            if index is None or (cells is not None and index.cells is None):
                index = self._index = RowIndex(self._files.rows, self._files.ids, cells)
            sought = None if cells is None else recall
            found, slots = index.search(queries, width, kept, recall=sought)
            if width == k:
                return found, self._files.ids[slots]
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        ids = np.full((len(queries), k), -1, dtype=np.int64)
        if width and len(queries):
            scores[:, :width], ids[:, :width] = found, self._files.ids[slots]
        return scores, ids

    def save(self, *, generation: int, newest: int = 0) -> None:
        """Commit additions and removals to disk. A kill at any point leaves the previous commit.

        Occasionally this also compacts the rows or trains the cells again.

        Raises:
            StaleCache: another process has replaced the cache since it was loaded.

        """
        current = manifest_or_none(self._files.folder, self.dimension)
        if current != self._committed:
            raise StaleCache(self._files.folder, "another process has replaced it")
        self._tidy()
        self._commit(generation, newest, replaced=current)

    def _commit(self, generation: int, newest: int, *, replaced: Manifest | None) -> None:
        if self._cells is not None and self._cells_record is None:
            self._cells_record = write_cells(self._files.folder, self._cells)
        self._committed = commit(
            self._files,
            self._table,
            self._cells_record,
            generation=generation,
            newest=newest,
            replaced=replaced,
        )

    def _tidy(self) -> None:
        """Compact the files if many rows are dead, and train or extend the cells if they do not cover enough rows."""
        compacted = self._table.removed_count > COMPACT_SHARE * self._files.count
        if compacted:
            self._compact()
        count = self._files.count
        cells = self._usable_cells()
        if len(self) < self._approximate_from:
            cells = None
        elif cells is None or count > GROWTH * cells.trained:
            cells = Cells.train(self._files.rows)
        elif compacted:
            cells.cover(self._files.rows, afresh=True)
        elif count - cells.count > max(TAIL_ROWS, TAIL_SHARE * count):
            cells.cover(self._files.rows)
        else:
            return
        self._cells, self._cells_record = cells, None
        self._changed()

    def _compact(self) -> None:
        """Copy the live rows to new files, sorted by id; verify them first, or damage would get a valid checksum."""
        self._files.check_rows()
        slots = np.flatnonzero(~self._table.removed)
        slots = slots[np.argsort(self._files.ids[slots])]
        files = RowFiles.create(self._files.folder, dimension=self.dimension)
        for start in range(0, len(slots), BLOCK_ROWS):
            part = slots[start : start + BLOCK_ROWS]
            files.append(self._files.ids[part], self._files.rows[part])
        self._files = files
        self._table = SlotTable(files.ids, removed=np.zeros(files.count, dtype=bool), ascending=True)
        self._changed()

    def _changed(self) -> None:
        self._index = None
        self._alive = None

    def _usable_cells(self) -> Cells | None:
        """Return the cells, read when they are first needed, or None if there are none or their file is damaged."""
        if self._cells is None and self._cells_record is not None:
            self._cells = read_cells(self._files.folder, self._cells_record)
            if self._cells is None:
                self._cells_record = None
        return self._cells

    def _living(self) -> Subset | None:
        """Return the live slots, or None if all are."""
        if self._alive is None and self._table.removed_count:
            self._alive = Subset(self._files.count, mask=~self._table.removed)
        return self._alive
