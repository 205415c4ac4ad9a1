"""A single photo: its metadata and pictures. Only photos of the library are served, always re-encoded from pixels."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from vitsearch.decoding.thumbnails import HEIGHTS
from vitsearch.errors import BadQuery
from vitsearch.heads.known_labels import PhotoLabel, labels_of
from vitsearch.records import DateSource
from vitsearch.storage.favourites import Favourites
from vitsearch.storage.listing import Listing, PhotoDetails
from vitsearch.web.responses import Answer, Conflict, NotFound, PhotoId
from vitsearch.web.server import Served, Server

router = APIRouter(prefix="/api/photos", tags=["photos"])
captions_router = APIRouter(prefix="/api", tags=["photos"])

_MOST_CAPTIONS = 500
# Goes up when photos are shown in other colours than by the version before: browsers ask anew then.
_COLOURS = 2


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file of a photo. `modified` is its modification time in ISO 8601."""

    path: Path
    size: int
    modified: str
    state: Literal["present", "missing", "offline"]


@dataclass(frozen=True, slots=True)
class PhotoAnswer:
    """Everything known about a photo. `told_apart` are photos that were dismissed as duplicates of it."""

    photo: int
    width: int
    height: int
    format: str
    taken: str | None
    camera: str | None
    latitude: float | None
    longitude: float | None
    software: str | None
    utc_offset: str | None
    altitude: float | None
    lens: str | None
    rating: int | None
    keywords: tuple[str, ...]
    caption: str | None
    files: tuple[PhotoFile, ...]
    labels: tuple[PhotoLabel, ...]
    told_apart: tuple[int, ...]
    taken_from: DateSource | None = None
    favourite: bool = False


@dataclass(frozen=True, slots=True)
class Caption:
    """The name of a photo's first file, and the capture date."""

    name: str
    taken: str | None


@dataclass(frozen=True, slots=True)
class Captions:
    """Captions by photo id."""

    captions: dict[str, Caption]


class Reveal(BaseModel):
    """The index of one of the photo's files; by default the first file that is present."""

    file: Annotated[int | None, Field(ge=0, le=100_000)] = None


@captions_router.get("/captions", response_model=Captions)
def captions(server: Served, ids: Annotated[str, Query(pattern=r"^[0-9]{1,18}(,[0-9]{1,18})*$")]) -> Response:
    """Return captions for these photo ids (up to 500, separated by commas)."""
    wanted = [int(number) for number in ids.split(",")]
    if len(wanted) > _MOST_CAPTIONS:
        raise BadQuery(f"ask for at most {_MOST_CAPTIONS} captions at once")
    with server.libraries.library() as library:
        found = library.catalog.photos(wanted)
    known = {
        str(photo): Caption(row.paths[0].name, row.facts.taken) for photo, row in found.items() if row.paths
    }
    return Answer(Captions(known))


@router.get("/{photo}", response_model=PhotoAnswer)
def facts(server: Served, photo: PhotoId) -> Response:
    """Return everything known about a photo."""
    from vitsearch.duplicates.tables import dismissed_for

    with server.libraries.library() as library:
        details = _details(Listing(library.catalog), photo)
        known = details.facts
        answer = PhotoAnswer(
            photo,
            known.width,
            known.height,
            known.format,
            known.taken,
            known.camera,
            known.latitude,
            known.longitude,
            known.software,
            known.utc_offset,
            known.altitude,
            known.lens,
            known.rating,
            known.keywords,
            known.caption,
            tuple(
                PhotoFile(file.path, file.bytes, _iso(file.mtime_ns), file.state) for file in details.files
            ),
            labels_of(library, photo),
            dismissed_for(library.catalog, photo),
            known.taken_from,
            photo in Favourites(library.catalog.database).ids(),
        )
    return Answer(answer)


