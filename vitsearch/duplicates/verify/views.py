"""A photo as the second look sees it: its greys at one working size, and its local features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.verify.written import is_page

if TYPE_CHECKING:
    from collections.abc import Sequence

    import cv2
    import numpy.typing as npt
    from PIL.Image import Image

    Grey = npt.NDArray[np.uint8]

# All photos are brought to one size, so that a copy and its original meet at about the same scale.
SHORT_SIDE = 288
_LONGEST = 3 * SHORT_SIDE
COLOUR_SIDE = 72
_FEATURES = 640
# Rows and columns at the edge that vary less than this in grey levels are a plain border.
_PLAIN = 4.0
# Low, because plain walls, skies and blurred copies have only faint corners.
_FAST_THRESHOLD = 7
_PATCH = 31


@dataclass(frozen=True, slots=True)
class Features:
    """ORB features (Rublee et al., "ORB: an efficient alternative to SIFT or SURF", 2011).

    `points`: (k, 2) float32, x and y in pixels. `sizes`, `angles`: (k,) float32, in pixels and degrees clockwise.
    `levels`: (k,) int64, in ORB's pyramid. `descriptors`: (k, 32) uint8, 256 bits each.
    """

    points: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.float32]
    angles: npt.NDArray[np.float32]
    levels: npt.NDArray[np.int64]
    descriptors: npt.NDArray[np.uint8]


@dataclass(frozen=True)
class View:
    """One upright photo; features are found when they are first asked for. `grey`: (h, w) uint8.

    `colours`: a small picture of the same frame, (h, w, 3) uint8, Y, Cb and Cr; None where nobody asks.
    """

    grey: Grey
    colours: Grey | None = None

    @classmethod
    def of(cls, image: Image) -> View:
        """Look at an upright RGB image of any size; a decode at a reduced scale is enough."""
        from PIL.Image import Resampling

        factor = min(SHORT_SIDE / min(image.size), _LONGEST / max(image.size))
        size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
        # Averaging over pixels that vanish, interpolating between pixels that appear.
        method = (
            Resampling.BICUBIC if factor > 1 else Resampling.BOX if factor < 1 / 3 else Resampling.HAMMING
        )
        share = COLOUR_SIDE / SHORT_SIDE
        few = max(1, round(size[0] * share)), max(1, round(size[1] * share))
        colours = image.resize(few, Resampling.BOX, reducing_gap=2.0).convert("YCbCr")
        return cls(np.asarray(image.convert("L").resize(size, method)), np.asarray(colours))

    def turned(self, orientation: int) -> View:
        """Put it into one of the eight orientations, in the order of `hashes.ORIENTATIONS`."""
        return View(
            _turned(self.grey, orientation),
            None if self.colours is None else _turned(self.colours, orientation),
        )

    @cached_property
    def content(self) -> float:
        """The share of the frame that is left when plain borders are taken off, 0 to 1."""
        import cv2

        share = 1.0
        grey = self.grey.astype(np.float32)
        squares = grey * grey
        for axis in (0, 1):
            # A fifth of the time that `std` takes on bytes.
            mean, mean_square = (
                cv2.reduce(plane, axis, cv2.REDUCE_AVG).reshape(-1) for plane in (grey, squares)
            )
            varied = np.flatnonzero(mean_square - mean * mean > _PLAIN * _PLAIN)
            share *= (varied[-1] - varied[0] + 1) / self.grey.shape[1 - axis] if len(varied) else 0.0
        return float(share)

    @cached_property
    def is_page(self) -> bool:
        """Whether it shows a page that is written on."""
        return is_page(self.grey)

    @cached_property
    def features(self) -> Features:
        """The local features of the photo as it is."""
        if min(self.grey.shape) <= _PATCH:
            return _NO_FEATURES
        keypoints, packed = _detector().detectAndCompute(self.grey, None)
        return _features(keypoints, packed)

    @cached_property
    def mirrored(self) -> Features:
        """The local features of the photo seen in a mirror: the same corners, described anew."""
        known = self.features
        if not len(known.points):
            return known
        import cv2

        width = self.grey.shape[1]
        keypoints = [
            cv2.KeyPoint(width - 1 - x, y, size, (180 - angle) % 360, 0, level)
            for (x, y), size, angle, level in zip(
                known.points.tolist(),
                known.sizes.tolist(),
                known.angles.tolist(),
                known.levels.tolist(),
                strict=True,
            )
        ]
        return _features(*_detector().compute(np.ascontiguousarray(self.grey[:, ::-1]), keypoints))


def _turned(plane: Grey, orientation: int) -> Grey:
    if orientation & 4:
        plane = plane.swapaxes(0, 1)
    if orientation & 2:
        plane = plane[::-1]
    if orientation & 1:
        plane = plane[:, ::-1]
    return np.ascontiguousarray(plane)


_NO_FEATURES = Features(
    np.empty((0, 2), np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.int64),
    np.empty((0, 32), np.uint8),
)


def _detector() -> cv2.ORB:
    import cv2

    return cv2.ORB.create(
        nfeatures=_FEATURES, edgeThreshold=_PATCH // 2, patchSize=_PATCH, fastThreshold=_FAST_THRESHOLD
    )


def _features(keypoints: Sequence[cv2.KeyPoint], packed: object) -> Features:
    if packed is None or not len(keypoints):
        return _NO_FEATURES
    return Features(
        points=np.array([keypoint.pt for keypoint in keypoints], dtype=np.float32),
        sizes=np.array([keypoint.size for keypoint in keypoints], dtype=np.float32),
        angles=np.array([keypoint.angle for keypoint in keypoints], dtype=np.float32),
        levels=np.array([keypoint.octave for keypoint in keypoints], dtype=np.int64),
        descriptors=np.ascontiguousarray(packed, dtype=np.uint8),
    )
