"""The rotation before product quantisation: it keeps lengths, and every code gets as much to tell."""

from __future__ import annotations

import numpy as np

from vitsearch.neighbours.rotation import balancing_rotation

DIMENSION, CODES = 24, 6


def rows_that_vary_less_and_less(count: int) -> np.ndarray:
    """Rows whose first dimensions vary most, as principal axes do."""
    spread = 1.3 ** -np.arange(DIMENSION)
    return np.random.default_rng(3).normal(0, spread, (count, DIMENSION)).astype(np.float32)


def volumes(residuals: np.ndarray) -> np.ndarray:
    """The logarithm of the variances' product for each code."""
    return np.log(residuals.var(axis=0)).reshape(CODES, -1).sum(axis=1)


def test_the_rotation_keeps_every_product_of_two_rows() -> None:
    rows = rows_that_vary_less_and_less(2000)
    turn = balancing_rotation(
        rows, np.zeros((1, DIMENSION), np.float32), np.zeros(2000, np.int64), codes=CODES
    )

    assert turn.dtype == np.float32
    np.testing.assert_allclose(turn @ turn.T, np.eye(DIMENSION), atol=1e-5)


def test_every_code_gets_about_as_much_to_tell_as_the_others() -> None:
    rows = rows_that_vary_less_and_less(20_000)
    centroids = np.array([np.zeros(DIMENSION), np.full(DIMENSION, 5)], np.float32)
    cell_of = np.arange(len(rows)) % 2
    turn = balancing_rotation(rows + centroids[cell_of], centroids, cell_of, codes=CODES)

    before, after = volumes(rows), volumes(rows @ turn.T)
    assert np.ptp(before) > 10
    assert np.ptp(after) < np.ptp(before) / 8


def test_dimensions_that_never_vary_do_no_harm() -> None:
    rows = rows_that_vary_less_and_less(500)
    rows[:, 10:] = 0
    turn = balancing_rotation(
        rows, np.zeros((1, DIMENSION), np.float32), np.zeros(500, np.int64), codes=CODES
    )

    assert np.isfinite(turn).all()
    np.testing.assert_allclose(turn @ turn.T, np.eye(DIMENSION), atol=1e-5)
