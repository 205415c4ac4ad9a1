"""What all requests share: the library's readers, its model, its jobs, and the open pages."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from fastapi import Depends
from starlette.requests import Request

from vitsearch.thumbnails import Thumbnails
from vitsearch.web.events import Events
from vitsearch.web.index_runs import IndexRuns
from vitsearch.web.known_vectors import KnownVectors
from vitsearch.web.readers import Readers, Remembered
from vitsearch.web.upload_store import UploadStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vitsearch.library import Library
    from vitsearch.web.settings import LibrarySettings


class Server:
    """One library being served. `reveal` shows a file in the system's file manager, where that makes sense."""

    def __init__(self, settings: LibrarySettings, *, reveal: Callable[[Path], None] | None = None) -> None:
        self.settings = settings
        self.reveal = reveal
        self.readers = Readers(settings)
        self.remembered = Remembered()
        self.vectors = KnownVectors()
        self.events = Events()
        self.index_runs = IndexRuns(settings, self.events)
        self.thumbnails = Thumbnails(settings.folder)
        self.uploads = UploadStore(settings.folder)
        self._model_turn = threading.Lock()
        self._with_model = settings.open()

    @contextmanager
    def model(self) -> Iterator[Library]:
        """Borrow the one library whose model is loaded, and stays so; one request at a time."""
        with self._model_turn:
            yield self._with_model

    def close(self) -> None:
        """Stop all jobs and release the library."""
        self.index_runs.close()
        self.readers.close()
        with self._model_turn:
            self._with_model.close()


async def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    return server


Served = Annotated[Server, Depends(_server)]
