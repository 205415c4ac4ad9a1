"""Whether the ground behind an object agrees, too: one thing that was laid down twice was taken twice.

On a plain ground all structure is the object's, and it agrees wherever it was laid: each turn of it passes for a turn
of the picture. The light on the ground does not turn with it. So where most of what two aligned pictures share is
plain, the tones of the plain parts are compared: an edit keeps their order, another shot has light and shadow of its
own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.verify.agreement import overlap_of

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.duplicates.verify.evidence import Evidence
    from vitsearch.duplicates.verify.views import View

    Plane = npt.NDArray[np.float32]
    Floats = npt.NDArray[np.float64]

# In pixels: the shorter side of the overlap, and a block.
_SIDE, _BLOCK = 144, 12
# In grey levels: blocks that vary less are plain.
_PLAIN = 6.0
# Of the blocks that both pictures have, so many are plain; and there are so many of them.
_MOSTLY_PLAIN, _FEWEST = 0.6, 12
# In grey levels: ground that is shaded less than this tells nothing.
_SHADED = 3.0
# How much of the shading of one picture the other one's leaves unexplained.
_UNEXPLAINED = 0.4
_FITS = 3
# In grey levels: what is as light or as dark as this has lost its shading to an exposure.
_WHITE, _BLACK = 250.0, 5.0


def is_lit_otherwise(first: View, second: View, seen: Evidence) -> bool:
    """Whether the ground of two aligned views, of which the second is still to be turned, was lit in two ways."""
    told = shading(first, second, seen)
    return told is not None and told[0] >= _SHADED and told[1] > _UNEXPLAINED


def shading(first: View, second: View, seen: Evidence) -> tuple[float, float] | None:
    """How many grey levels the plain ground of two views spreads over, and which share of that only one of them has.

    None where most of what they share is not plain.
    """
    if not seen.alignment:
        return None
    placed = second.turned(seen.orientation).grey
    frame = overlap_of(first.grey, placed, np.array(seen.alignment).reshape(2, 3), _SIDE)
    if frame is None:
        return None
    one, two, mask = frame
    inside = _cut(mask).min(axis=2) > 0
    blocks, others = _cut(one)[inside], _cut(two)[inside]
    told = np.minimum(blocks.min(axis=1), others.min(axis=1)) > _BLACK
    told &= np.maximum(blocks.max(axis=1), others.max(axis=1)) < _WHITE
    plain = told & (np.maximum(blocks.std(axis=1), others.std(axis=1)) < _PLAIN)
    if plain.sum() < max(_FEWEST, _MOSTLY_PLAIN * len(blocks)):
        return None
    tones = blocks[plain].mean(axis=1, dtype=np.float64), others[plain].mean(axis=1, dtype=np.float64)
    spread, unexplained = max(_unexplained(*tones), _unexplained(*tones[::-1]), key=lambda told: told[0])
    return spread, unexplained


def _unexplained(tones: Floats, others: Floats) -> tuple[float, float]:
    """How far tones, (n,), spread, and the share of that which no line through the others explains."""
    spread = _spread(tones)
    if spread == 0:
        return 0.0, 0.0
    chosen = np.ones(len(tones), bool)
    left = tones - np.median(tones)
    for _ in range(_FITS):
        varied = others - others[chosen].mean()
        power = float((varied[chosen] ** 2).sum())
        slope = max(0.0, float((varied * tones)[chosen].sum()) / power) if power else 0.0
        left = tones - slope * others
        left = left - np.median(left[chosen])
        # What was drawn over one of them is no light.
        chosen = np.abs(left) <= max(1.0, 2.5 * float(np.median(np.abs(left))))
    return spread, _spread(left) / spread


def _spread(values: Floats) -> float:
    low, high = np.percentile(values, (15, 85))
    return float(high - low)


def _cut(plane: npt.NDArray[np.generic]) -> Plane:
    """Cut a plane into blocks: (rows, columns, pixels)."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2)
    return np.asarray(cut.reshape(rows, columns, _BLOCK * _BLOCK), np.float32)
