"""Folders and index runs: add, start, stop, watch, and what could not be read."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from vitsearch.backbones.registry import HUB_FREE_MODEL, find_model, models_that_read_text
from vitsearch.errors import BadQuery, LibraryError, LibraryMissing
from vitsearch.folders.scan import SYSTEM_FOLDERS
from vitsearch.records import RootInfo, UnreadableFile
from vitsearch.storage.status import unreadable_files
from vitsearch.web.responses import Answer, Limit, Offset
from vitsearch.web.server import Served
from vitsearch.web.services.chosen_folder import chosen_folder, is_there
from vitsearch.web.services.events import event
from vitsearch.web.services.index_runs import IndexState

router = APIRouter(prefix="/api", tags=["indexing"])

FolderText = Annotated[str, Field(min_length=1, max_length=4096)]


class NewRoot(BaseModel):
    """A folder of photos to be added: its whole path on the machine that the server runs on.

    `model` looks at the photos of a library that is new; one that is there keeps its own.
    """

    folder: FolderText
    model: Annotated[str | None, Field(max_length=200)] = None


class IndexOrder(BaseModel):
    """What to index: these folders, or all that are known. `retry` looks at unreadable files again.

    `also` names a model that reads words, one of the status's `text_models` or that of its `words_step`: all photos are
    embedded with it too, in this run and all later ones, and searches by words use it. `model` names the model that
    searches use from when all photos are embedded with it.
    """

    folders: Annotated[list[FolderText], Field(max_length=100)] = []
    retry: bool = False
    also: Annotated[str | None, Field(max_length=200)] = None
    model: Annotated[str | None, Field(max_length=200)] = None


@dataclass(frozen=True, slots=True)
class RootsAnswer:
    """The folders that the library knows."""

    roots: tuple[RootInfo, ...]


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder and what to call it."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class FolderAnswer:
    """A folder of the server's machine, and the folders in it."""

    path: Path
    parent: Path | None
    folders: tuple[FolderPlace, ...]
    shortcuts: tuple[FolderPlace, ...]


@dataclass(frozen=True, slots=True)
class UnreadableReason:
    """A reason for which files could not be read, without what differs from file to file, and how many they are."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class UnreadableAnswer:
    """The files that could not be read, and why; `reasons`, the most frequent first, are of all of them."""

    total: int
    reasons: tuple[UnreadableReason, ...]
    files: tuple[UnreadableFile, ...]


@router.get("/roots", response_model=RootsAnswer)
def roots(server: Served) -> Response:
    """List the folders that the library knows."""
    try:
        with server.libraries.library() as library:
            return Answer(RootsAnswer(tuple(library.roots())))
    except LibraryMissing:
        return Answer(RootsAnswer(()))


@router.post("/roots", response_model=IndexState, status_code=202)
def add_root(server: Served, new: Annotated[NewRoot, Body()]) -> Response:
    """Add a folder of photos, and index it."""
    folder = chosen_folder(new.folder)
    _check_model(new.model)
    try:
        with server.libraries.library() as library:
            is_new = library.existing_space() is None
    except LibraryMissing:
        is_new = True
    server.index_runs.start([folder], model=new.model if is_new else None)
    return Answer(server.index_runs.state(), status_code=202)


@router.get("/folders", response_model=FolderAnswer)
def folders(server: Served, path: Annotated[str | None, Query(max_length=4096)] = None) -> Response:
    """List the folders in a folder, for choosing one; names only, hidden ones left out."""
    del server
    folder = chosen_folder(path) if path else Path.home()
    try:
        inside = sorted(
            (
                entry
                for entry in folder.iterdir()
                if not entry.name.startswith(".")
                and entry.name.casefold() not in SYSTEM_FOLDERS
                and is_there(entry)
            ),
            key=lambda entry: entry.name.casefold(),
        )
    except OSError as error:
        raise LibraryError(f"cannot look into {folder}: {error.strerror or error}") from error
    home = Path.home()
    shortcuts = [FolderPlace("Home", home)]
    shortcuts += [
        FolderPlace(place.name, place)
        for place in (home / "Pictures", Path("/media"), Path("/Volumes"))
        if is_there(place)
    ]
    return Answer(
        FolderAnswer(
            folder,
            folder.parent if folder.parent != folder else None,
            tuple(FolderPlace(entry.name, entry) for entry in inside),
            tuple(shortcuts),
        )
    )


@router.post("/index", response_model=IndexState, status_code=202)
def start(server: Served, order: Annotated[IndexOrder | None, Body()] = None) -> Response:
    """Start an index run, in a process of its own; after the one that is on, if one is."""
    order = order or IndexOrder()
    if order.also not in (None, HUB_FREE_MODEL, *models_that_read_text()):
        # By name alone: a page must not have the server load a checkpoint from anywhere.
        raise BadQuery(
            f"{order.also} is none of the models that read words: {', '.join(models_that_read_text())}"
        )
    _check_model(order.model)
    server.index_runs.start(
        [chosen_folder(folder) for folder in order.folders],
        retry=order.retry,
        also=order.also,
        model=order.model,
    )
    return Answer(server.index_runs.state(), status_code=202)


def _check_model(name: str | None) -> None:
    """By name alone, too. Raises `BadQuery` for a model that has none."""
    if name is not None and find_model(name) is None:
        raise BadQuery(
            f"{name[:100]} is none of the models that have a name here: see `vitsearch models list`"
        )


@router.get("/index", response_model=IndexState)
def state(server: Served) -> Response:
    """Say what the index run does, or how the latest one ended."""
    return Answer(server.index_runs.state())


@router.post("/index/stop", response_model=IndexState, status_code=202)
def stop(server: Served) -> Response:
    """Pause the run. What is done is kept, and the next run goes on from there."""
    server.index_runs.stop()
    return Answer(server.index_runs.state(), status_code=202)


@router.get("/unreadable", response_model=UnreadableAnswer)
def unreadable(
    server: Served,
    reason: Annotated[str | None, Query(max_length=1000)] = None,
    offset: Offset = 0,
    limit: Limit = 200,
) -> Response:
    """List the files that could not be read, all or those of one reason."""
    with server.libraries.library() as library:
        found = unreadable_files(library.catalog)
    reasons = Counter(_kind(file.reason) for file in found)
    chosen = [file for file in found if reason is None or _kind(file.reason) == reason]
    return Answer(
        UnreadableAnswer(
            len(chosen),
            tuple(UnreadableReason(kind, count) for kind, count in reasons.most_common()),
            tuple(chosen[offset : offset + limit]),
        )
    )


def _kind(reason: str) -> str:
    """A reason without its details, which stand in brackets: how many bytes are missing, say."""
    return reason.split(" (")[0]


@router.get("/events", responses={200: {"content": {"text/event-stream": {}}}})
async def events(server: Served) -> Response:
    """Tell what happens, as server-sent events: progress, done, failed, changed; first `progress` or `idle`."""
    progress = server.index_runs.progress()
    first = event("idle", {}) if progress is None else event("progress", progress)
    return StreamingResponse(server.events.stream(first), media_type="text/event-stream")
