"""What lies around the part that two photos share: more of the scene, a plain border, or other pictures.

A crop lacks what surrounds it in the whole photo, which goes on across the edge of the crop. In a collage, a card or a
screenshot the photo ends where its frame does, and something else begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Grey = npt.NDArray[np.uint8]
    Points = npt.NDArray[np.float64]

_BLOCK = 12
# In grey levels: blocks that vary less are plain.
_PLAIN = 7.0
# In pixels: how far to both sides of an edge it is looked for, and how far off the frame a side lies at least.
_ACROSS, _INSIDE = 3, 5
_SEAM, _SEAM_RATIO = 9.0, 1.9
# In grey levels around its median: a border is as even as that, nearly all of it. Light on a plain wall is not.
_EVEN, _EVEN_SHARE = 3.0, 0.8
_SAMPLES = 64
_MOST_SIDES = 0.5


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`beyond`: the share of a frame, 0 to 1, with structure outside of the shared part.

    `seam`: whether that begins at an edge. `tone`: the median grey of all that is outside, 0 to 255, -1 if nothing is.
    `even`: whether nearly all of that has this tone, as a border has and a wall has not.
    """

    beyond: float
    seam: bool
    tone: float
    even: bool


def surroundings(grey: Grey, corners: Points) -> Surroundings:
    """Look around another photo's frame, its `corners` (4, 2) in the pixels of this one: (h, w) uint8."""
    import cv2

    height, width = grey.shape
    shared = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(shared, np.round(corners).astype(np.int32), 1)
    shared = np.asarray(cv2.dilate(shared, np.ones((_INSIDE, _INSIDE), np.uint8)), np.uint8)
    if shared.all():
        return Surroundings(0.0, seam=False, tone=-1.0, even=True)
    rows, columns = height // _BLOCK, width // _BLOCK
    cut = (slice(rows * _BLOCK), slice(columns * _BLOCK))
    outside = shared[cut].reshape(rows, _BLOCK, columns, _BLOCK).mean(axis=(1, 3)) == 0
    varies = grey[cut].reshape(rows, _BLOCK, columns, _BLOCK).astype(np.float32).std(axis=(1, 3)) > _PLAIN
    beyond = float((outside & varies).sum() / max(1, rows * columns))
    around = grey[shared == 0]
    tone = float(np.median(around)) if around.size else -1.0
    even = not around.size or float((np.abs(around - tone) <= _EVEN).mean()) >= _EVEN_SHARE
    return Surroundings(beyond, _has_seam(grey.astype(np.float32), corners), tone, even)


def _has_seam(grey: npt.NDArray[np.float32], corners: Points) -> bool:
    """Whether most sides of the frame that lie inside of this picture are edges in it."""
    seams, sides = 0, 0
    middle = corners.mean(axis=0)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        along = start + np.linspace(0.05, 0.95, _SAMPLES)[:, None] * (end - start)
        outwards = np.array([end[1] - start[1], start[0] - end[0]])
        length = float(np.linalg.norm(outwards))
        if length == 0:
            continue
        outwards /= length
        if (along.mean(axis=0) - middle) @ outwards < 0:
            outwards = -outwards
        beyond, within, deeper = (
            _at(grey, along + outwards * step) for step in (_ACROSS, -_ACROSS, -3 * _ACROSS)
        )
        known = np.isfinite(beyond) & np.isfinite(within) & np.isfinite(deeper)
        if known.sum() < _SAMPLES / 2:
            continue
        sides += 1
        across = float(np.median(np.abs(beyond - within)[known]))
        inner = float(np.median(np.abs(within - deeper)[known]))
        seams += across > _SEAM and across > _SEAM_RATIO * inner
    return sides > 0 and seams > _MOST_SIDES * sides


def _at(grey: npt.NDArray[np.float32], points: Points) -> npt.NDArray[np.float32]:
    """The greys at these points, nan outside of the picture."""
    x, y = np.round(points).astype(int).T
    inside = (x >= 0) & (y >= 0) & (x < grey.shape[1]) & (y < grey.shape[0])
    values = np.full(len(points), np.nan, np.float32)
    values[inside] = grey[y[inside], x[inside]]
    return values
