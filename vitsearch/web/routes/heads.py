"""Heads: list, create and train them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field
from starlette.responses import Response

from vitsearch.errors import BadQuery, HeadError
from vitsearch.heads.evaluation import LabelReport
from vitsearch.heads.head import Accuracy
from vitsearch.heads.store import HeadStore, HeadSummary
from vitsearch.web.responses import Answer, Conflict, Name
from vitsearch.web.routes.labels import Correction, Labels, check_photos
from vitsearch.web.server import Served
from vitsearch.web.services.chosen_folder import chosen_folder

if TYPE_CHECKING:
    from vitsearch.heads.evaluation import Report
    from vitsearch.library import Library


router = APIRouter(prefix="/api/heads", tags=["heads"])


@dataclass(frozen=True, slots=True)
class DamagedHead:
    """A head whose file cannot be read, and why."""

    name: str
    error: str


@dataclass(frozen=True, slots=True)
class HeadsAnswer:
    """All heads of the library, and separately those whose files are damaged."""

    heads: tuple[HeadSummary, ...]
    damaged: tuple[DamagedHead, ...]


@dataclass(frozen=True, slots=True)
class TrainedAccuracy(Accuracy):
    """The accuracy of a head and of each of its labels."""

    labels: tuple[LabelReport, ...]


@dataclass(frozen=True, slots=True)
class Trained:
    """A head that was trained again, with its accuracy before and after.

    `waiting`: labels that were not trained because corrections left them with too few photos.
    """

    version: int
    photos: int
    before: Accuracy | None
    after: TrainedAccuracy
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MadeAnswer:
    """A new head, with its accuracy if it was trained."""

    head: HeadSummary
    after: TrainedAccuracy | None


class NewHead(BaseModel):
    """A head to create: from a folder whose subfolders are labels, from photos of the library, or from label names.

    `multi`: a photo may have several labels.
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
    """Create a head from labelled photos (subfolders of a folder, or photos of the library), or from label names."""
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


@router.post("/{name}/train", response_model=Trained)
def train(server: Served, name: Name) -> Response:
    """Train the head again on its examples and all corrections, and return its accuracy before and after."""
    with server.model() as library:
        head_store = HeadStore(library)
        before = head_store.get(name).accuracy
        made = head_store.train(name, on_progress=server.go_on)
        assert made.report is not None
        waiting = tuple(each.label for each in made.waiting)
        return Answer(Trained(made.head.version, made.photos, before, _trained(made.report), waiting))


def _examples(library: Library, given: list[Correction]) -> dict[int, tuple[str, ...]]:
    check_photos(library, [one.photo for one in given])
    return {one.photo: tuple(dict.fromkeys(one.labels)) for one in given}


def _trained(report: Report) -> TrainedAccuracy:
    return TrainedAccuracy(report.accuracy, report.interval, report.labels)
