"""Whether a digit or a letter is another one in the words that are drawn over both of two copies of a photo.

Race numbers and dates share most of their strokes: at the small size at which photos are compared they pass for one. So
where a few spots of two copies differ by far more than all the rest does, these are looked at in full and in colour.
Where other words were drawn over each picture in one colour, that colour is in one of them at some pixels of a spot and
in the other one at others, and the words that both have are beside it, in thin strokes. What was drawn over only one of
them has its colour in that one alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vitsearch.duplicates.verify.agreement import overlap_of
from vitsearch.duplicates.verify.drawn_over import edges_of
from vitsearch.duplicates.verify.written import unlikeness
from vitsearch.photos.perceptual_hash import turned

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.duplicates.verify.evidence import Evidence
    from vitsearch.duplicates.verify.views import View

    Plane = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.bool_]
    Colours = npt.NDArray[np.float32]

# Both are whole frames, and agree so closely: only then the noise of a pair tells what is none.
_WHOLE, _CLOSE = 0.985, 0.97
# In pixels of the views, and in grey levels: a block of a view stands out from all but a few by so many times as much
# as these differ, and so far at least. Of copies one in forty is looked at in full.
_VIEW, _VIEW_BLOCK, _VIEW_TIMES, _VIEW_LEAST = 288, 12, 3.0, 5.0
# In pixels: the longer side of what is looked at in full, a block of it, and its edge.
_LONGEST, _BLOCK, _EDGE = 1600, 16, 4
_SAME_SHAPE = 0.01
# The blocks that may stand out: so many, and in this share of the picture.
_FEW, _FEW_SHARE = 6, 0.02
# A spot differs by so many times as much as the rest, in grey levels so far at least; where the rest differs by more
# than that, nothing is told.
_TIMES, _LEAST, _LEAST_NOISE, _MOST_NOISE = 2.5, 20.0, 4.0, 24.0
# More spots are no digit. In pixels: how far strokes of one spot lie apart, and the smallest spot.
_SPOTS, _APART, _SMALLEST = 12, 7, 5
# In steps of Y and of Cb and Cr: what is of one colour; and bins in which the colours of a spot are counted.
_TONE, _HUE, _BINS, _COLOURS = 14.0, 20.0, (16.0, 24.0, 24.0), 5
# Pixels of a spot that are of the colour, also in parts of those that the most frequent one has; the share of them that
# either picture has at least.
_DRAWN, _AMONG_MOST, _EACH = 0.4, 0.8, 0.06
# How many pixels of strokes both have beside it for one that differs, and how steep their edges are in parts of the
# contrast that the words have to what they hide.
_BESIDE, _STEEP = 1.0, 0.4
# Of a digit that only has strokes more than another one, as an 8 has than a 3, more is asked: no other spot is large,
# and it is no wider than a digit; so many pixels and grey levels; the steepness; the share of it that strokes of both
# touch; and how even these are.
_LARGE, _WIDE = 200, 1.3
_MORE, _CONTRAST, _STEEPER, _TOUCHED, _EVEN = 28, 40.0, 0.75, 0.15, 4.0
_DIFFERS = 28.0
_FITS, _SAMPLES = 3, 40_000


class _Pair(NamedTuple):
    """Two copies in full on one frame: (h, w, 3) float32 Y, Cr and Cb, and how steep the greys of each are, (h, w)."""

    one: Colours
    two: Colours
    steep: tuple[Plane, Plane]

    def part(self, place: tuple[slice, slice]) -> _Pair:
        """The pair in a part of the frame."""
        return _Pair(self.one[place], self.two[place], (self.steep[0][place], self.steep[1][place]))


def say_another_digit(views: tuple[View, View], seen: Evidence, in_full: Callable[[int], Image]) -> bool:
    """Whether words that differ in a few strokes are drawn over each of two copies of the same frame.

    `in_full` decodes the first one (0) or the second one (1) at its full size; what it raises comes out.
    """
    if seen.closeness < _CLOSE or min(seen.of_first, seen.of_second) < _WHOLE or not _may_differ(views, seen):
        return False
    pair = _on_one_frame(
        np.asarray(in_full(0)), np.ascontiguousarray(turned(np.asarray(in_full(1)), seen.orientation))
    )
    spots = [] if pair is None else list(_spots(pair))
    # Next to a digit, noise may leave some pixels elsewhere.
    is_alone = sum(int(spot.sum()) >= _LARGE for spot, _, _ in spots) == 1
    return pair is not None and any(_is_another_digit(pair, *spot, is_alone=is_alone) for spot in spots)


def _may_differ(views: tuple[View, View], seen: Evidence) -> bool:
    """Whether a few blocks of two views differ far more than the others."""
    import cv2

    placed = views[1].turned(seen.orientation).grey
    shared = overlap_of(views[0].grey, placed, np.array(seen.alignment).reshape(2, 3), _VIEW)
    if shared is None:
        return False
    one, two, mask = shared
    inside = cv2.erode(mask, np.ones((7, 7), np.uint8), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    if not inside.any():
        return False
    slope, light = _line(one[inside > 0], two[inside > 0])
    apart = cv2.blur(np.abs(two - (slope * one + light)), (3, 3)) * inside
    worst = _worst_of_blocks(np.asarray(apart, np.float32), _VIEW_BLOCK)
    few = max(3, int(_FEW_SHARE * len(worst)))
    return len(worst) > few and bool(worst[-1] > max(_VIEW_LEAST, _VIEW_TIMES * max(1.0, worst[-1 - few])))


def _worst_of_blocks(plane: Plane, side: int) -> Plane:
    """The largest value of each block of a plane, (n,) ascending."""
    rows, columns = plane.shape[0] // side, plane.shape[1] // side
    blocks = plane[: rows * side, : columns * side].reshape(rows, side, columns, side)
    return np.sort(blocks.max(axis=(1, 3)).reshape(-1)) if rows and columns else np.zeros(0, np.float32)


def _on_one_frame(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> _Pair | None:
    """Bring two RGB pictures, (h, w, 3), to the size of the smaller one, and the light and colours of both together."""
    import cv2

    if abs(first.shape[1] / first.shape[0] * second.shape[0] / second.shape[1] - 1) > _SAME_SHAPE:
        return None
    height, width = min(first.shape[:2], second.shape[:2])
    factor = min(1.0, _LONGEST / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    one, two = (
        cv2.cvtColor(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2YCrCb).astype(
            np.float32
        )
        for picture in (first, second)
    )
    step = max(1, one[..., 0].size // _SAMPLES)
    for channel in range(3):
        slope, light = _line(one[..., channel].reshape(-1)[::step], two[..., channel].reshape(-1)[::step])
        one[..., channel] = slope * one[..., channel] + light
    return _Pair(one, two, (_steep(one), _steep(two)))


def _steep(picture: Colours) -> Plane:
    return np.asarray(edges_of(picture[..., 0]) / 4, np.float32)


def _line(values: Plane, others: Plane) -> tuple[float, float]:
    """The slope and the offset that bring most of some values, (n,), closest to others."""
    chosen = np.ones(len(values), bool)
    slope, offset = 1.0, 0.0
    for _ in range(_FITS):
        here, there = values[chosen], others[chosen]
        varied = here - here.mean()
        power = float((varied**2).sum())
        slope = float((varied * there).sum()) / power if power > len(here) else 1.0
        offset = float(there.mean() - slope * here.mean())
        off = np.abs(others - (slope * values + offset))
        chosen = off <= max(3.0, 2.5 * float(np.median(off)))
    return slope, offset


def _spots(pair: _Pair) -> Iterator[tuple[Mask, tuple[slice, slice], float]]:
    """The spots that differ by more than the noise of a pair: each in a part of the frame, with the words beside it."""
    import cv2

    differs = unlikeness(pair.one[..., 0], pair.two[..., 0])
    inner = np.s_[_EDGE:-_EDGE, _EDGE:-_EDGE]
    worst = _worst_of_blocks(differs[inner], _BLOCK)
    few = max(_FEW, int(_FEW_SHARE * len(worst)))
    if len(worst) <= few:
        return
    noise = max(_LEAST_NOISE, float(worst[-1 - few]))
    if noise > _MOST_NOISE:
        return
    stands_out = np.zeros(differs.shape, np.uint8)
    stands_out[inner] = differs[inner] > max(_LEAST, _TIMES * noise)
    joined = cv2.dilate(stands_out, np.ones((_APART, _APART), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    for number in range(1, count) if count <= _SPOTS else ():
        left, top, width, height, _ = stats[number].tolist()
        above, beside = max(height, 8) // 2, max(2 * height, width, 12)
        place = np.s_[
            max(0, top - above) : top + height + above, max(0, left - beside) : left + width + beside
        ]
        yield np.asarray(labels[place] == number), place, noise


def _is_another_digit(
    pair: _Pair, spot: Mask, place: tuple[slice, slice], noise: float, *, is_alone: bool
) -> bool:
    """Whether a spot is where words differ that are drawn over both pictures in one colour."""
    part = pair.part(place)
    differs = spot & (np.abs(part.one[..., 0] - part.two[..., 0]) > max(_DIFFERS, 2 * noise))
    if differs.sum() < _SMALLEST:
        return False
    rows, columns = np.nonzero(spot)
    is_alone = is_alone and bool(np.ptp(columns) <= _WIDE * np.ptp(rows))
    tolerance = np.array([max(_TONE, noise), max(_HUE, noise), max(_HUE, noise)], np.float32)
    colours = list(_frequent_colours(np.concatenate([part.one[differs], part.two[differs]]), tolerance))
    shares = [
        sum(int((differs & _has(picture, colour, tolerance)).sum()) for picture in (part.one, part.two))
        for colour in colours
    ]
    return any(
        _are_words_of(colour, tolerance, part, differs, is_alone=is_alone)
        for colour, share in zip(colours, shares, strict=True)
        if share >= _AMONG_MOST * max(shares)
    )


def _frequent_colours(pixels: Colours, tolerance: Colours) -> Iterator[Colours]:
    """The most frequent colours of some pixels, (n, 3)."""
    bins = np.round(pixels / np.array(_BINS)).astype(int)
    _, inverse, counts = np.unique(bins, axis=0, return_inverse=True, return_counts=True)
    for number in np.argsort(-counts)[:_COLOURS]:
        colour = np.median(pixels[inverse.reshape(-1) == number], axis=0)
        for _ in range(2):
            near = _has(pixels, colour, tolerance)
            colour = np.median(pixels[near], axis=0) if near.any() else colour
        yield colour


def _has(pixels: Colours, colour: Colours, tolerance: Colours) -> Mask:
    return np.asarray((np.abs(pixels - colour) <= tolerance).all(axis=-1))


def _are_words_of(colour: Colours, tolerance: Colours, part: _Pair, differs: Mask, *, is_alone: bool) -> bool:
    """Whether either picture has a colour where the other one has not, and both have it beside that, in strokes."""
    import cv2

    has_one, has_two = (_has(picture, colour, tolerance) for picture in (part.one, part.two))
    alone = differs & has_one, differs & has_two
    one_alone, two_alone = (int(mask.sum()) for mask in alone)
    drawn = one_alone + two_alone
    in_each = min(one_alone, two_alone) >= max(_SMALLEST, _EACH * drawn)
    if drawn < _DRAWN * differs.sum() or not (in_each or (is_alone and drawn >= _MORE)):
        return False
    is_first = one_alone >= two_alone
    more = alone[0] if is_first else alone[1]
    written, hidden = (part.one, part.two) if is_first else (part.two, part.one)
    contrast = float(np.median(np.abs(hidden[more][:, 0] - colour[0])))
    width = float(cv2.distanceTransform(np.pad(more.astype(np.uint8), 1), cv2.DIST_L2, 3).max())
    reach = int(np.ceil(1.8 * width)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    both = (has_one & has_two).astype(np.uint8)
    strokes = both & ~np.asarray(cv2.morphologyEx(both, cv2.MORPH_OPEN, disc), np.uint8)
    if strokes.sum() <= _BESIDE * more.sum():
        return False
    around = np.asarray(cv2.dilate(strokes, np.ones((3, 3), np.uint8)) - strokes) > 0
    if not around.any():
        return False
    steepness = min(float(np.median(steep[around])) for steep in part.steep)
    if in_each:
        return steepness > _STEEP * contrast
    return (
        contrast >= _CONTRAST
        and steepness >= _STEEPER * contrast
        and _is_one_word(more, strokes, written[..., 0])
    )


def _is_one_word(more: Mask, strokes: npt.NDArray[np.uint8], greys: Plane) -> bool:
    """Whether strokes that both pictures have touch those that one has more, and are as even as what is drawn."""
    import cv2

    near = np.asarray(cv2.dilate(more.astype(np.uint8), np.ones((5, 5), np.uint8))) > 0
    if (near & (strokes > 0)).sum() < _TOUCHED * more.sum():
        return False
    inner = np.asarray(cv2.erode(strokes, np.ones((3, 3), np.uint8))) > 0
    return inner.sum() < _SMALLEST or float(greys[inner].std()) <= _EVEN
