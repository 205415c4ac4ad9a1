"""State shared by all requests: opened libraries, the model, background jobs, and event streams of open pages."""

from __future__ import annotations

import logging
import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends
from starlette.requests import Request

from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.thumbnails import Thumbnails
from vitsearch.errors import LibraryBusy, LibraryMissing, VitsearchError
from vitsearch.web.responses import Conflict
from vitsearch.web.services.archives import Archives
from vitsearch.web.services.duplicate_search import DuplicateSearch
from vitsearch.web.services.events import Events
from vitsearch.web.services.folder_size import FolderSize
from vitsearch.web.services.heatmaps import HeatMaps
from vitsearch.web.services.index_runs import IndexRuns
from vitsearch.web.services.library_pool import LibraryPool, StateCache
from vitsearch.web.services.plan_store import PlanStore
from vitsearch.web.services.query_vectors import QueryVectorCache
from vitsearch.web.services.theme_search import ThemeSearch
from vitsearch.web.services.upload_store import UploadStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vitsearch.library import Library
    from vitsearch.web.settings import LibrarySettings


# Pictures that are made at once: for each, a whole photo may be in memory.
_MOST_MAKERS = 4
_MOST_UPLOADS = 2
# Seconds: how long closing waits for the model, and how soon folders are watched again that could not be.
_LAST_WORDS = 1.0
_WATCH_AGAIN = 30.0
_LOG = logging.getLogger(__name__)
LIBRARY_HEADER = "x-vitsearch-library"
"""The header with which a page identifies the library that it shows: the `images` of its status."""


class Server:
    """A library being served. `reveal` shows a file in the system's file manager, if there is one."""

    def __init__(self, settings: LibrarySettings, *, reveal: Callable[[Path], None] | None = None) -> None:
        self.settings = settings
        self.reveal = reveal
        self.libraries = LibraryPool(settings)
        self.state_cache = StateCache()
        self.vectors = QueryVectorCache()
        self.events = Events()
        self.index_runs = IndexRuns(settings, self.events)
        makers = max(2, min(_MOST_MAKERS, os.cpu_count() or 1))
        # One more, so that an upload does not wait for a screen full of thumbnails.
        self.decoders = Decoders(makers + 1)
        self._makers = CapacityLimiter(makers)
        # Uploads that are received at a time, each in memory until it is stored.
        self.uploading = CapacityLimiter(_MOST_UPLOADS)
        self.drawing = CapacityLimiter(1)
        self.duplicates = DuplicateSearch(settings, self.events)
        self.themes = ThemeSearch(settings, self.events)
        self.plans = PlanStore(settings.folder)
        self.heat_maps = HeatMaps(self.decoders)
        self.thumbnails = Thumbnails(settings.folder, self.decoders)
        self.thumbnails_size = FolderSize(self.thumbnails.folder)
        self.uploads = UploadStore(settings.folder, self.decoders)
        self.archives = Archives()
        self._closing = threading.Event()
        self._watched: list[Path] = []
        self._watching: threading.Event | None = None
        self._model_turn = threading.Lock()
        self._with_model = settings.open()

    @contextmanager
    def model(self) -> Iterator[Library]:
        """Borrow the library whose model stays loaded; one request at a time.

        Waiting may take as long as a training run, so the caller must not hold another library meanwhile.

        Raises:
            Conflict: the server is stopping.

        """
        while not self._model_turn.acquire(timeout=_LAST_WORDS / 2):
            self.go_on()
        try:
            self.go_on()
            with suppress(LibraryMissing):  # it may make one
                self.libraries.open_again(self._with_model)
            yield self._with_model
        finally:
            self._model_turn.release()

    def go_on(self, _progress: object = None) -> None:
        """Progress callback of long operations.

        Raises:
            Conflict: the server is stopping.

        """
        if self._closing.is_set():
            raise Conflict("the server is being stopped")

    async def made(self, make: Callable[[], bytes]) -> bytes:
        """Make a picture in a thread, a few at a time; those that wait for their turn hold no thread."""
        return await to_thread.run_sync(make, limiter=self._makers)

    def watch(self) -> None:
        """Start indexing changes in the library's folders as they happen."""
        if self._watching is None:
            self._watching = threading.Event()
            threading.Thread(
                target=self._watch, args=(self._watching,), name="vitsearch-watch", daemon=True
            ).start()

    def stop_watching(self) -> None:
        """Stop indexing changes as they happen."""
        if self._watching is not None:
            self._watching.set()
            self._watching = None

    @property
    def is_watching(self) -> bool:
        """Whether changes in the folders are indexed as they happen."""
        return self._watching is not None

    def is_to_watch(self) -> bool:
        """Return whether watching was turned on on the page."""
        try:
            with self.libraries.library() as library:
                return library.catalog.is_watched()
        except VitsearchError:
            return False

    def _watch(self, stop: threading.Event) -> None:
        from vitsearch.folders.watching import watch_folders

        told = ""
        while not stop.is_set():
            try:
                for folders in watch_folders(self._roots_to_watch, library=self.settings.folder, stop=stop):
                    self.index_runs.start(folders)
                    told = ""
            except VitsearchError as error:
                if str(error) != told:
                    told = str(error)
                    _LOG.warning("%s", error)
                    self.events.publish("failed", {"error": told})
                stop.wait(_WATCH_AGAIN)

    def _roots_to_watch(self) -> list[Path]:
        """Return the library's folders, or the previous ones while another process has locked the database."""
        try:
            with self.libraries.library() as library:
                self._watched = [root.path for root in library.catalog.roots()]
        except LibraryMissing:
            self._watched = []
        except LibraryBusy as error:
            _LOG.info("%s", error)
        return self._watched

    def stop(self) -> None:
        """Close event streams, and make long operations end at their next step."""
        self._closing.set()
        self.stop_watching()
        self.events.close()

    def close(self) -> None:
        """Stop all jobs and close the library."""
        self.stop()
        self.index_runs.close()
        self.duplicates.close()
        self.themes.close()
        self.decoders.close()
        self.libraries.close()
        # Whoever has the model leaves it at the next step; one long step is not waited for.
        if self._model_turn.acquire(timeout=_LAST_WORDS):
            self._with_model.close()
            self._model_turn.release()


async def _server(request: Request) -> Server:
    server: Server = request.app.state.server
    # Photos are numbers, which name other photos in another library.
    meant = request.headers.get(LIBRARY_HEADER)
    if meant is not None and meant != server.libraries.images:
        raise Conflict("another library is in the place of the one that this page shows: load the page again")
    return server


Served = Annotated[Server, Depends(_server)]
