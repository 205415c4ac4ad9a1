"""Whether two aligned pages say the same: scans and photos of receipts, letters, forms.

Two receipts of one shop share most of what is on them, and agree nearly everywhere at the size at which photos are
compared. So they are compared again where text can be read: a block of letters of a copy is found at its place in the
other picture, however it was saved, and a block that says something else is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Grey = npt.NDArray[np.uint8]
    Plane = npt.NDArray[np.float32]

# Of a view's pixels. Strokes are thinner than this: closing it with a disc leaves the paper alone.
_STROKE = 11
# In grey levels around the paper's tone, and the shares of the view that are as even and as empty as that.
_EVEN, _EMPTY, _INK = 30, 14, 60
_EVEN_SHARE, _EMPTY_SHARE, _INK_SHARE = 0.85, 0.75, 0.012
# Pixels on the longer side at which pages are read.
LONGEST = 1600
# In pixels of the page: about the height of a line, and how far it may lie off.
_BLOCK, _REACH = 24, 4
# In grey levels of a page from black to white.
_STRUCTURE = 25.0
# Chosen on 150 receipts and their copies. A block of a copy is hardly worse than most others are; one with another
# digit is so many times further from a perfect fit, and so far at least. Of another receipt three blocks in a hundred
# do not fit at all.
_TIMES, _AT_LEAST = 6.0, 0.25
_UNLIKE, _UNLIKE_SHARE = 0.5, 0.01
_STRANGE, _STRANGE_BLOCKS = 0.3, 3
# What a codec, a scale or a blur does to a page it does to all of its letters. A digit that is another one stands out:
# it differs by so many times as much as all blocks but a few do. In grey levels, less than that is nobody's noise; a
# changed word lies in so many blocks, and in this share of a long page. Chosen on 144 pairs of pages: copies reach 1.8.
_STANDS_OUT, _LEAST_NOISE = 2.5, 4.0
_FEWEST_WRITTEN, _FEW, _FEW_SHARE = 8, 4, 0.01
# In pixels: strokes that differ are as wide as that. In grey levels around black and white, what an editor sharpened.
_STROKE_WIDE, _OVERSHOT = 3, 20.0


def is_page(view: Grey) -> bool:
    """Whether a view, (h, w) uint8, shows thin strokes on an even ground, light or dark, and hardly anything else."""
    return _is_light_page(view) or _is_light_page(255 - view)


def _is_light_page(view: Grey) -> bool:
    import cv2

    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_STROKE, _STROKE))
    paper = np.asarray(cv2.morphologyEx(view, cv2.MORPH_CLOSE, disc), np.uint8)
    if _even_share(paper) < _EVEN_SHARE:
        return False
    ink = paper.astype(np.int16) - view
    return float((ink <= _EMPTY).mean()) >= _EMPTY_SHARE and float((ink > _INK).mean()) >= _INK_SHARE


def _even_share(paper: Grey) -> float:
    """The share of pixels that are about as light as the median one: counted, which takes a fifth of sorting them."""
    counts = np.bincount(paper.reshape(-1), minlength=256)
    below = np.cumsum(counts)
    middle = np.searchsorted(below, [(paper.size + 1) // 2, paper.size // 2 + 1]).mean()
    return float(counts[np.abs(np.arange(256) - middle) <= _EVEN].sum() / paper.size)


def shrunk(grey: Grey, longest: int) -> Grey:
    """Shrink a picture, (h, w) uint8, to so many pixels on its longer side, where it has more."""
    import cv2

    factor = longest / max(grey.shape)
    if factor >= 1:
        return grey
    size = (max(1, round(grey.shape[1] * factor)), max(1, round(grey.shape[0] * factor)))
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)


def say_something_else(one: Plane, two: Plane, mask: Grey) -> bool:
    """Whether blocks of one page are not found in the other: both (h, w) float32 on one frame, 0 black to 255 white.

    `mask`: where both are.
    """
    if _something_stands_out(one, two, mask):
        return True
    fits = np.array([_fit(one, two, *corner) for corner in _corners(one, two, mask)])
    if not len(fits):
        return False
    off = 1 - fits
    return bool(
        off.max() > max(_AT_LEAST, _TIMES * float(np.median(off)))
        or (fits < _UNLIKE).mean() >= _UNLIKE_SHARE
        or (fits < _STRANGE).sum() >= _STRANGE_BLOCKS
    )


def _something_stands_out(one: Plane, two: Plane, mask: Grey) -> bool:
    """Whether a few blocks of two pages differ far more than all others that are written on do."""
    import cv2

    around = np.ones((2 * _REACH + 1, 2 * _REACH + 1), np.uint8)
    inside = cv2.erode(mask, around, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    rows, columns = ((side - 2 * _REACH) // _BLOCK for side in mask.shape)
    if rows < 1 or columns < 1:
        return False
    unlike = unlikeness(one, two) * inside
    varied = np.maximum(_deviations(one, rows, columns), _deviations(two, rows, columns)) >= _STRUCTURE
    part = unlike[_REACH : _REACH + rows * _BLOCK, _REACH : _REACH + columns * _BLOCK]
    worst = part.reshape(rows, _BLOCK, columns, _BLOCK).max(axis=(1, 3))[varied]
    if len(worst) < _FEWEST_WRITTEN:
        return False
    few = min(_FEW + int(_FEW_SHARE * len(worst)), len(worst) // 4)
    worst.sort()
    return bool(worst[-1] > _STANDS_OUT * max(_LEAST_NOISE, float(worst[-1 - few])))


def unlikeness(one: Plane, two: Plane) -> Plane:
    """By how many grey levels what stands around each pixel lies beyond all tones that the other picture has there.

    Both (h, w) float32, 0 to 255, on one frame: a shift by less than a pixel changes nothing.
    """
    import cv2

    kernel, wide = np.ones((3, 3), np.uint8), (_STROKE_WIDE, _STROKE_WIDE)
    one, two = (np.clip(plane, -_OVERSHOT, 255 + _OVERSHOT) for plane in (one, two))
    beyond = np.zeros_like(one)
    for here, there in ((one, two), (two, one)):
        beyond = np.maximum(beyond, here - cv2.dilate(there, kernel))
        beyond = np.maximum(beyond, cv2.erode(there, kernel) - here)
    return np.asarray(cv2.boxFilter(beyond, -1, wide), np.float32)


def _corners(one: Plane, two: Plane, mask: Grey) -> list[tuple[int, int]]:
    """The blocks in which something stands on one page at least, by their left and top."""
    import cv2

    rows, columns = ((side - 2 * _REACH) // _BLOCK for side in mask.shape)
    if rows < 1 or columns < 1:
        return []
    around = np.ones((_BLOCK + 2 * _REACH, _BLOCK + 2 * _REACH), np.uint8)
    # Of each pixel as the top left corner of a block and what lies around it.
    inside = cv2.erode(mask, around, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    varied = np.maximum(_deviations(one, rows, columns), _deviations(two, rows, columns)) >= _STRUCTURE
    chosen = varied & (inside[: rows * _BLOCK : _BLOCK, : columns * _BLOCK : _BLOCK] > 0)
    return [(_REACH + column * _BLOCK, _REACH + row * _BLOCK) for row, column in np.argwhere(chosen).tolist()]


def _deviations(page: Plane, rows: int, columns: int) -> Plane:
    """The standard deviation of each block: (rows, columns)."""
    part = page[_REACH : _REACH + rows * _BLOCK, _REACH : _REACH + columns * _BLOCK]
    return np.asarray(part.reshape(rows, _BLOCK, columns, _BLOCK).std(axis=(1, 3)), np.float32)


def _fit(one: Plane, two: Plane, left: int, top: int) -> float:
    """How well what stands at a place is found near it on the other page, whichever way is worse: a correlation."""
    return min(_found(one, two, left, top), _found(two, one, left, top))


def _found(page: Plane, other: Plane, left: int, top: int) -> float:
    import cv2

    block = other[top : top + _BLOCK, left : left + _BLOCK]
    if block.std() < 1:
        return 0.0
    around = page[top - _REACH : top + _BLOCK + _REACH, left - _REACH : left + _BLOCK + _REACH]
    return float(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED).max())
