"""Whether two aligned photos show one thing in two colours: a shirt in red and in green is not one photo edited.

Light, contrast, toning and a cast shift all colours of a picture in one way, and no saturated red becomes a green. So
what is saturated in both pictures is compared by its hue, where they overlap.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.duplicates.verify.evidence import Evidence
    from vitsearch.duplicates.verify.views import View

    Floats = npt.NDArray[np.float32]
    Colours = npt.NDArray[np.uint8]

# In steps of Cb and Cr from grey: what has less has no hue to speak of.
_SATURATED = 16.0
# In degrees; and the share of the overlap that is saturated in both and has another hue.
_OTHER_HUE, _SHARE = 50.0, 0.03
# Where colours stray no further from what the greys alone explain, a picture is grey or toned.
_TONED = 2.0
_FEWEST = 200


def was_recoloured(first: View, second: View, seen: Evidence) -> bool:
    """Whether a part of a picture has another colour in the other one, which no edit of the whole picture explains."""
    shared = shared_colours(first, second, seen)
    if shared is None:
        return False
    one, two = (picture[shared[2]].astype(np.float32) for picture in shared[:2])
    if _is_toned(one) or _is_toned(two):
        return False
    here, other = _chroma(one), _chroma(two)
    saturated = (np.abs(here) > _SATURATED) & (np.abs(other) > _SATURATED)
    turned = np.abs(np.angle(other[saturated] * here[saturated].conj(), deg=True))
    return float((turned > _OTHER_HUE).sum()) >= _SHARE * len(one)


def shared_colours(
    first: View, second: View, seen: Evidence
) -> tuple[Colours, Colours, npt.NDArray[np.bool_]] | None:
    """Draw the small colours of the second of two views on those of the first one; None where too few overlap.

    Returns both, (h, w, 3) uint8 Y, Cb and Cr, and where they overlap, (h, w) bool.
    """
    import cv2

    placed = second.turned(seen.orientation)
    if first.colours is None or placed.colours is None or not seen.alignment:
        return None
    height, width = first.colours.shape[:2]
    there = _scaling(placed)
    moving = (
        there
        @ np.vstack([np.array(seen.alignment).reshape(2, 3), [0, 0, 1]])
        @ np.linalg.inv(_scaling(first))
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    colours = cv2.warpAffine(placed.colours, moving[:2], (width, height), flags=flags)
    full = np.full(placed.colours.shape[:2], 255, np.uint8)
    overlap = np.asarray(cv2.warpAffine(full, moving[:2], (width, height), flags=flags)) == 255
    return None if overlap.sum() < _FEWEST else (first.colours, np.asarray(colours, np.uint8), overlap)


def _scaling(view: View) -> npt.NDArray[np.float64]:
    """From the pixels of a view to those of its colours: (3, 3)."""
    assert view.colours is not None
    return np.diag(
        [view.colours.shape[1] / view.grey.shape[1], view.colours.shape[0] / view.grey.shape[0], 1.0]
    )


def _chroma(pixels: Floats) -> npt.NDArray[np.complex64]:
    """Colours as complex numbers: how far from grey, and in which direction. `pixels`: (n, 3) Y, Cb, Cr."""
    return np.asarray(pixels[:, 1] - 128 + 1j * (pixels[:, 2] - 128), np.complex64)


def _is_toned(pixels: Floats) -> bool:
    """Whether the colours, (n, 3) Y, Cb, Cr, follow from the greys alone."""
    light = pixels[:, 0] / 255
    known = np.stack([np.ones_like(light), light, light**2], axis=1)
    fitted, *_ = np.linalg.lstsq(known, pixels[:, 1:], rcond=None)
    return float(np.sqrt(((pixels[:, 1:] - known @ fitted) ** 2).mean())) < _TONED
