"""Labels: heads and their predictions, corrections, what to label next, and training."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field
from starlette.responses import Response

from vitsearch.errors import BadQuery, HeadError
from vitsearch.heads.evaluation import LabelReport
from vitsearch.heads.head import Accuracy
from vitsearch.heads.known_labels import KnownLabels, known_labels_of_library
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore, HeadSummary
from vitsearch.heads.tables import HeadTables
from vitsearch.storage.backup import back_up_daily
from vitsearch.storage.listing import Listing
from vitsearch.web.responses import Answer, Conflict, Limit, Name, NotFound, Offset, PhotoId
from vitsearch.web.server import Served
from vitsearch.web.services.chosen_folder import chosen_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy.typing as npt

    from vitsearch.heads.evaluation import Report
    from vitsearch.heads.suggesting import SuggestedPhoto
    from vitsearch.library import Library

    Ids = npt.NDArray[np.int64]

router = APIRouter(prefix="/api/heads", tags=["labels"])


Labels = Annotated[list[Annotated[str, Field(max_length=500)]], Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class DamagedHead:
    """A head whose file cannot be read, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class HeadsAnswer:
    """All heads of the library; apart from them those whose files are damaged."""

    heads: tuple[HeadSummary, ...]
    damaged: tuple[DamagedHead, ...]


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label and how many photos have it."""

    label: str
    count: int


@dataclass(frozen=True, slots=True)
class Prediction:
    """A photo and its best label, or the label that was asked for; `corrected` ones are a person's word.

    `labels` holds several only where a person named several, and none where a person or the head says that none fits.
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
    """A part of what a head says of the library. `total` counts all of them, `labels` all that are given."""

    total: int
    labels: tuple[LabelCount, ...]
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class NextPhotos:
    """The photos that a head would learn most from, least sure first."""

    photos: tuple[Prediction, ...]


@dataclass(frozen=True, slots=True)
class SuggestionAnswer:
    """A photo that is worth labelling; what the head would have said, if there is one."""

    photo: int
    path: Path
    width: int
    height: int
    label: str | None
    probability: float | None


@dataclass(frozen=True, slots=True)
class SuggestionsAnswer:
    """Groups of photos that are alike, the most typical photo of each first, and single photos."""

    groups: tuple[tuple[SuggestionAnswer, ...], ...]
    photos: tuple[SuggestionAnswer, ...]


@dataclass(frozen=True, slots=True)
class Corrected:
    """Labels that the head does not have yet, and how many photos a person corrected so far."""

    new_labels: tuple[str, ...]
    corrections: int


@dataclass(frozen=True, slots=True)
class TrainedAccuracy(Accuracy):
    """The accuracy of a head, and that of each of its labels."""

    labels: tuple[LabelReport, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A head that was trained (again): how good it was before, and how good it is now.

    `waiting`: labels that corrections left with too few photos to be learnt.
    """

    version: int
    photos: int
    before: Accuracy | None
    after: TrainedAccuracy
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeAnswer:
    """A new head, and the accuracy of one that was trained."""

    head: HeadSummary
    after: TrainedAccuracy | None


class Correction(BaseModel):
    """What the labels of a photo really are; none says that none of the head's fits."""

    photo: Annotated[int, Field(ge=1, lt=2**63)]
    labels: Labels


class Corrections(BaseModel):
    """What the labels of several photos really are, the same for all; none says that none of the head's fits."""

    photos: Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], Field(min_length=1, max_length=100_000)]
    labels: Labels


class NewHead(BaseModel):
    """A head to be made: from a folder whose subfolders are labels, from photos of the library, or from words alone.

    `multi`: a photo may have several of the labels.
    """

    name: Annotated[str, Field(max_length=200)]
    folder: Annotated[str | None, Field(max_length=4096)] = None
    photos: Annotated[list[Correction] | None, Field(min_length=1, max_length=100_000)] = None
    labels: Labels | None = None
    multi: bool = False


@router.get("", response_model=HeadsAnswer)
def heads(server: Served) -> Response:
    """List the heads of the library."""
    with server.libraries.library() as library:
        head_store = HeadStore(library)
        found: list[HeadSummary] = []
        damaged: list[DamagedHead] = []
        for name in head_store.names():
            try:
                found.append(head_store.describe(name))
            except HeadError as error:
                damaged.append(DamagedHead(name, str(error)))
        return Answer(HeadsAnswer(tuple(found), tuple(damaged)))


