"""Themes: groups of similar photos that stay stable when photos are added."""

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

# Photos per centroid, and the minimum and maximum number of centroids.
_PHOTOS_PER_CENTROID, _FEWEST, _MOST = 6, 8, 4096
# The minimum number of photos of a theme, and the share it must have in common with a previous theme to keep its id.
_SMALLEST = 5
_SAME = 0.5
_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class Theme:
    """Similar photos: their ids (n,), most typical first. `id` is stable when photos are added."""

    id: int
    photos: Ids


@dataclass(frozen=True, slots=True, eq=False)
class Themes:
    """The themes of a library, largest first, and how many photos are in none; `contents`: the library's state."""

    themes: tuple[Theme, ...]
    rest: int
    contents: str


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    """The starting point of the next computation: centroids, and the theme of each photo."""

    space: str
    contents: str
    centroids: Vectors
    photos: Ids
    theme_of: Ids
    rest: int


def contents(library: Library) -> str:
    """Return a text that changes when photos are added or removed."""
    active = library.catalog.active_space()
    found = library.catalog.database.rows("SELECT count(*), sum(photo) FROM files WHERE missing = 0")
    return repr((None if active is None else library.catalog.generation(active[0]), *found))


def find_themes(library: Library, *, on_progress: Callable[[Progress], None] = lambda _: None) -> Themes:
    """Compute the themes of the present photos, starting from the previous ones, and store them.

    FAISS's k-means with six photos per cluster is followed by HDBSCAN (Campello, Moulavi and Sander 2013) over the
    centroids, whose leaves are the themes. A theme keeps its id if it shares most photos with a previous one.

    Raises:
        LibraryMissing: the library has no photos.

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
    """Return the previous themes, or None if there are none for the library's current model."""
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
    """Subtract the common mean from unit rows (n, d), because embeddings of photos lie in a narrow cone."""
    rows = rows - rows.mean(axis=0)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.finfo(np.float32).tiny), np.float32)


def _how_many(photos: int, before: _Kept | None) -> int:
    """Return the number of centroids: the previous one, unless the number of photos has doubled or halved."""
    wanted = min(max(photos // _PHOTOS_PER_CENTROID, _FEWEST), _MOST, photos)
    if before is not None and wanted / 2 <= len(before.centroids) <= min(wanted * 2, photos):
        return len(before.centroids)
    return wanted


def _joined(centroids: Vectors, nearest: Ids) -> Ids:
    """Return the theme of each photo, (n,), -1 for none: clusters in the same dense region are joined."""
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
    """Give each theme the id of the previous theme with which it shares most of either's photos."""
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
    """Return what was stored; None if there is nothing, or it is of another model or unreadable."""
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
