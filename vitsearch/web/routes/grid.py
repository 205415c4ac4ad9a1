"""Overview of a library: its state, the values of its filters, and the grid of all photos in columns."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass
from hashlib import blake2b
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from vitsearch.errors import LibraryMissing
from vitsearch.heads.known_labels import label_sections
from vitsearch.jsonable import to_jsonable
from vitsearch.records import LibraryStatus
from vitsearch.storage.favourites import Favourites
from vitsearch.storage.listing import Count, Grid, Listing
from vitsearch.version import VERSION
from vitsearch.web.filters import CONTROLS, Control, Narrowed
from vitsearch.web.responses import Answer
from vitsearch.web.server import Served, Server
from vitsearch.web.services.index_runs import RunProgress

router = APIRouter(prefix="/api", tags=["library"])


@dataclass(frozen=True, slots=True)
class ServedStatus(LibraryStatus):
    """The state of the library and of the server. `images` goes into the addresses of pictures, as ?v=."""

    has_text: bool = False
    text_models: tuple[str, ...] = ()
    indexing: RunProgress | None = None
    version: str = VERSION
    generation: int = 0
    images: str = ""
    can_reveal: bool = False


@dataclass(frozen=True, slots=True)
class FolderCount:
    """A folder and the number of photo files in and below it."""

    path: str
    count: int


@dataclass(frozen=True, slots=True)
class CameraCount:
    """A camera and its number of photos."""

    camera: str
    count: int


@dataclass(frozen=True, slots=True)
class MonthCount:
    """A month, such as 2024-05 ("" for photos without a date), and its number of photos."""

    month: str
    count: int


@dataclass(frozen=True, slots=True)
class LabelCount:
    """A label and its number of photos."""

    label: str
    count: int


@dataclass(frozen=True, slots=True)
class HeadFacet:
    """A head and its labels."""

    name: str
    labels: tuple[LabelCount, ...]


@dataclass(frozen=True, slots=True)
class ValueCount:
    """A value of a filter, and the number of photos that match."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Choice:
    """A value of a filter, its text for people, and the number of photos that match."""

    value: str
    words: str
    count: int


@dataclass(frozen=True, slots=True)
class FilterControl:
    """How the page shows a filter. `all` is the text for no choice. Folders are chosen from `folders`."""

    name: str
    kind: Literal["folder", "list", "date", "switch"]
    label: str
    all: str
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True)
class PageFacets:
    """The values to filter by, and the page's filter controls in order (`filters`)."""

    folders: tuple[FolderCount, ...]
    cameras: tuple[CameraCount, ...]
    months: tuple[MonthCount, ...]
    places: tuple[ValueCount, ...]
    ratings: tuple[ValueCount, ...]
    keywords: tuple[ValueCount, ...]
    favourites: int
    heads: tuple[HeadFacet, ...]
    filters: tuple[FilterControl, ...]


@dataclass(frozen=True, slots=True)
class FavouriteIds:
    """The ids of the favourites."""

    photos: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GridSection:
    """A section of the grid."""

    key: str
    title: str
    count: int


@dataclass(frozen=True, slots=True)
class GridColumns:
    """All photos, section by section: ids, and aspect ratios (width / height) with three digits."""

    generation: int
    images: str
    sections: tuple[GridSection, ...]
    ids: tuple[int, ...]
    ratios: tuple[float, ...]


@router.get("/status", response_model=ServedStatus)
def status(server: Served) -> Response:
    """Return what the library holds and whether it is being indexed. Works for an empty library, too."""
    indexing = server.index_runs.progress()
    try:
        stamp = server.libraries.stamp()
        known = server.state_cache.get(
            "status", stamp, lambda: _library_status(server), patient=indexing is not None
        )
    except LibraryMissing:
        known = _Known(LibraryStatus(server.settings.folder, None, None, 0, 0, 0, 0, 0), 0)
    answer: dict[str, object] = {
        **_fields(known.status),
        "thumbnails_bytes": server.thumbnails_size.bytes(),
        "has_text": known.status.reads_text,
        "text_models": _text_models(),
        "indexing": indexing,
        "version": VERSION,
        "generation": known.generation,
        "images": server.libraries.images,
        "can_reveal": server.reveal is not None,
    }
    return Answer(answer)


@dataclass(frozen=True, slots=True)
class _Known:
    status: LibraryStatus
    generation: int


