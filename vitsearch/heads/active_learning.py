"""The loop that makes a head better: which photos to label next, and corrections."""

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

# Two photos at least this alike teach a head the same thing.
_ALIKE = 0.9


@dataclass(frozen=True, slots=True)
class Question:
    """A photo worth labelling: its id, what the head would have said, and how sure it is (0 to 1)."""

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
    """Return up to `count` photos that the head is least sure of, no two alike, least sure first.

    `photos`: (n,) ids that have no label of a person yet; `rows`, `norms`: their embeddings. A softmax head is least
    sure where its best label is least probable (Lewis and Gale 1994), a sigmoid head where a label is nearest to
    even. Photos that are alike are left out first; they fill the rest only when there are not enough others.
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


def apply_corrections(
    labels: Mapping[int, tuple[str, ...]], corrections: Mapping[int, tuple[str, ...]]
) -> dict[int, tuple[str, ...]]:
    """Return the training labels of each photo id with a person's corrections, which replace or add.

    A correction may name a label that the head does not have yet. Raises `HeadError` if it cannot be a label.
    """
    check_labels(sorted({label for given in corrections.values() for label in given}) or ["none"])
    return {**labels, **corrections}


def _nearest_to_even(
    head: Head, rows: npt.NDArray[np.float32], norms: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    probabilities = head.probabilities(rows, norms)
    indices: npt.NDArray[np.int64] = np.abs(probabilities - 0.5).argmin(axis=1)
    return indices, np.take_along_axis(probabilities, indices[:, None], axis=1)[:, 0]
