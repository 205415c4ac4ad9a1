"""FAISS over the rows of a neighbours cache: the exact search, and the approximate one for large libraries.

The only module that imports FAISS. Rows are known by their slots here, their places in the rows file.
"""

from __future__ import annotations

import errno
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.neighbours.files import OperatingPoint, cheapest, expect_single_rows, give_back
from vitsearch.neighbours.rotation import balancing_rotation
from vitsearch.neighbours.sizing import KMEANS_ROUNDS, SAMPLE_QUERIES, CellShape
from vitsearch.storage.private import create_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy.typing as npt

    Slots = npt.NDArray[np.int64]
    Half = npt.NDArray[np.float16]
    Single = npt.NDArray[np.float32]
    Found = tuple[Single, Slots]
    Find = Callable[[Single, int], Found]

# Scores closer than this may be equal: kernels add up in different orders (measured: 4e-7 at 1,536 dimensions).
ROUNDING = 1e-6
SETTLE_ROWS = 4096

# From this many queries on, widening the rows for BLAS is faster than FAISS's float16 kernel, which takes queries one
# by one.
BLAS_QUERIES = 64
BLOCK_ROWS = 32768
# Importing FAISS takes a new process longer than the products of one query with so many numbers take without it.
FEW_NUMBERS = 1 << 24
# Copying rows out pays off where at most this share of them is kept; else FAISS skips over the others.
GATHER_SHARE = 1 / 16

NEIGHBOURS = 10  # the ten of recall@10
FACTORS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 200)
# Scanning the codes of this many rows takes as long as computing the exact scores of ten.
CODES_PER_FACTOR = 450
GOOD_ENOUGH = 0.999
# Twice as many cells that find no more than this will not find the rest: the codes are what is too coarse.
NO_GAIN = 0.0005


def import_faiss() -> Any:  # noqa: ANN401
    """Import FAISS when it is first needed; its type stubs know too few of its names to check against."""
    import faiss

    return faiss


@contextmanager
def _threads_for(tasks: int) -> Iterator[None]:
    """Let FAISS use no more threads than there are tasks; a query is one, since FAISS gives each to one thread.

    Waiting for threads that have nothing to do costs milliseconds on a busy machine. OpenMP keeps this setting per
    calling thread, so that nobody else is affected.
    """
    faiss = import_faiss()
    usual = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(max(1, min(tasks, usual)))
    try:
        yield
    finally:
        faiss.omp_set_num_threads(usual)


def _view(rows: Half) -> Any:  # noqa: ANN401
    """Make a FAISS flat index over rows that stay where they are."""
    faiss = import_faiss()
    index = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    codes = rows.reshape(-1).view(np.uint8)
    nobody = index.codes.owner  # a new index owns nothing: the array is kept alive below instead
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(faiss.swig_ptr(codes), codes.nbytes, nobody)
    index.ntotal = len(rows)
    index.referenced_objects = [rows]
    return index


class Subset:
    """Which slots of `total` may be found, given as `slots` (count,), ascending, or as `mask` (total,) bool."""

    def __init__(
        self, total: int, *, slots: Slots | None = None, mask: npt.NDArray[np.bool_] | None = None
    ) -> None:
        self.total = total
        self._slots = slots
        self._mask = mask
        self.count = int(np.count_nonzero(mask)) if slots is None and mask is not None else len(self.slots)
        self._tail: Subset | None = None

    @property
    def slots(self) -> Slots:
        """The slots that may be found: (count,), ascending."""
        if self._slots is None:
            assert self._mask is not None
            self._slots = np.flatnonzero(self._mask)
        return self._slots

    @cached_property
    def selector(self) -> Any:  # noqa: ANN401
        """The same for FAISS."""
        faiss = import_faiss()
        if self._mask is None:
            self._mask = np.zeros(self.total, dtype=bool)
            self._mask[self.slots] = True
        self._bits = np.packbits(self._mask, bitorder="little")  # FAISS keeps only a pointer
        return faiss.IDSelectorBitmap(len(self._bits), faiss.swig_ptr(self._bits))

    def tail(self, start: int) -> Subset:
        """Return the subset of the slots from `start` on, counted from there."""
        if self._tail is None or self._tail.total != self.total - start:
            slots = self.slots[np.searchsorted(self.slots, start) :] - start
            self._tail = Subset(self.total - start, slots=slots)
        return self._tail


