"""Metrics of rankings: k-NN accuracy, average precision and overlap, with 95 % confidence intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

    from vitsearch.estimates import Values

    Rows = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

KS = (1, 10, 20, 100)
# DINO's k-NN evaluation (Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021, section 3).
TEMPERATURE = 0.07
# The neighbours that a person sees first.
SHOWN = 10

_QUERIES_AT_ONCE = 256


@dataclass(frozen=True, slots=True, eq=False)
class QueryScores:
    """The results of each query among all other photos.

    - `queries`: (q,) the query rows.
    - `nearest`: (q, SHOWN or fewer) rows, best first.
    - `right`: by k, (q,) bool, whether the weighted vote of the k nearest is the query's label; only for k with enough
      neighbours.
    - `precision`: (q,) average precision for the query's label, NaN if no other photo has it.
    """

    queries: Ids
    nearest: Ids
    right: Mapping[int, npt.NDArray[np.bool_]]
    precision: Values


def score_queries(rows: Rows, labels: Ids | None, queries: Ids) -> QueryScores:
    """Ask for the neighbours of some of these unit rows (n, d) among all others, n > 1.

    `labels`: (n,) from 0, or None, which leaves `right` and `precision` empty. Equal scores keep the order of rows.
    """
    count = len(rows) - 1
    ks = [k for k in KS if k <= count] if labels is not None else []
    nearest = np.empty((len(queries), min(SHOWN, count)), np.int64)
    right = {k: np.empty(len(queries), np.bool_) for k in ks}
    precision = np.full(len(queries), np.nan)
    for start, order, scores in _ranked(rows, queries):
        part = slice(start, start + len(order))
        nearest[part] = order[:, : nearest.shape[1]]
        if labels is not None:
            own = labels[queries[part]]
            found = labels[order]
            for k in ks:
                right[k][part] = _votes(found[:, :k], scores[:, :k], int(labels.max()) + 1) == own
            precision[part] = average_precision(found == own[:, None])
    return QueryScores(queries, nearest, right, precision if labels is not None else precision[:0])


def average_precision(relevant: npt.NDArray[np.bool_]) -> Values:
    """Return the average precision of rankings (q, n), best first; NaN where nothing is relevant.

    The mean over the relevant places of the share of relevant ones up to there (Manning et al., Introduction to
    Information Retrieval, 2008, section 8.4).
    """
    found = np.cumsum(relevant, axis=1)
    total = found[:, -1]
    at_relevant = np.where(relevant, found / np.arange(1, relevant.shape[1] + 1), 0.0).sum(axis=1)
    return np.asarray(np.where(total > 0, at_relevant / np.maximum(total, 1), np.nan), np.float64)


def overlap(first: Ids, second: Ids) -> Values:
    """Return the share of ids that two lists of neighbours (q, k) have in common, whatever their order: (q,)."""
    shared = (first[:, :, None] == second[:, None, :]).any(axis=2)
    return np.asarray(shared.mean(axis=1), np.float64)


def agreement(first: Ids, second: Ids) -> Values:
    """Return how alike two lists of neighbours (q, k) are, the best places counting most: (q,), 0 to 1.

    Average overlap: the mean over every depth of the share in common (Webber, Moffat and Zobel, A Similarity Measure
    for Indefinite Rankings, 2010, section 3).
    """
    depths = range(1, first.shape[1] + 1)
    shares = [overlap(first[:, :depth], second[:, :depth]) for depth in depths]
    return np.asarray(np.mean(shares, axis=0), np.float64)


def _ranked(rows: Rows, queries: Ids) -> Iterator[tuple[int, Ids, Rows]]:
    """Yield (first query's place, others best first (b, n - 1), their scores) for blocks of queries."""
    for start in range(0, len(queries), _QUERIES_AT_ONCE):
        block = queries[start : start + _QUERIES_AT_ONCE]
        scores = rows[block] @ rows.T
        scores[np.arange(len(block)), block] = -np.inf
        order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
        yield start, order, np.take_along_axis(scores, order, axis=1)


def _votes(found: Ids, scores: Rows, labels: int) -> Ids:
    """Return the label (b,) with the most weight among neighbours' labels (b, k); of equals the first."""
    weights = np.exp(scores.astype(np.float64) / TEMPERATURE)
    places = found + labels * np.arange(len(found))[:, None]
    votes = np.bincount(places.ravel(), weights.ravel(), minlength=labels * len(found))
    return np.asarray(votes.reshape(len(found), labels).argmax(axis=1), np.int64)
