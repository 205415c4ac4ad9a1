"""The web application of an external engine: a page that searches a store, and its API, behind the guard."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from vitsearch.web.guard import Access
from vitsearch.web.guarded_app import guarded_app
from vitsearch.web.routes import pages
from vitsearch.web.routes import store as routes
from vitsearch.web.store_server import StoreServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from fastapi import FastAPI

    from vitsearch.searching.store import SearchStore
    from vitsearch.web.settings import LibrarySettings


def create_store_app(
    settings: LibrarySettings,
    store: AbstractContextManager[SearchStore],
    *,
    address: str,
    folders: Sequence[Path] = (),
    access: Access | None = None,
) -> FastAPI:
    """Create the application that serves a store and closes it at the end; the library of `settings` need not exist.

    - `address`: the store's address, shown on the page.
    - `folders`: folders whose photos may be shown, in addition to the library's folders.
    - `access`: who may connect, by default only this machine.
    """
    access = access or Access()
    server = StoreServer(settings, store, address=address, folders=folders)

    @contextlib.asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.to_thread(server.close)

    return guarded_app(
        access,
        server,
        pages.Assets(page="store.html"),
        title="vitsearch over a store",
        description="Search a store of photos by what is in them. The JSON is that of the command line.",
        lifespan=lifespan,
        routes=[*routes.router.routes, *routes.page_router.routes, *pages.static_router.routes],
    )
