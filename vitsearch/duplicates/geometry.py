"""The similarity transform that carries one photo's local features onto another's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.duplicates.views import Features

    Matrix = npt.NDArray[np.float64]

# Of 256 bits: further apart, two descriptors rarely show the same corner.
_FARTHEST = 72
# Lowe, "Distinctive image features from scale-invariant keypoints", 2004, section 7.1.
_RATIO = 0.85
_TOLERANCE = 4.0
_SCALES = (0.2, 5.0)
# Features that lie on the same spot in several scales count once.
_CELL = 8
_FEWEST = 6


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A transform that agrees with `inliers` spatially distinct pairs of features.

    `matrix`: (2, 3) float64, takes points of the first photo to points of the second: scale, turn and shift.
    """

    matrix: Matrix
    inliers: int


def fit(first: Features, second: Features) -> Fit | None:
    """Find the similarity transform between two sets of features by RANSAC, or None where there is none."""
    pairs = _matches(first, second)
    if pairs is None:
        return None
    import cv2

    source, target = pairs
    # OpenCV's types do not tell that there may be no matrix.
    found: tuple[Matrix | None, npt.NDArray[np.uint8]] = cv2.estimateAffinePartial2D(  # type: ignore[assignment]
        source, target, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE, maxIters=2000, confidence=0.995
    )
    matrix, agreeing = found
    if matrix is None:
        return None
    if not _SCALES[0] <= np.hypot(matrix[0, 0], matrix[1, 0]) <= _SCALES[1]:
        return None
    chosen = agreeing.ravel().astype(bool)
    return Fit(matrix, min(_distinct(source[chosen]), _distinct(target[chosen])))


def full_frame(first: tuple[int, int], second: tuple[int, int]) -> Matrix:
    """Return the transform that lays one whole frame (height, width) upon another: (2, 3) float64."""
    across, down = second[1] / first[1], second[0] / first[0]
    return np.array([[across, 0, 0], [0, down, 0]], dtype=np.float64)


def _matches(
    first: Features, second: Features
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]] | None:
    """Pair each feature with its nearest one, where that is near and clearly nearer than the next."""
    if len(first.points) < _FEWEST or len(second.points) < _FEWEST:
        return None
    products = first.descriptors @ second.descriptors.T
    rows = np.arange(len(products))
    nearest = products.argmax(axis=1)
    bits = first.descriptors.shape[1]
    best = (bits - products[rows, nearest]) / 2
    products[rows, nearest] = -np.inf
    second_best = (bits - products.max(axis=1)) / 2
    kept = (best <= _FARTHEST) & (best < _RATIO * second_best)
    if kept.sum() < _FEWEST:
        return None
    return first.points[kept], second.points[nearest[kept]]


def _distinct(points: npt.NDArray[np.float32]) -> int:
    return len(np.unique((points // _CELL).astype(np.int64), axis=0))
