"""Estimates with confidence intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Values = npt.NDArray[np.float64]

_NORMAL_95 = 1.96
_RESAMPLES = 2000
_RESAMPLED_AT_ONCE = 4_000_000


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % confidence interval of a share observed in `count` independent trials (Wilson 1927)."""
    spread = _NORMAL_95**2 / count
    centre = (share + spread / 2) / (1 + spread)
    half = _NORMAL_95 / (1 + spread) * math.sqrt(share * (1 - share) / count + spread / (4 * count))
    return max(0.0, centre - half), min(1.0, centre + half)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value and its 95 % confidence interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of_share(cls, hits: npt.NDArray[np.bool_]) -> Estimate:
        """Estimate a share from independent trials (n,), n > 0 (Wilson 1927)."""
        value = float(np.mean(hits))
        return cls(value, *wilson_interval(value, len(hits)))

    @classmethod
    def of_mean(cls, values: Values) -> Estimate:
        """Estimate the mean of values in 0..1 from independent ones (n,), n > 0.

        The percentile bootstrap (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section 13.3). If all
        values are equal, the bootstrap has no variance, and the interval is that of a share in as many trials.
        """
        value = float(np.mean(values))
        if np.ptp(values) == 0:
            return cls(value, *wilson_interval(value, len(values)))
        return cls(value, *bootstrap_interval(values))

    @classmethod
    def of_difference(cls, first: Values, second: Values) -> Estimate:
        """Estimate the difference between the means of (n,) values and of others for the same n trials, n > 0."""
        pairs = first - second
        return cls(float(np.mean(pairs)), *bootstrap_interval(pairs))


def bootstrap_interval(values: Values) -> tuple[float, float]:
    """Return the 95 % percentile bootstrap interval of the mean of (n,) independent values; deterministic."""
    random = np.random.default_rng(0)
    step = max(1, _RESAMPLED_AT_ONCE // len(values))
    means = np.concatenate(
        [
            values[random.integers(0, len(values), (min(step, _RESAMPLES - start), len(values)))].mean(axis=1)
            for start in range(0, _RESAMPLES, step)
        ]
    )
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
