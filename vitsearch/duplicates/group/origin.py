"""Which of two pictures was made from the other one, read off their pixels.

Enlarging adds no detail: above the finest frequency of the small picture the large one is all but empty, and what is
there are images of what lies below, which enlarging the small one again brings forth (Oppenheim and Schafer,
"Discrete-time signal processing", section 4.6.2). What was saved again is told in `saved_again`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.group.saved_again import coefficients, on_multiples

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt
    from PIL.Image import Image as Picture

    Floats = npt.NDArray[np.float32]

_PATCH = 128
_PATCHES = 12
_BINS = 64
# Larger pictures are not shrunk onto smaller ones.
_MOST_KEPT = 25_000_000
_BLOCK = 8
# Chosen on 50 photos that were enlarged 1.3 to 3 times: above the highest value of an original (1.65 and 0.06).
_DROPS, _SHRUNK_ON_MULTIPLES = 1.7, 0.09
_ENLARGED = 1.15
# Enlarged about twice or more, a photo falls less than that where it shows nothing finer: chosen as what follows.
_ENLARGED_CLEARLY, _DROPS_CLEARLY, _NO_FINER = 1.75, 1.0, 0.5
# How alike what lies beyond the small one's frequencies is in the large one and in the small one enlarged again: where
# little is there, and, from some scale on, in any case. Chosen on 85 photos and 40 receipts, pages and charts. Of the
# photos that were enlarged twice 85 to 100 in 100 are told; of originals, also blurred ones, beside a copy that was
# shrunk with a filter none. Sharp edges of pages are alike, too: 0.79 at most from the scale on, up to 0.9 below it.
_IMAGES, _IMAGES_CLEARLY, _CLEAR_SCALE = 0.5, 0.85, 1.4
_BAND = 1.05, 1.6
# Squares of one tone each, as in a QR code or an old game, have their edges at all frequencies. Such pictures stray by
# 0.16 to 0.34 of their contrast from their small copies, enlarged; what was enlarged by 0.09 at most.
_BESIDE = 0.12
_LOW_FREQUENCIES = 4
# How much more contrast a lighter copy has, how much more of it is burnt out, and how many times as much.
_BRIGHTER, _BURNT, _BURNT_TIMES = 1.1, 0.02, 2.0
# How far fine detail lies below coarse detail, in powers of ten, between these frequencies. Chosen on 48 photos: of
# what was blurred by 1.5 pixels or more it lies 1.55 to 3.1 lower; sharpening raises it by 0.7 at most.
_FINE, _COARSE, _BLURRED = (0.12, 0.3), (0.02, 0.06), 1.2
# In grey levels; and the share of pixels that may be lighter.
_PLATEAU, _OUTLIERS = 2, 1e-4
# Chosen on 60 photos and crops of them: of what was enlarged 1.5 to 2.1 times 97 in 100 stay below it.
_FINER = 0.55
# In grey levels: what codecs add to an even picture is no detail.
_FAINT = 0.3
_FINE_SIDE = 1500
_TINY = 1e-9
GREY = 0.8
"""Below this `colour` a picture is grey, or toned: its colours follow from its greys."""


@dataclass(frozen=True, slots=True, eq=False)
class Traits:
    """What is measured on one photo's upright pixels.

    `colour`: how far its colours stray from what its greys alone explain, 0 for grey and for toned pictures.
    `spectrum`: (64,) float32, log10 of the power of its greys by frequency, up to half a cycle a pixel.
    `grey`: its greys, (h, w) uint8, of a picture that is not very large; `shape`: (h, w).
    `blocks`: (n, 8, 8) float32, their DCT coefficients on the grid of a JPEG. `plateau`: the share of
    pixels that are as light as the lightest ones. `finer`: see `has_finer_detail`.
    """

    colour: float
    spectrum: Floats
    shape: tuple[int, int]
    grey: npt.NDArray[np.uint8] | None
    blocks: Floats
    plateau: float = 0.0
    finer: bool = False


def traits_of(image: Picture, *, with_grey: bool = True, scale: float | None = None) -> Traits:
    """Measure an RGB image that was decoded in full; its greys are kept if it may have been enlarged.

    `scale`: how many times finer its pixels are, along a side, than those of a photo that it is a crop of.
    """
    grey = np.asarray(image.convert("L"))
    whole = grey.astype(np.float32)
    height, width = grey.shape
    kept = grey if with_grey and grey.size <= _MOST_KEPT else None
    return Traits(
        _colour(image),
        _spectrum(whole),
        (height, width),
        kept,
        coefficients(grey),
        _plateau(grey),
        scale is not None and has_finer_detail(grey, scale),
    )


def was_enlarged(large: Traits, small: Traits, table: Sequence[int]) -> bool:
    """Whether a picture was made by enlarging another one of the same frame, whose JPEG `table` is () for others."""
    scale = min(large.shape[0] / small.shape[0], large.shape[1] / small.shape[1])
    if scale < _ENLARGED:
        return False
    if large.grey is not None and small.grey is not None:
        images = _images(large.grey, small.grey)
        if images > _IMAGES_CLEARLY and scale >= _CLEAR_SCALE and _beside(large.grey, small.grey) < _BESIDE:
            return True
        if images > _IMAGES and _shows_little(large, scale):
            return True
    if not table or large.grey is None:
        return False
    from PIL import Image

    height, width = small.shape
    shrunk = Image.fromarray(large.grey).resize((width, height), Image.Resampling.BICUBIC)
    low = [step if sum(divmod(place, _BLOCK)) <= _LOW_FREQUENCIES else 1 for place, step in enumerate(table)]
    return on_multiples(coefficients(np.asarray(shrunk)), low) > _SHRUNK_ON_MULTIPLES


def _shows_little(large: Traits, scale: float) -> bool:
    """Whether next to nothing is there beyond the frequencies of a picture with `scale` times fewer pixels a side."""
    drop = drop_at(large.spectrum, scale)
    if drop > _DROPS:
        return True
    clearly = scale >= _ENLARGED_CLEARLY and drop > _DROPS_CLEARLY
    return clearly and large.grey is not None and _finer_detail(large.grey, scale) < _NO_FINER


def _images(large: npt.NDArray[np.uint8], small: npt.NDArray[np.uint8]) -> float:
    """How alike two greys of one frame are beyond the frequencies of the small one, which is enlarged for it: -1 to 1.

    By the filter that fits best: bilinear, bicubic or Lanczos.
    """
    from PIL import Image
    from scipy.fft import rfft2

    patches, places = _patches(large)
    side = patches.shape[1]
    window, _, _, radius = _plane(side)
    edge = 0.5 * max(small.shape[0] / large.shape[0], small.shape[1] / large.shape[1])
    band = (radius > edge * _BAND[0]) & (radius < min(0.5, edge * _BAND[1]))
    here = rfft2((patches - patches.mean(axis=(1, 2), keepdims=True)) * window)[:, band]
    across, down = small.shape[1] / large.shape[1], small.shape[0] / large.shape[0]
    picture, best = Image.fromarray(small), -1.0
    for kernel in (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS):
        again = np.stack(
            [
                np.asarray(
                    picture.resize(
                        (side, side),
                        kernel,
                        box=(left * across, top * down, (left + side) * across, (top + side) * down),
                    ),
                    np.float32,
                )
                for top, left in places
            ]
        )
        there = rfft2((again - again.mean(axis=(1, 2), keepdims=True)) * window)[:, band]
        power = float((np.abs(here) ** 2).sum() * (np.abs(there) ** 2).sum())
        best = max(best, float((here * there.conj()).real.sum()) / max(_TINY, power**0.5))
    return best


def _beside(large: npt.NDArray[np.uint8], small: npt.NDArray[np.uint8]) -> float:
    """How far greys stray from those of the small picture, enlarged, in parts of their contrast."""
    from PIL import Image

    height, width = large.shape
    again = np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC), np.float32)
    return float(np.sqrt(np.mean((large - again) ** 2))) / max(_FAINT, float(large.std()))


def has_finer_detail(grey: npt.NDArray[np.uint8], scale: float) -> bool:
    """Whether greys in full, (h, w) uint8, show more than a photo with `scale` times fewer pixels a side could."""
    return _finer_detail(grey, scale) > _FINER


def _finer_detail(grey: npt.NDArray[np.uint8], scale: float) -> float:
    """What shrinking by a factor takes away, in parts of what shrinking twice as far would take away besides."""
    from PIL import Image

    part = Image.fromarray(_most_detailed(grey))
    size = max(2, round(part.width / scale)), max(2, round(part.height / scale))
    small = part.resize(size, Image.Resampling.BICUBIC)
    return _lost(part, small) / max(_FAINT, _lost(small, small.resize((size[0] // 2, size[1] // 2))))


def _most_detailed(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The part of greys that shows most: a middle out of focus says nothing of what is sharp beside it."""
    tops, lefts = (
        np.linspace(0, side - _FINE_SIDE, 3, dtype=int) if side > _FINE_SIDE else [0] for side in grey.shape
    )
    parts = [grey[top : top + _FINE_SIDE, left : left + _FINE_SIDE] for top in tops for left in lefts]
    return max(parts, key=_contrast) if len(parts) > 1 else grey


