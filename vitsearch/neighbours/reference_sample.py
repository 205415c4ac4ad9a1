"""The reference sample: a fixed random sample of a library, whose scores show what is ordinary for a query."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.storage import atomic

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.storage.catalog import Catalog

    Vector = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

REFERENCE_SAMPLE = 4096
# Equal vectors may differ by this much in score: FAISS and NumPy add up in another order.
_SAME_SCORE = 1e-6
# A background smaller than this says nothing about what is ordinary.
_SMALLEST_BACKGROUND = 16


@dataclass(frozen=True, slots=True)
class ReferenceScores:
    """The scores of the reference sample for one query: (m,) float32, ascending."""

    scores: Vector

    def percentile(self, score: float) -> float:
        """Return the share of the sample that scores lower, 0 to 100."""
        if not len(self.scores):
            return 100.0
        lower = np.searchsorted(self.scores, np.float32(score - _SAME_SCORE), side="left")
        return 100.0 * float(lower) / len(self.scores)

    @property
    def outlier_threshold(self) -> float | None:
        """The score above which a photo stands out from the sample, or None if the sample is too small to tell.

        Tukey's upper fence (Exploratory Data Analysis, 1977, section 2D): the upper quartile plus 1.5 times the
        interquartile range.
        """
        if len(self.scores) < _SMALLEST_BACKGROUND:
            return None
        # As `np.quantile` does, which imports masked arrays for it; the scores are in order.
        places = np.array((0.25, 0.75)) * (len(self.scores) - 1)
        low, high = np.interp(places, np.arange(len(self.scores)), self.scores)
        fence = float(high + 1.5 * (high - low))
        return fence if fence < 1 else None  # among photos this varied no score could ever be above it


@dataclass(frozen=True, slots=True)
class ReferenceSample:
    """The photos of the sample, ids (m,) int64, and their embeddings, rows (m, d) float32.

    Reading them from SQLite takes a tenth of a second, so they are cached in a file next to the search index, under
    the same generation.
    """

    ids: Ids
    rows: Vector

    @classmethod
    def of(cls, catalog: Catalog, space: int, dimension: int) -> ReferenceSample:
        """Read the sample from SQLite."""
        ids, rows = catalog.vectors(space, dimension, catalog.reference_ids(space, REFERENCE_SAMPLE))
        return cls(ids, rows.astype(np.float32))

    @classmethod
    def load(cls, path: Path, *, generation: int, dimension: int) -> ReferenceSample | None:
        """Read what `save` wrote, or return None if it is missing, damaged or of another generation."""
        try:
            # A zip file: its checksums show damage.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if int(stored["generation"]) != generation:
                    return None
                ids, rows = stored["ids"], stored["rows"]
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        if ids.dtype != np.int64 or rows.dtype != np.float16 or rows.shape != (len(ids), dimension):
            return None
        return cls(ids, rows.astype(np.float32))

    def save(self, path: Path, *, generation: int) -> None:
        """Write the sample atomically to the file that `load` reads."""
        with atomic.replacing(path, durable=False, private=True) as file:
            np.savez(file, generation=generation, ids=self.ids, rows=self.rows.astype(np.float16))

    def against(self, query: Vector, *, leave_out: Sequence[int] = ()) -> ReferenceScores:
        """Return the scores of the sample for a unit query (d,), without the query's own photos."""
        scores = np.vecdot(self.rows, query)  # BLAS would wait for its threads longer than this takes
        for photo in leave_out:
            keep = self.ids != photo
            if not keep.all():
                scores = np.where(keep, scores, np.float32(np.nan))
        scores.sort()  # NaN comes last
        return ReferenceScores(scores[: len(scores) - int(np.isnan(scores).sum())])
