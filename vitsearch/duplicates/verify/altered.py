"""Whether somebody changed a picture, its light, colours, spots or frame, or a program only saved it again.

A codec and a change of size leave all of that as it is. What an editor does to the light and the colours is seen in a
small version of both pictures; a retouched spot differs where all around it agrees.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.verify.agreement import overlap_of
from vitsearch.duplicates.verify.recoloured import shared_colours
from vitsearch.duplicates.verify.words import what_was_done

if TYPE_CHECKING:
    from vitsearch.duplicates.verify.evidence import Evidence
    from vitsearch.duplicates.verify.views import View

COLOURS, LIGHT, BOTH = "with other colours", "with other light", "with other light and colours"
SPOT = "retouched"
# In steps of Cb or Cr, root mean square; grey levels by which the mean differs; and the logarithm of how many times the
# contrast it has. Chosen on nine photos: copies of the qualities 15 to 60, of a third of the size, and sharpened ones
# stay below; 20 % more colour, 10 % more light or contrast lie above in most of them.
_COLOURS, _LIGHTER, _CONTRAST = 2.0, 3.0, 0.06
# In pixels: the shorter side on which spots are looked for. In grey levels: a spot, and what all but a few pixels stay
# below where nothing but spots was changed. The share of the pixels that are spots.
_SIDE, _SPOT, _ELSEWHERE, _SPOTS = 216, 16.0, 6.0, 2e-4
_SMOOTH, _MARGIN = (3, 3), (5, 5)
# A frame that the other picture has less of was cut; in degrees, what was turned by hand.
_WHOLE, _TURNED = 0.985, 0.7


def what_was_altered(first: View, second: View, seen: Evidence) -> str:
    """Say what differs visibly where two views overlap, the second one still to be turned; "" where nothing does."""
    import cv2

    if not seen.alignment:
        return ""
    colours = shared_colours(first, second, seen)
    if colours is not None:
        one, two, inside = colours
        light, other = (picture[inside].astype(np.float32) for picture in (one, two))
        contrast = float((other[:, 0].std() + 1) / (light[:, 0].std() + 1))
        # More contrast and more light make colours stronger, too.
        apart = cv2.blur((two.astype(np.float32) - 128) - contrast * (one.astype(np.float32) - 128), _SMOOTH)[
            inside
        ]
        has_light = (
            abs(float((other - light)[:, 0].mean())) > _LIGHTER or abs(float(np.log(contrast))) > _CONTRAST
        )
        has_colours = float(np.sqrt((apart[:, 1:] ** 2).mean(axis=0)).max()) > _COLOURS
        if has_light or has_colours:
            return BOTH if has_light and has_colours else LIGHT if has_light else COLOURS
    return SPOT if _has_spot(first, second, seen) else ""


def with_altered(first: View, second: View, seen: Evidence) -> Evidence:
    """Add to what was seen of a pair of the same shot what differs visibly."""
    altered = what_was_altered(first, second, seen)
    if not altered:
        return seen
    known = replace(seen, altered=altered)
    return replace(known, transform=what_was_done(known))


def is_visibly_changed(seen: Evidence) -> bool:
    """Whether a copy is more than the same picture saved again: altered, cropped, framed, turned or mirrored."""
    if seen.altered or seen.orientation or 0 < min(seen.of_first, seen.of_second) < _WHOLE:
        return True
    if not seen.alignment:
        return False
    turn = np.array(seen.alignment).reshape(2, 3)
    return bool(abs(np.degrees(np.arctan2(turn[1, 0], turn[0, 0]))) >= _TURNED)


def _has_spot(first: View, second: View, seen: Evidence) -> bool:
    import cv2

    placed = second.turned(seen.orientation)
    shared = overlap_of(first.grey, placed.grey, np.array(seen.alignment).reshape(2, 3), _SIDE)
    if shared is None:
        return False
    one, two, mask = shared
    inside = cv2.erode(mask, np.ones(_MARGIN, np.uint8)) > 0
    if not inside.any():
        return False
    apart = cv2.blur(two - one, _SMOOTH)[inside]
    apart = np.abs(apart - np.median(apart))
    return float(np.percentile(apart, 99)) <= _ELSEWHERE and float((apart > _SPOT).mean()) >= _SPOTS
