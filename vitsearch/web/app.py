"""The web application of a library: its page and its API, behind the guard."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from vitsearch.errors import VitsearchError
from vitsearch.web.guard import Access
from vitsearch.web.guarded_app import guarded_app
from vitsearch.web.routes import (
    duplicates,
    folders,
    grid,
    heads,
    heatmap,
    indexing,
    labels,
    pages,
    photos,
    plans,
    search,
    selection,
    themes,
    uploads,
)
from vitsearch.web.server import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from fastapi import FastAPI

    from vitsearch.web.settings import LibrarySettings

_LOOK_EVERY = 1.0
_MODULES = (
    grid,
    heatmap,
    search,
    uploads,
    duplicates,
    plans,
    heads,
    labels,
    themes,
    folders,
    indexing,
    selection,
    pages,
)
_ROUTERS = [module.router for module in _MODULES]
_ROUTERS += [pages.static_router, photos.captions_router, photos.router]
# Handed over as they are: `include_router` builds each anew for each application, 0.1 s at its first requests.
_ROUTES = [route for router in _ROUTERS for route in router.routes]


def create_app(
    settings: LibrarySettings,
    *,
    access: Access | None = None,
    reveal: Callable[[Path], None] | None = None,
    watch: bool = False,
) -> FastAPI:
    """Create the application that serves a library. The library need not exist yet: the page can create it.

    - `access`: who may connect, by default only this machine.
    - `reveal`: shows a file in the system's file manager.
    - `watch`: index changes in the library's folders as they happen.
    """
    access = access or Access()
    server = Server(settings, reveal=reveal if access.is_local else None)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        server.events.open()
        if watch or await asyncio.to_thread(server.is_to_watch):
            server.watch()
        looking = asyncio.create_task(_tell_of_changes(server))
        try:
            yield
        finally:
            looking.cancel()
            await asyncio.to_thread(server.close)

    return guarded_app(
        access,
        server,
        pages.Assets(),
        title="vitsearch",
        description="Search your own photos by what is in them. The JSON is that of the command line.",
        lifespan=lifespan,
        routes=_ROUTES,
    )


async def _tell_of_changes(server: Server) -> None:
    """Tell open pages when anybody has changed the library: this server, or a command beside it."""
    known = None
    while True:
        await asyncio.sleep(_LOOK_EVERY)
        if not server.events.has_pages:
            known = None
            continue
        try:
            stamp = await asyncio.to_thread(server.libraries.stamp)
        except VitsearchError:
            continue
        if known is not None and stamp != known:
            server.events.publish("changed", {})
        known = stamp
