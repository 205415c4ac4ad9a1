"""Themes: a library as groups of photos that are alike, which stay what they are from day to day."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.records import Progress
from vitsearch.storage.atomic import write
from vitsearch.storage.filters import Filter
from vitsearch.storage.vectors import holds_no_photos

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.library import Library

    Ids = npt.NDArray[np.int64]
    Vectors = npt.NDArray[np.float32]

# Photos a centroid, and how many centroids there are at least and at most.
_PHOTOS_PER_CENTROID, _FEWEST, _MOST = 6, 8, 4096
# A theme has so many photos at least, and takes up no more of another day's themes than it shares most photos with.
_SMALLEST = 5
_SAME = 0.5
_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Theme:
    """Photos that are alike: their ids (n,), the most typical first. `id` stays the same from day to day."""

    id: int
    photos: Ids


@dataclass(frozen=True, slots=True, eq=False)
class Themes:
    """The themes of a library, the largest first, and how many photos are in none; `contents`: what they rest on."""

    themes: tuple[Theme, ...]
    rest: int
    contents: str


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """What the next search begins with: centroids, and the theme of each photo."""

    space: str
    contents: str
    centroids: Vectors
    photos: Ids
    theme_of: Ids
    rest: int


def contents(library: Library) -> str:
    """Return what themes rest on, as text: another one once photos have come or gone."""
    active = library.catalog.active_space()
    found = library.catalog.database.rows("SELECT count(*), sum(photo) FROM files WHERE missing = 0")
    return repr((None if active is None else library.catalog.generation(active[0]), *found))


def find_themes(library: Library, *, on_progress: Callable[[Progress], None] = lambda _: None) -> Themes:
    """Put the photos that are there into themes, beginning with those of the last time, and remember them.

    First FAISS's k-means with six photos a cluster, then HDBSCAN (Campello, Moulavi and Sander 2013) over the
    centroids, whose leaves are themes. A theme keeps its id where it shares most photos with one of the last time.

    Raises:
        LibraryMissing: the library holds no photos yet.

    """
    from vitsearch.neighbours.clusters import k_means

    active = library.catalog.active_space()
    wanted = library.catalog.select(Filter())
    if active is None or not len(wanted):
        raise holds_no_photos(library.folder)
    now = contents(library)
    on_progress(Progress("vectors", 0, len(wanted)))
    ids, stored = library.catalog.vectors(active[0], active[1].dimension, np.sort(wanted))
    rows = _centred(np.asarray(stored, np.float32))
    before = _read(library.layout.themes, repr(active[1]))
    on_progress(Progress("clusters", len(ids), len(ids)))
    count = _how_many(len(ids), before)
    centroids, nearest = k_means(rows, count, begin=None if before is None else before.centroids)
    theme_of = _joined(centroids, nearest)
    found = _sorted(ids, rows, _named(ids, theme_of, before))
    rest = len(ids) - sum(len(theme.photos) for theme in found)
    _write(library.layout.themes, repr(active[1]), now, centroids, found, rest)
    return Themes(found, rest, now)


def known_themes(library: Library) -> Themes | None:
    """Return the themes of the last time, or None where there are none of the library's present model."""
    active = library.catalog.active_space()
    kept = None if active is None else _read(library.layout.themes, repr(active[1]))
    if kept is None:
        return None
    there = np.isin(kept.photos, library.catalog.select(Filter()))
    photos, theme_of = kept.photos[there], kept.theme_of[there]
    numbers, first = np.unique(theme_of, return_index=True)
    # As they were written: the largest theme first, in each the most typical photo first.
    themes = [Theme(int(one), photos[theme_of == one]) for one in numbers[np.argsort(first)]]
    return Themes(tuple(theme for theme in themes if len(theme.photos)), kept.rest, kept.contents)


def _centred(rows: Vectors) -> Vectors:
    """Unit rows (n, d) without what all photos share: embeddings of photos fill a narrow cone."""
    rows = rows - rows.mean(axis=0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.finfo(np.float32).tiny), np.float32)


