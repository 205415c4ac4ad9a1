"""Whether something has moved between two aligned pictures: what tells two shots of a moment from a copy.

A block of one picture that is found a little way off in the other one, where the rest stays in place, shows something
that moved (block matching, as in video codecs). An edit does not do that: what was drawn over a copy is found nowhere
in the original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Plane = npt.NDArray[np.float32]

Number = TypeVar("Number", bound=np.generic)

SIDE = 288
_BLOCK = 20
# In pixels: how far a block is looked for, and how far one that is not found nearby.
_REACH, _FAR_REACH = 8, 60
# In grey levels: a block with less structure could lie anywhere, and one with an edge alone anywhere along it.
_STRUCTURE, _ACROSS = 6.0, 0.1
_FOUND = 0.9
# How much better than in place a block must fit where it was found, and how far off that is, in pixels.
_BETTER = 0.1
_FAR = 1.5
# A block that fits this well in place has not moved.
_STILL = 0.97
_FEWEST = 12
# Where more blocks are not found nearby, these are two pictures anyway.
_MOST_LOST = 0.4


def moved(one: Plane, two: Plane, mask: npt.NDArray[np.uint8]) -> float:
    """Return the share of blocks with structure that are found elsewhere, 0 to 1.

    Both pictures are searched for blocks of the other one. What moved is found from both, the opposite way, and the
    smaller share counts.

    `one`, `two`: (h, w) float32 greys on one frame, about 288 pixels on the shorter side. `mask`: where both are.
    """
    there, blocks = _moves(one, two, mask)
    if not len(there):
        return 0.0
    back, other_blocks = _moves(two, one, mask)
    if not len(back):
        return 0.0
    opposite = np.linalg.norm(there[:, None] + back[None], axis=2) <= _FAR
    return min(float(opposite.any(axis=1).sum()) / blocks, float(opposite.any(axis=0).sum()) / other_blocks)


def _moves(one: Plane, two: Plane, mask: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.float64], int]:
    """How the blocks that are found elsewhere have moved, (m, 2), and how many blocks were looked for."""
    inside = np.argwhere(_cut(mask).all(axis=(2, 3)))
    if len(inside) < _FEWEST:
        return np.empty((0, 2)), 0
    own, other = (_cut(plane)[tuple(inside.T)] for plane in (one, two))
    chosen = _have_a_place(own)
    corners = [(left, top) for top, left in (inside[chosen] * _BLOCK).tolist()]
    if len(corners) < _FEWEST:
        return np.empty((0, 2)), 0
    still = _in_place(own[chosen], other[chosen])
    # A block cannot fit better elsewhere by `_BETTER` where it fits this well in place.
    if still.min() > 1 - _BETTER:
        return np.empty((0, 2)), len(corners)
    found = np.array(
        [
            (0.0, 0.0, 0.0) if fits >= _STILL else _found(one, two, *corner, reach=_REACH)
            for corner, fits in zip(corners, still, strict=True)
        ]
    )
    lost = np.flatnonzero(np.isnan(found[:, 0]))
    if len(lost) <= _MOST_LOST * len(corners):
        for place in lost:
            found[place] = _found(one, two, *corners[place], reach=_FAR_REACH)
    strays = _strays(np.insert(np.array(corners, np.float64), 0, 1, axis=1), found[:, :2])
    gone = (np.linalg.norm(strays, axis=1) >= _FAR) & (found[:, 2] >= _BETTER)
    return strays[gone], len(corners)


def _cut(plane: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Cut a plane into blocks: (rows, columns, height, width), a view."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return cut.swapaxes(1, 2)


def _in_place(own: Plane, other: Plane) -> npt.NDArray[np.float64]:
    """How well blocks, (n, h, w), agree with what is at their own place in the other picture: correlations, (n,)."""
    left, right = (blocks.reshape(len(blocks), -1) for blocks in (own, other))
    left = left - left.mean(axis=1, keepdims=True)
    right = right - right.mean(axis=1, keepdims=True)
    both = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return np.asarray((left * right).sum(axis=1) / np.maximum(both, 1e-6), np.float64)


def _have_a_place(blocks: Plane) -> npt.NDArray[np.bool_]:
    """Which blocks, (n, h, w), have structure in more than one direction (Shi and Tomasi, "Good features to track")."""
    chosen = blocks.std(axis=(1, 2)) >= _STRUCTURE
    down, across = np.gradient(blocks[chosen], axis=(1, 2))
    down -= down.mean(axis=(1, 2), keepdims=True)
    across -= across.mean(axis=(1, 2), keepdims=True)
    # Eigenvalues of the gradients' covariance, (2, 2) for each block.
    one, two, both = (
        (left * right).mean(axis=(1, 2)) for left, right in ((down, down), (across, across), (down, across))
    )
    middle, spread = (one + two) / 2, np.sqrt(((one - two) / 2) ** 2 + both**2)
    chosen[chosen] = middle - spread >= _ACROSS * (middle + spread)
    return np.asarray(chosen)


def _found(one: Plane, two: Plane, left: int, top: int, *, reach: int) -> tuple[float, float, float]:
    """Look for a block around its own place: the shift, nan where it is not found, and how much better it fits."""
    import cv2

    block = one[top : top + _BLOCK, left : left + _BLOCK]
    low, high = max(0, left - reach), max(0, top - reach)
    fits = cv2.matchTemplate(
        two[high : top + _BLOCK + reach, low : left + _BLOCK + reach], block, cv2.TM_CCOEFF_NORMED
    )
    _, best, _, (x, y) = cv2.minMaxLoc(fits)
    if best < _FOUND:
        return np.nan, np.nan, 0.0
    return x + low - left, y + high - top, best - float(fits[top - high, left - low])


def _strays(places: npt.NDArray[np.float64], shifts: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How far each block lies from where the alignment of the others puts it, (n, 2); 0 where it was not found."""
    known = np.isfinite(shifts[:, 0])
    strays = np.zeros(shifts.shape)
    if known.sum() < _FEWEST:
        return strays
    chosen = known & (np.linalg.norm(shifts - np.nanmedian(shifts, axis=0), axis=1) <= _FAR)
    if chosen.sum() < _FEWEST:
        return strays
    bend, *_ = np.linalg.lstsq(places[chosen], shifts[chosen], rcond=None)
    strays[known] = (shifts - places @ bend)[known]
    return strays
