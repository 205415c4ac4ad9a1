"""A client of the web application, in this process, on a library with the fake backbone."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from vitsearch.web.app import create_app
from vitsearch.web.server import Server
from vitsearch.web.settings import LibrarySettings
from vitsearch.web.store_app import create_store_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.searching.store import SearchStore
    from vitsearch.web.guard import Access

HOST = "127.0.0.1:8642"


@contextmanager
def web_client(
    library: Path,
    backbone: Backbone | None,
    *,
    access: Access | None = None,
    reveal: Callable[[Path], None] | None = None,
    watch: bool = False,
) -> Iterator[TestClient]:
    """The server's own page as a client: the right host, and the header that changes need."""
    app = create_app(LibrarySettings(library, backbone=backbone), access=access, reveal=reveal, watch=watch)
    with TestClient(
        app, base_url=f"http://{HOST}", headers={"X-Vitsearch": "1"}, raise_server_exceptions=False
    ) as client:
        yield client


def server_of(client: TestClient) -> Server:
    """What answers the client."""
    assert isinstance(client.app, FastAPI)
    server = client.app.state.server
    assert isinstance(server, Server)
    return server


def wait(client: TestClient, address: str, state: str = "running") -> dict[str, Any]:
    """Ask again and again until a job is in another state, and return the answer."""
    end = time.monotonic() + 60
    while (answer := client.get(address).json())["state"] == state:
        assert time.monotonic() < end, answer
        time.sleep(0.1)
    return answer


@contextmanager
def store_client(
    library: Path,
    backbone: Backbone,
    store: AbstractContextManager[SearchStore],
    *,
    address: str,
    folders: Sequence[Path] = (),
    access: Access | None = None,
) -> Iterator[TestClient]:
    """A client of the page over an engine."""
    settings = LibrarySettings(library, backbone=backbone)
    app = create_store_app(settings, store, address=address, folders=folders, access=access)
    with TestClient(
        app, base_url=f"http://{HOST}", headers={"X-Vitsearch": "1"}, raise_server_exceptions=False
    ) as client:
        yield client
