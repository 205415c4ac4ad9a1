"""Many embeddings made from few real ones, so that an index can be measured at a size that nobody has photos for.

A new row is a real one, drawn towards the mean, plus noise with the covariance of the real rows: directions in which
real embeddings do not vary get no noise, as isotropic noise would make search look harder, and rows in tight bunches
would make it look easier. How much noise is found by calibration: among as many widened rows as there are real ones,
the nearest neighbour is on average no closer than among the real ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 8192


class Widening:
    """Draws rows (n, d) float32, unit length, that are spread as `base` (m, d) is."""

    def __init__(self, base: np.ndarray) -> None:
        self.base = base[:4000].astype(np.float32)
        self.mean = self.base.mean(axis=0)
        values, vectors = np.linalg.eigh(np.cov((self.base - self.mean).T))
        self.spread = (vectors * np.sqrt(np.maximum(values, 0))).T.astype(np.float32)
        self.noise = self._calibrated()

    def draw(self, count: int, random: np.random.Generator, noise: float | None = None) -> np.ndarray:
        """Draw rows: (count, d) float32."""
        share = self.noise if noise is None else noise
        chosen = self.base[random.integers(len(self.base), size=count)] - self.mean
        shaken = random.standard_normal(chosen.shape, dtype=np.float32) @ self.spread
        rows = self.mean + np.float32(np.sqrt(1 - share**2)) * chosen + np.float32(share) * shaken
        unit: np.ndarray = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        return unit

    def blocks(self, count: int, *, seed: int, first: int = 0) -> Iterator[tuple[int, np.ndarray]]:
        """Draw `count` rows in blocks, each with the number of its first row; `first`, a multiple of BLOCK, goes on."""
        for start in range(first, count, BLOCK):
            yield start, self.draw(min(BLOCK, count - start), np.random.default_rng((seed, start)))

    def _calibrated(self) -> float:
        wanted = _nearest(self.base)
        low, high = 0.0, 1.0
        for _ in range(12):
            middle = (low + high) / 2
            rows = self.draw(len(self.base), np.random.default_rng(0), middle)
            low, high = (low, middle) if _nearest(rows) <= wanted else (middle, high)
        return high


def read_base(path: Path | None, dimension: int) -> np.ndarray:
    """Read real embeddings (m, d) from a .npy file; without one, make up 2,000 rows with a decaying spectrum.

    The made-up ones have no groups at all and an effective dimension of about 70; 986 real photos of clothing through
    CLIP ViT-B/16 have 42. So they are no easier to search.
    """
    if path is not None:
        rows = np.load(path).astype(np.float32)
    else:
        random = np.random.default_rng(7)
        scales = np.arange(1, dimension + 1) ** -0.4
        rows = random.standard_normal((2000, dimension)) * 0.5 * scales / np.linalg.norm(scales)
        rows[:, -1] += 0.85
    unit: np.ndarray = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _nearest(rows: np.ndarray) -> float:
    """Return the mean similarity of a row to its nearest other."""
    similar = rows @ rows.T
    np.fill_diagonal(similar, -1)
    return float(similar.max(axis=1).mean())
