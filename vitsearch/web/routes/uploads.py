"""Query images that are not in the library, dropped on the page or pasted."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from vitsearch.storage.layout import Layout
from vitsearch.web.responses import Answer, Token
from vitsearch.web.server import Served, Server
from vitsearch.web.services.upload_store import Upload

router = APIRouter(prefix="/api/uploads", tags=["search"])


@router.post("", response_model=Upload, status_code=201)
async def upload(server: Served, request: Request) -> Response:
    """Take an image, the body as it is (no form). The token that comes back stands for it in a search."""
    async with server.uploading:
        # The guard counts what arrives, and how long it takes.
        data = await request.body()
        return Answer(await run_in_threadpool(_kept, server, data), status_code=201)


@router.get("/{token}", response_model=Upload)
def facts(server: Served, token: Token) -> Response:
    """Return the size of an upload, and the photo of the library that it is, if any."""
    return Answer(_described(server, token))


@router.get("/{token}/view", responses={200: {"content": {"image/jpeg": {}}}})
async def view(server: Served, token: Token) -> Response:
    """Return an upload upright, as JPEG with no side longer than 2048 pixels."""
    data = await server.made(lambda: server.thumbnails.view(server.uploads.path(token)))
    return Response(data, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})


def _kept(server: Server, data: bytes) -> Upload:
    return _described(server, server.uploads.add(data))


def _described(server: Server, token: str) -> Upload:
    hashes, facts = server.uploads.header(token)
    known = None
    if Layout.of(server.settings.folder).database.exists():
        with server.libraries.library() as library:
            known = library.catalog.photo_id(*hashes, present=True)
    return Upload(token, facts.width, facts.height, known)
