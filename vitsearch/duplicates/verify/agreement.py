"""Whether two aligned photos show the same shot: they are compared block by block where both have structure.

A copy agrees nearly everywhere, whatever was done to its light and colours, because each block is compared after its
mean and contrast are taken out. Two shots of one moment agree in part: something has moved, and the rest lies slightly
apart. What was drawn over a copy disagrees too, but makes it brighter everywhere, or darker, or adds structure on one
side only; what moved is brighter at one place and darker at another.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.verify import motion

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.duplicates.verify.geometry import Matrix

    Plane = npt.NDArray[np.float32]
    Mask = npt.NDArray[np.uint8]

# The overlap is compared with this many pixels on its shorter side, in blocks of an eighth of it.
_SIDE = 112
_BLOCK = _SIDE // 8
_LONGEST = 5
_EROSION = 5
# In grey levels: blocks with less structure say nothing. The second is for photos that are faint all over.
_STRUCTURE, _FAINT = 4.0, 1.5
_FEWEST_BLOCKS = 4
_ENOUGH_BLOCKS = 8
_AGREES = 0.8
_HOPEFUL = 0.4
# An alignment this good is not refined.
_ALIGNED_SHARE, _ALIGNED_CLOSENESS = 0.95, 0.985
_ECC_STEPS, _ECC_EPSILON = 15, 1e-3
# A good transform needs only a nudge, in pixels; a longer way could bend one scene onto another that is built alike.
_FARTHEST_NUDGE = 4.0
# An overlay: nearly all that differs is brighter in the same one of the two, beyond some grey levels of noise, ...
_ONE_SIGNED, _CLEARLY, _NOISE = 0.88, 0.97, 8.0
# ... or most disagreeing blocks have clearly more structure in the same one.
_MORE_STRUCTURE = 1.15
_ONE_SIDED = 0.6
# Where the rest agrees so closely, no loss of quality explains a block that does not: an overlay, or it counts twice.
_CLOSE, _VERY_CLOSE = 0.98, 0.995
_FEWEST_UNCOVERED = 0.45
# In grey levels, beyond which a picture is white or black; the share of such pixels that spoils a block; and how many
# blocks must be left to tell.
_WHITE, _BLACK, _CLIPPED, _FEWEST_LEFT = 252.0, 3.0, 0.25, 0.3
# What agrees less is no copy anyway.
_MOTION_SHARE, _MOTION_CLOSENESS = 0.6, 0.9
# Where each block agrees this closely nothing has moved: a subject that moved by 0.4 % of the picture leaves 0.97.
_NOTHING_MOVED = 0.985


@dataclass(frozen=True, slots=True)
class Agreement:
    """What the comparison of two aligned photos gave; all values are 0 to 1.

    `share`: of the blocks with structure, how many agree or carry an overlay. `closeness`: the median correlation
    of the agreeing ones. `of_first`, `of_second`: how much of each photo's frame lies in the overlap. `moved`: the
    share of blocks that are found elsewhere, looked for where the rest agrees well and no overlay explains it.
    `overlay`: 1 or 2 where something was clearly drawn over the first or the second photo, 0 where not.
    `matrix`: the refined transform, (2, 3) from the first photo to the second. `light`, `contrast`: by how many grey
    levels the second one is brighter where they agree, and how many times the contrast it has. `unhidden`: of the
    blocks with structure, how many agree, without those that carry an overlay.
    """

    share: float
    closeness: float
    of_first: float
    of_second: float
    moved: float
    overlay: int
    matrix: Matrix
    light: float
    contrast: float
    unhidden: float


def compare(first: Mask, second: Mask, matrix: Matrix) -> Agreement | None:
    """Compare two grey photos, (h, w) uint8, under a transform (2, 3) from the first to the second.

    The transform is refined where that helps (Evangelidis and Psarakis, "Parametric image alignment using enhanced
    correlation coefficient maximization", 2008). Returns None where the overlap shows too little to tell.
    """
    frame = _overlap(first, second, matrix, _SIDE)
    if frame is None:
        return None
    one, two, mask = _drawn_on(frame, first, second)
    found = _agreement(one, two, mask)
    if found is None:
        return None
    if not (found.share >= _ALIGNED_SHARE and found.closeness >= _ALIGNED_CLOSENESS):
        nudge = _nudge(one, two, mask, found.hopeful)
        better = None if nudge is None else _agreement(_nudged(one, nudge), two, mask)
        if nudge is not None and better is not None and better.score > found.score:
            found, matrix = better, _composed(matrix, nudge, frame.placing)
    may_have_moved = (
        found.share >= _MOTION_SHARE
        and found.closeness >= _MOTION_CLOSENESS
        and found.farthest < _NOTHING_MOVED
        and not found.overlaid
    )
    gone = _moved(first, second, matrix) if may_have_moved else 0.0
    return Agreement(
        found.share,
        found.closeness,
        frame.of_first,
        frame.of_second,
        gone,
        found.overlay,
        matrix,
        found.light,
        found.contrast,
        found.unhidden,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Comparison:
    """`share` and `closeness` as in `Agreement`; `overlaid`: whether it is clear that something was drawn over one.

    `overlay`: over which, 1 or 2, where that can be told, or 0. `light`, `contrast`, `unhidden`: as in
    `Agreement`. `farthest`: the correlation of the block that agrees least.

    `hopeful`: which blocks agree at least a little, (rows, columns) bool.
    """

    share: float
    closeness: float
    overlaid: bool
    overlay: int
    light: float
    contrast: float
    unhidden: float
    farthest: float
    hopeful: npt.NDArray[np.bool_]

    @property
    def score(self) -> float:
        return self.share * self.closeness


def overlap_of(first: Mask, second: Mask, matrix: Matrix, side: int) -> tuple[Plane, Plane, Mask] | None:
    """Draw the part that two grey photos share, with so many pixels on its shorter side; None where there is none.

    Returns both photos, (h, w) float32, and a mask, (h, w) uint8, of where both have pixels.
    """
    frame = _overlap(first, second, matrix, side)
    return None if frame is None else _drawn_on(frame, first, second)


def _moved(first: Mask, second: Mask, matrix: Matrix) -> float:
    shared = overlap_of(first, second, matrix, motion.SIDE)
    return 0.0 if shared is None else motion.moved(*shared)


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where two photos overlap: `moving` and `placing` (2, 3) draw them there, `mask` tells where both have pixels."""

    moving: Matrix
    placing: Matrix
    mask: Mask
    of_first: float
    of_second: float


def _overlap(first: Mask, second: Mask, matrix: Matrix, side: int) -> _Frame | None:
    """Find the frame of the overlap of two photos, with so many pixels on its shorter side."""
    import cv2

    (height, width), (other_height, other_width) = first.shape, second.shape
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)
    outline = (corners @ matrix[:, :2].T + matrix[:, 2]).astype(np.float32)
    frame = np.array([[0, 0], [other_width, 0], [other_width, other_height], [0, other_height]], np.float32)
    area, region = cv2.intersectConvexConvex(outline, frame)
    if region is None or area <= 0:
        return None
    region = region.reshape(-1, 2)
    origin = region.min(axis=0)
    extent = np.maximum(region.max(axis=0) - origin, 1)
    factor = side / extent.min()
    size = (round(float(extent[0] * factor)), round(float(extent[1] * factor)))
    if max(size) > _LONGEST * side:
        return None
    placing = np.array([[factor, 0, -origin[0] * factor], [0, factor, -origin[1] * factor]])
    moving = placing[:, :2] @ matrix
    moving[:, 2] += placing[:, 2]
    filled = np.zeros((size[1], size[0]), np.uint8)
    cv2.fillConvexPoly(filled, ((region - origin) * factor).astype(np.int32), 1)
    # What lies beyond the edge (a border, say) has been blurred into the outermost pixels.
    kernel = np.ones((_EROSION, _EROSION), np.uint8)
    eroded = cv2.erode(filled, kernel, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    mask = np.asarray(eroded, dtype=np.uint8)
    stretched = abs(float(np.linalg.det(matrix[:, :2])))
    return _Frame(
        moving,
        placing,
        mask,
        min(1.0, area / (width * height * stretched)),
        min(1.0, area / (other_width * other_height)),
    )


def _drawn_on(frame: _Frame, first: Mask, second: Mask) -> tuple[Plane, Plane, Mask]:
    size = (frame.mask.shape[1], frame.mask.shape[0])
    return _drawn(first, frame.moving, size), _drawn(second, frame.placing, size), frame.mask


def _drawn(grey: Mask, matrix: Matrix, size: tuple[int, int]) -> Plane:
    import cv2

    # Blurred to one pixel of the result, so that both photos show the same amount of detail.
    sigma = abs(float(np.linalg.det(matrix[:, :2]))) ** -0.5
    smooth = cv2.GaussianBlur(grey, (0, 0), sigma)
    drawn = cv2.warpAffine(smooth, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return drawn.astype(np.float32)


def _nudge(one: Plane, two: Plane, mask: Mask, agreeing: npt.NDArray[np.bool_]) -> Matrix | None:
    """Align the first photo anew, looking only at blocks that already agree a little: (2, 3), from two to one."""
    import cv2

    chosen = np.zeros_like(mask)
    rows, columns = agreeing.shape
    chosen[: rows * _BLOCK, : columns * _BLOCK] = np.kron(agreeing, np.ones((_BLOCK, _BLOCK))).astype(
        np.uint8
    )
    chosen &= mask
    if agreeing.sum() < _ENOUGH_BLOCKS:
        return None
    criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, _ECC_STEPS, _ECC_EPSILON)
    start = np.eye(2, 3, dtype=np.float32)
    try:
        _, warp = cv2.findTransformECC(two, one, start, cv2.MOTION_AFFINE, criteria, chosen, 1)
    except cv2.error:  # it says so where it does not converge
        return None
    size = (one.shape[1], one.shape[0])
    corners = np.array([[0, 0, 1], [size[0], 0, 1], [0, size[1], 1], [*size, 1]], dtype=np.float64)
    if np.linalg.norm(corners @ warp.T - corners[:, :2], axis=1).max() > _FARTHEST_NUDGE:
        return None
    return np.asarray(warp, np.float64)


def _nudged(one: Plane, nudge: Matrix) -> Plane:
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    size = (one.shape[1], one.shape[0])
    return np.asarray(
        cv2.warpAffine(one, nudge, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
    )


def _composed(matrix: Matrix, nudge: Matrix, placing: Matrix) -> Matrix:
    """Put a nudge, found on the frame that `placing` draws on, into the transform between the photos."""
    whole, place, step = (np.vstack([one, [0, 0, 1]]) for one in (matrix, placing, nudge))
    composed: Matrix = np.linalg.inv(place) @ np.linalg.inv(step) @ place @ whole
    return composed[:2]


def _agreement(one: Plane, two: Plane, mask: Mask) -> _Comparison | None:
    """Compare two pictures on one frame, or return None where they show too little."""
    left, right = _blocks(one), _blocks(two)
    inside = _blocks(mask).mean(axis=2) > 0.95
    left_varied = left - left.mean(axis=2, keepdims=True)
    right_varied = right - right.mean(axis=2, keepdims=True)
    left_structure, right_structure = left_varied.std(axis=2), right_varied.std(axis=2)
    product = np.maximum(left_structure * right_structure, 1e-6)
    correlation = (left_varied * right_varied).mean(axis=2) / product
    structure = np.maximum(left_structure, right_structure)
    told = inside & (structure > _STRUCTURE)
    if told.sum() < _ENOUGH_BLOCKS:
        told = inside & (structure > _FAINT)
    blocks = int(told.sum())
    if blocks < _FEWEST_BLOCKS:
        return None
    agrees = told & (correlation > _AGREES)
    if agrees.any():
        left_of = _clipped(left, right, *_exposure(left, right, left_structure, right_structure, agrees))
        if (told & ~left_of).sum() >= max(_ENOUGH_BLOCKS, _FEWEST_LEFT * blocks):
            told = told & ~left_of
            agrees, blocks = agrees & ~left_of, int(told.sum())
    share = float(agrees.sum()) / blocks
    unhidden = share
    closeness = float(np.median(correlation[agrees])) if agrees.any() else 0.0
    overlaid, overlay, light, contrast = False, 0, 0.0, 1.0
    if agrees.any():
        light = float(np.median(right[agrees].mean(axis=1) - left[agrees].mean(axis=1)))
        contrast = float(np.median(right_structure[agrees] / np.maximum(left_structure[agrees], 1e-6)))
    if _FEWEST_UNCOVERED <= share < 1:
        differs = told & ~agrees
        more_left = float((left_structure > _MORE_STRUCTURE * right_structure)[differs].mean())
        more_right = float((right_structure > _MORE_STRUCTURE * left_structure)[differs].mean())
        brighter, darker = _differences(left, right, contrast, agrees, differs)
        overlaid = closeness >= _CLOSE and max(brighter, darker) >= _CLEARLY
        if closeness >= _CLOSE and abs(more_left - more_right) >= _ONE_SIDED:
            overlay = 1 if more_left > more_right else 2
        if max(brighter, darker) >= _ONE_SIGNED:
            share += (1 - share) * max(brighter, darker)
        elif abs(more_left - more_right) >= _ONE_SIDED:
            share += (1 - share) * max(more_left, more_right)
        elif closeness >= _VERY_CLOSE and brighter + darker > 0:
            share = max(0.0, 2 * share - 1)
    farthest = float(correlation[told].min())
    hopeful = told & (correlation > _HOPEFUL)
    return _Comparison(share, closeness, overlaid, overlay, light, contrast, unhidden, farthest, hopeful)


def _exposure(
    left: Plane, right: Plane, left_structure: Plane, right_structure: Plane, agrees: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """The contrast and light that turn the first picture into the second, learned from the blocks that agree."""
    contrast = float(np.median(right_structure[agrees] / np.maximum(left_structure[agrees], 1e-6)))
    return contrast, float(np.median(right[agrees] - contrast * left[agrees]))


def _clipped(left: Plane, right: Plane, contrast: float, light: float) -> npt.NDArray[np.bool_]:
    """Which blocks one picture shows in white or black, because its exposure carries the other's greys beyond these.

    They have lost their structure to the change of light, not to something that was drawn over them.
    """
    there, back = contrast * left + light, (right - light) / max(contrast, 1e-3)
    burnt = ((there > _WHITE) & (right > _WHITE - _NOISE)) | ((back > _WHITE) & (left > _WHITE - _NOISE))
    drowned = ((there < _BLACK) & (right < _BLACK + _NOISE)) | ((back < _BLACK) & (left < _BLACK + _NOISE))
    return np.asarray((burnt | drowned).mean(axis=2) >= _CLIPPED)


def _differences(
    left: Plane, right: Plane, contrast: float, agrees: npt.NDArray[np.bool_], differs: npt.NDArray[np.bool_]
) -> tuple[float, float]:
    """Of all by which the second photo differs, the shares that are brighter and darker than the first promises.

    `left`, `right`: (rows, columns, pixels). Light and contrast are learned where they agree. Both are 0 where nothing
    but noise differs.
    """
    light = float(np.median(right[agrees] - contrast * left[agrees]))
    difference = right[differs] - (contrast * left[differs] + light)
    brighter = float(np.maximum(difference - _NOISE, 0).sum())
    darker = float(np.maximum(-difference - _NOISE, 0).sum())
    return (brighter / (brighter + darker), darker / (brighter + darker)) if brighter + darker else (0.0, 0.0)


def _blocks(plane: npt.NDArray[np.float32] | Mask) -> npt.NDArray[np.float32]:
    """Cut a plane into blocks: (rows, columns, pixels)."""
    rows, columns = plane.shape[0] // _BLOCK, plane.shape[1] // _BLOCK
    cut = plane[: rows * _BLOCK, : columns * _BLOCK].reshape(rows, _BLOCK, columns, _BLOCK)
    return cut.swapaxes(1, 2).reshape(rows, columns, _BLOCK * _BLOCK).astype(np.float32)
