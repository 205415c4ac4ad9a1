"""The page and the API over an engine: search, and pictures of the results."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from vitsearch.decoding.thumbnails import HEIGHTS
from vitsearch.engines.engine import LabelStore
from vitsearch.errors import BadQuery
from vitsearch.records import SearchResult
from vitsearch.searching.matches import MatchOptions, query_direction
from vitsearch.searching.store import check_held
from vitsearch.searching.terms import Words
from vitsearch.web.filters import Narrowed, PhotoFilter
from vitsearch.web.responses import Answer, PhotoId, PhotoIds
from vitsearch.web.store_server import ServedStore, StoreServer

router = APIRouter(prefix="/api", tags=["store"])
page_router = APIRouter(include_in_schema=False)

_UPLOAD = r"^[0-9a-f]{32}$"


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """The store's address, without its password, and the model of its embeddings."""

    address: str
    model: str
    dimension: int


@dataclass(frozen=True, slots=True)
class BroughtImage:
    """The token that stands for an uploaded image in searches."""

    token: str


@dataclass(frozen=True, slots=True)
class StoreResult(SearchResult):
    """The result of `vitsearch search --store … --json`, and how long it took."""

    seconds: float = 0.0


@page_router.get("/")
def page(request: Request) -> Response:
    """Return the page; its address says what it shows."""
    html: str = request.app.state.assets.shell
    return Response(html, media_type="text/html; charset=utf-8", headers={"cache-control": "no-cache"})


@router.get("/store", response_model=StoreFacts)
def facts(server: ServedStore) -> Response:
    """Describe the store."""
    space = server.store.searched_space
    return Answer(StoreFacts(server.address, space.model, space.dimension))


@router.post("/uploads", response_model=BroughtImage, status_code=201)
async def upload(server: ServedStore, request: Request) -> Response:
    """Take an image, the body as it is (no form). The token that comes back stands for it in a search."""
    data = await request.body()  # the guard counts what arrives, and how long it takes
    token = await run_in_threadpool(server.add_upload, data)
    return Answer(BroughtImage(token), status_code=201)


@router.get("/search", response_model=StoreResult)
def search(
    server: ServedStore,
    narrowing: Narrowed,
    photo: PhotoIds = [],  # noqa: B006 - FastAPI copies it
    upload: Annotated[list[Annotated[str, Query(pattern=_UPLOAD)]], Query(max_length=20)] = [],  # noqa: B006
    text: Annotated[str | None, Query(max_length=1000)] = None,
    k: Annotated[int, Query(ge=1, le=1000)] = 100,
    distinct: bool = False,
    only_matches: bool = False,
) -> Response:
    """Find the photos most similar to the examples, among those that match the filters.

    `photo` is a photo id from an earlier result. With a label and no example, returns the photos with that label, most
    probable first, as they were labelled at the time of the export.
    """
    started = time.perf_counter()
    check_held(narrowing.criteria)
    if photo or upload or text:
        if narrowing.label:
            raise BadQuery("a store answers a label alone: leave the example away, or the label")
        asked = [server.photo(number) for number in photo]
        asked += [server.upload(token) for token in upload]
        asked += [server.embedded(Words(text))] if text else []
        options = MatchOptions(k=k, criteria=narrowing.criteria, distinct=distinct, only_matches=only_matches)
        own = [photo_hash for query in asked for photo_hash in query.hashes]
        direction = query_direction([query.vector for query in asked], [])
        matches, floor = server.store.find(direction, own, options, offline=server.offline())
        names = tuple(query.name for query in asked)
        result = SearchResult(names, server.store.searched_space.model, matches, floor)
    else:
        result = _by_label(server, narrowing, k)
    server.name(result.results)
    answer = {name: getattr(result, name) for name in ("query", "model", "results", "matches_above")}
    return Answer({**answer, "seconds": round(time.perf_counter() - started, 4)})


def _by_label(server: StoreServer, narrowing: PhotoFilter, k: int) -> SearchResult:
    if narrowing.head is None or narrowing.label is None:
        raise BadQuery(
            "there is nothing to search for: choose a photo, drop an image, or say what to look for"
        )
    if not isinstance(server.store, LabelStore):
        raise BadQuery("this store does not answer labels: ask the library")
    return server.store.find_label(
        narrowing.head, narrowing.label, k=k, criteria=narrowing.criteria, offline=server.offline()
    )


@router.get("/photos/{photo}/thumbnail", responses={200: {"content": {"image/jpeg": {}}}})
async def thumbnail(server: ServedStore, photo: PhotoId, height: Annotated[int, Query()] = 320) -> Response:
    """Return a photo that an answer named upright and small, as JPEG: 160, 320 or 640 pixels high."""
    if height not in HEIGHTS:
        raise BadQuery(f"thumbnails are {', '.join(map(str, HEIGHTS))} pixels high")
    return _picture(await server.picture(photo, height))


@router.get("/photos/{photo}/view", responses={200: {"content": {"image/jpeg": {}}}})
async def view(server: ServedStore, photo: PhotoId) -> Response:
    """Return a photo that an answer named upright, as JPEG with no side longer than 2048 pixels."""
    return _picture(await server.picture(photo, None))


def _picture(data: bytes) -> Response:
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=300"})
