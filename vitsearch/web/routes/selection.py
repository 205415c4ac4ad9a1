"""Operations on several photos: favourites, labels, copies, downloads, and clean-up plans."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from itertools import filterfalse
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Body
from pydantic import BaseModel, Field
from starlette.responses import Response, StreamingResponse

from vitsearch.duplicates.cleanup.planning import plan_to_remove
from vitsearch.errors import BadQuery, HeadError
from vitsearch.heads.export_favourites import RatedFiles, export_favourites
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.paths import is_offline
from vitsearch.storage.backup import back_up_daily
from vitsearch.storage.collecting import Collected, How, collect
from vitsearch.storage.favourites import Favourites
from vitsearch.web.responses import Answer, NotFound, Token
from vitsearch.web.server import Served, Server
from vitsearch.web.services.archives import zipped
from vitsearch.web.services.chosen_folder import chosen_folder
from vitsearch.web.services.plan_store import PlanAnswer

router = APIRouter(prefix="/api/selection", tags=["selection"])

Photos = Annotated[list[Annotated[int, Field(ge=1, lt=2**63)]], Field(min_length=1, max_length=100_000)]
Label = Annotated[str, Field(min_length=1, max_length=500)]


class Chosen(BaseModel):
    """Photos of the library, by id."""

    photos: Photos


class FavouriteOrder(Chosen):
    """Photos to add to the favourites, or to remove from them."""

    favourite: bool


class LabelOrder(Chosen):
    """A label to add to these photos, or to remove."""

    head: Annotated[str, Field(min_length=1, max_length=200)]
    label: Label
    has: bool


class CopyOrder(Chosen):
    """Where to copy or link photos; the last folder of the path is created if it does not exist."""

    folder: Annotated[str, Field(min_length=1, max_length=4096)]
    how: How = "copy"


class RemovalOrder(Chosen):
    """Where to move the photos' files: the trash of their drive, or another folder."""

    action: Literal["trash", "move"] = "trash"
    destination: Annotated[str | None, Field(max_length=4096)] = None


@dataclass(frozen=True, slots=True)
class ChangedPhotos:
    """How many photos changed."""

    changed: int


@dataclass(frozen=True, slots=True)
class LabelOfSome:
    """A label, and how many of the photos have it."""

    head: str
    label: str
    count: int


@dataclass(frozen=True, slots=True)
class LabelsOfSome:
    """The labels of several photos, most frequent first."""

    labels: tuple[LabelOfSome, ...]


@dataclass(frozen=True, slots=True)
class ArchiveAnswer:
    """A download that is ready; its address ends with the token."""

    token: str
    files: int
    bytes: int


@router.post("/favourites", response_model=ChangedPhotos)
def favourites(server: Served, order: Annotated[FavouriteOrder, Body()]) -> Response:
    """Add photos to the favourites, or remove them."""
    with server.libraries.library() as library:
        back_up_daily(library.catalog.database)
        changed = Favourites(library.catalog.database).put(order.photos, favourite=order.favourite)
    return Answer(ChangedPhotos(changed))


@router.post("/favourites/ratings", response_model=RatedFiles)
def rate_favourites(server: Served) -> Response:
    """Write a five-star rating into an XMP sidecar next to each favourite, for other programs."""
    with server.libraries.library() as library:
        return Answer(export_favourites(library))


@router.post("/labels-of", response_model=LabelsOfSome)
def labels_of_some(server: Served, chosen: Annotated[Chosen, Body()]) -> Response:
    """Count the labels that these photos have."""
    counts: Counter[tuple[str, str]] = Counter()
    with server.libraries.library() as library:
        tables = HeadStore(library).tables
        for head, version in _heads(library):
            for labels in tables.known_labels(head, version, chosen.photos).values():
                counts.update((head, label) for label in labels)
    found = (LabelOfSome(head, label, count) for (head, label), count in counts.most_common(200))
    return Answer(LabelsOfSome(tuple(found)))


@router.post("/labels", response_model=ChangedPhotos)
def label(server: Served, order: Annotated[LabelOrder, Body()]) -> Response:
    """Add a label to photos, or remove it. The head learns from it when it is trained again."""
    name = order.label.strip()
    if not name:
        raise BadQuery("a label has to be said in words")
    with server.libraries.library() as library:
        head_store = HeadStore(library)
        back_up_daily(library.catalog.database)
        rows = library.catalog.photos(order.photos)
        here = [photo for photo in dict.fromkeys(order.photos) if photo in rows]
        changed = head_store.set_label(order.head, here, name, has=order.has)
    return Answer(ChangedPhotos(changed))


@router.post("/copies", response_model=Collected)
def copies(server: Served, order: Annotated[CopyOrder, Body()]) -> Response:
    """Copy photos to a folder, or link them there. Existing files are never overwritten."""
    if "\0" in order.folder:
        raise BadQuery("no folder has such a name")
    given = Path(order.folder.strip())
    folder = chosen_folder(str(given.parent)) / given.name if given.name else chosen_folder(order.folder)
    return Answer(collect(_files(server, order.photos), folder, how=order.how, go_on=server.go_on))


@router.post("/archives", response_model=ArchiveAnswer, status_code=201)
def archive(server: Served, chosen: Annotated[Chosen, Body()]) -> Response:
    """Prepare a download of photos as one zip file."""
    files = _files(server, chosen.photos)
    size = sum(file.lstat().st_size for file in files if file.exists())
    return Answer(ArchiveAnswer(server.archives.add(chosen.photos), len(files), size), status_code=201)


@router.get("/archives/{token}", responses={200: {"content": {"application/zip": {}}}})
def download(server: Served, token: Token) -> Response:
    """Send the photos of a download as unchanged files."""
    files = _files(server, server.archives.photos(token))
    headers = {"content-disposition": 'attachment; filename="photos.zip"', "cache-control": "no-store"}
    return StreamingResponse(zipped(files), media_type="application/zip", headers=headers)


@router.post("/plan", response_model=PlanAnswer, status_code=201)
def plan(server: Served, order: Annotated[RemovalOrder, Body()]) -> Response:
    """Create a plan that moves all files of these photos away. No file is touched until the plan is applied."""
    with server.libraries.library() as library:
        roots = tuple(filterfalse(is_offline, (root.path for root in library.catalog.roots())))
        hashes = library.catalog.file_hashes(order.photos)
    destination = Path(order.destination) if order.destination and "\0" not in order.destination else None
    # A file that came since is not what a person has seen: it has no hash here, and is refused.
    files = {path: hashes.get(path, b"").hex() for path in _files(server, order.photos, every_place=True)}
    made = plan_to_remove(files, order.action, roots=roots, destination=destination)
    return Answer(server.plans.describe(server.plans.add(made)), status_code=201)


def _heads(library: Library) -> list[tuple[str, int]]:
    """Return the names and versions of the heads whose files can be read."""
    head_store = HeadStore(library)
    found = []
    for name in head_store.names():
        with suppress(HeadError):
            found.append((name, head_store.get(name).version))
    return found


def _files(server: Server, photos: list[int] | tuple[int, ...], *, every_place: bool = False) -> list[Path]:
    """Return the first present file of each photo, or all of them, in the order of the photos."""
    with server.libraries.library() as library:
        rows = library.catalog.photos(list(photos))
    found: dict[Path, None] = {}
    for photo in photos:
        paths = rows[photo].paths if photo in rows else ()
        found.update(dict.fromkeys(paths if every_place else paths[:1]))
    if not found:
        raise NotFound("no file of these photos is there now: mount their drive, or run `vitsearch index`")
    return list(found)
