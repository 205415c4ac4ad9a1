"""Whether two aligned pages, charts or drawings differ in a detail: a digit, a chess piece, a line.

In a photo a small difference is what an editor, a codec or a caption did. In a text or a drawing it is what the picture
is about. So pictures of a few flat tones are compared again at the full resolution of the smaller one, where a digit
that is another one covers pixels that lie far outside of all tones around the same place in the other picture.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.verify.another_digit import say_another_digit
from vitsearch.duplicates.verify.drawn_over import is_drawn_over_each
from vitsearch.duplicates.verify.geometric import seen_the_other_way
from vitsearch.duplicates.verify.plain_ground import is_lit_otherwise
from vitsearch.duplicates.verify.recoloured import was_recoloured
from vitsearch.duplicates.verify.taken_again import (
    agrees_too_closely,
    aligned,
    hidden_share,
    share_in_few_tones,
    taken_from_elsewhere,
)
from vitsearch.duplicates.verify.views import Planes, View
from vitsearch.duplicates.verify.written import LONGEST, say_something_else, shrunk

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.duplicates.verify.evidence import Evidence

    Grey = npt.NDArray[np.uint8]
    Plane = npt.NDArray[np.float32]
    Matrix = npt.NDArray[np.float64]
    Differ = Callable[[Plane, Plane, Grey], bool]

# Of a view's pixels: with fewer flat ones there is no use in a closer look.
_FLAT_SHARE, _FLAT_RANGE = 0.35, 3
# A graphic has nearly all its pixels near a few tones.
_TONES, _AROUND, _GRAPHIC = 6, 4, 0.92
# In pixels: of larger pictures; and at which the last step of the alignment is found.
_LONGEST, _NUDGED_AT = 3000, 1000
# Beyond this, a digit cannot be told from another in the smaller one.
_MOST_SCALE = 2.2
# In grey levels of a picture from black to white; and in pixels, for one spot and for all.
_DIFFERS, _SPOT, _SPOTS = 56.0, 7, 40
_CONTRAST = 255.0
# Percent of the pixels that are darker than black, lighter than white. Ink may cover hardly one percent of a page.
_ENDS, _PAGE_ENDS = (1.0, 99.0), (0.1, 99.9)
_ECC_STEPS, _ECC_EPSILON = 40, 1e-5
_SAME_SHAPE = 0.01
# Where more of a frame lies outside of the other one, it is said to contain it.
_MOSTLY = 0.03
_OTHER_WORDS = "other words are drawn over each of them"
# In pixels on the shorter side: in smaller photos what was drawn looks like what was there.
_TELLING = 144


def may_be_graphic(view: Grey) -> bool:
    """Whether a view, (h, w) uint8, has so many flat places that it could be a page or a drawing."""
    import cv2

    kernel = np.ones((3, 3), np.uint8)
    flat = cv2.dilate(view, kernel).astype(np.int16) - cv2.erode(view, kernel) <= _FLAT_RANGE
    return float(np.mean(flat)) >= _FLAT_SHARE


def is_graphic(grey: Grey) -> bool:
    """Whether nearly all pixels of a picture, (h, w) uint8 in full, have one of a few tones."""
    return share_in_few_tones(grey.reshape(-1), tones=_TONES, around=_AROUND) >= _GRAPHIC


def why_only_alike(views: tuple[View, View], seen: Evidence, in_full: Callable[[int], Image]) -> str | None:
    """Say why two pictures that are aligned and agree are alike and not the same; None: they are the same.

    `in_full` as in `aligned_differ_in_detail`.
    """
    if was_recoloured(*views, seen):
        return "a part of the picture has another colour"
    directions = [(views, seen), seen_the_other_way(views, seen)]
    # What an exposure burnt out is known from the darker one, and not the other way round.
    if (seen.contrast, seen.light) < (1.0, 0.0):
        directions.reverse()
    if is_drawn_over_each(*directions[0][0], directions[0][1]):
        return _OTHER_WORDS
    if aligned_differ_in_detail(views, seen, in_full):
        return "they are pages or drawings that differ in a detail"
    if say_another_digit(views, seen, in_full):
        return _OTHER_WORDS
    if seen.each_shows_more and max(seen.beyond_first, seen.beyond_second) <= _MOSTLY:
        return "each shows a little of the scene that the other one lacks"
    if any(is_lit_otherwise(*pair, evidence) for pair, evidence in directions):
        return "the ground behind what they show was lit in another way"
    return _why_taken_again(directions, in_full)


def _why_taken_again(
    directions: Sequence[tuple[tuple[View, View], Evidence]], in_full: Callable[[int], Image]
) -> str | None:
    """Say why two photos of one scene may be two shots; None: one was made from the other.

    `directions`: the pair from both sides, the darker one first where they were exposed otherwise.
    """
    if agrees_too_closely(directions[0][1]):
        return None
    # Only one direction may tell it: the stricter answer counts.
    pairs = [aligned(*views, seen) for views, seen in directions]
    if any(pair is not None and taken_from_elsewhere(pair) for pair in pairs):
        return "they were taken from slightly different places"
    if pairs[0] is None:
        return None
    hidden, is_drawn = hidden_share(pairs[0])
    if not is_drawn:
        return "something that was not drawn hides a part of one of them"
    if hidden and min(min(in_full(place).size) for place in (0, 1)) < _TELLING:
        return "something hides a part of one of them, and they are too small to tell whether it was drawn"
    return None


def aligned_differ_in_detail(
    views: tuple[View, View], seen: Evidence, in_full: Callable[[int], Image]
) -> bool:
    """Whether two pictures that are aligned are pages or drawings that differ in what they say.

    Photos are not asked: neither of them is a page, nor are both drawings.

    `in_full` decodes the first one (0) or the second one (1) at its full size; what it raises comes out.
    """
    one, two = views
    drawings = may_be_graphic(one.grey) and may_be_graphic(two.grey)
    pages = one.is_page or two.is_page
    if not drawings and not pages:
        return False
    # A page that is a hundred megapixels can be read in nine.
    greys = [shrunk(np.asarray(in_full(place).convert("L")), _LONGEST) for place in (0, 1)]
    alignment = np.array(seen.alignment).reshape(2, 3)
    placed = one.grey, two.turned(seen.orientation).grey
    # What is written survives a codec better than the tones around it do: of pages it alone counts.
    if pages:
        first, second = (shrunk(grey, LONGEST) for grey in greys)
        turned = View.of_planes(Planes(second)).turned(seen.orientation)
        return differ_in_detail(first, turned.grey, alignment, placed, differ=say_something_else)
    turned = View.of_planes(Planes(greys[1])).turned(seen.orientation)
    return all(map(is_graphic, greys)) and differ_in_detail(greys[0], turned.grey, alignment, placed)


def differ_in_detail(
    first: Grey,
    second: Grey,
    matrix: Matrix,
    views: tuple[Grey, Grey],
    *,
    differ: Differ | None = None,
) -> bool:
    """Compare two pictures in full, (h, w) uint8 each, upright and turned alike.

    `matrix`: (2, 3), takes the pixels of the first one's view to those of the second one's. What is too small in one
    of them to be told counts as different. `differ` compares them on one frame, instead of spot by spot.
    """
    step = second.shape[1] / views[1].shape[1], second.shape[0] / views[1].shape[0]
    stretch = abs(float(np.linalg.det(matrix[:, :2]))) ** 0.5
    # How many pixels of the first picture make up one of the second.
    scale = (first.shape[0] / views[0].shape[0]) / (step[1] * stretch)
    if not 1 / _MOST_SCALE <= scale <= _MOST_SCALE:
        return True
    if scale < 1:  # the first one is the coarser one: work on its pixels
        whole = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
        return differ_in_detail(second, first, whole, (views[1], views[0]), differ=differ)
    to_view = np.diag([views[0].shape[1] / first.shape[1], views[0].shape[0] / first.shape[0], 1.0])
    moving = np.diag([*step, 1.0]) @ np.vstack([matrix, [0, 0, 1]]) @ to_view
    one, two, mask = _on_one_frame(first, second, moving, scale, ends=_PAGE_ENDS if differ else _ENDS)
    return (differ or _have_spots)(one, two, mask)


def _on_one_frame(
    first: Grey, second: Grey, moving: Matrix, scale: float, *, ends: tuple[float, float]
) -> tuple[Plane, Plane, Grey]:
    """Draw the first picture on the pixels of the second one, and bring the tones of both to 0 to 255.

    `ends`: which percentiles become these.
    """
    import cv2

    height, width = second.shape
    same_shape = abs(first.shape[1] / first.shape[0] * height / width - 1) < _SAME_SHAPE
    whole = np.array([[width / first.shape[1], 0, 0], [0, height / first.shape[0], 0], [0, 0, 1.0]])
    near = np.abs(
        moving[:2] @ np.array([first.shape[1] / 2, first.shape[0] / 2, 1]) - (width / 2, height / 2)
    ).max()
    if same_shape and near < 0.02 * width and np.abs(moving[:2, :2] - whole[:2, :2]).max() < 0.02:
        one: Grey = np.asarray(cv2.resize(first, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        mask = np.ones((height, width), np.uint8)
    else:
        smooth = cv2.GaussianBlur(first, (0, 0), 0.4 * scale) if scale > 1 else first
        drawn = cv2.warpAffine(smooth, moving[:2], (width, height), flags=cv2.INTER_LINEAR)
        seen = cv2.warpAffine(np.ones_like(first), moving[:2], (width, height), flags=cv2.INTER_NEAREST)
        one, seen = _nudged(np.asarray(drawn, np.uint8), second, np.asarray(seen, np.uint8))
        mask = np.asarray(cv2.erode(seen, np.ones((9, 9), np.uint8)), np.uint8)
    left, right = one[mask > 0].astype(np.float32), second[mask > 0].astype(np.float32)
    if not left.size:
        return one.astype(np.float32), second.astype(np.float32), mask
    low, high = np.percentile(left, ends)
    other_low, other_high = np.percentile(right, ends)
    fitted = (one.astype(np.float32) - low) * _CONTRAST / max(1.0, high - low)
    other = (second.astype(np.float32) - other_low) * _CONTRAST / max(1.0, other_high - other_low)
    return fitted.astype(np.float32), other.astype(np.float32), np.asarray(mask, np.uint8)


def _nudged(one: Grey, two: Grey, mask: Grey) -> tuple[Grey, Grey]:
    """Align the pictures to the pixel, as far as that works."""
    import cv2

    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ECC_STEPS, _ECC_EPSILON)
    small, other, seen_small = (shrunk(plane, _NUDGED_AT) for plane in (one, two, mask))
    try:
        _, found = cv2.findTransformECC(
            other, small, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, criteria, seen_small, 5
        )
    except cv2.error:
        return one, mask
    # Pixels are squares: the middle of the first one lies at half of its size.
    grown = one.shape[1] / small.shape[1]
    growing = np.array([[grown, 0, (grown - 1) / 2], [0, grown, (grown - 1) / 2], [0, 0, 1]])
    warp = (growing @ np.vstack([found, [0, 0, 1]]) @ np.linalg.inv(growing))[:2]
    size, flags = (one.shape[1], one.shape[0]), cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(one, warp, size, flags=flags | cv2.INTER_LINEAR)
    seen = cv2.warpAffine(mask, warp, size, flags=flags | cv2.INTER_NEAREST)
    return np.asarray(moved, np.uint8), np.asarray(seen, np.uint8)


def _have_spots(one: Plane, two: Plane, mask: Grey) -> bool:
    return _has_spots(one, two, mask) or _has_spots(two, one, mask)


def _has_spots(one: Plane, two: Plane, mask: Grey) -> bool:
    """Whether one picture has pixels far outside of all tones that the other one has around the same place."""
    import cv2

    kernel = np.ones((3, 3), np.uint8)
    beyond = np.maximum(one - cv2.dilate(two, kernel), cv2.erode(two, kernel) - one)
    spots = ((beyond > _DIFFERS) & (mask > 0)).astype(np.uint8)
    if not spots.any():
        return False
    _, _, stats, _ = cv2.connectedComponentsWithStats(spots, connectivity=8)
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return bool(sizes.max() >= _SPOT or sizes.sum() >= _SPOTS)
