"""A photo as the second look sees it: its greys at one working size, and its local features."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image

    Grey = npt.NDArray[np.uint8]

# All photos are brought to one size, so that a copy and its original meet at about the same scale.
SHORT_SIDE = 288
_LONGEST = 3 * SHORT_SIDE
_FEATURES = 500
# Rows and columns at the edge that vary less than this in grey levels are a plain border.
_PLAIN = 4.0
# Low, because plain walls, skies and blurred copies have only faint corners.
_FAST_THRESHOLD = 7
_PATCH = 31


@dataclass(frozen=True, slots=True)
class Features:
    """ORB features (Rublee et al., "ORB: an efficient alternative to SIFT or SURF", 2011).

    `points`: (k, 2) float32, x and y in pixels. `descriptors`: (k, 256) float32, -1 or +1, so that a matrix product
    gives all distances at once.
    """

    points: npt.NDArray[np.float32]
    descriptors: npt.NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """One upright photo; features are found when they are first asked for. `grey`: (h, w) uint8."""

    grey: Grey

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
        return cls(np.asarray(image.convert("L").resize(size, method)))

    def turned(self, orientation: int) -> View:
        """Put it into one of the eight orientations, in the order of `hashes.ORIENTATIONS`."""
        grey = self.grey.T if orientation & 4 else self.grey
        if orientation & 2:
            grey = grey[::-1]
        if orientation & 1:
            grey = grey[:, ::-1]
        return View(np.ascontiguousarray(grey))

    @cached_property
    def content(self) -> float:
        """The share of the frame that is left when plain borders are taken off, 0 to 1."""
        share = 1.0
        for axis in (0, 1):
            varied = np.flatnonzero(self.grey.std(axis=axis) > _PLAIN)
            share *= (varied[-1] - varied[0] + 1) / self.grey.shape[1 - axis] if len(varied) else 0.0
        return float(share)

    @cached_property
    def features(self) -> Features:
        """The local features of the photo as it is."""
        return _features(self.grey)

    @cached_property
    def mirrored(self) -> View:
        """The photo seen in a mirror: descriptors cannot be mirrored, they have to be computed again."""
        return self.turned(1)


def _features(grey: Grey) -> Features:
    none = Features(np.empty((0, 2), np.float32), np.empty((0, 256), np.float32))
    if min(grey.shape) <= _PATCH:
        return none
    import cv2

    detector = cv2.ORB.create(
        nfeatures=_FEATURES, edgeThreshold=_PATCH // 2, patchSize=_PATCH, fastThreshold=_FAST_THRESHOLD
    )
    keypoints, packed = detector.detectAndCompute(grey, None)
    if not keypoints:
        return none
    points = np.array([keypoint.pt for keypoint in keypoints], dtype=np.float32)
    bits = np.unpackbits(np.asarray(packed, dtype=np.uint8), axis=1)
    return Features(points, bits.astype(np.float32) * 2 - 1)
