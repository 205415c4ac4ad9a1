"""Bind an address and serve a library there until Ctrl-C."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import uvicorn

from vitsearch.errors import VitsearchError
from vitsearch.web.app import create_app
from vitsearch.web.connections import Connection
from vitsearch.web.guard import Access

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import FrameType

    from fastapi import FastAPI
    from starlette.types import ASGIApp

    from vitsearch.searching.store import SearchStore
    from vitsearch.web.server import Server
    from vitsearch.web.settings import LibrarySettings
    from vitsearch.web.store_server import StoreServer

# Open pages hold a stream of events, which ends at once; an answer that is being written, or the step that a training
# is at, gets this long (seconds).
_LAST_ANSWERS = 5
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound socket, and who may connect to it."""

    socket: socket.socket
    access: Access

    @property
    def link(self) -> str:
        """The address of the page, with the token if one is required."""
        host = self.access.host
        if host in ("0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            host = _own_address()
        host = f"[{host}]" if ":" in host else host
        token = f"?{urlencode({'token': self.access.token})}" if self.access.token else ""
        return f"http://{host}:{self.access.port}/{token}"


def _own_address() -> str:
    """Return this machine's address on the network, or its host name if there is none."""
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        # An address that no machine has (RFC 5737): nothing is sent, the system only chooses the way there.
        way.connect(("192.0.2.1", 9))
        return str(way.getsockname()[0])
    return socket.gethostname()


def bind(host: str, port: int, *, token: bool = True) -> Bound:
    """Bind an address. Without `token`, every user of this machine has access.

    Raises:
        VitsearchError: the address is in use, or does not belong to this machine.

    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        # The protocol is named so that asyncio sees TCP and does not wait to fill packets (TCP_NODELAY).
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        try:
            if os.name == "posix":  # on Windows it would let another program take the address too
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((host, port))
            listener.listen(_BACKLOG)
        except OSError:
            listener.close()
            raise
    except OSError as error:
        raise VitsearchError(
            f"cannot serve at {host}:{port}: {error.strerror or error}; choose another --port or --host"
        ) from error
    return Bound(listener, Access.to(host, listener.getsockname()[1], token=token))


class _Uvicorn(uvicorn.Server):
    """A server that ends event streams and long operations before it waits for open requests."""

    def __init__(
        self, config: uvicorn.Config, shared: Server | StoreServer, on_start: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._shared = shared
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_start()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._shared.stop()
        super().handle_exit(sig, frame)


def server_config(app: ASGIApp) -> uvicorn.Config:
    """Return the server configuration, with limits on what a connection may use."""
    return uvicorn.Config(
        app,
        http=Connection,
        log_config=None,  # the caller's: its own formatter lets control characters through
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=_LAST_ANSWERS,
        lifespan="on",
        ws="none",
    )


def run_server(
    bound: Bound,
    settings: LibrarySettings,
    *,
    watch: bool = False,
    reveal: Callable[[Path], None] | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Serve a library until Ctrl-C; `watch` indexes changes in its folders as they happen."""
    _run(create_app(settings, access=bound.access, reveal=reveal, watch=watch), bound, on_start)


def run_store_server(
    bound: Bound,
    settings: LibrarySettings,
    store: AbstractContextManager[SearchStore],
    *,
    address: str,
    folders: Sequence[Path] = (),
    on_start: Callable[[], None] = lambda: None,
) -> None:
    """Serve a store until Ctrl-C; see `create_store_app`."""
    from vitsearch.web.store_app import create_store_app

    app = create_store_app(settings, store, address=address, folders=folders, access=bound.access)
    _run(app, bound, on_start)


def _run(app: FastAPI, bound: Bound, on_start: Callable[[], None]) -> None:
    config = server_config(app)
    shared: Server | StoreServer = app.state.server
    shared.decoders.start()
    server = _Uvicorn(config, shared, on_start)
    with suppress(KeyboardInterrupt):
        server.run(sockets=[bound.socket])
