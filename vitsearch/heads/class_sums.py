"""Sums of unit rows by class, and two linear classifiers that are computed from them in closed form."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Ids = npt.NDArray[np.int64]
    Fitted = tuple[Floats, Floats]

# Chosen on photos of groceries and of dogs, with a library of BSDS500; docs/benchmarks.md reports on others.
_RIDGE = 0.3
_SHARPNESS = 20.0
_SHRINKAGE = 1.0
_SHARPNESS_OF_DISTANCES = 0.3
# A class that has no photo must be nobody's answer.
_NEVER = -1e4


@dataclass(frozen=True, slots=True, eq=False)
class ClassSums:
    """Weighted sums of rows by class: `weight` (k,), `total` (k, d), and over all classes `square` (d, d).

    They can be added and subtracted, so that leaving out a fold needs no pass over the other rows.
    """

    weight: Doubles
    total: Doubles
    square: Doubles

    @classmethod
    def of(cls, rows: Floats, classes: Ids, weights: Doubles, count: int) -> ClassSums:
        """Sum up unit rows (n, d) of `classes` (n,), 0 to `count` - 1, with `weights` (n,)."""
        weighted = rows * weights.astype(np.float32)[:, None]
        total = np.eye(count, dtype=np.float32)[classes].T @ weighted
        weight = np.bincount(classes, weights, count).astype(np.float64)
        return cls(weight, total.astype(np.float64), (weighted.T @ rows).astype(np.float64))

    def __add__(self, other: ClassSums) -> ClassSums:
        """Add sums over the same classes."""
        return ClassSums(self.weight + other.weight, self.total + other.total, self.square + other.square)

    def __sub__(self, other: ClassSums) -> ClassSums:
        """Subtract rows of the same classes."""
        return ClassSums(self.weight - other.weight, self.total - other.total, self.square - other.square)

    def scaled(self, factor: float) -> ClassSums:
        """Multiply the weight of all rows."""
        return ClassSums(self.weight * factor, self.total * factor, self.square * factor)

    def before(self, classes: int) -> ClassSums:
        """Return the same sums followed by this many empty classes."""
        weight = np.concatenate([self.weight, np.zeros(classes)])
        total = np.concatenate([self.total, np.zeros((classes, self.total.shape[1]))])
        return ClassSums(weight, total, self.square)


def separate(sums: ClassSums) -> Fitted:
    """Return (k, d) weights and (k,) biases of a ridge regression on the classes.

    It is the least-squares form of a linear discriminant (Hastie, Tibshirani and Buja 1994).
    """
    everything = sums.weight.sum()
    shares = sums.weight / everything
    centre = sums.total.sum(axis=0) / everything
    spread = sums.square / everything - np.outer(centre, centre)
    spread[np.diag_indices(len(spread))] += _RIDGE * np.trace(spread) / len(spread) + 1e-9
    targets = sums.total / everything - shares[:, None] * centre
    weight = np.linalg.solve(spread, targets.T).T
    bias = shares - weight @ centre
    bias[sums.weight < 1e-9] = -2.0
    return (_SHARPNESS * weight).astype(np.float32), (_SHARPNESS * bias).astype(np.float32)


def discriminate(sums: ClassSums) -> Fitted:
    """Return (k, d) weights and (k,) biases that score a row by its distance to each class's mean.

    Distances are in units of the within-class covariance, which all classes share and which is shrunk towards a sphere
    (regularised discriminant analysis, Friedman 1989). All classes have the same prior.
    """
    everything = sums.weight.sum()
    present = sums.weight > 1e-9
    means = sums.total[present] / sums.weight[present, None]
    between = (means * (sums.weight[present, None] / everything)).T @ means
    spread = sums.square / everything - between
    spread[np.diag_indices(len(spread))] += _SHRINKAGE * np.trace(spread) / len(spread) + 1e-9
    solved = _SHARPNESS_OF_DISTANCES * np.linalg.solve(spread, means.T).T
    weight, bias = np.zeros_like(sums.total, dtype=np.float32), np.full(len(present), _NEVER, np.float32)
    weight[present] = solved
    bias[present] = -0.5 * np.einsum("kd,kd->k", means, solved)
    return weight, bias