class RowIndex:
    """Rows (n, d) float16, searchable where they lie, their photo ids (n,), and the cells that cover them, if any."""

    def __init__(self, rows: Half, ids: Slots, cells: Cells | None) -> None:
        self.rows = rows
        self.ids = ids
        self.cells = cells
        self._parameters: dict[tuple[int, float], Any] = {}
        # A program that asks once, as `vitsearch search` does, need not import FAISS for a small library.
        self._is_new = not needs_faiss(rows)

    @cached_property
    def _flat(self) -> Any:  # noqa: ANN401
        return _view(self.rows)

    @cached_property
    def _refined(self) -> Any:  # noqa: ANN401
        assert self.cells is not None
        return import_faiss().IndexRefine(self.cells.index, _view(self.rows[: self.cells.count]))

    @cached_property
    def _tail(self) -> RowIndex:
        assert self.cells is not None
        return RowIndex(self.rows[self.cells.count :], self.ids[self.cells.count :], None)

    def search(self, queries: Single, k: int, kept: Subset | None, *, recall: float | None) -> Found:
        """Find the k best rows of each query: scores (q, k) float32 and slots (q, k) int64.

        Best first, equal scores in ascending order of id. k is at most the number of rows that may be found. Cells
        are used as hard as was measured to give `recall`; the search is exact where that is None.
        """
        is_first, self._is_new = self._is_new, False
        if is_first and recall is None and len(queries) == 1:
            limit = len(self.rows) if kept is None else kept.count
            members = None if kept is None else kept.slots

            def multiplied(some: Single, wanted: int) -> Found:
                return _multiplied(self.rows, some, wanted, members)

            return self._ranked(multiplied, queries, k, limit)
        with _threads_for(len(queries)):
            return self._search(queries, k, kept, recall)

    def _search(self, queries: Single, k: int, kept: Subset | None, recall: float | None) -> Found:
        limit = len(self.rows) if kept is None else kept.count

        def exact(some: Single, wanted: int) -> Found:
            return self.exact(some, wanted, kept)

        if self.cells is None or recall is None:
            return self._ranked(exact, queries, k, limit)
        point = cheapest(self.cells.points, recall)

        def approximate(some: Single, wanted: int) -> Found:
            return self._approximate(some, wanted, kept, point)

        scores, slots = self._ranked(approximate, queries, k, limit)
        short = np.flatnonzero(slots[:, k - 1] < 0)
        if len(short):
            scores[short], slots[short] = self._ranked(exact, queries[short], k, limit)
        return scores, slots

    def exact(self, queries: Single, k: int, kept: Subset | None) -> Found:
        """Find the k best rows of each query, in the form of `search`, but close scores may be in either order."""
        gathers = kept is not None and kept.count < GATHER_SHARE * len(self.rows)
        expect_single_rows(self.rows, single=gathers)
        if len(queries) >= BLAS_QUERIES:
            return _search_blocks(self.rows, queries, k, None if kept is None else kept.slots)
        if kept is None:
            scores, slots = self._flat.search(queries, k)
        elif gathers:
            scores, places = _view(self.rows[kept.slots]).search(queries, k)
            slots = kept.slots[places]
        else:
            parameters = import_faiss().SearchParameters(sel=kept.selector)
            scores, slots = self._flat.search(queries, k, params=parameters)
        return scores, slots

    def _approximate(self, queries: Single, k: int, kept: Subset | None, point: OperatingPoint) -> Found:
        """Find about the k best rows; scores are exact. Where the visited cells hold too few, the last slots are -1."""
        assert self.cells is not None
        factor = point.factor * max(k, NEIGHBOURS) / k
        if kept is None:
            parameters = self._parameters.get((point.nprobe, factor))
            if parameters is None:
                parameters = self._parameters[point.nprobe, factor] = _parameters(point.nprobe, factor, None)
        else:
            # As many rows that may be found are visited as there were without the filter.
            nprobe = min(self.cells.size, round(point.nprobe * kept.total / kept.count))
            parameters = _parameters(nprobe, factor, kept.selector)
        expect_single_rows(self.rows, single=True)
        scores, slots = self._refined.search(queries, k, params=parameters)
        covered = self.cells.count
        rest = None if kept is None or covered == len(self.rows) else kept.tail(covered)
        width = min(k, len(self.rows) - covered if rest is None else rest.count)
        if width:
            more_scores, more = self._tail.exact(queries, width, rest)
            scores, slots = np.hstack([scores, more_scores]), np.hstack([slots, more + covered])
            best = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, slots = np.take_along_axis(scores, best, axis=1), np.take_along_axis(slots, best, axis=1)
        return scores, slots

    def _ranked(self, find: Find, queries: Single, k: int, limit: int) -> Found:
        """Bring what `find` finds into the order that `search` promises.

        FAISS keeps any of the rows that tie for the last place, so we ask for more until the last place is no tie.
        """
        wanted = min(k + 1, limit)
        wide_scores, wide = find(queries, wanted)
        left = np.flatnonzero(_are_tied(wide_scores, wide, k, limit))
        scores, slots = self._settled(queries, wide_scores, wide, k)
        while len(left):
            wanted = min(4 * wanted, limit)
            wide_scores, wide = find(queries[left], wanted)
            tied = _are_tied(wide_scores, wide, k, limit)
            scores[left], slots[left] = self._settled(queries[left], wide_scores, wide, k)
            left = left[tied]
        return scores, slots

    def _settled(self, queries: Single, scores: Single, slots: Slots, k: int) -> Found:
        """Return the best k, close scores computed once more and in order: by exact score, then by id."""
        close = (scores[:, 1:] >= scores[:, :-1] - ROUNDING) & (slots[:, 1:] >= 0)
        if close.any():
            near = np.zeros(scores.shape, dtype=bool)
            near[:, 1:] = close
            near[:, :-1] |= close
            which, place = np.nonzero(near)
            for start in range(0, len(which), SETTLE_ROWS):
                query, column = which[start : start + SETTLE_ROWS], place[start : start + SETTLE_ROWS]
                rows = self.rows[slots[query, column]].astype(np.float64)
                scores[query, column] = np.einsum("nd,nd->n", rows, queries[query].astype(np.float64))
            order = np.lexsort((self.ids[slots], -scores))
            scores = np.take_along_axis(scores, order, axis=1)
            slots = np.take_along_axis(slots, order, axis=1)
        return scores[:, :k], slots[:, :k]


