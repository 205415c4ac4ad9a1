"""Labels: the predictions of heads, corrections, and what to label next."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from vitsearch.heads.known_labels import KnownLabels, known_labels_of_library
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore
from vitsearch.heads.tables import HeadTables
from vitsearch.storage.backup import back_up_daily
from vitsearch.storage.listing import Listing
from vitsearch.web.responses import Answer, Limit, Name, NotFound, Offset, PhotoId
from vitsearch.web.server import Served

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vitsearch.heads.suggesting import SuggestedPhoto
    from vitsearch.library import Library

    Ids = npt.NDArray[np.int64]

router = APIRouter(prefix="/api/heads", tags=["labels"])


Labels = Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label and its number of photos."""

    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """A photo with its best label, or with the requested one. `corrected`: a person chose the labels.

    `labels` has several entries only if a person chose several. It is empty if a person or the head says that none
    applies.
    """

    photo: int
    path: Path
    width: int
    height: int
    labels: tuple[str, ...]
    probability: float
    corrected: bool


@dataclass(frozen=True, slots=True)
class Predictions:
    """A page of predictions. `total` is the number of all predictions, `labels` counts them by label."""

    total: int
    labels: tuple[LabelCount, ...]
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class NextPhotos:
    """The photos that would improve the head most, least certain first."""

    photos: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class SuggestionAnswer:
    """A photo worth labelling, with the head's best label if there is a head."""

    photo: int
    path: Path
    width: int
    height: int
    label: str | None
    probability: float | None


@dataclass(frozen=True, slots=True)
class SuggestionsAnswer:
    """Groups of similar photos, the most typical photo of each first, and single photos."""

    groups: tuple[tuple[SuggestionAnswer, ...], ...]
    photos: tuple[SuggestionAnswer, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """Labels that are new to the head, and the total number of corrected photos."""

    new_labels: tuple[str, ...]
    corrections: int


class Correction(BaseModel):
    """The correct labels of a photo; an empty list means that none applies."""

    photo: Annotated[int, Field(ge=1, lt=2**63)]
    labels: Labels


class Corrections(BaseModel):
    """The correct labels of several photos, the same for all; an empty list means that none applies."""

    photos: Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], Field(min_length=1, max_length=100_000)]
    labels: Labels


@router.get("/{name}/predictions", response_model=Predictions)
def predictions(
    server: Served,
    name: Name,
    label: Annotated[str | None, Query(max_length=500)] = None,
    order: Literal["confidence", "doubt"] = "confidence",
    offset: Offset = 0,
    limit: Limit = 100,
) -> Response:
    """Return the head's predictions for the library's photos, most or least certain first."""
    with server.libraries.library() as library:
        labeller = Labeller(HeadStore(library), name)
        labeller.ask_about_new()
        found = known_labels_of_library(library, labeller.head, label)
        found.sort(key=lambda each: (each.probability, each.photo), reverse=order == "confidence")
        counts = HeadTables(library.catalog.database).given(name, labeller.head.version)
        return Answer(
            Predictions(
                len(found),
                tuple(LabelCount(each, len(counts.get(each, ()))) for each in labeller.head.labels),
                _placed(library, found[offset : offset + limit]),
            )
        )


@router.get("/{name}/next", response_model=NextPhotos)
def next_photos(server: Served, name: Name, n: Annotated[int, Query(ge=1, le=500)] = 20) -> Response:
    """Return the photos that would improve the head most, least certain first and no two alike."""
    with server.model() as library:
        asked = Labeller(HeadStore(library), name, on_progress=server.go_on).next(n)
        found = [KnownLabels(each.photo, (each.label,), each.probability, corrected=False) for each in asked]
        return Answer(NextPhotos(_placed(library, found)))


@router.get("/{name}/suggestions", response_model=SuggestionsAnswer)
def suggestions(
    server: Served,
    name: Name,
    n: Annotated[int, Query(ge=1, le=500)] = 20,
    groups: Annotated[int, Query(ge=0, le=100)] = 12,
) -> Response:
    """Suggest which photos to label for a head, which need not exist yet: groups of similar photos, and single ones."""
    from vitsearch.heads.suggesting import suggest

    with server.model() as library:
        found = suggest(HeadStore(library), name, count=n, groups=groups, on_progress=server.go_on)
        return Answer(
            SuggestionsAnswer(
                tuple(tuple(_worth_asking(library, group.photos)) for group in found.groups),
                tuple(_worth_asking(library, found.photos)),
            )
        )


@router.post("/{name}/corrections/all", response_model=Corrected)
def correct_all(server: Served, name: Name, several: Annotated[Corrections, Body()]) -> Response:
    """Correct several photos in the same way."""
    with server.libraries.library() as library:
        head_store = HeadStore(library)
        check_photos(library, several.photos)
        back_up_daily(library.catalog.database)
        new = head_store.correct_photos(name, several.photos, several.labels)
        return Answer(Corrected(new, head_store.describe(name).corrections))


@router.post("/{name}/corrections", response_model=Corrected)
def correct(server: Served, name: Name, correction: Annotated[Correction, Body()]) -> Response:
    """Correct the labels of a photo. The next training learns from it."""
    with server.libraries.library() as library:
        if Listing(library.catalog).photo_hash(correction.photo) is None:
            raise NotFound(f"the library has no photo {correction.photo}")
        head_store = HeadStore(library)
        back_up_daily(library.catalog.database)
        new = head_store.correct_photos(name, [correction.photo], correction.labels)
        return Answer(Corrected(new, head_store.describe(name).corrections))


@router.delete("/{name}/corrections/{photo}", response_model=Corrected)
def take_back(server: Served, name: Name, photo: PhotoId) -> Response:
    """Remove the corrections of a photo."""
    with server.libraries.library() as library:
        head_store = HeadStore(library)
        head_store.get(name)
        back_up_daily(library.catalog.database)
        if not head_store.tables.take_back(name, photo):
            raise NotFound(f"nothing was said of photo {photo} under {name!r}")
        return Answer(Corrected((), head_store.describe(name).corrections))


def check_photos(library: Library, photos: list[int]) -> None:
    """Raise `NotFound` unless the library has all of these photos."""
    known = library.catalog.photos(photos)
    for photo in photos:
        if photo not in known:
            raise NotFound(f"the library has no photo {photo}")


def _worth_asking(library: Library, found: Sequence[SuggestedPhoto]) -> Iterator[SuggestionAnswer]:
    rows = library.catalog.photos([each.photo for each in found])
    for each in found:
        facts = rows[each.photo].facts
        yield SuggestionAnswer(each.photo, each.path, facts.width, facts.height, each.label, each.probability)


def _placed(library: Library, found: list[KnownLabels]) -> tuple[Prediction, ...]:
    rows = library.catalog.photos([photo for photo, *_ in found])
    return tuple(
        Prediction(
            photo,
            rows[photo].paths[0],
            rows[photo].facts.width,
            rows[photo].facts.height,
            labels,
            round(probability, 4),
            corrected,
        )
        for photo, labels, probability, corrected in found
        if photo in rows and rows[photo].paths
    )
