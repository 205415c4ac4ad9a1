"""A photo as the second look sees it: its greys at one working size, and its local features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from vitsearch.duplicates.verify.written import is_page
from vitsearch.photos.perceptual_hash import turned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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


Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Features:
    """ORB features (Rublee et al., "ORB: an efficient alternative to SIFT or SURF", 2011).

    `points`: (k, 2) float32, x and y in pixels. `sizes`, `angles`: (k,) float32, in pixels and degrees clockwise.
    `levels`: (k,) uint8, in ORB's pyramid. `descriptors`: (k, 32) uint8, 256 bits each.
    """

    points: npt.NDArray[np.float32]
    sizes: npt.NDArray[np.float32]
    angles: npt.NDArray[np.float32]
    levels: npt.NDArray[np.uint8]
    descriptors: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Planes:
    """The pixels of a view. `grey`: (h, w) uint8.

    `colours`: a small picture of the same frame, (h, w, 3) uint8, Y, Cb and Cr; None where nobody asks.
    """

    grey: Grey
    colours: Grey | None = None

    @classmethod
    def of(cls, image: Image) -> Planes:
        """Bring an upright RGB image of any size to the working size; a decode at a reduced scale is enough."""
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


class _found_once(Generic[Found]):  # noqa: N801 - reads as `cached_property` does
    """A property that is found when it is first asked for.

    That of `functools` has one lock for all views up to Python 3.11: while one thread looked for features, none could.
    """

    def __init__(self, find: Callable[[Any], Found]) -> None:
        self._find = find
        self.__doc__ = find.__doc__

    def __get__(self, view: View, _: type[View]) -> Found:
        found = view.__dict__[self._find.__name__] = self._find(view)
        return found


class View:
    """One upright photo; its pixels and features are there when they are first asked for.

    Features are kept, a third of the memory that pixels take: most pairs of photos are told apart by features alone.
    """

    def __init__(self, planes: Callable[[], Planes]) -> None:
        """`planes` is called each time that pixels are looked at; what it raises comes out."""
        self._planes = planes

    @classmethod
    def of(cls, image: Image) -> View:
        """Look at an upright RGB image of any size; a decode at a reduced scale is enough."""
        return cls.of_planes(Planes.of(image))

    @classmethod
    def of_planes(cls, planes: Planes) -> View:
        """Look at pixels that are at hand."""
        return cls(lambda: planes)

    @property
    def grey(self) -> Grey:
        """The greys, (h, w) uint8."""
        return self._planes().grey

    @property
    def colours(self) -> Grey | None:
        """A small picture, (h, w, 3) uint8: Y, Cb and Cr."""
        return self._planes().colours

    def turned(self, orientation: int) -> View:
        """Put it into one of the eight orientations, in the order of `hashes.ORIENTATIONS`."""
        known = self._planes()
        return View.of_planes(
            Planes(
                _turned(known.grey, orientation),
                None if known.colours is None else _turned(known.colours, orientation),
            )
        )

    @_found_once
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

    @_found_once
    def is_page(self) -> bool:
        """Whether it shows a page that is written on."""
        return is_page(self.grey)

    @_found_once
    def features(self) -> Features:
        """The local features of the photo as it is."""
        grey = self.grey
        if min(grey.shape) <= _PATCH:
            return _NO_FEATURES
        keypoints, packed = _detector().detectAndCompute(grey, None)
        return _features(keypoints, packed)

    @_found_once
    def mirrored(self) -> Features:
        """The local features of the photo seen in a mirror: the same corners, described anew."""
        known = self.features
        if not len(known.points):
            return known
        import cv2

        grey = self.grey
        width = grey.shape[1]
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
        return _features(*_detector().compute(np.ascontiguousarray(grey[:, ::-1]), keypoints))


def _turned(plane: Grey, orientation: int) -> Grey:
    return np.ascontiguousarray(turned(plane, orientation))


_NO_FEATURES = Features(
    np.empty((0, 2), np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.float32),
    np.empty(0, np.uint8),
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
        levels=np.array([keypoint.octave for keypoint in keypoints], dtype=np.uint8),
        descriptors=np.ascontiguousarray(packed, dtype=np.uint8),
    )
