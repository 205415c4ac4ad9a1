"""What is known of photos' labels: by what heads have said, and by the word of a person, which goes before it."""

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
    """What is known of a photo under one head: its labels, how probable they are, and whether a person has said so."""

    photo: int
    labels: tuple[str, ...]
    probability: float
    corrected: bool


@dataclass(frozen=True, slots=True)
class PhotoLabel:
    """A label that a head, or a person (`corrected`), gives to a photo."""

    head: str
    label: str
    probability: float
    corrected: bool


def label_sections(library: Library, only: str | None = None) -> list[tuple[str, list[tuple[str, Ids]]]]:
    """Return each head with its labels and the ids (n,) of the photos that have them, as far as heads were asked.

    `only` names one head, which is asked about new photos first. Raises `HeadError` if there is none of this name.
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
    """Return what a person said of a photo, and then what heads say of it now, surest first."""
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
    """Return what is known of each photo that a head was asked about or a person spoke of, or of those with a label."""
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
