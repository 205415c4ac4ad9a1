"""The vectors of one space, searchable: FAISS over memory-mapped float16 rows, keyed by photo id.

Exact search is a FAISS flat index over the rows as they lie on disk. SQLite stores them as float16 too, so that it is
exact with respect to the truth. From `APPROXIMATE_FROM` photos on, an IVF-PQ index finds candidates among the same
rows. Inside FAISS a row is known by its slot, its place in the append-only file; a table of photo ids lies beside it,
and nothing but photo ids goes in or out.
"""

from __future__ import annotations

import secrets
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import SpaceMismatch
from vitsearch.neighbours.cells import Cells
from vitsearch.neighbours.faiss_index import RowIndex, Subset
from vitsearch.neighbours.files import (
    CellsRecord,
    Manifest,
    StaleCache,
    cheapest,
    checked_bytes,
    digest,
    read_manifest,
    sweep,
    sync_file,
    write_file,
    write_manifest,
)
from vitsearch.neighbours.flat import import_faiss, needs_faiss
from vitsearch.neighbours.row_files import BLOCK_ROWS, RowFiles, are_unit_rows
from vitsearch.neighbours.slots import SlotTable

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
# Product quantisation has 16 centroids to place in every direction.
LEAST_FOR_CELLS = 1000
RECALL = 0.99
# Rows that no cell covers yet are searched exactly; so many cost a few milliseconds a query.
TAIL_ROWS = 32_768
TAIL_SHARE = 0.01
# Cells were chosen for so many rows; with twice as many they are too full.
GROWTH = 2
# A quarter of dead rows costs a quarter of the time and the disk; rewriting then costs each removal four row copies.
COMPACT_SHARE = 0.25
# Reading so much once costs a search a few hundredths of a second. Without cells an exact search reads all rows anyway.
READ_WHOLE_BYTES = 1 << 26
# So many photos that are left out are asked for and dropped.
FEW = 32


