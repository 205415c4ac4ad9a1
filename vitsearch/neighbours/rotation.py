"""The rotation that minimises the error of product quantisation, by balancing the variance among its codes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.neighbours.row_files import BLOCK_ROWS

if TYPE_CHECKING:
    import numpy.typing as npt

    Single = npt.NDArray[np.float32]
    Slots = npt.NDArray[np.int64]


def balancing_rotation(training: Single, centroids: Single, cell_of: Slots, *, codes: int) -> Single:
    """Return the rotation (d, d) that balances the variance among `codes` runs of dimensions.

    The principal axes of the residuals are distributed so that the products of their variances are equal, so that no
    code has much more information to encode than another. Residuals are those of the `training` rows (n, d) float32 to
    the centroid of their cell, `cell_of` (n,) int64. Ge, He, Ke and Sun, "Optimized product quantization" (2013),
    section 3.2, eigenvalue allocation.
    """
    dimension = training.shape[1]
    covariance = np.zeros((dimension, dimension))
    for start in range(0, len(training), BLOCK_ROWS):
        part = slice(start, start + BLOCK_ROWS)
        residuals = training[part] - centroids[cell_of[part]]
        covariance += residuals.T @ residuals
    variances, axes = np.linalg.eigh(covariance)
    # What float32 cannot tell from zero counts as one small variance.
    weights = np.log(np.maximum(variances, variances[-1] * 1e-7 + np.finfo(float).tiny))
    runs: list[list[int]] = [[] for _ in range(codes)]
    loads = np.zeros(codes)
    width = dimension // codes
    for axis in range(dimension)[::-1]:
        run = min((each for each in range(codes) if len(runs[each]) < width), key=loads.__getitem__)
        runs[run].append(axis)
        loads[run] += weights[axis] - weights[0]
    order = [axis for run in runs for axis in run]
    return np.ascontiguousarray(axes[:, order].T, dtype=np.float32)
