"""Embeddings whitened: what many photos of a library have in common counts less, what is rare counts more.

Crops of many photos resemble each other as crops, and watermarked copies as watermarked photos: by cosine they crowd
the original out of a copy's nearest neighbours. Whitening takes the common part out (Jégou and Chum, "Negative
evidences and co-occurrences in image retrieval: the benefit of PCA and whitening", 2012, section 3).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.float32]

# Added to each variance, as a share of their mean: directions in which a few photos hardly differ are mostly noise.
_SHRINKAGE = 0.5
# Rows that are whitened at a time.
_BLOCK = 4096
_TINY = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Whitening:
    """Takes `mean` (d,) off a row and multiplies it with `matrix` (d, d); both float32."""

    mean: Rows
    matrix: Rows

    @classmethod
    def learned(cls, rows: Rows) -> Whitening:
        """Learn from a sample of a library's rows: (n, d) float32, n at least 1."""
        mean = rows.mean(axis=0, dtype=np.float64)
        centred = rows - mean
        variances, axes = np.linalg.eigh(centred.T @ centred / len(rows))
        raised = np.maximum(variances, 0) + _SHRINKAGE * max(float(variances.mean()), _TINY)
        return cls(mean.astype(np.float32), (axes / np.sqrt(raised)).astype(np.float32))

    def apply(self, rows: Rows) -> Rows:
        """Return whitened unit rows, (n, d) float32; a row that is the mean itself becomes zero."""
        whitened = np.empty(rows.shape, np.float32)
        for start in range(0, len(rows), _BLOCK):
            part = whitened[start : start + _BLOCK]
            np.matmul(rows[start : start + _BLOCK] - self.mean, self.matrix, out=part)
            part /= np.maximum(np.linalg.norm(part, axis=1, keepdims=True), _TINY)
        return whitened
