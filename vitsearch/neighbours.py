"""The vectors of one space, searchable: FAISS over memory-mapped float16 rows, keyed by photo id.

Exact search is a FAISS flat index over the rows as they lie on disk. Rows are stored in SQLite as float16, so
that it is exact with respect to the truth. Inside FAISS a row is known by its slot, its place in the append-only
file; the ids file turns slots into photo ids, and nothing but photo ids goes in or out.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.errors import SpaceMismatch
from vitsearch.neighbour_files import (
    Manifest,
    RowFiles,
    StaleCache,
    read_manifest,
    sweep,
    write_file,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]
    Rows = npt.NDArray[np.float32] | npt.NDArray[np.float16]

__all__ = ["Neighbours", "StaleCache"]

# A quarter of dead rows costs a quarter of the time and the disk; rewriting then costs each removal four row copies.
COMPACT_SHARE = 0.25
COPY_ROWS = 16384
# Scanning skips a row that is left out in about a sixteenth of the time that copying out a kept one takes.
GATHER_SHARE = 1 / 16


class Neighbours:
    """The vectors of one space, searchable by inner product of unit rows; ids are photo ids (int64).

    One process may change a cache at a time (the library's lease sees to that); any number may read it meanwhile,
    and each goes on seeing what it loaded.
    """

    def __init__(self, files: RowFiles, manifest: Manifest) -> None:
        self._files = files
        self._committed = manifest
        self._removed = np.zeros(manifest.count, dtype=bool)
        self._ascending = manifest.ascending
        self._keys: tuple[Ids, Ids] | None = None
        self._flat: Any = None

    @property
    def generation(self) -> int:
        """The generation of the library that was last saved here."""
        return self._committed.generation

    @property
    def dimension(self) -> int:
        """The width of a row."""
        return self._files.dimension

    @property
    def recall(self) -> float:
        """The share of the exact ten nearest neighbours that a search finds, as measured on these vectors."""
        return 1.0

    def __len__(self) -> int:
        return self._files.count - int(self._removed.sum())

    @classmethod
    def build(
        cls, dimension: int, batches: Iterable[tuple[Ids, Rows]], *, folder: Path, generation: int
    ) -> Neighbours:
        """Write and save a new cache, in bounded memory.

        Each batch is ids (n,) and rows (n, d), unit rows; fastest in ascending order of ids. A cache that is in the
        folder already stays in use until this one is complete.
        """
        files = RowFiles.create(folder, dimension=dimension)
        empty = Manifest(
            dimension=dimension,
            generation=generation,
            count=0,
            ascending=True,
            rows=files.names[0],
            ids=files.names[1],
        )
        neighbours = cls(files, empty)
        for ids, rows in batches:
            neighbours.add(ids, rows)
        neighbours._commit(generation, replaced=_manifest_or_none(folder, dimension))
        return neighbours

    @classmethod
    def load(cls, folder: Path, *, dimension: int) -> Neighbours:
        """Map a saved cache into memory, in milliseconds whatever its size.

        Raises:
            StaleCache: there is none, or it is damaged, or of another format or dimension.

        """
        manifest = read_manifest(folder, dimension=dimension)
        files = RowFiles(folder, manifest.rows, manifest.ids, dimension=dimension, count=manifest.count)
        _check_sample(files, ascending=manifest.ascending)
        neighbours = cls(files, manifest)
        if manifest.removed is not None:
            bits = np.fromfile(folder / manifest.removed, dtype=np.uint8)
            removed = np.unpackbits(bits, count=manifest.count, bitorder="little")
            neighbours._removed = removed.astype(bool)
        return neighbours

    def ids(self) -> Ids:
        """The photo ids that are here: (n,) int64, in ascending order."""
        return np.sort(self._files.ids[~self._removed])

    def rows(self, ids: Ids) -> npt.NDArray[np.float32]:
        """The vectors of these photos: (m, d) float32, unit rows as float16 holds them.

        Raises:
            StaleCache: a photo is not here.

        """
        ids = np.asarray(ids, dtype=np.int64)
        slots = self._slots(ids)
        if (slots < 0).any():
            missing = int(ids[slots < 0][0])
            raise StaleCache(self._files.folder, f"photo {missing} is not in it")
        return self._files.rows[slots].astype(np.float32)

    def add(self, ids: Ids, rows: Rows) -> None:
        """Add photos, ids (n,) and unit rows (n, d); a photo that is here already gets the new row.

        Raises:
            SpaceMismatch: the rows have another dimension.
            ValueError: an id comes twice or is negative, or a row is not a unit row.

        """
        ids = np.asarray(ids, dtype=np.int64)
        if rows.ndim != 2 or rows.shape != (len(ids), self.dimension):
            raise SpaceMismatch(
                f"{len(ids)} rows of {self.dimension} dimensions expected, got an array of shape {rows.shape}: "
                "index the photos with the library's own model"
            )
        if len(ids) == 0:
            return
        half = rows.astype("<f2")
        _check_unit(half)
        increasing = bool((np.diff(ids) > 0).all())
        if not increasing and len(np.unique(ids)) < len(ids):
            raise ValueError("a photo id comes twice in one batch")
        if ids.min() < 0:
            raise ValueError("a photo id is negative")
        old = self._slots(ids)
        known = self._files.count > 0 and self._ascending and ids[0] <= self._files.ids[-1]
        if self._keys is not None or known or not increasing:
            self._keys = self._merged_keys(ids)
            self._ascending = False
        self._files.append(ids, half)
        self._removed = np.concatenate([self._removed, np.zeros(len(ids), dtype=bool)])
        self._removed[old[old >= 0]] = True
        self._flat = None

    def remove(self, ids: Ids) -> None:
        """Remove photos; ids that are not here are ignored."""
        slots = self._slots(np.asarray(ids, dtype=np.int64))
        self._removed[slots[slots >= 0]] = True

    def search(
        self,
        queries: npt.NDArray[np.float32],
        k: int,
        *,
        exact: bool = False,
        within: Ids | None = None,
        exclude: Ids | None = None,
    ) -> tuple[npt.NDArray[np.float32], Ids]:
        """The k photos nearest to each query: scores (q, k) float32 and ids (q, k) int64, best first.

        Scores are inner products with the stored rows, whichever way the photos were found. Equal scores come in
        ascending order of id. Where there are fewer than k photos, scores are -inf and ids -1. `within` keeps only
        these photos, `exclude` leaves these out.

        Raises:
            SpaceMismatch: the queries have another dimension.

        """
        del exact
        queries = np.ascontiguousarray(queries, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.dimension:
            raise SpaceMismatch(
                f"the query has shape {queries.shape} and the library's vectors have {self.dimension} dimensions: "
                "embed it with the library's own model"
            )
        kept = self._kept(within, exclude)
        scores, slots = self._ranked(queries, k, kept)
        ids = np.where(slots >= 0, self._files.ids[slots], -1) if self._files.count else slots
        return scores, ids

    def save(self, *, generation: int) -> None:
        """Commit what was added and removed, so that `load` finds it. A kill at any point leaves the last commit.

        Raises:
            StaleCache: another process has replaced the cache since it was loaded.

        """
        current = _manifest_or_none(self._files.folder, self.dimension)
        if current != self._committed:
            raise StaleCache(self._files.folder, "another process has replaced it")
        if self._removed.sum() > COMPACT_SHARE * self._files.count:
            self._compact()
        self._commit(generation, replaced=current)

    def _commit(self, generation: int, *, replaced: Manifest | None) -> None:
        folder = self._files.folder
        self._files.sync()
        removed = None
        if self._removed.any():
            removed = f"removed-{secrets.token_hex(4)}.bits"
            write_file(folder / removed, np.packbits(self._removed, bitorder="little").tobytes())
        self._committed = Manifest(
            dimension=self.dimension,
            generation=generation,
            count=self._files.count,
            ascending=self._ascending,
            rows=self._files.names[0],
            ids=self._files.names[1],
            removed=removed,
        )
        write_manifest(folder, self._committed)
        sweep(folder, keep=self._committed, replaced=replaced)

    def _compact(self) -> None:
        """Copy the rows that are left to new files, in ascending order of id."""
        slots = np.flatnonzero(~self._removed)
        slots = slots[np.argsort(self._files.ids[slots])]
        files = RowFiles.create(self._files.folder, dimension=self.dimension)
        for start in range(0, len(slots), COPY_ROWS):
            part = slots[start : start + COPY_ROWS]
            files.append(self._files.ids[part], self._files.rows[part])
        self._files = files
        self._removed = np.zeros(files.count, dtype=bool)
        self._ascending = True
        self._keys = None
        self._flat = None

    def _slots(self, ids: Ids) -> Ids:
        """The slot of each photo: (m,) int64, -1 where there is none."""
        keys, slots = (self._files.ids, None) if self._ascending else self._sorted_keys()
        if len(keys) == 0:
            return np.full(len(ids), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(keys, ids), len(keys) - 1)
        found = at if slots is None else slots[at]
        return np.where((keys[at] == ids) & ~self._removed[found], found, -1)

    def _sorted_keys(self) -> tuple[Ids, Ids]:
        """The ids in ascending order, and the slot of each: the last one where an id was given again."""
        if self._keys is None:
            order = np.argsort(self._files.ids, kind="stable")
            keys = self._files.ids[order]
            last = np.append(keys[1:] != keys[:-1], [True] * (len(keys) > 0)).astype(bool)
            self._keys = keys[last], order[last]
        return self._keys

    def _merged_keys(self, ids: Ids) -> tuple[Ids, Ids]:
        """The sorted keys with the photos that are about to be appended: a merge is cheaper than a new sort."""
        keys, slots = self._sorted_keys()
        order = np.argsort(ids)
        new, at = ids[order], np.searchsorted(keys, ids[order])
        again = np.zeros(len(new), dtype=bool)
        again[at < len(keys)] = keys[at[at < len(keys)]] == new[at < len(keys)]
        slots = slots.copy()
        slots[at[again]] = self._files.count + order[again]
        keys = np.insert(keys, at[~again], new[~again])
        return keys, np.insert(slots, at[~again], self._files.count + order[~again])

    def _kept(self, within: Ids | None, exclude: Ids | None) -> npt.NDArray[np.bool_] | None:
        """Which slots may answer: (n,) bool, or None where all may."""
        if within is None:
            kept = None if not self._removed.any() else ~self._removed
        else:
            kept = np.zeros(self._files.count, dtype=bool)
            slots = self._slots(np.asarray(within, dtype=np.int64))
            kept[slots[slots >= 0]] = True
        if exclude is not None and len(exclude):
            slots = self._slots(np.asarray(exclude, dtype=np.int64))
            kept = np.ones(self._files.count, dtype=bool) if kept is None else kept
            kept[slots[slots >= 0]] = False
        return kept

    def _ranked(
        self, queries: npt.NDArray[np.float32], k: int, kept: npt.NDArray[np.bool_] | None
    ) -> tuple[npt.NDArray[np.float32], Ids]:
        """Scores (q, k) and slots (q, k), ties in ascending order of id.

        FAISS keeps any of the rows that tie for the last place, so we ask for more until the last place is not a tie.
        """
        limit = self._files.count if kept is None else int(kept.sum())
        scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
        slots = np.full((len(queries), k), -1, dtype=np.int64)
        if limit == 0 or k <= 0 or len(queries) == 0:
            return scores, slots
        wanted = min(k + 1, limit)
        found_scores, found = self._flat_search(queries, wanted, kept)
        width = min(k, wanted)
        scores[:, :width], slots[:, :width] = self._in_order(found_scores, found, width)
        if wanted == limit:
            return scores, slots
        for query in np.flatnonzero(found_scores[:, -1] == found_scores[:, k - 1]):
            more, tied = wanted, True
            while tied and more < limit:
                more = min(4 * more, limit)
                wide, found = self._flat_search(queries[query : query + 1], more, kept)
                tied = wide[0, -1] == wide[0, k - 1]
            scores[query], slots[query] = self._in_order(wide, found, k)
        return scores, slots

    def _in_order(
        self, scores: npt.NDArray[np.float32], slots: Ids, width: int
    ) -> tuple[npt.NDArray[np.float32], Ids]:
        """The best `width` columns, equal scores in ascending order of id."""
        order = np.lexsort((self._files.ids[slots], -scores))[:, :width]
        return np.take_along_axis(scores, order, axis=1), np.take_along_axis(slots, order, axis=1)

    def _flat_search(
        self, queries: npt.NDArray[np.float32], k: int, kept: npt.NDArray[np.bool_] | None
    ) -> tuple[npt.NDArray[np.float32], Ids]:
        """The exact k best of the kept slots; k is at most their number."""
        if kept is None:
            if self._flat is None:
                self._flat = _flat_index(self._files.rows)
            scores, slots = self._flat.search(queries, k)
            return scores, slots
        members = np.flatnonzero(kept)
        if len(members) < GATHER_SHARE * len(kept):
            scores, places = _flat_index(self._files.rows[members]).search(queries, k)
            return scores, members[places]
        if self._flat is None:
            self._flat = _flat_index(self._files.rows)
        faiss = _faiss()
        bits = np.packbits(kept, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        scores, slots = self._flat.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return scores, slots


def _faiss() -> Any:  # noqa: ANN401
    """Import FAISS when it is first needed; its type stubs know too few of its names to check against."""
    import faiss

    return faiss


def _flat_index(rows: npt.NDArray[np.float16]) -> Any:  # noqa: ANN401
    """Make a FAISS flat index over rows that stay where they are."""
    faiss = _faiss()
    index = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    codes = rows.reshape(-1).view(np.uint8)
    nobody = index.codes.owner  # a new index owns nothing: the array is kept alive below instead
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(codes), codes.nbytes, nobody)
    index.ntotal = len(rows)
    index.referenced_objects = [rows]
    return index


def _manifest_or_none(folder: Path, dimension: int) -> Manifest | None:
    try:
        return read_manifest(folder, dimension=dimension)
    except StaleCache:
        return None


def _check_unit(rows: npt.NDArray[np.float16]) -> None:
    """Raise ValueError unless every row has length 1, within what float16 allows."""
    wide = rows.astype(np.float32)
    lengths = np.einsum("nd,nd->n", wide, wide)
    if not (np.abs(lengths - 1) < 0.02).all():
        raise ValueError("a row does not have unit length")


def _check_sample(files: RowFiles, *, ascending: bool) -> None:
    """Look at a few rows across the files: sizes alone do not show a file that was overwritten.

    Raises:
        StaleCache: rows without unit length, or ids out of order.

    """
    if files.count == 0:
        return
    sample = np.unique(np.linspace(0, files.count - 1, 64).astype(np.int64))
    try:
        _check_unit(files.rows[sample])
    except ValueError as error:
        raise StaleCache(files.folder, str(error)) from None
    ids = files.ids[sample]
    if ids.min() < 0 or (ascending and (np.diff(ids) <= 0).any()):
        raise StaleCache(files.folder, "its ids are damaged")
