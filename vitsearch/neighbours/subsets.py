"""Restrict a search to some photos, or leave some out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.neighbours.faiss_index import Subset

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.neighbours.slots import SlotTable

    Ids = npt.NDArray[np.int64]
    Scores = npt.NDArray[np.float32]


def subset(table: SlotTable, within: Ids | None, left_out: Ids) -> Subset:
    """Return the slots that may be found: those of the photos `within`, or all, without the slots `left_out`."""
    total = len(table.removed)
    if within is None:
        mask = ~table.removed
        mask[left_out] = False
        return Subset(total, mask=mask)
    slots = table.find_known(np.asarray(within, dtype=np.int64))
    if (np.diff(slots) <= 0).any():
        slots = np.unique(slots)
    return Subset(total, slots=np.setdiff1d(slots, left_out) if len(left_out) else slots)


def without(scores: Scores, ids: Ids, left_out: Ids, k: int) -> tuple[Scores, Ids]:
    """Return the first k results of each query, leaving out the photos `left_out`."""
    last = np.isin(ids, left_out)
    order = np.argsort(last, axis=1, kind="stable")[:, :k]
    scores, ids = np.take_along_axis(scores, order, axis=1), np.take_along_axis(ids, order, axis=1)
    dropped = np.take_along_axis(last, order, axis=1)
    scores[dropped], ids[dropped] = -np.inf, -1
    return scores, ids
