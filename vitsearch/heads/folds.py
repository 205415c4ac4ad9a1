"""Cross-validation folds that keep near duplicates together and distribute every label evenly."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

# Cosine similarities above which two photos count as near duplicates. The first holds for photos of many things;
# in a narrow collection (scans, x-rays) everything is that similar, so that a higher one has to tell them apart.
_CUT_OFFS = (0.95, 0.97, 0.98, 0.99, 0.995, 0.999)
_LARGEST_SHARE = 0.1
_SMALL_GROUP = 12
_BLOCK = 1024


def near_duplicate_groups(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Return group numbers (n,) of unit rows (n, d): near duplicates, even through a third row, share a number."""
    allowed = max(_SMALL_GROUP, int(_LARGEST_SHARE * len(rows)))
    groups = np.arange(len(rows))
    for cut_off in _CUT_OFFS:
        groups = _connected(rows, cut_off)
        if np.bincount(groups).max(initial=0) <= allowed:
            break
    return groups


def assign_folds(
    strata: npt.NDArray[np.int64], groups: npt.NDArray[np.int64], *, count: int, seed: int
) -> npt.NDArray[np.int64]:
    """Return fold numbers (n,), 0 to `count` - 1.

    All rows of a group are in the same fold. The groups of each stratum (a label) are distributed in turn, so that a
    label with two or more groups is in two or more folds: whichever fold is held out, the label has been trained on.
    """
    members, first = np.unique(groups, return_index=True)
    order = np.random.default_rng(seed).permutation(len(members))
    # The order within a stratum is random; the deal goes on where the last stratum ended, so that folds are even.
    dealt = order[np.argsort(strata[first[order]], kind="stable")]
    fold_of_group = np.empty(len(members), np.int64)
    fold_of_group[dealt] = np.arange(len(members)) % count
    return fold_of_group[np.searchsorted(members, groups)]


def _connected(rows: npt.NDArray[np.float32], cut_off: float) -> npt.NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    count = len(rows)
    groups = np.arange(count)
    for start in range(0, count, _BLOCK):
        block = rows[start : start + _BLOCK]
        near = np.nonzero(block @ rows[start:].T >= cut_off)
        # Earlier links travel on as one edge a row, so that memory stays at one block's pairs.
        left = np.concatenate([near[0] + start, np.arange(count)])
        right = np.concatenate([near[1] + start, groups])
        graph = coo_array((np.ones(len(left), np.bool_), (left, right)), shape=(count, count))
        numbers = connected_components(graph, directed=False)[1]
        # A group goes by its first row: such a number is a row too, and can be the end of an edge.
        groups = np.unique(numbers, return_index=True)[1][numbers]
    return groups