@router.post("", response_model=MadeAnswer, status_code=201)
def make(server: Served, new: Annotated[NewHead, Body()]) -> Response:
    """Make a head from labelled photos (subfolders of a folder, or photos of the library), or from words."""
    if sum(given is not None for given in (new.folder, new.photos, new.labels)) != 1:
        raise BadQuery(
            "give a folder whose subfolders are labels, or labelled photos, or the labels themselves"
        )
    after = None
    folder = None if new.folder is None else chosen_folder(new.folder)
    with server.model() as library:
        head_store = HeadStore(library)
        if new.photos is not None and new.name in head_store.names():
            raise Conflict(f"there is a head {new.name!r} already: choose another name, or correct that one")
        if new.labels is None:
            examples = None if new.photos is None else _examples(library, new.photos)
            made = head_store.train(
                new.name, folder=folder, photos=examples, multi=new.multi, on_progress=server.go_on
            )
            assert made.report is not None
            after = _trained(made.report)
        else:
            head_store.from_text(new.name, new.labels or [])
        return Answer(MadeAnswer(head_store.describe(new.name), after), status_code=201)


@router.get("/{name}/predictions", response_model=Predictions)
def predictions(
    server: Served,
    name: Name,
    label: Annotated[str | None, Query(max_length=500)] = None,
    order: Literal["confidence", "doubt"] = "confidence",
    offset: Offset = 0,
    limit: Limit = 100,
) -> Response:
    """Say what the head thinks of the library's photos, surest or least sure first."""
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
    """Name the photos that the head would learn most from, least sure first, no two alike."""
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
    """Name what is worth labelling for a head, which need not exist yet: groups of alike photos, then single ones."""
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
    """Say the same of several photos at once."""
    with server.libraries.library() as library:
        head_store = HeadStore(library)
        _check_there(library, several.photos)
        back_up_daily(library.catalog.database)
        new = head_store.correct_photos(name, several.photos, several.labels)
        return Answer(Corrected(new, head_store.describe(name).corrections))


@router.post("/{name}/corrections", response_model=Corrected)
def correct(server: Served, name: Name, correction: Annotated[Correction, Body()]) -> Response:
    """Say what the labels of a photo really are. Training learns from it."""
    with server.libraries.library() as library:
        if Listing(library.catalog).photo_hash(correction.photo) is None:
            raise NotFound(f"the library has no photo {correction.photo}")
        head_store = HeadStore(library)
        back_up_daily(library.catalog.database)
        new = head_store.correct_photos(name, [correction.photo], correction.labels)
        return Answer(Corrected(new, head_store.describe(name).corrections))


@router.delete("/{name}/corrections/{photo}", response_model=Corrected)
def take_back(server: Served, name: Name, photo: PhotoId) -> Response:
    """Forget what was said of a photo."""
    with server.libraries.library() as library:
        head_store = HeadStore(library)
        head_store.get(name)
        back_up_daily(library.catalog.database)
        if not head_store.tables.take_back(name, photo):
            raise NotFound(f"nothing was said of photo {photo} under {name!r}")
        return Answer(Corrected((), head_store.describe(name).corrections))


@router.post("/{name}/train", response_model=Trained)
def train(server: Served, name: Name) -> Response:
    """Train the head again on what it knows, corrections included, and say whether it has got better."""
    with server.model() as library:
        head_store = HeadStore(library)
        before = head_store.get(name).accuracy
        made = head_store.train(name, on_progress=server.go_on)
        assert made.report is not None
        waiting = tuple(each.label for each in made.waiting)
        return Answer(Trained(made.head.version, made.photos, before, _trained(made.report), waiting))


def _examples(library: Library, given: list[Correction]) -> dict[int, tuple[str, ...]]:
    _check_there(library, [one.photo for one in given])
    return {one.photo: tuple(dict.fromkeys(one.labels)) for one in given}


def _check_there(library: Library, photos: list[int]) -> None:
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


def _trained(report: Report) -> TrainedAccuracy:
    return TrainedAccuracy(report.accuracy, report.interval, report.labels)
