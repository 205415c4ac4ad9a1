"""Colours that a file names by code points (ITU-T H.273) instead of an ICC profile, brought to sRGB; HDR tone-mapped.

HEIF, AVIF, JPEG XL and PNG say so which primaries and which transfer function their numbers follow.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.photos.code_points import GAMMAS, HLG, LINEAR, PQ

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.photos.code_points import SignalledColours

# H.273, table 2: x and y of red, green and blue. White is white, whatever point the file names for it.
_D65 = (0.3127, 0.329)
_PRIMARIES = {
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
# BT.2408: white paper in an HDR picture, in candelas per square metre; what HLG reaches on its usual screen.
_WHITE, _HLG_PEAK = 203.0, 1000.0
# Up to here light is shown as it is; above, ever less.
_KNEE = 0.6
_STRIPE_PIXELS = 1 << 20


def signalled_to_srgb(image: Image, colours: SignalledColours) -> Image:
    """Return an RGB image in sRGB; light above white paper is compressed, hue kept."""
    from PIL import Image as Images

    pixels = np.array(image.convert("RGB"))
    light, matrix = _light(colours.transfer), _matrix(colours.primaries)
    rows = max(1, _STRIPE_PIXELS // max(1, pixels.shape[1]))
    for start in range(0, len(pixels), rows):
        stripe = pixels[start : start + rows]
        linear = light[stripe] @ matrix.T
        if colours.transfer == HLG:
            linear *= _hlg_gain(linear)
        linear = np.maximum(linear, 0)
        if colours.hdr:
            brightest = np.maximum(linear.max(axis=2, keepdims=True), 1e-6)
            linear *= _compressed(brightest) / brightest
        stripe[:] = _encoded(linear)
    return Images.fromarray(pixels)


@cache
def _light(transfer: int) -> npt.NDArray[np.float32]:
    """How much light each of the 256 numbers stands for; 1 is white paper."""
    curves: dict[int, Callable[[npt.NDArray[np.float64]], npt.NDArray[np.float64]]] = {
        PQ: _pq,
        HLG: _hlg_scene,
        LINEAR: lambda value: value,
    }
    value = np.arange(256) / 255
    if transfer in GAMMAS:
        return (value ** GAMMAS[transfer]).astype(np.float32)
    return curves.get(transfer, _srgb)(value).astype(np.float32)


def _srgb(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def _pq(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """SMPTE ST 2084, in parts of white paper."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = value ** (1 / m2)
    return 10000 / _WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg_scene(value: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """ARIB STD-B67: light in the scene, 1 the brightest."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)


def _hlg_gain(scene: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """BT.2100: what a screen makes of light in the scene, in parts of white paper."""
    luminance = np.maximum(scene @ np.array([0.2126, 0.7152, 0.0722], np.float32), 1e-6)
    return (np.float32(_HLG_PEAK / _WHITE) * luminance ** np.float32(0.2))[..., None]


def _compressed(light: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    over = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    return np.where(light <= _KNEE, light, _KNEE + (1 - _KNEE) * over / (1 + over)).astype(np.float32)


def _encoded(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return _table()[(np.minimum(linear, 1) * (len(_table()) - 1)).astype(np.uint16)]


@cache
def _table() -> npt.NDArray[np.uint8]:
    light = np.arange(1 << 14) / ((1 << 14) - 1)
    value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    numbers: npt.NDArray[np.uint8] = np.rint(value * 255).astype(np.uint8)
    return numbers


@cache
def _matrix(primaries: int) -> npt.NDArray[np.float32]:
    """From light in these primaries to that in sRGB's, white to white."""
    return (np.linalg.inv(_to_xyz(1)) @ _to_xyz(primaries)).astype(np.float32)


def _to_xyz(primaries: int) -> npt.NDArray[np.float64]:
    colours = _PRIMARIES.get(primaries, _PRIMARIES[1])
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in colours]).T
    x, y = _D65
    return columns * np.linalg.solve(columns, np.array([x / y, 1, (1 - x - y) / y]))