def _how_many(photos: int, before: _Kept | None) -> int:
    """How many centroids; as many as the last time until there are half as many photos, or twice as many."""
    wanted = min(max(photos // _PHOTOS_PER_CENTROID, _FEWEST), _MOST, photos)
    if before is not None and wanted / 2 <= len(before.centroids) <= min(wanted * 2, photos):
        return len(before.centroids)
    return wanted


def _joined(centroids: Vectors, nearest: Ids) -> Ids:
    """Return the theme of each photo, (n,), -1 for none: clusters whose centroids lie in one dense place are one."""
    from sklearn.cluster import HDBSCAN

    used = np.flatnonzero(np.bincount(nearest, minlength=len(centroids)))
    if len(used) < 4:
        groups = np.arange(len(used))
    else:
        groups = HDBSCAN(
            min_cluster_size=2, min_samples=1, cluster_selection_method="leaf", copy=True
        ).fit_predict(centroids[used])
        # A place of its own is a theme of its own.
        alone = np.flatnonzero(groups < 0)
        groups[alone] = groups.max() + 1 + np.arange(len(alone))
    number_of = np.full(len(centroids), -1, np.int64)
    number_of[used] = groups
    theme_of = number_of[nearest]
    sizes = np.bincount(theme_of)
    theme_of[sizes[theme_of] < _SMALLEST] = -1
    return theme_of


def _named(ids: Ids, theme_of: Ids, before: _Kept | None) -> dict[int, Ids]:
    """Give each theme the id that it had: that of the earlier theme with which it shares most of either's photos."""
    found = {int(one): ids[theme_of == one] for one in np.unique(theme_of[theme_of >= 0])}
    earlier = (
        {}
        if before is None
        else {int(one): before.photos[before.theme_of == one] for one in np.unique(before.theme_of)}
    )
    shared = sorted(
        (
            (len(np.intersect1d(photos, old)) / min(len(photos), len(old)), -known, -number)
            for number, photos in found.items()
            for known, old in earlier.items()
        ),
        reverse=True,
    )
    named: dict[int, Ids] = {}
    taken: set[int] = set()
    for share, known, number in ((share, -known, -number) for share, known, number in shared):
        if share >= _SAME and known not in named and number not in taken:
            named[known] = found[number]
            taken.add(number)
    fresh = max(earlier, default=0) + 1
    for number in sorted(set(found) - taken, key=lambda one: -len(found[one])):
        named[fresh] = found[number]
        fresh += 1
    return named


def _sorted(ids: Ids, rows: Vectors, named: dict[int, Ids]) -> tuple[Theme, ...]:
    themes = []
    for number, photos in named.items():
        members = rows[np.searchsorted(ids, photos)]
        typical = members @ members.mean(axis=0)
        themes.append(Theme(number, photos[np.argsort(-typical, kind="stable")]))
    return tuple(sorted(themes, key=lambda theme: (-len(theme.photos), theme.id)))


def _read(path: Path, space: str) -> _Kept | None:
    """What was kept; None if there is nothing, if it is of another model, or if it cannot be read."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            if int(file["format"]) != _FORMAT or str(file["space"]) != space:
                return None
            return _Kept(
                space,
                str(file["contents"]),
                file["centroids"],
                file["photos"],
                file["theme_of"],
                int(file["rest"]),
            )
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write(
    path: Path, space: str, now: str, centroids: Vectors, themes: tuple[Theme, ...], rest: int
) -> None:
    buffer = io.BytesIO()
    np.savez(
        buffer,
        format=np.array(_FORMAT),
        space=np.array(space),
        contents=np.array(now),
        centroids=centroids,
        photos=np.concatenate([theme.photos for theme in themes] or [np.array([], np.int64)]),
        theme_of=np.concatenate(
            [np.full(len(theme.photos), theme.id, np.int64) for theme in themes] or [np.array([], np.int64)]
        ),
        rest=np.array(rest),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    write(path, buffer.getvalue(), durable=False, private=True)
