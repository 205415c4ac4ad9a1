"""Suggest what to label, from the first photo on: groups of similar photos, and single photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError
from vitsearch.heads.active_learning import alike_groups, next_to_label, typical_photos
from vitsearch.heads.gathering import embed_present
from vitsearch.storage.filters import Filter
from vitsearch.storage.vectors import holds_no_photos

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.heads.head import Head
    from vitsearch.heads.store import HeadStore
    from vitsearch.records import Progress

    Ids = npt.NDArray[np.int64]
    Vectors = npt.NDArray[np.float32]

# Photos that are compared with each other: more of a large library would cost seconds and show the same groups.
_COMPARED = 8192
# With fewer examples a label, typical photos teach more than doubtful ones.
_ENOUGH_FOR_DOUBT = 2


@dataclass(frozen=True, slots=True)
class SuggestedPhoto:
    """A photo worth labelling, with the head's best label and its probability if there is a head."""

    path: Path
    photo: int
    label: str | None = None
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class SuggestedGroup:
    """Similar photos, the most typical one first, which may all get the same label."""

    photos: tuple[SuggestedPhoto, ...]


@dataclass(frozen=True, slots=True)
class Suggestions:
    """What to label for a head: groups, largest first, and single photos, most useful first.

    `typical`: the single photos were chosen because they represent many others, as there are few labels so far;
    otherwise, because the head is least certain of them.
    """

    head: str
    groups: tuple[SuggestedGroup, ...]
    photos: tuple[SuggestedPhoto, ...]
    typical: bool


def suggest(
    head_store: HeadStore,
    name: str,
    *,
    count: int = 20,
    groups: int = 5,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> Suggestions:
    """Suggest photos of the library to label for a head, which need not exist yet.

    Its examples and corrected photos are left out. In a large library, a random sample is considered.

    Raises:
        LibraryMissing: the library has no photos.

    """
    if count < 1:
        raise HeadError(f"cannot name {count} photos: ask for one or more")
    library, catalog = head_store.library, head_store.library.catalog
    head = head_store.get(name) if name in head_store.names() else None
    active = catalog.active_space()
    space = head.space if head is not None else (active.space if active else None)
    ids = catalog.select(Filter()).tolist()
    if space is None or not ids:
        raise holds_no_photos(library.folder)
    examples = head_store.tables.examples(name)
    unlabelled = np.setdiff1d(np.array(sorted(ids), np.int64), np.array(sorted(examples), np.int64))
    if len(unlabelled) > _COMPARED:
        unlabelled = np.sort(np.random.default_rng(0).permutation(unlabelled)[:_COMPARED])
    places = {photo: row.paths for photo, row in catalog.photos(unlabelled.tolist()).items() if row.paths}
    embed_present(library, space, np.array(sorted(places), np.int64), on_progress)
    space_id = catalog.add_space(space)
    photos, rows, norms = catalog.embeddings(space_id, space.dimension, np.array(sorted(places), np.int64))
    known = catalog.embeddings(space_id, space.dimension, np.array(sorted(examples), np.int64))[1]
    if not len(rows):
        return Suggestions(name, (), (), typical=True)
    doubtful = head is not None and len(known) >= _ENOUGH_FOR_DOUBT * len(head.labels)
    if head is not None and doubtful:
        asked = next_to_label(head, np.arange(len(rows)), rows, norms, count=count)
        chosen = tuple(each.photo for each in asked)
    else:
        chosen = typical_photos(rows, known, count=count)

    def named(places_in_rows: tuple[int, ...]) -> tuple[SuggestedPhoto, ...]:
        found = np.array(places_in_rows, np.int64)
        return tuple(
            SuggestedPhoto(places[photo][0], photo, label, probability)
            for photo, (label, probability) in zip(
                photos[found].tolist(), _said(head, rows[found], norms[found]), strict=True
            )
        )

    together = alike_groups(rows, known, count=groups) if groups else ()
    groups_found = tuple(SuggestedGroup(named(group)) for group in together)
    return Suggestions(name, groups_found, named(chosen), typical=not doubtful)


def _said(
    head: Head | None, rows: Vectors, norms: npt.NDArray[np.float32]
) -> list[tuple[str | None, float | None]]:
    if head is None or not len(rows):
        return [(None, None)] * len(rows)
    return [
        (each.labels[0].label, round(each.labels[0].probability, 6)) for each in head.top(rows, norms, k=1)
    ]
