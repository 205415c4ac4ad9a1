"""Whether two aligned photos of one scene were taken twice, or one of them was made from the other.

An edit moves all parts of a picture by one rule. A camera that was not held at the very same place does not: what is
near moves further than what is far. So the two are aligned to a small part of a pixel, by the shifts, the turns, the
perspective and the lens correction that an editor makes, and what is left over is measured block by block (Lucas and
Kanade, "An iterative image registration technique with an application to stereo vision", 1981). Noise leaves blocks
that stray at random; depth leaves neighbours that stray together.

What hides a part of a copy was drawn: text, a bar, a logo, a sticker of a few tones. Where something of many tones
hides a part of the scene, somebody or something was there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vitsearch.duplicates.verify.agreement import overlap_of
from vitsearch.duplicates.verify.drawn_over import edges_of, exposed_as

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.duplicates.verify.evidence import Evidence
    from vitsearch.duplicates.verify.views import View

    Plane = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.uint8]
    Floats = npt.NDArray[np.float64]
    Flags = npt.NDArray[np.bool_]

Number = TypeVar("Number", bound=np.generic)

# In pixels: the shorter side of the overlap, and a block.
_SIDE, _BLOCK = 288, 24
_SMOOTH = 1.0
_ROUNDS = 3
# A block tells its shift where it has so many grey levels of structure, agrees so well, and is known to so many pixels.
_STRUCTURE, _AGREES, _SURE = 4.0, 0.8, 0.5
_FEWEST = 12
# In pixels: no block is known better, or strays further.
_SUREST, _FARTHEST = 0.05, 1.0
# Neighbouring pixels are alike: so many of them count as one.
_ALIKE = 8
# How strongly the nine numbers of the alignment are held at nothing.
_HELD = 0.5
# In pixels. Chosen on 120 copies of small pictures (0.144 at most), 394 copies by 39 edits (0.129), and 152 pairs of
# shots of one shelf (0.18 in the median). Where something hides a part, copies stray by 0.08 at most.
_STRAYS, _STRAYS_BEHIND = 0.15, 0.08
# Of the pairs of shots none agrees so closely where they are first compared (0.9987 at most); half of the copies do.
_CLOSE = 0.999
# What hides a part of a picture: in grey levels, in pixels across, and the share of the picture.
_HIDES, _ACROSS, _HIDDEN, _LARGELY_HIDDEN = 30.0, 11, 0.004, 0.025
# Of what was drawn this share lies within some grey levels of a few tones; of a small spot its edges are much.
_TONES, _AROUND, _DRAWN, _DRAWN_SMALL = 3, 6, 0.72, 0.62
# And it ends at an edge, about as clear as those that the scene behind it may have there.
_ENDS_AT_EDGE = 0.6


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Two pictures that were aligned as closely as any edit explains: `one`, `two`, (h, w) float32.

    `strays`: by how many pixels neighbouring blocks stray together. `agreement`, `structure`: the correlation of each
    block, (rows, columns), and the grey levels of structure that the one with more has; `inside`: where both are.
    """

    one: Plane
    two: Plane
    strays: float
    agreement: Floats
    structure: Floats
    inside: Flags


def aligned(first: View, second: View, seen: Evidence) -> Aligned | None:
    """Align two views, of which the second is still to be turned; None where too little tells how."""
    frame = overlap_of(
        first.grey, second.turned(seen.orientation).grey, np.array(seen.alignment).reshape(2, 3), _SIDE
    )
    if frame is None or min(frame[2].shape) < 2 * _BLOCK:
        return None
    return _aligned(*frame)


def taken_from_elsewhere(pair: Aligned) -> bool:
    """Whether a camera took one of two pictures from a slightly different place."""
    return pair.strays >= _STRAYS


def agrees_too_closely(seen: Evidence) -> bool:
    """Whether two pictures agree so closely, all over, that they cannot have been taken one after the other."""
    return seen.unhidden == 1 and seen.closeness >= _CLOSE