@router.get("/{photo}/thumbnail", responses={200: {"content": {"image/jpeg": {}}}})
async def thumbnail(
    server: Served,
    request: Request,
    photo: PhotoId,
    height: Annotated[int, Query()] = 320,
    v: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Return the photo upright and small, as JPEG: 160, 320 or 640 pixels high."""
    if height not in HEIGHTS:
        raise BadQuery(f"thumbnails are {', '.join(map(str, HEIGHTS))} pixels high")
    photo_hash, kept = await run_in_threadpool(_kept, server, photo, height)
    if kept is None:
        kept = await server.made(lambda: server.thumbnails.make(photo_hash, height, _present(server, photo)))
    # By what it shows: an upgrade may make it again in other colours.
    etag = f'"{photo_hash[:24]}-{height}-{zlib.crc32(kept):08x}"'
    if request.headers.get("if-none-match") == etag:
        return _unchanged(server, etag, v)
    return _picture(server, kept, etag, v)


@router.get("/{photo}/view", responses={200: {"content": {"image/jpeg": {}}}})
async def view(
    server: Served, request: Request, photo: PhotoId, v: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """Return the photo upright for the whole screen, as JPEG with no side longer than 2048 pixels."""
    photo_hash = await run_in_threadpool(_photo_hash, server, photo)
    etag = f'"{photo_hash[:24]}-view-{_COLOURS}"'
    if request.headers.get("if-none-match") == etag:
        return _unchanged(server, etag, v)
    data = await server.made(lambda: server.thumbnails.view(_present(server, photo), photo_hash=photo_hash))
    return _picture(server, data, etag, v)


@router.post("/{photo}/reveal", status_code=204)
def reveal(server: Served, photo: PhotoId, which: Reveal) -> Response:
    """Show a file of the photo in the file manager of the server's machine."""
    if server.reveal is None:
        raise Conflict("the files are on another machine than this browser")
    with server.libraries.library() as library:
        details = _details(Listing(library.catalog), photo)
    files = details.files if which.file is None else details.files[which.file : which.file + 1]
    path = next((file.path for file in files if file.state == "present"), None)
    if path is None or not path.exists():
        raise NotFound(f"no file of photo {photo} is there now: mount its drive, or run `vitsearch index`")
    server.reveal(path)
    return Response(status_code=204)


def _details(listing: Listing, photo: int) -> PhotoDetails:
    details = listing.details(photo)
    if details is None:
        raise NotFound(f"the library has no photo {photo}")
    return details


def _kept(server: Server, photo: int, height: int) -> tuple[str, bytes | None]:
    photo_hash = _photo_hash(server, photo)
    return photo_hash, server.thumbnails.cached(photo_hash, height)


def _photo_hash(server: Server, photo: int) -> str:
    with server.libraries.library() as library:
        photo_hash = Listing(library.catalog).photo_hash(photo)
    if photo_hash is None:
        raise NotFound(f"the library has no photo {photo}")
    return photo_hash


def _present(server: Server, photo: int) -> Path:
    with server.libraries.library() as library:
        path = _details(Listing(library.catalog), photo).present
    if path is None:
        raise NotFound(f"no file of photo {photo} is there now: mount its drive, or run `vitsearch index`")
    return path


def _caching(server: Server, etag: str, version: str) -> dict[str, str]:
    # Ids never come back within one library; `images` changes with the library and with each start of the server.
    same = version == server.libraries.images
    kept = "private, max-age=31536000, immutable" if same else "private, no-cache"
    return {"etag": etag, "cache-control": kept}


def _picture(server: Server, data: bytes, etag: str, version: str) -> Response:
    return Response(data, media_type="image/jpeg", headers=_caching(server, etag, version))


def _unchanged(server: Server, etag: str, version: str) -> Response:
    return Response(status_code=304, headers=_caching(server, etag, version))


def _iso(mtime_ns: int) -> str:
    try:
        return datetime.fromtimestamp(mtime_ns / 1e9, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):  # a file's time may be any number
        return ""