class Neighbours:
    """The vectors of one space, searchable by inner product of unit rows; ids are photo ids (int64).

    One process may change a cache at a time (the library's lease sees to that); any number may read it meanwhile,
    and each goes on seeing what it loaded. Build and load give one; `approximate_from` is the number of photos from
    which searches are approximate unless asked to be exact.
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
        """What was last saved, or loaded."""
        return self._committed

    @property
    def generation(self) -> int:
        """The generation of the library that was last saved here."""
        return self._committed.generation

    @property
    def newest(self) -> int:
        """The row of SQLite's table of vectors up to which all were here when this was saved; 0 if not known."""
        return self._committed.newest

    @property
    def dimension(self) -> int:
        """The width of a row."""
        return self._files.dimension

    @property
    def recall(self) -> float:
        """The share of the exact ten nearest that a search finds, as measured on these vectors; 1.0 if exact."""
        if self._cells_record is None or len(self) < self._approximate_from:
            return 1.0
        return cheapest(self._cells_record.points, RECALL).recall

    def is_in(self, folder: str | os.PathLike[str]) -> bool:
        """Whether the files of this cache are in a folder."""
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
        """Write and save a new cache, in bounded memory.

        Each batch is ids (n,) and unit rows (n, d); fastest in ascending order of ids. A cache that is in the folder
        already stays in use until this one is complete.
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
            neighbours._commit(generation, newest, replaced=_manifest_or_none(folder, dimension))
        except BaseException:
            # The manifest may name the files already: that its folder is on disk is waited for last.
            named = _manifest_or_none(folder, dimension)
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
        """Map a saved cache into memory; `known`, which was loaded before, is returned where it is still what is saved.

        All is checked against its sums, but the rows of a large cache only with `thorough`: then this takes
        milliseconds whatever its size.

        Raises:
            StaleCache: there is none, or it is damaged, or of another format or dimension.

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
        files = RowFiles(
            folder,
            manifest.rows,
            manifest.ids,
            dimension=manifest.dimension,
            count=manifest.count,
            sums=(manifest.rows_sum, manifest.ids_sum),
        )
        files.check_ids()
        if thorough or manifest.cells is None or manifest.files[manifest.rows] <= READ_WHOLE_BYTES:
            files.check_rows()
        else:
            files.look_at_rows()
        removed = np.zeros(manifest.count, dtype=bool)
        if manifest.removed is not None:
            bits = checked_bytes(
                folder,
                manifest.removed,
                size=manifest.files[manifest.removed],
                expected=manifest.removed_sum,
            )
            removed = np.unpackbits(
                np.frombuffer(bits, np.uint8), count=manifest.count, bitorder="little"
            ).astype(bool)
        table = SlotTable(files.ids, removed=removed, ascending=manifest.ascending)
        neighbours = cls(files, table, manifest, approximate_from=approximate_from)
        if thorough and manifest.cells is not None and neighbours._usable_cells() is None:
            raise StaleCache(folder, f"{manifest.cells.file} is damaged")
        return neighbours

    @property
    def rows_checked(self) -> bool:
        """Whether this process has read all rows, or wrote them itself."""
        return self._files.rows_checked

    def check_rows(self) -> None:
        """Read all rows once, unless that was done: what `load` leaves out for a large cache.

        Raises:
            StaleCache: they are not what was written.

        """
        self._files.check_rows()

    def prepare(self) -> None:
        """Import what the first search will need."""
        if needs_faiss(self._files.rows):
            import_faiss()

    def ids(self) -> Ids:
        """Return the photo ids that are here: (n,) int64, in ascending order."""
        return np.sort(self._files.ids[~self._table.removed])

    def rows(self, ids: Ids) -> Scores:
        """Return the vectors of these photos: (m, d) float32, unit rows as float16 holds them.

        Raises:
            StaleCache: a photo is not here.

        """
        photos = np.asarray(ids, dtype=np.int64)
        slots = self._table.find(photos)
        if (slots < 0).any():
            missing = int(photos[slots < 0][0])
            raise StaleCache(self._files.folder, f"photo {missing} is not in it")
        return self._files.rows[slots].astype(np.float32)

    def add(self, ids: Ids, rows: Rows) -> None:
        """Add photos, ids (n,) and unit rows (n, d); a photo that is here already gets the new row.

        Raises:
            SpaceMismatch: the rows have another dimension.
            ValueError: an id comes twice or is negative, or a row is not a unit row.

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
        """Remove photos; ids that are not here are ignored."""
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

        Scores are inner products with the stored rows, whichever way the photos were found. Equal scores come in
        ascending order of id. Where there are fewer than k photos, scores are -inf and ids -1. `within` keeps only
        these photos, `exclude` leaves these out. Large libraries are searched as hard as was measured to give
        `recall`; few photos, and all with `exact`, are searched exactly.

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
            return _without(scores, ids, self._files.ids[left_out], k) if len(left_out) else (scores, ids)
        kept = self._kept(within, left_out)
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
        """Commit what was added and removed, so that `load` finds it. A kill at any point leaves the last commit.

        From time to time this rewrites files that have grown out of shape.

        Raises:
            StaleCache: another process has replaced the cache since it was loaded.

        """
        current = _manifest_or_none(self._files.folder, self.dimension)
        if current != self._committed:
            raise StaleCache(self._files.folder, "another process has replaced it")
        self._tidy()
        self._commit(generation, newest, replaced=current)

    def _commit(self, generation: int, newest: int, *, replaced: Manifest | None) -> None:
        folder = self._files.folder
        self._files.sync()
        removed, removed_sum = None, 0
        if self._table.removed_count:
            removed = f"removed-{secrets.token_hex(4)}.bits"
            bits = np.packbits(self._table.removed, bitorder="little").tobytes()
            write_file(folder / removed, bits)
            removed_sum = zlib.crc32(bits)
        if self._cells is not None and self._cells_record is None:
            self._cells_record = _written(folder, self._cells)
        rows, ids = self._files.names
        rows_sum, ids_sum = self._files.sums
        self._committed = Manifest(
            dimension=self.dimension,
            generation=generation,
            count=self._files.count,
            ascending=self._table.ascending,
            newest=newest,
            rows=rows,
            ids=ids,
            rows_sum=rows_sum,
            ids_sum=ids_sum,
            removed=removed,
            removed_sum=removed_sum,
            cells=self._cells_record,
        )
        write_manifest(folder, self._committed)
        sweep(folder, keep=self._committed, replaced=replaced)

    def _tidy(self) -> None:
        """Drop dead rows where they are many, and see to it that the cells cover what they should."""
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
        """Copy the rows that count to new files, in ascending order of id; damage must not get a sum that fits it."""
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
        """Return the cells, read when they are first asked for, or None if there are none or their file is damaged.

        The digest is checked because FAISS trusts what it reads: a slot number with a flipped bit would make it read
        outside of the rows.
        """
        record = self._cells_record
        if self._cells is None and record is not None:
            path = self._files.folder / record.file
            try:
                sound = digest(path) == record.digest
            except OSError:  # a writer has replaced the file since this cache was loaded
                sound = False
            if sound:
                self._cells = Cells.read(path, trained=record.trained, points=record.points)
            else:
                self._cells_record = None
        return self._cells

    def _kept(self, within: Ids | None, left_out: Ids) -> Subset:
        """Return which slots may answer: those of the photos `within`, or all, but not the slots `left_out`."""
        total = self._files.count
        if within is None:
            mask = ~self._table.removed
            mask[left_out] = False
            return Subset(total, mask=mask)
        slots = self._table.find_known(np.asarray(within, dtype=np.int64))
        if (np.diff(slots) <= 0).any():
            slots = np.unique(slots)
        return Subset(total, slots=np.setdiff1d(slots, left_out) if len(left_out) else slots)

    def _living(self) -> Subset | None:
        """Return which slots count, or None where all do."""
        if self._alive is None and self._table.removed_count:
            self._alive = Subset(self._files.count, mask=~self._table.removed)
        return self._alive


def _without(scores: Scores, ids: Ids, left_out: Ids, k: int) -> tuple[Scores, Ids]:
    """Return the first k results of each query that are none of the photos `left_out`."""
    last = np.isin(ids, left_out)
    order = np.argsort(last, axis=1, kind="stable")[:, :k]
    scores, ids = np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)
    dropped = np.take_along_axis(last, order, axis=1)
    scores[dropped], ids[dropped] = -np.inf, -1
    return scores, ids


def _written(folder: Path, cells: Cells) -> CellsRecord:
    path = folder / f"cells-{secrets.token_hex(4)}.faiss"
    cells.write(path)
    sync_file(path)
    return CellsRecord(
        file=path.name,
        size=path.stat().st_size,
        digest=digest(path),
        trained=cells.trained,
        points=cells.points,
    )


def _manifest_or_none(folder: Path, dimension: int) -> Manifest | None:
    try:
        return read_manifest(folder, dimension=dimension)
    except StaleCache:
        return None