def hidden_share(pair: Aligned) -> tuple[float, bool]:
    """How much of one picture something hides in the other one, 0 to 1, and whether that looks drawn."""
    import cv2

    height, width = (side * _BLOCK for side in pair.inside.shape)
    whole = np.ones((_BLOCK, _BLOCK), np.uint8)
    inside = np.kron(pair.inside, whole)
    differing = np.kron(pair.inside & (pair.structure > _STRUCTURE) & (pair.agreement < _AGREES), whole)
    if not differing.any():
        return 0.0, True
    one, two = pair.one[:height, :width], pair.two[:height, :width]
    apart = np.abs(two - exposed_as(one, two, inside > 0)) > _HIDES
    closed = cv2.morphologyEx(apart.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (_ACROSS, _ACROSS))
    near = cv2.dilate(differing, np.ones((_BLOCK + 1, _BLOCK + 1), np.uint8))
    opened = np.asarray(cv2.morphologyEx(closed, cv2.MORPH_OPEN, disc), np.uint8)
    spots = (opened & np.asarray(near, np.uint8) & inside) > 0
    share = float(spots.sum() / inside.sum())
    if share < _HIDDEN:
        return 0.0, True
    around = cv2.morphologyEx(spots.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((5, 5), np.uint8)) > 0
    edges = [float(edges_of(plane)[around].mean()) for plane in (one, two)]
    drawn = max(
        share_in_few_tones(plane[spots], tones=_TONES, around=_AROUND)
        for plane, edge in zip((one, two), edges, strict=True)
        if edge >= _ENDS_AT_EDGE * max(edges)
    )
    is_drawn = drawn >= (_DRAWN if share >= _LARGELY_HIDDEN else _DRAWN_SMALL)
    return share, is_drawn and pair.strays < _STRAYS_BEHIND


def share_in_few_tones(greys: Plane | Mask, *, tones: int, around: int) -> float:
    """Return the share of greys, (n,) of 0 to 255, that lie within `around` levels of so many tones."""
    counts = np.bincount(np.clip(greys, 0, 255).astype(np.uint8), minlength=256).astype(np.float64)
    kept = 0.0
    for _ in range(tones):
        sums = np.convolve(counts, np.ones(2 * around + 1), "same")
        tone = int(sums.argmax())
        near = slice(max(0, tone - around), tone + around + 1)
        kept += float(counts[near].sum())
        counts[near] = 0
    return kept / len(greys)


@dataclass(frozen=True, slots=True, eq=False)
class _Shifts:
    """How blocks, (n,), are shifted in the second picture: `shift` (n, 2), known to `error` pixels, where `known`."""

    shift: Floats
    error: Floats
    known: Flags
    agreement: Floats
    structure: Floats
    inside: Flags