def _contrast(grey: npt.NDArray[np.uint8]) -> float:
    """How much neighbours in every fourth row differ."""
    return float(np.square(np.diff(grey[::4].astype(np.float32), axis=1)).mean())


def _lost(image: Picture, small: Picture) -> float:
    """What a smaller version of a grey image lacks, in grey levels: root mean square."""
    again = np.asarray(small.resize(image.size, 3), np.float32)  # bicubic
    return float(np.sqrt(np.mean((np.asarray(image, np.float32) - again) ** 2)))


def lost_highlights(bright: Traits, other: Traits, *, gain: float) -> bool:
    """Whether a picture is a lighter copy of another one whose highlights are burnt out in it.

    `gain`: how many times the other one's contrast it has. A darkened copy of a burnt-out photo has a plateau, too, so
    that it is not taken for the source.
    """
    return (
        gain >= _BRIGHTER
        and bright.plateau - other.plateau >= _BURNT
        and bright.plateau >= _BURNT_TIMES * other.plateau
    )


def blurred(pictures: Mapping[int, Traits]) -> frozenset[int]:
    """Return the pictures that lack the fine detail of another one of their size, by more than sharpening adds."""
    levels: dict[tuple[int, ...], dict[int, float]] = {}
    for name, one in pictures.items():
        levels.setdefault(tuple(sorted(one.shape)), {})[name] = _fine_level(one.spectrum)
    return frozenset(
        name
        for of_size in levels.values()
        for name, level in of_size.items()
        if level < max(of_size.values()) - _BLURRED
    )


