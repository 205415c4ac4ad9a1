"""Active learning: which photos to label next, and how corrections change the training labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError
from vitsearch.heads.head import check_labels

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from vitsearch.heads.head import Head

# TypiClust's own figures.
_NEIGHBOURS = 20
_MOST_CLUSTERS = 500
_GROUP = 8
_ROWS_AT_ONCE = 1024
# Two photos at least this alike teach a head the same thing.
_ALIKE = 0.9


@dataclass(frozen=True, slots=True)
class Question:
    """A photo worth labelling, with the head's best label and its confidence (0 to 1)."""

    photo: int
    label: str
    probability: float


def next_to_label(
    head: Head,
    photos: npt.NDArray[np.int64],
    rows: npt.NDArray[np.float32],
    norms: npt.NDArray[np.float32],
    *,
    count: int = 20,
) -> tuple[Question, ...]:
    """Return up to `count` photos that the head is least certain of, no two alike, least certain first.

    `photos`: (n,) ids without a label from a person; `rows`, `norms`: their embeddings. A softmax head is least
    certain where its best label is least probable (Lewis and Gale 1994), a sigmoid head where a label is closest to
    0.5. Similar photos are skipped, unless there are too few others.
    """
    if count < 1:
        raise HeadError(f"cannot name {count} photos: ask for one or more")
    if head.kind == "sigmoid":
        labels, probabilities = _nearest_to_even(head, rows, norms)
        sureness = np.abs(probabilities - 0.5)
    else:
        top = head.top(rows, norms, k=1)
        labels, probabilities = top.indices[:, 0], top.probabilities[:, 0]
        sureness = probabilities
    order = np.argsort(sureness, kind="stable")
    chosen: list[int] = []
    alike: list[int] = []
    for row in order.tolist():
        if len(chosen) == count:
            break
        close = bool(chosen) and float((rows[chosen] @ rows[row]).max()) >= _ALIKE
        (alike if close else chosen).append(row)
    asked = [*chosen, *alike[: count - len(chosen)]]
    return tuple(
        Question(int(photos[row]), head.labels[labels[row]], float(probabilities[row])) for row in asked
    )


def typical_photos(
    rows: npt.NDArray[np.float32], known: npt.NDArray[np.float32], *, count: int
) -> tuple[int, ...]:
    """Return up to `count` of the unit rows (n, d) that are most representative, for use while there are few labels.

    TypiClust (Hacohen, Dekel and Weinshall, Active Learning on a Budget: Opposite Strategies Suit High and Low
    Budgets, 2022, section 3): as many clusters as there will be labels, and from each of the largest clusters without
    a labelled row (`known`, (m, d)), the row that is nearest to its neighbours.
    """
    clusters = _clusters(np.concatenate([rows, known]), len(known) + count)
    covered = np.bincount(clusters[len(rows) :], minlength=clusters.max() + 1)
    clusters = clusters[: len(rows)]
    sizes = np.bincount(clusters, minlength=len(covered))
    chosen: list[int] = []
    for cluster in np.lexsort((-sizes, covered)).tolist():
        members = np.flatnonzero(clusters == cluster)
        if len(members) and len(chosen) < count:
            chosen.append(int(members[typicality(rows[members]).argmax()]))
    return tuple(chosen)


def alike_groups(
    rows: npt.NDArray[np.float32], known: npt.NDArray[np.float32], *, count: int
) -> tuple[tuple[int, ...], ...]:
    """Return up to `count` groups of similar rows, largest first, the most typical row of each first.

    The groups are clusters of unit rows (n, d) with at least eight photos and no labelled row (`known`).
    """
    clusters = _clusters(np.concatenate([rows, known]), max(2, (len(rows) + len(known)) // _GROUP))
    covered = np.isin(clusters[: len(rows)], clusters[len(rows) :])
    numbers, sizes = np.unique(clusters[: len(rows)][~covered], return_counts=True)
    groups = []
    for number in numbers[np.argsort(-sizes, kind="stable")][:count]:
        members = np.flatnonzero(clusters[: len(rows)] == number)
        order = np.argsort(-typicality(rows[members]), kind="stable")
        groups.append(tuple(members[order].tolist()))
    return tuple(group for group in groups if len(group) > 1)


def typicality(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return the typicality of each unit row (n, d), (n,): the inverse mean distance to its 20 nearest neighbours."""
    neighbours = min(_NEIGHBOURS, len(rows) - 1)
    if neighbours < 1:
        return np.ones(len(rows), np.float32)
    found = np.empty(len(rows), np.float32)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        part = slice(start, start + _ROWS_AT_ONCE)
        similar = np.partition(rows[part] @ rows.T, len(rows) - 1 - neighbours, axis=1)[:, -neighbours - 1 :]
        # The most similar row is the row itself.
        others = np.sort(similar, axis=1)[:, :-1]
        found[part] = 1 / np.maximum(1e-3, np.sqrt(np.maximum(0, 2 - 2 * others)).mean(axis=1))
    return found


def _clusters(rows: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.int64]:
    """Return the cluster of each row, (n,), by deterministic k-means."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    count = min(count, _MOST_CLUSTERS, len(np.unique(rows, axis=0)))
    with threadpool_limits(1):
        return np.asarray(KMeans(count, n_init=2, max_iter=30, random_state=0).fit_predict(rows), np.int64)


def apply_corrections(
    labels: Mapping[int, tuple[str, ...]], corrections: Mapping[int, tuple[str, ...]]
) -> dict[int, tuple[str, ...]]:
    """Return the training labels by photo id after a person's corrections, which replace or add labels.

    Corrections may contain labels that are new to the head.

    Raises:
        HeadError: a label is not valid.

    """
    check_labels(sorted({label for given in corrections.values() for label in given}) or ["none"])
    return {**labels, **corrections}


def _nearest_to_even(
    head: Head, rows: npt.NDArray[np.float32], norms: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    probabilities = head.probabilities(rows, norms)
    indices: npt.NDArray[np.int64] = np.abs(probabilities - 0.5).argmin(axis=1)
    return indices, np.take_along_axis(probabilities, indices[:, None], axis=1)[:, 0]
