"""The number of cells of an approximate index, the shape of its codes, and its size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10  # the ten of recall@10
ROWS_PER_CELL = 50  # that k-means sees
KMEANS_ROUNDS = 10  # FAISS's own number for the cells of an inverted file
SAMPLE_QUERIES = 256
# FAISS packs the codes of a cell in blocks of this size.
CODES_PER_BLOCK = 32
# From this many cells on, a single query ranks codes of the centroids first; with fewer, comparing all is as fast.
SHORTLIST_FROM = 1024


@dataclass(frozen=True, slots=True)
class CellShape:
    """The shape of an index: its number of cells, and the dimensions per 4-bit code."""

    cells: int
    width: int
    dimension: int
    sample: int

    @classmethod
    def of(cls, count: int, dimension: int) -> CellShape:
        """Return the shape for this number of rows.

        About 1.5 times the square root of n cells, with enough rows in each to train its centroid.
        """
        cells = max(1, min(2 ** round(np.log2(1.5 * count**0.5)), count // 39))
        width = next(width for width in (4, 3, 2, 1) if dimension % width == 0)
        return cls(cells, width, dimension, min(count, cells * ROWS_PER_CELL))

    def bytes_for(self, count: int) -> int:
        """Return the size of FAISS's file: codes, padded to whole blocks in each cell, ids, centroids and a rotation.

        Assumes half a block of padding per cell, the average for random sizes.
        """
        codes = -(-self.dimension // self.width)
        code_bytes = (codes + codes % 2) / 2
        padded = count + self.cells * CODES_PER_BLOCK / 2
        centroids = 4 * self.dimension * (self.cells + 16 + self.dimension)
        shortlist = self.cells * code_bytes + 4 * 16 * self.dimension if self.cells >= SHORTLIST_FROM else 0
        return round(padded * code_bytes + 8 * count + centroids + shortlist)
