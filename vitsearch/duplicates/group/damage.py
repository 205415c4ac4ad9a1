"""Which of two files was damaged where it lay: a few bytes of one file are others than in its copy.

Nobody edits compressed image data in place. A decoder that comes upon a wrong bit goes on beside the grid, in another
tone or in grey, until the next restart or to the end: there the damaged picture breaks off from what is equal in both.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Greys = npt.NDArray[np.uint8]

# Two other files of equal length differ in nearly all of their bytes.
_OTHER_BYTES = 0.25
_START_OF_SCAN = b"\xff\xda"
_BLOCK = 8
# Where the equal part ends, the damaged picture breaks off: by so many standard errors more than the whole one does,
# and at so many blocks.
_ERRORS, _EDGES = 4.0, 8
_TINY = 1e-9
# What is no damage: so small a share of the pixels, and so few grey levels.
_FEW, _FAINT = 0.001, 4
COMPRESSED = frozenset(("JPEG", "MPO", "HEIF", "AVIF", "WEBP"))
"""The formats in which another byte spoils what follows and is not noticed: a PNG has sums."""


def are_one_file(one: bytes, two: bytes) -> bool:
    """Whether two files are copies of one, some bytes of whose image data have changed; notes may differ."""
    left, right = (np.frombuffer(_image_data(data), np.uint8) for data in (one, two))
    if not left.size or left.size != right.size:
        return False
    return 0 < int(np.count_nonzero(left != right)) <= _OTHER_BYTES * left.size


def _image_data(data: bytes) -> bytes:
    """What follows the notes of a JPEG, all of another file."""
    # A preview among the notes ends before the picture's own scan begins, and both files have the same one or none.
    return data[max(0, data.find(_START_OF_SCAN)) :] if data[:2] == b"\xff\xd8" else data


def are_as_good(one: Greys, two: Greys) -> bool:
    """Whether greys, (h, w) uint8, differ by no more than what saving a JPEG again at its own quality changes."""
    if one.shape != two.shape:
        return False
    off = np.abs(one.astype(np.int16) - two)
    return bool(np.count_nonzero(off) <= _FEW * off.size and off.max(initial=0) <= _FAINT)


def damaged_one(one: Greys, two: Greys) -> int | None:
    """Say which of two greys of one file, (h, w) uint8, is the damaged one: 0, 1 or None where that is not clear."""
    if one.shape != two.shape:
        return None
    height, width = one.shape
    # A picture that was turned upright has its grid at the other edges.
    offsets = product({0, height % _BLOCK}, {0, width % _BLOCK})
    more = max((_breaks_off(one[top:, left:], two[top:, left:]) for top, left in offsets), key=abs)
    return None if abs(more) < _ERRORS else int(more < 0)


def _breaks_off(one: Greys, two: Greys) -> float:
    """By how many standard errors the first breaks off more than the second, where blocks cease to be equal in both."""
    rows, columns = (side // _BLOCK for side in one.shape)
    pair = [grey[: rows * _BLOCK, : columns * _BLOCK].astype(np.float32) for grey in (one, two)]
    differ = (pair[0] != pair[1]).reshape(rows, _BLOCK, columns, _BLOCK).any(axis=(1, 3))
    breaks = [np.concatenate([_breaks(grey, differ), _breaks(grey.T, differ.T)]) for grey in pair]
    more = breaks[0] - breaks[1]
    if more.size < _EDGES or not more.any():
        return 0.0
    return float(more.mean() / max(_TINY, float(more.std()) / more.size**0.5))


def _breaks(grey: npt.NDArray[np.float32], differ: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32]:
    """How far greys are, below each edge between blocks that differ otherwise, from what goes on above it: (n,)."""
    above, below = grey[_BLOCK - 1 : -1 : _BLOCK], grey[_BLOCK::_BLOCK]
    before, after = grey[_BLOCK - 2 : -2 : _BLOCK], grey[_BLOCK + 1 :: _BLOCK]
    off = (below - above) - (above - before + after - below) / 2
    of_blocks = np.sqrt(np.square(off).reshape(len(off), -1, _BLOCK).mean(axis=2))
    found: npt.NDArray[np.float32] = of_blocks[differ[1:] != differ[:-1]]
    return found