def _fine_level(spectrum: Floats) -> float:
    frequencies = (np.arange(_BINS) + 0.5) / (2 * _BINS)
    fine, coarse = (
        float(np.median(spectrum[(frequencies > low) & (frequencies < high)]))
        for low, high in (_FINE, _COARSE)
    )
    return fine - coarse


def _plateau(grey: npt.NDArray[np.uint8]) -> float:
    counts = np.bincount(grey.reshape(-1), minlength=256)
    above = np.cumsum(counts[::-1])[::-1]
    # A few pixels may lie beyond it: what compression overshoots at edges.
    lightest = int(np.flatnonzero(above > _OUTLIERS * grey.size)[-1])
    return float(above[max(0, lightest - _PLATEAU)] / grey.size)


def _colour(image: Picture) -> float:
    small = image.resize((96, 96), 4, reducing_gap=1.0).convert("YCbCr")
    values = np.asarray(small, np.float32).reshape(-1, 3)
    light = values[:, 0] / 255
    known = np.stack([np.ones_like(light), light, light**2, light**3], axis=1)
    fitted, *_ = np.linalg.lstsq(known, values[:, 1:], rcond=None)
    return float(np.sqrt(((values[:, 1:] - known @ fitted) ** 2).mean()))


def _spectrum(grey: Floats) -> Floats:
    """Averaged over the patches with the most structure."""
    from scipy.fft import rfft2

    chosen, _ = _patches(grey)
    window, bins, weights, _ = _plane(chosen.shape[1])
    weighted = (chosen - chosen.mean(axis=(1, 2), keepdims=True)) * window
    power = (np.abs(rfft2(weighted)) ** 2).mean(axis=0).ravel() * weights
    total = np.bincount(bins, power, _BINS)
    count = np.bincount(bins, weights, _BINS)
    filled = count > 0
    level = np.interp(
        np.arange(_BINS), np.flatnonzero(filled), np.log10(total[filled] / count[filled] + 1e-3)
    )
    return level.astype(np.float32)


def _patches(grey: npt.NDArray[np.generic]) -> tuple[Floats, list[tuple[int, int]]]:
    """The patches with the most structure, (n, side, side) float32, and the top and left of each."""
    height, width = grey.shape
    side = min(_PATCH, height, width)
    tops = np.linspace(0, height - side, max(1, min(8, height // side)), dtype=int).tolist()
    lefts = np.linspace(0, width - side, max(1, min(8, width // side)), dtype=int).tolist()
    places = [(top, left) for top in tops for left in lefts]
    patches = np.stack([grey[top : top + side, left : left + side] for top, left in places]).astype(
        np.float32
    )
    detail = np.abs(np.diff(patches, axis=2)).mean(axis=(1, 2))
    chosen = np.argsort(-detail)[:_PATCHES].tolist()
    return patches[chosen], [places[place] for place in chosen]


@cache
def _plane(side: int) -> tuple[Floats, npt.NDArray[np.intp], Floats, Floats]:
    """The window of a patch; bin, weight and frequency of each value in half of its plane of frequencies."""
    window = np.hanning(side)
    down = np.abs(np.fft.fftfreq(side))
    across = np.arange(side // 2 + 1) / side
    # Along each axis: enlarging cuts a square out of the plane of frequencies.
    radius = np.maximum(down[:, None], across[None, :])
    bins = np.minimum((radius * 2 * _BINS).astype(int), _BINS - 1)
    # The other half of the plane mirrors this one.
    twice = (across > 0) & (across < 0.5)
    weights = np.broadcast_to(1.0 + twice, radius.shape)
    of_patch = np.outer(window, window).astype(np.float32)
    return of_patch, bins.ravel(), weights.ravel().astype(np.float32), radius.astype(np.float32)


def drop_at(spectrum: Floats, scale: float) -> float:
    """By how many powers of ten the spectrum falls across a frequency of 0.5 / scale cycles a pixel."""
    edge = _BINS / scale
    below = slice(int(edge * 0.6), max(int(edge * 0.6) + 1, int(edge * 0.9)))
    above = slice(min(_BINS - 4, int(edge * 1.15)), min(_BINS, max(int(edge * 1.7), int(edge * 1.15) + 4)))
    return float(spectrum[below].mean() - spectrum[above].mean())
