"""Folders and index runs: add, start, stop, and list unreadable files."""

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
    """A folder of photos to add: its absolute path on the server's machine.

    `model` is the model of a new library; an existing library keeps its own.
    """

    folder: FolderText
    model: Annotated[str | None, Field(max_length=200)] = None


class IndexOrder(BaseModel):
    """What to index: these folders, or all indexed ones.

    - `retry`: try unreadable files again.
    - `also`: a model that reads text, one of the status's `text_models` or that of its `words_step`. This run and all
      later ones embed every photo with it too, and text searches use it.
    - `model`: a new main model. Searches use it as soon as all photos are embedded with it.
    """

    folders: Annotated[list[FolderText], Field(max_length=100)] = []
    retry: bool = False
    also: Annotated[str | None, Field(max_length=200)] = None
    model: Annotated[str | None, Field(max_length=200)] = None


@dataclass(frozen=True, slots=True)
class RootsAnswer:
    """The indexed folders."""

    roots: tuple[RootInfo, ...]


@dataclass(frozen=True, slots=True)
class FolderPlace:
    """A folder and its display name."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class FolderAnswer:
    """A folder of the server's machine and its subfolders."""

    path: Path
    parent: Path | None
    folders: tuple[FolderPlace, ...]
    shortcuts: tuple[FolderPlace, ...]


@dataclass(frozen=True, slots=True)
class UnreadableReason:
    """A reason why files could not be read, without file-specific details, and the number of such files."""

    reason: str
    count: int


@dataclass(frozen=True, slots=True)
class UnreadableAnswer:
    """Unreadable files with their reasons; `reasons` summarises all of them, most frequent first."""

    total: int
    reasons: tuple[UnreadableReason, ...]
    files: tuple[UnreadableFile, ...]


@router.get("/roots", response_model=RootsAnswer)
def roots(server: Served) -> Response:
    """List the indexed folders."""
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
    """List the subfolders of a folder, for a folder picker: names only, without hidden ones."""
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
    """Start an index run in a worker process, or queue it after the current one."""
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
    """Check that a model is registered. Models are accepted by name only, not by path.

    Raises:
        BadQuery: no model has this name.

    """
    if name is not None and find_model(name) is None:
        raise BadQuery(
            f"{name[:100]} is none of the models that have a name here: see `vitsearch models list`"
        )


@router.get("/index", response_model=IndexState)
def state(server: Served) -> Response:
    """Return the progress of the index run, or the result of the latest one."""
    return Answer(server.index_runs.state())


@router.post("/index/stop", response_model=IndexState, status_code=202)
def stop(server: Served) -> Response:
    """Stop the run. Finished work is kept, and the next run continues."""
    server.index_runs.stop()
    return Answer(server.index_runs.state(), status_code=202)


@router.get("/unreadable", response_model=UnreadableAnswer)
def unreadable(
    server: Served,
    reason: Annotated[str | None, Query(max_length=1000)] = None,
    offset: Offset = 0,
    limit: Limit = 200,
) -> Response:
    """List the files that could not be read, all or those with one reason."""
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
    """Return a reason without its details in brackets, such as how many bytes are missing."""
    return reason.split(" (")[0]


@router.get("/events", responses={200: {"content": {"text/event-stream": {}}}})
async def events(server: Served) -> Response:
    """Tell what happens, as server-sent events: progress, done, failed, changed; first `progress` or `idle`."""
    progress = server.index_runs.progress()
    first = event("idle", {}) if progress is None else event("progress", progress)
    return StreamingResponse(server.events.stream(first), media_type="text/event-stream")
