"""What the model looked at in a photo, drawn over it."""

from __future__ import annotations

from hashlib import blake2b
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from vitsearch.errors import BadQuery, LibraryMissing
from vitsearch.storage.listing import Listing
from vitsearch.web.responses import NotFound, PhotoId
from vitsearch.web.server import Served

router = APIRouter(prefix="/api/photos", tags=["photos"])


@router.get("/{photo}/heatmap", responses={200: {"content": {"image/jpeg": {}}}})
def heatmap(
    server: Served,
    photo: PhotoId,
    head: Annotated[str | None, Query(max_length=200)] = None,
    label: Annotated[str | None, Query(max_length=500)] = None,
    apart: bool = False,
) -> Response:
    """Draw what the model gathered a photo's embedding from; or what speaks for a label, or sets it `apart`."""
    from vitsearch.explain.explanation import apart_gradient, label_gradient
    from vitsearch.heads.store import HeadShelf

    if (head is None) != (label is None):
        raise BadQuery("head and label go together")
    gradient = None
    with server.readers.library() as library:
        details = Listing(library.catalog).details(photo)
        active = library.catalog.active_space()
        if active is None:
            raise LibraryMissing("the library holds no photos yet: add a folder of photos first")
        space = active[1]
        if head is not None and label is not None:
            known = HeadShelf(library).get(head)
            space, gradient = known.space, label_gradient(known, label)
        elif apart:
            gradient = apart_gradient(library.catalog)
        cache = library.cache_folder
    path = None if details is None else details.present
    if details is None or path is None:
        raise NotFound(f"the library has no photo {photo}, or no file of it is there now")
    kind = f"seen-{blake2b(space.to_json().encode(), digest_size=6).hexdigest()}"
    data = server.thumbnails.cached(details.photo_hash, kind) if gradient is None else None
    if data is None:
        data = server.heat_maps.draw(
            path, space, photo_hash=details.photo_hash, cache=cache, gradient=gradient
        )
        if gradient is None:
            server.thumbnails.keep(details.photo_hash, kind, data)
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=600"})