def _library_status(server: Server) -> _Known:
    with server.libraries.library() as library:
        known = library.status()
        active = library.catalog.active_space()
        generation = library.catalog.generation(active.id) if active else 0
    return _Known(known, generation)


def _fields(value: object) -> dict[str, object]:
    found = to_jsonable(value)
    assert isinstance(found, dict)
    return found


def _text_models() -> tuple[str, ...]:
    from vitsearch.backbones.registry import models_that_read_text

    return models_that_read_text()


@router.get("/facets", response_model=PageFacets)
def facets(server: Served) -> Response:
    """Count the present photos by folder, month, label, and all other filter values."""
    stamp = server.libraries.stamp()
    found = server.state_cache.get(
        "facets", stamp, lambda: _facets(server), patient=server.index_runs.running
    )
    return Answer(found)


def _facets(server: Server) -> PageFacets:
    with server.libraries.library() as library:
        known = Listing(library.catalog).facets()
        heads = tuple(
            HeadFacet(name, tuple(LabelCount(label, len(ids)) for label, ids in labels))
            for name, labels in label_sections(library)
        )
    months = [MonthCount(month.value, month.count) for month in known.months]
    if known.undated:
        months.append(MonthCount("", known.undated))
    choices = known.choices
    return PageFacets(
        tuple(FolderCount(folder.value, folder.count) for folder in known.folders),
        tuple(CameraCount(camera.value, camera.count) for camera in choices["camera"]),
        tuple(months),
        _counts(choices["place"]),
        _counts(choices["rating"]),
        _counts(choices["keyword"]),
        sum(each.count for each in choices["favourite"]),
        heads,
        tuple(
            FilterControl(name, one.kind, one.label, one.all, _choices(one, choices.get(name, ())))
            for name, one in CONTROLS.items()
        ),
    )


def _counts(known: tuple[Count, ...]) -> tuple[ValueCount, ...]:
    return tuple(ValueCount(each.value, each.count) for each in known)


def _choices(control: Control, known: tuple[Count, ...]) -> tuple[Choice, ...]:
    return tuple(Choice(each.value, control.words(each.value), each.count) for each in known)


@router.get("/favourites", response_model=FavouriteIds)
def favourites(server: Served) -> Response:
    """List the favourites."""
    with server.libraries.library() as library:
        return Answer(FavouriteIds(tuple(Favourites(library.catalog.database).ids().tolist())))


@router.get("/grid", response_model=GridColumns)
def grid(
    server: Served,
    request: Request,
    narrowing: Narrowed,
    by: Annotated[Literal["date", "folder", "label"], Query()] = "date",
) -> Response:
    """Return all photos in columns, so that the page can lay out the whole grid at once."""
    stamp = server.libraries.stamp()
    columns = server.state_cache.get(
        ("grid", by, narrowing),
        stamp,
        lambda: _columns(server, narrowing, by),
        patient=server.index_runs.running,
    )
    headers = {"etag": columns.etag, "cache-control": "no-cache", "vary": "accept-encoding"}
    if request.headers.get("if-none-match") == columns.etag:
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(
            columns.packed, media_type="application/json", headers={**headers, "content-encoding": "gzip"}
        )
    return Response(gzip.decompress(columns.packed), media_type="application/json", headers=headers)


@dataclass(frozen=True, slots=True)
class _Columns:
    """The encoded response."""

    packed: bytes
    etag: str


def _columns(server: Server, narrowing: Narrowed, by: Literal["date", "folder", "label"]) -> _Columns:
    with server.libraries.library() as library:
        active = library.catalog.active_space()
        if active is None:
            return _packed(server, Grid.empty(), 0)
        sections = dict(label_sections(library, narrowing.head)) if by == "label" and narrowing.head else {}
        found = Listing(library.catalog).grid(
            by, among=narrowing.among(library), labels=sections.get(narrowing.head or "", ())
        )
        return _packed(server, found, library.catalog.generation(active.id))


def _packed(server: Server, found: Grid, generation: int) -> _Columns:
    columns = {
        "generation": generation,
        "images": server.libraries.images,
        "sections": to_jsonable(found.sections),
        "ids": found.ids.tolist(),
        "ratios": found.ratios.tolist(),
    }
    text = json.dumps(columns, separators=(",", ":")).encode("ascii")
    # On one machine the time to pack counts more than the last tenth of the size.
    return _Columns(gzip.compress(text, 3, mtime=0), f'"{blake2b(text, digest_size=12).hexdigest()}"')
