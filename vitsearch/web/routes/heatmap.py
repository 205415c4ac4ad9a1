"""Heat maps of what the model used in a photo."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from vitsearch.errors import BadQuery
from vitsearch.space import Space
from vitsearch.storage.listing import Listing
from vitsearch.web.responses import NotFound, PhotoId
from vitsearch.web.server import Served, Server

router = APIRouter(prefix="/api/photos", tags=["photos"])


_GONE = 499  # what nobody reads any more


@router.get("/{photo}/heatmap", responses={200: {"content": {"image/jpeg": {}}}})
async def heatmap(
    server: Served,
    request: Request,
    photo: PhotoId,
    head: Annotated[str | None, Query(max_length=200)] = None,
    label: Annotated[str | None, Query(max_length=500)] = None,
    apart: bool = False,
) -> Response:
    """Draw what the model gathered a photo's embedding from; or what speaks for a label, or sets it `apart`."""
    if (head is None) != (label is None):
        raise BadQuery("head and label go together")
    data = None if head or apart else await run_in_threadpool(_kept, server, photo)
    if data is None:
        # One at a time, which takes seconds: those that wait hold no thread, and who has gone on is left out.
        async with server.drawing:
            if await request.is_disconnected():
                return Response(status_code=_GONE)
            data = await run_in_threadpool(_drawn, server, photo, head, label, apart=apart)
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})


def _kept(server: Server, photo: int) -> bytes | None:
    with server.libraries.library() as library:
        details = Listing(library.catalog).details(photo)
        active = library.catalog.active_space()
    if details is None or active is None:
        return None
    return server.thumbnails.cached(details.photo_hash, _kind(active.space))


def _drawn(server: Server, photo: int, head: str | None, label: str | None, *, apart: bool) -> bytes:
    from vitsearch.explain.explanation import apart_gradient, label_gradient
    from vitsearch.heads.store import HeadStore

    gradient = None
    with server.libraries.library() as library:
        details = Listing(library.catalog).details(photo)
        space = library.catalog.require_space().space
        if head is not None and label is not None:
            known = HeadStore(library).get(head)
            space, gradient = known.space, label_gradient(known, label)
        elif apart:
            gradient = apart_gradient(library.catalog)
        cache = library.cache_folder
    path = None if details is None else details.present
    if details is None or path is None:
        raise NotFound(f"the library has no photo {photo}, or no file of it is there now")
    # Somebody may have asked for the same while this one waited.
    data = server.thumbnails.cached(details.photo_hash, _kind(space)) if gradient is None else None
    if data is None:
        data = server.heat_maps.draw(
            path, space, photo_hash=details.photo_hash, cache=cache, gradient=gradient
        )
        if gradient is None:
            server.thumbnails.keep(details.photo_hash, _kind(space), data)
    return data


def _kind(space: Space) -> str:
    return f"seen-{blake2b(space.to_json().encode(), digest_size=6).hexdigest()}"
