"""The similarity transform that carries one photo's local features onto another's.

One pair of features that show the same corner already says how the photo was scaled, turned and shifted, so each
matched pair is tried as a hypothesis and the others vote on it (Lowe, "Distinctive image features from scale-invariant
keypoints", 2004, section 7.3; Chum and Matas, "Locally optimized RANSAC", 2003, for the fit to the voters). Nothing is
left to chance, and a handful of right matches among many wrong ones is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.neighbours.flat import import_faiss

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.duplicates.verify.views import Features

    Matrix = npt.NDArray[np.float64]
    Places = npt.NDArray[np.int64]
    Floats = npt.NDArray[np.float32]
    Words = npt.NDArray[np.uint8]

# Of 256 bits: further apart, two descriptors rarely show the same corner.
_FARTHEST = 72
# Lowe, section 7.1.
_RATIO = 0.85
# In pixels of the second photo, for one feature's own hypothesis and for the transform that is fitted in the end.
_ROUGHLY, _TOLERANCE = 24.0, 4.0
# How far a feature's own scale (a factor) and direction (a cosine) may stray from the transform's.
_SCALE_STRAYS, _TURN_STRAYS = 1.5, float(np.cos(np.radians(25)))
_SCALES = (0.2, 5.0)
# Features that lie on the same spot in several scales count once.
_CELL = 8
_FEWEST = 6
_MOST_MATCHES = 200
# A block of distances stays in the processor's cache.
_ROWS = 128
_TRIALS = 64
_HYPOTHESES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A transform that agrees with `inliers` spatially distinct pairs of features.

    `matrix`: (2, 3) float64, takes points of the first photo to points of the second: scale, turn and shift.
    """

    matrix: Matrix
    inliers: int


def fit(first: Features, second: Features) -> Fit | None:
    """Find the similarity transform that most pairs of features agree with, or None where hardly any do."""
    rows, columns = _matches(first.descriptors, second.descriptors)
    if len(rows) < _FEWEST:
        return None
    source = _as_complex(first.points[rows])
    target = _as_complex(second.points[columns])
    # A similarity is z -> factor * z + shift; a pair of features knows its factor from their sizes and directions.
    stretch = second.sizes[columns] / first.sizes[rows]
    turn = np.radians(second.angles[columns] - first.angles[rows])
    votes = _votes(source, target, (stretch * np.exp(1j * turn)).astype(np.complex64))
    counts = votes.sum(axis=1)
    best: Fit | None = None
    for place in np.argsort(-counts, kind="stable")[:_HYPOTHESES]:
        if counts[place] < _FEWEST or (best is not None and counts[place] <= best.inliers):
            break
        found = _fitted(source, target, votes[place])
        if found is not None and (best is None or found.inliers > best.inliers):
            best = found
    return best


def full_frame(first: tuple[int, int], second: tuple[int, int]) -> Matrix:
    """Return the transform that lays one whole frame (height, width) upon another: (2, 3) float64."""
    across, down = second[1] / first[1], second[0] / first[0]
    return np.array([[across, 0, 0], [0, down, 0]], dtype=np.float64)


def _matches(first: Words, second: Words) -> tuple[Places, Places]:
    """Pair features with their clearly nearest ones, seen from either photo, the closest ones first."""
    if len(first) < _FEWEST or len(second) < _FEWEST:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    apart = _distances(first, second)
    there, back = _clear(apart, axis=1), _clear(apart, axis=0)
    rows = np.concatenate([there, apart[:, back].argmin(axis=0)])
    columns = np.concatenate([apart[there].argmin(axis=1), back])
    pairs = np.unique(rows * len(second) + columns)
    rows, columns = np.divmod(pairs, len(second))
    closest = np.argsort(apart[rows, columns], kind="stable")[:_MOST_MATCHES]
    return rows[closest], columns[closest]


def _distances(first: Words, second: Words) -> Words:
    """Hamming distances of descriptors, (k, 32) and (m, 32) uint8: (k, m) uint8.

    That of two opposites wraps to 0; a wrong match is outvoted, and chance does not make any.
    """
    faiss = import_faiss()
    apart = np.empty((len(first), len(second)), np.uint8)
    for start in range(0, len(first), _ROWS):
        part = first[start : start + _ROWS]
        counts = np.empty((len(part), len(second)), np.int32)
        # A twelfth of the time that a matrix product of signs takes.
        faiss.hammings(
            faiss.swig_ptr(part), faiss.swig_ptr(second), *counts.shape, part.shape[1], faiss.swig_ptr(counts)
        )
        apart[start : start + len(part)] = counts
    return apart


def _clear(apart: Words, *, axis: int) -> Places:
    """Which rows (axis 1) or columns (axis 0) have a near one, and no second one that is nearly as near."""
    nearest = apart.min(axis=axis, keepdims=True)
    nearly = apart <= (nearest / np.float32(_RATIO)).astype(np.uint8)
    # uint8 to uint16 is summed without a detour over 64 bits.
    alone = nearly.view(np.uint8).sum(axis=axis, dtype=np.uint16) == 1
    return np.flatnonzero(alone & (nearest.reshape(-1) <= _FARTHEST))


def _votes(
    source: npt.NDArray[np.complex64], target: npt.NDArray[np.complex64], factors: npt.NDArray[np.complex64]
) -> npt.NDArray[np.bool_]:
    """Which pairs of features (columns) agree with the transform that a close pair (row) stands for."""
    trials = slice(_TRIALS)
    moved = factors[trials, None] * (source - source[trials, None]) + target[trials, None]
    # Of one factor seen from another: its size is how the scales differ, its direction how the turns do.
    strays = factors / factors[trials, None]
    size = np.abs(strays)
    return np.asarray(
        (np.abs(moved - target) <= _ROUGHLY)
        & (size <= _SCALE_STRAYS)
        & (size >= 1 / _SCALE_STRAYS)
        & (strays.real >= _TURN_STRAYS * size)
    )


def _fitted(
    source: npt.NDArray[np.complex64], target: npt.NDArray[np.complex64], chosen: npt.NDArray[np.bool_]
) -> Fit | None:
    """Fit a similarity to the chosen pairs by least squares, and again to those that it brings close."""
    factor, shift = 1 + 0j, 0j
    for tolerance in (2 * _TOLERANCE, _TOLERANCE, _TOLERANCE):
        if chosen.sum() < _FEWEST:
            return None
        here, there = source[chosen].astype(np.complex128), target[chosen].astype(np.complex128)
        middle, other_middle = here.mean(), there.mean()
        spread = float((np.abs(here - middle) ** 2).sum())
        if spread == 0:
            return None
        factor = complex((np.conj(here - middle) * (there - other_middle)).sum() / spread)
        shift = complex(other_middle - factor * middle)
        chosen = np.abs(factor * source + shift - target) <= tolerance
    if not _SCALES[0] <= abs(factor) <= _SCALES[1]:
        return None
    matrix = np.array([[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]])
    return Fit(matrix, min(_distinct(source[chosen]), _distinct(target[chosen])))


def _as_complex(points: Floats) -> npt.NDArray[np.complex64]:
    return np.ascontiguousarray(points, np.float32).view(np.complex64)[:, 0]


def _distinct(points: npt.NDArray[np.complex64]) -> int:
    cells = np.stack([points.real // _CELL, points.imag // _CELL], axis=1)
    return len(np.unique(cells.astype(np.int64), axis=0))
