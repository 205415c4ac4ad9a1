"""The cells of the approximate index: train, fill, measure, write and read them."""

from __future__ import annotations

import errno
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.neighbours.files import OperatingPoint
from vitsearch.neighbours.flat import BLOCK_ROWS, ROUNDING, import_faiss, probing, search_blocks, threads_for
from vitsearch.neighbours.rotation import balancing_rotation
from vitsearch.neighbours.row_files import expect_single_rows, give_back
from vitsearch.neighbours.single import LOOKED_AT, SingleSearch
from vitsearch.neighbours.sizing import KMEANS_ROUNDS, NEIGHBOURS, SAMPLE_QUERIES, SHORTLIST_FROM, CellShape
from vitsearch.storage.private import create_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy.typing as npt

    Half = npt.NDArray[np.float16]
    Single = npt.NDArray[np.float32]

FACTORS = (1, 2, 3, 5, 8, 12, 20, 30, 50, 100, 200)
# Scanning the codes of this many rows takes as long as computing the exact scores of ten.
CODES_PER_FACTOR = 450
GOOD_ENOUGH = 0.999
# Twice as many cells that find no more than this will not find the rest: the codes are what is too coarse.
NO_GAIN = 0.0005


class Cells:
    """The approximate index: IVF-PQ FastScan codes, refined with exact scores of the rows.

    Rows are assigned to cells around k-means centroids. A search visits the nearest cells, ranks their rows by 4-bit
    product quantisation codes of the rotated residuals, and computes the exact scores of the best candidates. Jégou,
    Douze and Schmid, "Product quantization for nearest neighbor search" (2011), section IV; André, Kermarrec and Le
    Scouarnec, "Quicker ADC" (2019), for the layout of the codes.

    - `points`: the useful operating points, cheapest first.
    - `trained`: how many rows there were when the cells were trained.
    - `shortlist`: finds the cells nearest to a single query, by ranking codes of all centroids and then the best
      centroids exactly. None if there are few cells. Not used for many queries at once, where comparing all centroids
      is as fast.
    """

    def __init__(
        self,
        index: Any,  # noqa: ANN401
        *,
        trained: int,
        points: tuple[OperatingPoint, ...],
        shortlist: Any = None,  # noqa: ANN401
    ) -> None:
        self.index = index
        self.shortlist = shortlist
        self.trained = trained
        self.points = points

    @property
    def count(self) -> int:
        """The number of rows in cells: the slots below it."""
        return int(self.index.ntotal)

    @property
    def size(self) -> int:
        """The number of cells."""
        return int(import_faiss().downcast_index(self.index.index).nlist)

    def single_search(self, rows: Half) -> SingleSearch:
        """Return the search for one query at a time; `rows` are the rows in cells."""
        return SingleSearch(self.index, self.shortlist, rows)

    @classmethod
    def train(cls, rows: Half) -> Cells:
        """Train cells and codes on a sample of rows (n, d), add all rows, and measure the recall."""
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
        with threads_for(len(sample) // BLOCK_ROWS):
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
        """Add the rows that are not in cells yet, or all `afresh`, and measure again; `rows` is the whole array."""
        if afresh:
            self.index.reset()
        expect_single_rows(rows, single=False)
        with threads_for(len(rows) // BLOCK_ROWS):
            for start in range(self.count, len(rows), BLOCK_ROWS):
                block = rows[start : start + BLOCK_ROWS]
                self.index.add_with_ids(block.astype(np.float32), np.arange(start, start + len(block)))
                give_back(rows)
            if self.shortlist is None and self.size >= SHORTLIST_FROM:
                self.shortlist = _shortlist(import_faiss().downcast_index(self.index.index))
            self.points = _measured(self, rows)

    @classmethod
    def read(cls, path: Path, *, trained: int, points: tuple[OperatingPoint, ...]) -> Cells:
        """Read what `write` wrote. FAISS trusts the file, so its digest must be verified first."""
        faiss = import_faiss()
        index = faiss.read_index(str(path))
        codes = faiss.downcast_index(index.index)
        shortlist = faiss.downcast_index(codes.quantizer)
        if not isinstance(shortlist, faiss.IndexRefine):
            return cls(index, trained=trained, points=points)
        # SWIG cannot take over a part of what was read, but an index of no transforms can.
        owner = faiss.IndexPreTransform(shortlist)
        owner.own_fields, codes.own_fields = True, False
        owner.referenced_objects, shortlist.referenced_objects = [], [owner]
        codes.quantizer = shortlist.refine_index
        return cls(index, trained=trained, points=points, shortlist=shortlist)

    def write(self, path: Path) -> None:
        """Write centroids and codes to a FAISS file.

        Raises:
            OSError: the disk is full, or the folder cannot be written to.

        """
        try:
            create_file(path)
            with self._shortlist_as_quantizer():
                import_faiss().write_index(self.index, str(path))
        except RuntimeError as error:  # FAISS's own words hold the line of its source
            path.unlink(missing_ok=True)
            raise OSError(errno.ENOSPC, f"{path.name} could not be written in full") from error

    @contextmanager
    def _shortlist_as_quantizer(self) -> Iterator[None]:
        """Store the shortlist, which holds the centroids, as the quantizer of FAISS's file."""
        if self.shortlist is None:
            yield
            return
        faiss = import_faiss()
        codes = faiss.downcast_index(self.index.index)
        codes.quantizer = faiss.downcast_index(self.shortlist)  # SWIG would no longer own what is assigned
        try:
            yield
        finally:
            codes.quantizer = self.shortlist.refine_index


def _spherical_means(training: Single, cells: int) -> Single:
    """Return the centroids of cells, (cells, d) unit rows, by k-means on the sphere."""
    faiss = import_faiss()
    means = faiss.Kmeans(
        training.shape[1], cells, niter=KMEANS_ROUNDS, spherical=True, min_points_per_centroid=1
    )
    means.train(training)
    centroids: Single = means.centroids
    return centroids


def _shortlist(cells: Any) -> Any:  # noqa: ANN401
    """Build the index that ranks the codes of the cells' centroids, and then the best centroids exactly."""
    faiss = import_faiss()
    quantizer = faiss.downcast_index(cells.quantizer)
    centroids = quantizer.reconstruct_n(0, quantizer.ntotal)
    codes = faiss.IndexPQFastScan(quantizer.d, cells.pq.M, 4, faiss.METRIC_INNER_PRODUCT)
    codes.pq.cp.min_points_per_centroid = 1
    codes.pq.cp.niter = KMEANS_ROUNDS
    codes.train(centroids)
    codes.add(centroids)
    shortlist = faiss.IndexRefine(codes, quantizer)
    shortlist.k_factor = LOOKED_AT  # for FAISS alone, and versions before this one
    return shortlist


def _measured(cells: Cells, rows: Half) -> tuple[OperatingPoint, ...]:
    """Search for the neighbours of sampled rows, without the rows themselves, and return the useful operating points.

    Refinement is exact, so a neighbour is found whenever it is among the candidates. A row with the same score as the
    tenth neighbour counts as well.
    """
    source = np.random.default_rng(1)
    sample = source.choice(len(rows), min(len(rows), SAMPLE_QUERIES), replace=False)
    queries = rows[sample].astype(np.float32)
    wide = min(3 * NEIGHBOURS, len(rows))
    expect_single_rows(rows, single=False)
    scores, slots = search_blocks(rows, queries, wide, None)
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
        parameters = probing(nprobe)
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