def _are_tied(scores: Single, slots: Slots, k: int, limit: int) -> npt.NDArray[np.bool_]:
    """Say for which queries (q,) the last of their results may tie with the k-th, so that others might as well."""
    if slots.shape[1] == limit:
        return np.zeros(len(slots), dtype=bool)
    tied: npt.NDArray[np.bool_] = (slots[:, -1] >= 0) & (scores[:, -1] >= scores[:, k - 1] - ROUNDING)
    return tied


def _parameters(nprobe: int, factor: float, selector: Any) -> Any:  # noqa: ANN401
    faiss = import_faiss()
    return faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=_probing(nprobe, selector))


def _probing(nprobe: int, selector: Any = None) -> Any:  # noqa: ANN401
    faiss = import_faiss()
    cells = faiss.SearchParametersIVF(nprobe=nprobe, sel=selector)
    return faiss.SearchParametersPreTransform(index_params=cells)


def needs_faiss(rows: Half) -> bool:
    """Whether the first query over these rows, too, is better answered by FAISS."""
    return rows.size > FEW_NUMBERS


def _multiplied(rows: Half, query: Single, k: int, members: Slots | None) -> Found:
    """Find the k best rows of one query (1, d) without FAISS, best first."""
    count = len(rows) if members is None else len(members)
    scores = np.empty(count, np.float32)
    for start in range(0, count, SETTLE_ROWS):
        part = slice(start, start + SETTLE_ROWS)
        block = rows[part] if members is None else rows[members[part]]
        scores[part] = block.astype(np.float32) @ query[0]
    best = np.argpartition(scores, count - k)[count - k :]
    best = best[np.argsort(-scores[best], kind="stable")]
    slots = best if members is None else members[best]
    return scores[best][None], slots[None].astype(np.int64, copy=False)


