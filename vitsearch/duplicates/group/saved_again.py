"""Whether a picture was made from a JPEG of the same size, read off the JPEG's 8 x 8 blocks.

A JPEG that is saved again, losslessly or at a higher quality, still has its coefficients on the multiples of the old
quantisation steps, block by block (Fan and de Queiroz, "Identification of bitmap compression history", 2003). Where
both pictures are there, more is known: the JPEG lies up to half a step away from what it was made from, and what was
made from it lies about as close to it as its own codec and rounding allow, however it was turned or lightened.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.photos.perceptual_hash import ORIENTATIONS, turned

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Grey = npt.NDArray[np.uint8]

_CROP = 512
_BLOCK = 8
_ON_MULTIPLES = 0.4
# Steps below this are hidden by rounding.
_FINEST_STEP = 3
# In parts of a step: what is no more than rounded to zero, and from where on a step of its own hides it.
_LEAST, _LEAST_OF_JPEG, _AS_COARSE = 0.6, 0.45, 0.8
_FEWEST_COEFFICIENTS = 50
# A picture lies so close to a JPEG that was made from it, or that it was made from, in parts of what quantising the
# JPEG changes. Chosen on 12 photos, of 635 x 421 to 171 x 114 pixels, of qualities from 75 to 98, turned, mirrored,
# lighter, darker, with other contrast and colours: 0.02 to 0.5 for what was made from it, 0.7 to 5 the other way, and
# 0.9 to 4 where both were made from a third one. Turned off the grid and saved about as well (88, 92), 0.7 to 1.0.
_CLOSE = 0.6
# In a block, and blocks of a picture: with fewer coefficients that are not zero there is too little to tell.
_FEWEST_IN_BLOCK, _FEWEST_BLOCKS, _ENOUGH_BLOCKS = 3, 20, 1000
# In parts of a step: where both have one grid, and the picture's own steps are as coarse as this, they tell nothing.
_COARSE = 0.6
# Of a picture this small: how alike it must be in the orientation that fits.
_ICON, _FITS = 32, 0.9


def was_saved_again(blocks: Floats, table: Sequence[int], *, own: Sequence[int] = ()) -> bool:
    """Whether a picture, its `coefficients`, was once a JPEG with these quantisation steps and is still upright.

    `own`: its own steps, () for what is no JPEG.
    """
    return on_multiples(blocks, table, own=own) > _ON_MULTIPLES


def was_made_from(copy: Grey, source: Grey, table: Sequence[int], *, own: Sequence[int] = ()) -> bool | None:
    """Whether a picture was made from a JPEG, turned, mirrored or lightened perhaps, and not the JPEG from it.

    `copy`, `source`: greys in full, (h, w) uint8. `table`: the JPEG's quantisation steps. `own`: those of the picture,
    () for what is no JPEG. None: they do not lie upon each other, or too little tells.
    """
    orientation = _orientation(copy, source)
    steps = np.array(table, np.float32).reshape(_BLOCK, _BLOCK)
    grid = None if orientation is None else _grid_of(source, steps)
    if orientation is None or grid is None:
        return None
    top, left, is_turned = grid
    # Where the picture's own blocks begin, once it lies upon the JPEG.
    own_top, own_left = (
        side % _BLOCK if orientation & flipped else 0
        for side, flipped in zip(source.shape, (2, 1), strict=True)
    )
    on_one_grid = (top, left) == (own_top, own_left)
    finest = np.array(own if own and on_one_grid else [0] * _BLOCK**2, np.float32).reshape(_BLOCK, _BLOCK)
    apart = _apart(
        turned(copy, orientation)[top:, left:],
        source[top:, left:],
        steps.T if is_turned else steps,
        finest.T if orientation & 4 else finest,
    )
    return None if apart is None else apart < _CLOSE


def _apart(copy: Grey, source: Grey, steps: Floats, finest: Floats) -> float | None:
    """How far a picture lies from a JPEG, in parts of what quantising the JPEG changes; None where too little tells.

    The JPEG's greys are brought to the picture's first. Blocks in which both differ by more than that, such as those
    in which a colour is burnt out, are the minority: the median counts.
    """
    here, there = _middle(copy), _middle(source)
    counts = np.bincount(there.reshape(-1), minlength=256)
    # What each grey of the source has become, on the average.
    curve = np.bincount(there.reshape(-1), here.reshape(-1), minlength=256) / np.maximum(counts, 1)
    own, old = _some(_cut(here)), _some(_cut(there))
    whole = _is_whole(own) & _is_whole(old)
    if whole.sum() < _FEWEST_BLOCKS:
        return None
    own, old = own[whole], old[whole]
    seen, known, expected = (_transformed(blocks) for blocks in (own, old, curve.astype(np.float32)[old]))
    for coefficients in (seen, known, expected):
        coefficients[:, 0, 0] = 0
    contrast = (
        np.square(expected).sum(axis=(1, 2)) / np.maximum(1e-6, np.square(known).sum(axis=(1, 2)))
    ) ** 0.5
    tells = (steps >= _FINEST_STEP) & (finest <= _COARSE * steps * float(np.median(contrast)))
    tells[0, 0] = False
    chosen = (np.abs(np.round(known / steps)) >= 1) & tells
    enough = chosen.sum(axis=(1, 2)) >= _FEWEST_IN_BLOCK
    if enough.sum() < _FEWEST_BLOCKS:
        return None
    strays = (np.square(seen - expected) * chosen).sum(axis=(1, 2))[enough]
    quantising = (contrast**2 * (np.square(steps) / 12 * chosen).sum(axis=(1, 2)))[enough]
    return float(np.median(strays / np.maximum(1e-6, quantising)))


def _grid_of(grey: Grey, steps: Floats) -> tuple[int, int, bool] | None:
    """Where the blocks of a JPEG begin in its greys, and whether they lie on their side; None where that is unclear.

    What its EXIF orientation did to the picture, it did to its blocks.
    """
    for top, left, is_turned in _grids(grey.shape):
        own = steps.T if is_turned else steps
        blocks = _some(_cut(_middle(grey[top:, left:])))
        if on_multiples(_transformed(blocks[_is_whole(blocks)]), own.reshape(-1).tolist()) > _ON_MULTIPLES:
            return top, left, is_turned
    return None


def _grids(shape: tuple[int, ...]) -> Iterator[tuple[int, int, bool]]:
    tops, lefts = ((0, side % _BLOCK) if side % _BLOCK else (0,) for side in shape)
    for is_turned in (False, True):
        for top in tops:
            for left in lefts:
                yield top, left, is_turned


def _orientation(copy: Grey, source: Grey) -> int | None:
    """Which orientation brings a picture to lie upon another one, as in `ORIENTATIONS`; None where none does."""
    icon, small = _icon(copy), _icon(source)
    fits = {
        orientation: float((turned(icon, orientation) * small).sum())
        for orientation in range(len(ORIENTATIONS))
        if turned(copy, orientation).shape == source.shape
    }
    best = max(fits, key=lambda orientation: fits[orientation], default=None)
    return None if best is None or fits[best] < _FITS else best


def _icon(grey: Grey) -> Floats:
    """A small picture of mean 0 and length 1."""
    from PIL import Image

    small = np.asarray(Image.fromarray(grey).resize((_ICON, _ICON), Image.Resampling.BOX), np.float32)
    small = small - small.mean()
    return np.asarray(small / max(1e-6, float(np.linalg.norm(small))), np.float32)


def coefficients(grey: npt.NDArray[np.generic]) -> Floats:
    """The DCT coefficients of the middle of a picture, (h, w), on the grid of a JPEG: (n, 8, 8)."""
    blocks = _cut(_middle(grey))
    # What is burnt out was cut off, and has left the multiples.
    return _transformed(blocks[_is_whole(blocks)])


def _middle(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """The middle of a picture, of whole blocks."""
    height, width = (side // _BLOCK * _BLOCK for side in grey.shape)
    top, left = ((side - min(side, _CROP)) // 2 // _BLOCK * _BLOCK for side in (height, width))
    return grey[top : min(height, top + _CROP), left : min(width, left + _CROP)]


def _cut(grey: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    rows, columns = grey.shape[0] // _BLOCK, grey.shape[1] // _BLOCK
    return grey.reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2).reshape(-1, _BLOCK, _BLOCK)


def _some(blocks: npt.NDArray[np.generic]) -> npt.NDArray[np.generic]:
    """Blocks from all over the picture: a thousand tell as much as all."""
    return blocks[:: max(1, len(blocks) // _ENOUGH_BLOCKS)]


def _is_whole(blocks: npt.NDArray[np.generic]) -> npt.NDArray[np.bool_]:
    return np.asarray((blocks.min(axis=(1, 2)) > 0) & (blocks.max(axis=(1, 2)) < 255))


def _transformed(blocks: npt.NDArray[np.generic]) -> Floats:
    flat = blocks.reshape(-1, _BLOCK**2).astype(np.float32) - 128
    return np.asarray(flat @ _dct(), np.float32).reshape(-1, _BLOCK, _BLOCK)


@cache
def _dct() -> Floats:
    """What turns the 64 pixels of a block into its coefficients: one product is a quarter of the time of two."""
    n = np.arange(_BLOCK)
    matrix = np.cos((2 * n[None] + 1) * n[:, None] * np.pi / (2 * _BLOCK)) * np.sqrt(2 / _BLOCK)
    matrix[0] /= np.sqrt(2)
    return np.ascontiguousarray(np.kron(matrix, matrix).T.astype(np.float32))


def on_multiples(blocks: Floats, table: Sequence[float], *, own: Sequence[int] = ()) -> float:
    """How well coefficients lie on the multiples of quantisation steps: about 0 by chance, up to 1.

    `table`: 64 steps, row by row. Small steps are hidden by rounding, and what was rounded to zero says nothing.
    `own`: the steps of the JPEG that the coefficients are read from, () for other files. Where they are as coarse, they
    alone put all coefficients where they are.
    """
    steps = np.array(table, np.float32).reshape(_BLOCK, _BLOCK)
    finest = np.array(own or [0] * _BLOCK**2, np.float32).reshape(_BLOCK, _BLOCK)
    # Of the multiples of half a step, the odd ones are to count against it, down to the smallest.
    least = _LEAST_OF_JPEG if own else _LEAST
    total, weight = 0.0, 0.0
    for row in range(_BLOCK):
        for column in range(_BLOCK):
            step = float(steps[row, column])
            if step < _FINEST_STEP or row + column == 0 or finest[row, column] > _AS_COARSE * step:
                continue
            values = blocks[:, row, column]
            values = values[np.abs(values) > least * step]
            total += float(np.cos(2 * np.pi * values / step).sum())
            weight += len(values)
    return total / weight if weight >= _FEWEST_COEFFICIENTS else 0.0
