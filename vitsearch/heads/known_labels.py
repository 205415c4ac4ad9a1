"""The labels of photos: a person's decisions, and otherwise the predictions of heads."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from vitsearch.errors import HeadError
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore
from vitsearch.heads.tables import HeadTables

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.heads.head import Head
    from vitsearch.library import Library

    Ids = npt.NDArray[np.int64]


# A less probable label is not shown beside a photo.
_WORTH_SAYING = 0.2


class KnownLabels(NamedTuple):
    """The labels of a photo under one head, their probability, and whether a person chose them."""

    photo: int
    labels: tuple[str, ...]
    probability: float
    corrected: bool


@dataclass(frozen=True, slots=True)
class PhotoLabel:
    """A label of a photo, predicted by a head or chosen by a person (`corrected`)."""

    head: str
    label: str
    probability: float
    corrected: bool


def label_sections(library: Library, only: str | None = None) -> list[tuple[str, list[tuple[str, Ids]]]]:
    """Return each head with its labels and the ids (n,) of the photos that have them, from stored predictions.

    `only` names a single head, which labels new photos first.

    Raises:
        HeadError: there is no head of this name.

    """
    head_store = HeadStore(library)
    found = []
    for name in head_store.names() if only is None else (only,):
        try:
            head = head_store.get(name)
        except HeadError:
            if only is not None:
                raise
            continue  # a damaged file is reported where heads are listed
        if only is not None:
            Labeller(head_store, name).ask_about_new()
        given = head_store.tables.given(name, head.version)
        order = [*head.labels, *(label for label in given if label not in head.labels)]
        found.append((name, [(label, np.array(given[label], np.int64)) for label in order if label in given]))
    return found


def labels_of(library: Library, photo: int) -> tuple[PhotoLabel, ...]:
    """Return a person's labels of a photo, and then the predictions of all heads, most probable first."""
    head_store = HeadStore(library)
    versions: dict[str, int] = {}
    for name in head_store.names():
        with suppress(HeadError):  # a damaged file is reported where heads are listed
            versions[name] = head_store.get(name).version
    said = head_store.tables.labels_of(np.array([photo], np.int64), versions).get(photo, [])
    said.sort(key=lambda one: (not one.by_person, one.head, -one.probability))
    return tuple(
        PhotoLabel(one.head, one.label, round(one.probability, 4), one.by_person)
        for one in said
        if one.by_person or (one.stands and one.probability >= _WORTH_SAYING)
    )


def known_labels_of_library(library: Library, head: Head, label: str | None) -> list[KnownLabels]:
    """Return the labels of all photos that the head or a person has labelled, or only of those with `label`."""
    tables = HeadTables(library.catalog.database)
    alone = tables.words_on_labels(head.name)
    named = {photo: tuple(each for each, has in said.items() if has) for photo, said in alone.items()}
    corrected = {photo: labels for photo, labels in named.items() if labels} | tables.whole_words(head.name)
    if label is not None:
        return [
            KnownLabels(photo, corrected.get(photo, (label,)), probability, photo in corrected)
            for photo, probability in tables.photos_with(head.name, head.version, label)
        ]
    said = [
        KnownLabels(
            photo,
            (best,) if not none and alone.get(photo, {}).get(best, True) else (),
            probability,
            corrected=False,
        )
        for photo, best, probability, none in tables.best(head.name, head.version)
        if photo not in corrected
    ]
    return said + [KnownLabels(photo, labels, 1.0, corrected=True) for photo, labels in corrected.items()]
