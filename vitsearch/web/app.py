"""The web application: one library, its API and its page, behind the guard."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from vitsearch.errors import VitsearchError
from vitsearch.version import VERSION
from vitsearch.web.guard import Access, Guard
from vitsearch.web.responses import handle_errors
from vitsearch.web.routes import (
    duplicates,
    folders,
    grid,
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

    from starlette.types import ASGIApp

    from vitsearch.web.settings import LibrarySettings

_LOOK_EVERY = 1.0
_MODULES = (
    grid,
    heatmap,
    search,
    uploads,
    duplicates,
    plans,
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
    """Make the application that serves a library.

    `access` says from where it may be reached (this machine alone by default); `reveal` shows a file in the file
    manager; with `watch`, what changes in the library's folders is indexed at once. The library need not exist yet:
    the page can make it.
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

    # FastAPI's own documentation pages load scripts from elsewhere.
    app = GuardedApp(
        access,
        title="vitsearch",
        version=VERSION,
        description="Search your own photos by what is in them. The JSON is that of the command line.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        routes=_ROUTES,
    )
    app.state.server = server
    app.state.assets = pages.Assets()
    handle_errors(app)
    return app


class GuardedApp(FastAPI):
    """Behind the guard, with all that FastAPI puts around an application, its answer to an error inside included."""

    def __init__(self, access: Access, **options: Any) -> None:  # noqa: ANN401 - FastAPI's own
        self._access = access
        super().__init__(**options)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the guard in front."""
        return Guard(super().build_middleware_stack(), self._access)


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
