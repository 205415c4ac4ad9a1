"""From a query embedding to matches: the nearest photos, their files, and whether they stand out."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import BadQuery
from vitsearch.records import Match

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.neighbours.neighbours import Neighbours
    from vitsearch.neighbours.reference_sample import ReferenceSample
    from vitsearch.storage.catalog import Catalog
    from vitsearch.storage.filters import Filter
    from vitsearch.storage.rows import PhotoRow

    Vector = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]

# How much a negative example pulls away, against 1 for the examples (Rocchio's gamma; Manning et al., Introduction to
# Information Retrieval, section 9.1.1, advises less weight for negative feedback).
_NEGATIVE_WEIGHT = 0.5
# Two results this similar show the same picture to a person: `distinct` keeps the better one.
_SAME_PICTURE = 0.95
# In a larger library, a filter is first tried on this many of the nearest photos.
_LOOK_FIRST_FROM = 20_000
_LOOK_FIRST = 512


def query_direction(examples: Sequence[Vector], negatives: Sequence[Vector] = ()) -> Vector:
    """Combine unit rows (d,) into one query: the mean of the examples, away from the mean of the negative examples.

    Raises:
        BadQuery: examples and negative examples cancel out.

    """
    direction = np.mean(examples, axis=0)
    if negatives:
        direction = direction - _NEGATIVE_WEIGHT * np.mean(negatives, axis=0)
    length = float(np.linalg.norm(direction))
    if length < 1e-6:
        raise BadQuery("the examples and negative examples cancel each other out: leave one of them away")
    return np.asarray(direction / length, np.float32)


@dataclass(frozen=True, slots=True)
class MatchOptions:
    """Which photos qualify as matches, and how many. `leave_out`: the query's photos; `among`: (n,) ids, or None."""

    k: int
    criteria: Filter
    among: Ids | None = None
    leave_out: tuple[int, ...] = ()
    exact: bool = False
    distinct: bool = False
    only_matches: bool = False


def find_matches(
    query: Vector, catalog: Catalog, neighbours: Neighbours, sample: ReferenceSample, options: MatchOptions
) -> tuple[tuple[Match, ...], float | None]:
    """Return the matches of a unit query (d,), best first, and the score above which photos stand out.

    Photos that are missing, or only on offline roots, are left out.
    """
    reference = sample.against(query, leave_out=options.leave_out)
    floor = reference.outlier_threshold
    matches: list[Match] = []
    for photo, score in _nearest_kept(query, catalog, neighbours, options):
        if options.only_matches and floor is not None and score < floor:
            break
        matches.append(looked_at(as_match(photo, score, reference.percentile(score))))
    return tuple(matches), floor


def as_match(photo: PhotoRow, score: float, percentile: float) -> Match:
    """Return the match for a photo with a file."""
    return Match(
        path=photo.paths[0],
        score=round(min(score, 1.0), 6),  # a row rounded to float16 may be a little longer than 1
        percentile=round(percentile, 2),
        photo=photo.id,
        width=photo.facts.width,
        height=photo.facts.height,
        taken=photo.facts.taken,
        camera=photo.facts.camera,
        other_paths=photo.paths[1:],
        latitude=photo.facts.latitude,
        longitude=photo.facts.longitude,
    )


def looked_at(match: Match) -> Match:
    """Check whether the file of a match is present now; present copies come before missing ones.

    The catalog is only as recent as the last index run.
    """
    paths = (match.path, *match.other_paths)
    here = next((path for path in paths if os.path.exists(path)), None)  # noqa: PTH110 - raises for no name
    if here is None:
        return replace(match, present=False)
    if here == match.path:
        return match
    return replace(match, path=here, other_paths=tuple(path for path in paths if path != here))


def _nearest_kept(
    query: Vector, catalog: Catalog, neighbours: Neighbours, options: MatchOptions
) -> list[tuple[PhotoRow, float]]:
    if not options.criteria:
        return _nearest_present(query, catalog, neighbours, options.among, options)
    if options.among is not None:
        within = np.intersect1d(catalog.select(options.criteria), options.among)
        return _nearest_present(query, catalog, neighbours, within, options)
    if len(neighbours) > _LOOK_FIRST_FROM:
        # Listing all photos that a filter keeps takes SQLite seconds where these are millions; then enough of them are
        # usually among the nearest.
        width = min(max(_LOOK_FIRST, 10 * options.k), len(neighbours))
        near = neighbours.search(query[None], width, exact=options.exact, exclude=_left_out(options))[1][0]
        kept = np.array(sorted(catalog.kept(options.criteria, near[near >= 0])), np.int64)
        found = _nearest_present(query, catalog, neighbours, kept, options)
        if len(found) >= options.k:
            return found
    return _nearest_present(query, catalog, neighbours, catalog.select(options.criteria), options)


def _left_out(options: MatchOptions) -> Ids | None:
    return np.array(options.leave_out, np.int64) if options.leave_out else None


def _nearest_present(
    query: Vector, catalog: Catalog, neighbours: Neighbours, within: Ids | None, options: MatchOptions
) -> list[tuple[PhotoRow, float]]:
    exclude = _left_out(options)
    width = min(options.k, len(neighbours)) + 8
    places = options.criteria.places
    while True:
        scores, ids = neighbours.search(
            query[None], width, exact=options.exact, within=within, exclude=exclude
        )
        found = [
            (int(photo), float(score)) for photo, score in zip(ids[0], scores[0], strict=True) if photo >= 0
        ]
        photos = catalog.photos([photo for photo, _ in found])
        located = [(placed(photos[photo], places), score) for photo, score in found if photo in photos]
        present = [(photo, score) for photo, score in located if photo.paths]
        if options.distinct and present:
            rows = neighbours.rows(np.array([photo.id for photo, _ in present], np.int64))
            present = [present[index] for index in distinct(rows)]
        # Fewer than asked for means that the library has no more; otherwise missing photos took their places.
        if len(present) >= options.k or len(found) < width:
            return present[: options.k]
        width *= 4


def placed(photo: PhotoRow, places: Sequence[Path]) -> PhotoRow:
    """Return the photo with its files in these folders first; without files if it has none there.

    `places`: folders as in `Filter.places`; empty means all.
    """
    if not places:
        return photo
    inside = [path for path in photo.paths if any(map(path.is_relative_to, places))]
    outside = [path for path in photo.paths if path not in inside]
    return replace(photo, paths=(*inside, *outside) if inside else ())


def distinct(rows: Vector) -> list[int]:
    """Return the indices of unit rows (n, d), best match first, without near copies of better matches."""
    kept: list[int] = []
    for index in range(len(rows)):
        if not kept or float((rows[kept] @ rows[index]).max()) < _SAME_PICTURE:
            kept.append(index)
    return kept
