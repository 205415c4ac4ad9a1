"""What was done to a copy, and why two photos are none, in words that people use."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.photos.perceptual_hash import ORIENTATIONS

if TYPE_CHECKING:
    from vitsearch.duplicates.verify.evidence import Evidence, Thresholds

_RIGHT_ANGLE = 90
# A photo that shows at least this of another one's frame shows all of it.
_WHOLE = 0.97
# Content outside the shared part that is no more than this is a plain border.
_PLAIN = 1.03
# In grey levels, and as a factor.
_LIGHTER, _CONTRAST = 12.0, 1.25
_WHITE, _BLACK = 215, 40
_SMALLER, _LARGER = 0.95, 1.05
SAME_PIXELS = "same pixels"
"""What is said of two files that show the same picture, number for number."""
IDENTICAL = "identical"
"""What is said of a copy in which nothing was done to the picture: it may be smaller, or saved again."""
_ADDED_TO_IDENTICAL = ("with a ", "with something ")


def same_at_another_size(pixels: int, others: int) -> str:
    """Say what a copy is that shows the same as the other photo, by the number of pixels of both."""
    share = pixels / others if others else 1.0
    return (
        "the same, smaller"
        if share < _SMALLER
        else "the same, larger"
        if share > _LARGER
        else "the same, saved again"
    )


def what_was_done(seen: Evidence) -> str:
    """Say what was done to the second photo of a pair that is aligned."""
    words = [*_turned(seen), *_framed(seen)]
    if seen.overlay:
        words.append(
            "with something drawn over it" if seen.overlay == 2 else "without what is drawn over the other"
        )
    words += _relit(seen) or ([seen.altered] if seen.altered else [])
    if not words:
        return IDENTICAL
    return (
        f"{IDENTICAL}, " + ", ".join(words) if words[0].startswith(_ADDED_TO_IDENTICAL) else ", ".join(words)
    )


def why_not(seen: Evidence, thresholds: Thresholds) -> str:
    """Say why two photos are not the same shot: the first of the conditions that is not met."""
    if not seen.alignment:
        return "no part of one lines up with the other"
    if max(seen.of_first, seen.of_second) < thresholds.overlap:
        return f"only {max(seen.of_first, seen.of_second):.0%} of either lies inside the other"
    if seen.share < thresholds.share:
        return f"they line up, but only {seen.share:.0%} of the picture agrees ({thresholds.share:.0%} is needed)"
    if seen.closeness < thresholds.closeness:
        return f"they line up, but only roughly ({seen.closeness:.3f} of the {thresholds.closeness:.3f} that is needed)"
    return "something in the picture has moved between the two"


def _turned(seen: Evidence) -> list[str]:
    turn = np.array(seen.alignment).reshape(2, 3)
    # Image rows count downwards: a positive angle turns clockwise. A mirrored photo was turned before it was mirrored.
    angle = float(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
    quarters = round(angle / _RIGHT_ANGLE)
    rest = angle - quarters * _RIGHT_ANGLE
    words = []
    if seen.inliers == 0:
        words += [ORIENTATIONS[seen.orientation]] if seen.orientation else []
    else:
        if quarters % 4:
            words.append({1: "turned right", 2: "upside down", 3: "turned left"}[quarters % 4])
        if seen.orientation:
            words.append("mirrored")
    if abs(rest) >= 1:
        words.append(f"straightened by {abs(rest):.0f} degrees")
    return words


def _framed(seen: Evidence) -> list[str]:
    words = []
    if seen.of_first < _WHOLE:
        words.append(f"cropped to {seen.of_first:.0%} of the picture")
    if seen.of_second < _WHOLE:
        if seen.content_second <= _PLAIN * seen.of_second:
            words.append(f"with a {_colour_of(seen.around_second)}border")
        elif seen.seam_second:
            words.append("inside a larger picture")
        elif seen.of_first < _WHOLE:
            words.append("showing more at another side")
        else:
            words.append("showing more around it")
    return words


def _colour_of(tone: float) -> str:
    if tone < 0:  # nothing is known of it
        return ""
    return "white " if tone >= _WHITE else "black " if tone <= _BLACK else "plain "


def _relit(seen: Evidence) -> list[str]:
    if seen.contrast >= _CONTRAST:
        return ["with more contrast"] if abs(seen.light) < _LIGHTER else _lighter(seen.light)
    if abs(seen.light) >= _LIGHTER:
        return _lighter(seen.light)
    return ["with less contrast"] if seen.contrast <= 1 / _CONTRAST else []


def _lighter(light: float) -> list[str]:
    return ["brighter" if light > 0 else "darker"]
