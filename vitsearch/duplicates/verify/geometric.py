"""The second look at a pair of photos: what it found, and whether that makes them the same shot."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vitsearch.duplicates.verify.agreement import Agreement, compare
from vitsearch.duplicates.verify.evidence import Evidence, Thresholds
from vitsearch.duplicates.verify.geometry import fit, full_frame
from vitsearch.duplicates.verify.surroundings import surroundings
from vitsearch.duplicates.verify.views import Planes, View
from vitsearch.duplicates.verify.words import what_was_done
from vitsearch.photos.perceptual_hash import distances, unpacked

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.duplicates.verify.geometry import Matrix

    Ids = npt.NDArray[np.int64]

Value = TypeVar("Value")

# The features of a view take 63 kB at most, its pixels 150 kB. The neighbours of a photo are all over a library, so
# that it comes up again and again; finding its features anew takes more than half of the time of a look.
_CACHED_VIEWS, _CACHED_PLANES = 12_288, 512


@dataclass(frozen=True, slots=True)
class _Hypothesis:
    orientation: int
    matrix: Matrix
    inliers: int


class GeometricVerifier:
    """Compares photos pair by pair; photos are known by id, and views of them are kept while they are in use.

    Threads may share it.
    """

    def __init__(
        self,
        pixels: Callable[[int], Image],
        hashes: Callable[[int], bytes | None],
        *,
        thresholds: Thresholds | None = None,
    ) -> None:
        """`pixels` gives a photo's upright RGB image, decoded at any scale of at least 288 pixels' shorter side."""
        self.thresholds = thresholds or Thresholds()
        self._pixels = pixels
        self._hashes = hashes
        self._views: OrderedDict[int, View] = OrderedDict()
        self._planes: OrderedDict[int, Planes] = OrderedDict()
        self._lock = threading.Lock()

    def compare(self, first: int, second: int, *, cosine: float | None = None) -> Evidence:
        """Look for a transform that turns the first photo into the second, and say how well it holds.

        Raises:
            UnreadablePhoto: what `pixels` raises.

        """
        return look(
            self.view(first),
            self.view(second),
            hashes=(self._hashes(first), self._hashes(second)),
            cosine=cosine,
            thresholds=self.thresholds,
        )

    def view(self, photo: int) -> View:
        """The photo as it is compared; its pixels are read when they are asked for, which raises what `pixels` does."""
        with self._lock:
            return _kept(self._views, photo, _CACHED_VIEWS, lambda: View(partial(self._planes_of, photo)))

    def make_room(self, next_use: Callable[[Ids], Ids]) -> None:
        """Forget the features of photos that are looked at last, or never again, where there are nearly too many.

        `next_use`: when photos, (n,) int64, come up again, (n,) int64. Among all orders of forgetting, this one has
        the fewest found anew (Belady, "A study of replacement algorithms for a virtual-storage computer", 1966).
        """
        with self._lock:
            known = np.fromiter(self._views, np.int64, len(self._views))
        if len(known) <= _CACHED_VIEWS // 8 * 7:
            return
        last = np.argsort(-next_use(known), kind="stable")[: len(known) - _CACHED_VIEWS // 4 * 3]
        with self._lock:
            for photo in known[last].tolist():
                self._views.pop(photo, None)

    def forget(self) -> None:
        """Forget all views: what follows looks at few photos, and needs the memory."""
        with self._lock:
            self._views.clear()
            self._planes.clear()

    def _planes_of(self, photo: int) -> Planes:
        with self._lock:
            known = self._planes.get(photo)
            if known is not None:
                self._planes.move_to_end(photo)
                return known
        planes = Planes.of(self._pixels(photo))
        with self._lock:
            return _kept(self._planes, photo, _CACHED_PLANES, lambda: planes)


def _kept(known: OrderedDict[int, Value], photo: int, most: int, make: Callable[[], Value]) -> Value:
    """Return what is known of a photo, or make it; of `most` photos, the last ones asked for, it stays known."""
    if photo not in known:
        known[photo] = make()
    known.move_to_end(photo)
    if len(known) > most:
        known.popitem(last=False)
    return known[photo]


def look(
    first: View,
    second: View,
    *,
    hashes: tuple[bytes | None, bytes | None] = (None, None),
    cosine: float | None = None,
    thresholds: Thresholds | None = None,
) -> Evidence:
    """Compare two views: the whole frame as the hashes suggest, then local features, then those in the mirror.

    Whichever is named first, the same is found: what it is does not depend on the order.
    """
    thresholds = thresholds or Thresholds()
    if not _is_in_order(first, second, hashes):
        seen = _look(second, first, hashes[::-1], cosine, thresholds)
        return seen_the_other_way((second, first), seen)[1]
    return _look(first, second, hashes, cosine, thresholds)


def seen_the_other_way(views: tuple[View, View], seen: Evidence) -> tuple[tuple[View, View], Evidence]:
    """Put the second one of two views first, with what was seen of them, its alignment in full."""
    first, second = views
    back = seen.turned_round()
    if seen.alignment:
        there = _turning(seen.orientation, second.grey.shape)
        here = _turning(back.orientation, first.grey.shape)
        whole = np.vstack([np.array(seen.alignment).reshape(2, 3), [0, 0, 1]])
        alignment = (here @ np.linalg.inv(whole) @ there)[:2]
        back = replace(back, alignment=tuple(map(float, alignment.ravel())))
        back = replace(back, transform=what_was_done(back))
    return (second, first), back


def _turning(orientation: int, shape: tuple[int, ...]) -> Matrix:
    """Where an orientation takes the pixels of a plane, (h, w): (3, 3), as `turned` does."""
    height, width = shape
    matrix = np.eye(3)
    if orientation & 4:
        height, width = width, height
        matrix = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]])
    if orientation & 2:
        matrix = np.array([[1.0, 0, 0], [0, -1, height - 1], [0, 0, 1]]) @ matrix
    if orientation & 1:
        matrix = np.array([[-1.0, 0, width - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
    return matrix


def _is_in_order(first: View, second: View, hashes: tuple[bytes | None, bytes | None]) -> bool:
    """Whether two views stand in the one order in which they are compared, which only what they show decides."""
    one, two = hashes
    if not one or not two:
        one, two = (view.features.descriptors.tobytes() for view in (first, second))
    elif one == two:
        one, two = (view.grey.tobytes() for view in (first, second))
    return one >= two


def _look(
    first: View,
    second: View,
    hashes: tuple[bytes | None, bytes | None],
    cosine: float | None,
    thresholds: Thresholds,
) -> Evidence:
    distance, orientation = _hash_distance(hashes)
    best = Evidence(cosine=cosine, hash_distance=distance)
    for attempt in ("hash", "features", "mirror"):
        if attempt == "hash":
            hypothesis = _by_hash(first, second, distance, orientation, thresholds)
        else:
            hypothesis = _by_features(first, second, thresholds, mirrored=attempt == "mirror")
        if hypothesis is None:
            continue
        placed = second if hypothesis.orientation == 0 else second.turned(hypothesis.orientation)
        agreement = compare(first.grey, placed.grey, hypothesis.matrix)
        if agreement is None:
            continue
        found = _evidence(agreement, hypothesis, best)
        if found.confirms(thresholds):
            # A transform of one thing onto another that is built alike may hold in one direction alone.
            back = compare(placed.grey, first.grey, _inverse(agreement.matrix))
            if back is None:
                continue
            backwards = replace(found, share=back.share, closeness=back.closeness, moved=back.moved)
            if not backwards.confirms(thresholds):
                best = max(best, backwards, key=attrgetter("score"))
                continue
            return _with_surroundings(found, first, second, placed, agreement.matrix)
        best = max(best, found, key=attrgetter("score"))
    return best


def _inverse(matrix: Matrix) -> Matrix:
    inverse: Matrix = np.linalg.inv(np.vstack([matrix, [0, 0, 1]]))[:2]
    return inverse


def _with_surroundings(found: Evidence, first: View, second: View, placed: View, matrix: Matrix) -> Evidence:
    (height, width), (other_height, other_width) = first.grey.shape, placed.grey.shape
    here = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64)
    there = np.array([[0, 0], [other_width, 0], [other_width, other_height], [0, other_height]], np.float64)
    turn, shift = matrix[:, :2], matrix[:, 2]
    of_first = surroundings(first.grey, (there - shift) @ np.linalg.inv(turn).T)
    of_second = surroundings(placed.grey, here @ turn.T + shift)
    known = replace(
        found,
        content_first=first.content,
        content_second=second.content,
        beyond_first=of_first.beyond,
        beyond_second=of_second.beyond,
        seam_first=of_first.seam,
        seam_second=of_second.seam,
        around_first=of_first.tone,
        around_second=of_second.tone,
        even_first=of_first.even,
        even_second=of_second.even,
    )
    return replace(known, transform=what_was_done(known))


def _hash_distance(hashes: tuple[bytes | None, bytes | None]) -> tuple[int | None, int]:
    first, second = hashes
    if not first or not second:
        return None, 0
    distance, orientation = distances(unpacked([first]), unpacked([second]))
    return int(distance[0]), int(orientation[0])


def _by_hash(
    first: View, second: View, distance: int | None, orientation: int, thresholds: Thresholds
) -> _Hypothesis | None:
    if distance is None or distance > thresholds.hash_distance:
        return None
    own, (height, width) = first.grey.shape, second.grey.shape
    shape = (width, height) if orientation & 4 else (height, width)
    return _Hypothesis(orientation, full_frame(own, shape), 0)


def _by_features(first: View, second: View, thresholds: Thresholds, *, mirrored: bool) -> _Hypothesis | None:
    found = fit(first.features, second.mirrored if mirrored else second.features)
    if found is None or found.inliers < thresholds.inliers:
        return None
    return _Hypothesis(int(mirrored), found.matrix, found.inliers)


def _evidence(agreement: Agreement, hypothesis: _Hypothesis, known: Evidence) -> Evidence:
    found = Evidence(
        cosine=known.cosine,
        hash_distance=known.hash_distance,
        inliers=hypothesis.inliers,
        share=agreement.share,
        closeness=agreement.closeness,
        of_first=agreement.of_first,
        of_second=agreement.of_second,
        moved=agreement.moved,
        overlay=agreement.overlay,
        orientation=hypothesis.orientation,
        alignment=tuple(map(float, agreement.matrix.ravel())),
        light=agreement.light,
        contrast=agreement.contrast,
        unhidden=agreement.unhidden,
    )
    return replace(found, transform=what_was_done(found))