def _aligned(one: Plane, two: Plane, mask: Mask) -> Aligned | None:
    import cv2

    shape = mask.shape[0] // _BLOCK, mask.shape[1] // _BLOCK
    places = _places(np.arange(shape[1]) + 0.5, np.arange(shape[0]) + 0.5, shape)
    columns, rows = np.arange(mask.shape[1]), np.arange(mask.shape[0])
    pixels = _grid((columns + 0.5) / _BLOCK, (rows + 0.5) / _BLOCK, shape)
    x, y = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    moved, seen = one, mask
    other = _varied(np.asarray(cv2.GaussianBlur(two, (0, 0), _SMOOTH), np.float32))
    for step in range(_ROUNDS):
        found = _shifts(moved, other, seen)
        if found.known.sum() < _FEWEST:
            return None
        bend = _bend(found, places)
        if step == _ROUNDS - 1:
            break
        x, y = x + _moved(bend[:3], bend[6:], pixels), y + _moved(bend[3:6], bend[6:], pixels, down=True)
        drawn = cv2.remap(one, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        moved = np.asarray(drawn, np.float32)
        seen = np.asarray(cv2.remap(mask, x, y, cv2.INTER_NEAREST), np.uint8) & mask
    left = found.shift - np.stack([places[0] @ bend, places[1] @ bend], axis=1)
    return Aligned(
        np.asarray(moved, np.float32),
        two,
        _strays(left, found, shape),
        found.agreement.reshape(shape),
        found.structure.reshape(shape),
        found.inside.reshape(shape),
    )


def _places(columns: Floats, rows: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """What each of nine numbers of an alignment does at some places: (n, 9) to x and to y.

    Three for each affine row, two for the perspective and one for the curvature of a lens. Places are in blocks.
    """
    x, y = (plane.reshape(-1) for plane in np.meshgrid(*_grid(columns, rows, shape)))
    one, none, square = np.ones_like(x), np.zeros_like(x), x * x + y * y
    return (
        np.stack([one, x, y, none, none, none, x * x, x * y, x * square], axis=1),
        np.stack([none, none, none, one, x, y, x * y, y * y, y * square], axis=1),
    )


def _grid(columns: Floats, rows: Floats, shape: tuple[int, int]) -> tuple[Floats, Floats]:
    """Columns and rows in blocks, from the middle, in parts of half of the longer side."""
    size = max(shape) / 2
    return (columns - shape[1] / 2) / size, (rows - shape[0] / 2) / size


def _moved(affine: Floats, bent: Floats, grid: tuple[Floats, Floats], *, down: bool = False) -> Plane:
    """By how many pixels an alignment moves each pixel of a grid along x, or `down`: what `_places` says, in full."""
    x, y = grid[0].astype(np.float32)[None], grid[1].astype(np.float32)[:, None]
    across, downwards, lens = map(np.float32, bent)
    along = y if down else x
    rest = across * x + downwards * y + lens * (x * x + y * y)
    offset, by_x, by_y = map(np.float32, affine)
    return np.asarray(along * rest + (offset + by_x * x + by_y * y), np.float32)


def _shifts(one: Plane, other: Plane, mask: Mask) -> _Shifts:
    """Explain each block of the second picture by the first one's: its contrast, and a shift along each axis.

    `other`: the second picture, smoothed, in blocks around their means (n, pixels).
    """
    import cv2

    here = cv2.GaussianBlur(one, (0, 0), _SMOOTH)
    across, down = (cv2.Sobel(here, cv2.CV_32F, *axis, scale=1 / 8) for axis in ((1, 0), (0, 1)))
    own, *slopes = (_varied(np.asarray(plane, np.float32)) for plane in (here, across, down))
    known = np.stack([own, *slopes], axis=1)
    products = (known @ known.swapaxes(1, 2)).astype(np.float64) + 1e-3 * np.eye(3)
    with_other = (known @ other[..., None])[..., 0].astype(np.float64)
    inverse = np.linalg.inv(products)
    fitted = np.einsum("nij,nj->ni", inverse, with_other)
    contrast = np.maximum(fitted[:, :1], 1e-2)
    power, others = np.maximum(products[:, 0, 0], 1e-6), np.maximum((other**2).sum(axis=1), 1e-6)
    unexplained = np.maximum(others - (fitted * with_other).sum(axis=1), 1e-6) / (_BLOCK**2 / _ALIKE)
    variance = np.maximum(inverse[:, 1, 1], inverse[:, 2, 2]) * unexplained
    error = np.sqrt(variance) / contrast[:, 0]
    agreement = with_other[:, 0] / np.sqrt(power * others)
    inside = _cut(mask).min(axis=(2, 3)).reshape(-1) > 0
    levels = np.sqrt(np.stack([power, others]) / _BLOCK**2)
    told = inside & (levels.min(axis=0) > _STRUCTURE) & (agreement > _AGREES) & (error < _SURE)
    return _Shifts(fitted[:, 1:] / contrast, error, told, agreement, levels.max(axis=0), inside)


def _bend(found: _Shifts, places: tuple[Floats, Floats]) -> Floats:
    """Fit the nine numbers of an alignment to the shifts, those aside that stray far."""
    chosen, weight = found.known, 1 / (_SUREST + found.error)
    bend = np.zeros(9)
    for _ in range(3):
        rows = np.concatenate([place[chosen] * weight[chosen, None] for place in places])
        wanted = (found.shift[chosen] * weight[chosen, None]).T.reshape(-1)
        # Held as they are, these nine equations can be solved as they stand.
        bend = np.linalg.solve(rows.T @ rows + _HELD**2 * np.eye(9), rows.T @ wanted)
        off = np.linalg.norm(found.shift - np.stack([place @ bend for place in places], axis=1), axis=1)
        chosen = found.known & (off <= max(0.3, 2.5 * float(np.median(off[found.known]))))
    return bend


def _strays(left: Floats, found: _Shifts, shape: tuple[int, int]) -> float:
    """By how many pixels neighbouring blocks stray in one direction: the root of their mean product."""
    length = np.linalg.norm(left, axis=1, keepdims=True)
    field = (left * np.minimum(1, _FARTHEST / np.maximum(length, 1e-6))).reshape(*shape, 2)
    weight = (found.known / np.hypot(found.error, _SUREST)).reshape(shape)
    total, weights = 0.0, 0.0
    for one, other in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[1:], np.s_[:-1])):
        both = weight[one] * weight[other]
        total += float((both * (field[one] * field[other]).sum(axis=2)).sum())
        weights += float(both.sum())
    return max(0.0, total / weights) ** 0.5 if weights else 0.0


def _varied(plane: Plane) -> Plane:
    """Cut a plane into blocks around their means: (n, pixels)."""
    cut = _cut(plane).reshape(-1, _BLOCK * _BLOCK)
    return np.asarray(cut - cut.mean(axis=1, keepdims=True), np.float32)


def _cut(plane: npt.NDArray[Number]) -> npt.NDArray[Number]:
    """Cut a plane into blocks: (rows, columns, height, width), a view."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    return plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK).swapaxes(1, 2)
