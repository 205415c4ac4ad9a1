"""How many cells an approximate index gets, how its codes look, and what it weighs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEIGHBOURS = 10  # the ten of recall@10
ROWS_PER_CELL = 50  # that k-means sees
KMEANS_ROUNDS = 10  # FAISS's own number for the cells of an inverted file
SAMPLE_QUERIES = 256
# FAISS packs the codes of a cell in blocks of so many.
CODES_PER_BLOCK = 32
# From so many cells on, codes of the centroids make a shortlist for one query; comparing it with fewer is as fast.
SHORTLIST_FROM = 1024


@dataclass(frozen=True, slots=True)
class CellShape:
    """The form of an index: its cells, and the dimensions that each 4-bit code stands for."""

    cells: int
    width: int
    dimension: int
    sample: int

    @classmethod
    def of(cls, count: int, dimension: int) -> CellShape:
        """Return the form for so many rows.

        About 1.5 times the square root of n cells, with enough rows in each to place its centroid.
        """
        cells = max(1, min(2 ** round(np.log2(1.5 * count**0.5)), count // 39))
        width = next(width for width in (4, 3, 2, 1) if dimension % width == 0)
        return cls(cells, width, dimension, min(count, cells * ROWS_PER_CELL))

    def bytes_for(self, count: int) -> int:
        """Return the bytes of FAISS's file: codes, padded to whole blocks in each cell, ids, centroids and a rotation.

        Half a block of padding a cell, as if their sizes were random.
        """
        codes = -(-self.dimension // self.width)
        code_bytes = (codes + codes % 2) / 2
        padded = count + self.cells * CODES_PER_BLOCK / 2
        centroids = 4 * self.dimension * (self.cells + 16 + self.dimension)
        shortlist = self.cells * code_bytes + 4 * 16 * self.dimension if self.cells >= SHORTLIST_FROM else 0
        return round(padded * code_bytes + 8 * count + centroids + shortlist)
