"""What both web applications share: FastAPI behind the guard, with the server and the page's assets in its state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

from vitsearch.version import VERSION
from vitsearch.web.guard import Access, Guard
from vitsearch.web.responses import handle_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractAsyncContextManager

    from starlette.routing import BaseRoute
    from starlette.types import ASGIApp

    from vitsearch.web.routes.pages import Assets
    from vitsearch.web.server import Server
    from vitsearch.web.store_server import StoreServer


def guarded_app(
    access: Access,
    server: Server | StoreServer,
    assets: Assets,
    *,
    title: str,
    description: str,
    routes: Sequence[BaseRoute],
    lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]],
) -> FastAPI:
    """Create an application whose endpoints find `server` and `assets` in its state."""
    app = _GuardedApp(
        access,
        title=title,
        version=VERSION,
        description=description,
        # FastAPI's own documentation pages load scripts from other servers.
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        routes=list(routes),
    )
    app.state.server = server
    app.state.assets = assets
    handle_errors(app)
    return app


class _GuardedApp(FastAPI):
    """An application with the guard outermost, so that it also covers FastAPI's own middleware and error responses."""

    def __init__(self, access: Access, **options: Any) -> None:  # noqa: ANN401 - FastAPI's own
        self._access = access
        super().__init__(**options)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the guard in front."""
        return Guard(super().build_middleware_stack(), self._access)