def _search_blocks(rows: Half, queries: Single, k: int, members: Slots | None) -> Found:
    """Search many queries at once: blocks of rows are widened to float32, where FAISS multiplies with BLAS."""
    faiss = import_faiss()
    best = faiss.ResultHeap(len(queries), k, keep_max=True)
    for start in range(0, len(rows) if members is None else len(members), BLOCK_ROWS):
        if members is None:
            block = rows[start : start + BLOCK_ROWS]
            slots = np.arange(start, start + len(block))
        else:
            slots = members[start : start + BLOCK_ROWS]
            block = rows[slots]
        width = min(k, len(block))
        scores, places = faiss.knn(
            queries, block.astype(np.float32), width, metric=faiss.METRIC_INNER_PRODUCT
        )
        best.add_result(scores, slots[places])
        give_back(rows)
    best.finalize()
    return best.D, best.I


class Cells:
    """The approximate index: IVF-PQ FastScan codes that are refined exactly over the rows.

    Rows lie in cells around k-means centroids. A search visits the nearest cells, ranks what is in them by 4-bit
    product quantisation codes of the rotated residuals and computes the exact scores of the best candidates. Jégou,
    Douze and Schmid, "Product quantization for nearest neighbor search" (2011), section IV; André, Kermarrec and Le
    Scouarnec, "Quicker ADC" (2019), for the codes' layout.

    `points` are the useful operating points, cheapest first. `trained` rows were there when the cells were chosen.
    """

    def __init__(self, index: Any, *, trained: int, points: tuple[OperatingPoint, ...]) -> None:  # noqa: ANN401
        self.index = index
        self.trained = trained
        self.points = points

    @property
    def count(self) -> int:
        """The number of rows that are covered: the slots below it."""
        return int(self.index.ntotal)

    @property
    def size(self) -> int:
        """The number of cells."""
        return int(import_faiss().downcast_index(self.index.index).nlist)

    @classmethod
    def train(cls, rows: Half) -> Cells:
        """Choose cells and codes from a sample of rows (n, d), add all rows, and measure what a search finds."""
        faiss = import_faiss()
        count, dimension = rows.shape
        shape = CellShape.of(count, dimension)
        quantizer = faiss.IndexFlatIP(dimension)
        codes = faiss.IndexIVFPQFastScan(
            quantizer, dimension, shape.cells, dimension // shape.width, 4, faiss.METRIC_INNER_PRODUCT
        )
        codes.referenced_objects = [quantizer]
        codes.by_residual = True
        codes.pq.cp.min_points_per_centroid = 1  # FAISS prints a warning where there are fewer
        source = np.random.default_rng(0)
        sample = np.sort(source.choice(count, shape.sample, replace=False))
        training = rows[sample].astype(np.float32)
        give_back(rows)
        with _threads_for(len(sample) // BLOCK_ROWS):
            centroids = _spherical_means(training, shape.cells)
            cell_of = faiss.knn(training, centroids, 1, metric=faiss.METRIC_INNER_PRODUCT)[1][:, 0]
            turn = balancing_rotation(training, centroids, cell_of, codes=dimension // shape.width)
            quantizer.add(centroids @ turn.T)
            codes.train(training @ turn.T)
        rotation = faiss.LinearTransform(dimension, dimension)
        faiss.copy_array_to_vector(turn.ravel(), rotation.A)
        rotation.is_trained = rotation.is_orthonormal = True
        index = faiss.IndexPreTransform(rotation, codes)
        cells = cls(index, trained=count, points=())
        cells.cover(rows)
        return cells

    def cover(self, rows: Half, *, afresh: bool = False) -> None:
        """Add the rows that are not covered yet, or all `afresh`, and measure again; `rows` is the whole array."""
        if afresh:
            self.index.reset()
        expect_single_rows(rows, single=False)
        with _threads_for(len(rows) // BLOCK_ROWS):
            for start in range(self.count, len(rows), BLOCK_ROWS):
                block = rows[start : start + BLOCK_ROWS]
                self.index.add_with_ids(block.astype(np.float32), np.arange(start, start + len(block)))
                give_back(rows)
            self.points = _measured(self, rows)

    @classmethod
    def read(cls, path: Path, *, trained: int, points: tuple[OperatingPoint, ...]) -> Cells:
        """Read what `write` wrote. FAISS trusts the content, so check it first."""
        return cls(import_faiss().read_index(str(path)), trained=trained, points=points)

    def write(self, path: Path) -> None:
        """Write centroids and codes into a FAISS file.

        Raises:
            OSError: the disk is full, or the folder cannot be written to.

        """
        try:
            create_file(path)
            import_faiss().write_index(self.index, str(path))
        except RuntimeError as error:  # FAISS's own words hold the line of its source
            path.unlink(missing_ok=True)
            raise OSError(errno.ENOSPC, f"{path.name} could not be written in full") from error


def _spherical_means(training: Single, cells: int) -> Single:
    """Return the centroids of cells, (cells, d) unit rows, by k-means on the sphere."""
    faiss = import_faiss()
    means = faiss.Kmeans(
        training.shape[1], cells, niter=KMEANS_ROUNDS, spherical=True, min_points_per_centroid=1
    )
    means.train(training)
    centroids: Single = means.centroids
    return centroids


def _measured(cells: Cells, rows: Half) -> tuple[OperatingPoint, ...]:
    """Search for the neighbours of sampled rows, leaving each itself out, and return the useful operating points.

    Refinement is exact, so a neighbour is found wherever it is among the candidates. A row that ties with the tenth
    neighbour is as good as that one.
    """
    source = np.random.default_rng(1)
    sample = source.choice(len(rows), min(len(rows), SAMPLE_QUERIES), replace=False)
    queries = rows[sample].astype(np.float32)
    wide = min(3 * NEIGHBOURS, len(rows))
    scores, slots = RowIndex(rows, np.arange(len(rows)), None).exact(queries, wide, None)
    others = [slots[query][slots[query] != own] for query, own in enumerate(sample)]
    levels = [scores[query][slots[query] != own] for query, own in enumerate(sample)]
    wanted = min(NEIGHBOURS, wide - 1)
    truth = [
        found[level >= level[wanted - 1] - ROUNDING] for found, level in zip(others, levels, strict=True)
    ]
    points: list[OperatingPoint] = []
    nprobe, best, before = 1, 0.0, -1.0
    while nprobe <= max(1, cells.size // 4) and best < GOOD_ENOUGH and best > before + NO_GAIN:
        before = best
        parameters = _probing(nprobe)
        width = min(FACTORS[-1] * NEIGHBOURS, len(rows))
        candidates = cells.index.search(queries, width, params=parameters)[1]
        hits = np.stack([np.isin(line, found) for line, found in zip(candidates, truth, strict=True)])
        shares = np.minimum(hits.cumsum(axis=1), wanted).mean(axis=0) / wanted
        for factor in FACTORS:
            best = float(shares[min(factor * NEIGHBOURS, width) - 1])
            points.append(OperatingPoint(nprobe, factor, round(best, 4)))
        nprobe *= 2
    per_cell = len(rows) / cells.size

    def cost(point: OperatingPoint) -> float:
        return point.nprobe * per_cell / CODES_PER_FACTOR + point.factor

    useful: list[OperatingPoint] = []
    for point in sorted(points, key=lambda point: (cost(point), -point.recall)):
        if not useful or point.recall > useful[-1].recall:
            useful.append(point)
    return tuple(useful)
