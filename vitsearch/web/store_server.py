"""State of the page over an engine: the store, the model, and the photos that were found.

A store is not trusted: it could name any file on this machine. A picture is only shown for a photo that was found, and
only from the library's thumbnails or from a file in an indexed folder or one that the user has named.
"""

from __future__ import annotations

import re
import secrets
import threading
from collections import OrderedDict
from contextlib import ExitStack, suppress
from functools import partial
from typing import TYPE_CHECKING, Annotated

from anyio import CapacityLimiter, to_thread
from fastapi import Depends
from starlette.requests import Request

from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.thumbnails import Thumbnails
from vitsearch.engines.engine import ExampleStore
from vitsearch.errors import StoreError, UnreadablePhoto
from vitsearch.paths import is_within
from vitsearch.searching.queries import EmbeddedQuery
from vitsearch.searching.query_embedder import QueryEmbedder
from vitsearch.searching.terms import Words, weighted
from vitsearch.storage.listing import Listing
from vitsearch.web.responses import NotFound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from vitsearch.records import Match
    from vitsearch.searching.queries import Example
    from vitsearch.searching.store import SearchStore
    from vitsearch.web.settings import LibrarySettings

_MAKERS = 2
_MOST_UPLOADS = 64
_MOST_NAMED = 50_000


class StoreServer:
    """A store being served. `address` has no password; pictures come from `folders` and the library's folders only."""

    def __init__(
        self,
        settings: LibrarySettings,
        store: AbstractContextManager[SearchStore],
        *,
        address: str,
        folders: Sequence[Path] = (),
    ) -> None:
        self.address = re.sub(r"//[^/?#]*@", "//", address)
        self._folders = tuple(folders)
        self._closing = ExitStack()
        self.store = self._closing.enter_context(store)
        self.decoders = Decoders(_MAKERS + 1)
        self._library = settings.open(decoders=self.decoders)
        self._thumbnails = Thumbnails(settings.folder, self.decoders)
        # SQLite and the model are for one thread at a time.
        self._turn = threading.Lock()
        self._makers = CapacityLimiter(_MAKERS)
        self._uploads: OrderedDict[str, EmbeddedQuery] = OrderedDict()
        self._named: OrderedDict[int, tuple[Path, ...]] = OrderedDict()

    def embedded(self, example: Example | Words) -> EmbeddedQuery:
        """Return the embedding of an image or text."""
        space = self.store.searched_space
        with self._turn:
            embedder = QueryEmbedder(
                space,
                partial(self._library.backbone, space),
                partial(self._library.embed_words, space),
                self.store.vector,
                self.decoders,
            )
            return embedder.embed(weighted(example))

    def add_upload(self, data: bytes) -> str:
        """Embed an uploaded image; returns the token that stands for it in searches."""
        query, token = self.embedded(data), secrets.token_hex(16)
        with self._turn:
            self._uploads[token] = query
            while len(self._uploads) > _MOST_UPLOADS:
                self._uploads.popitem(last=False)
        return token

    def upload(self, token: str) -> EmbeddedQuery:
        """Return an uploaded image.

        Raises:
            NotFound: it has expired.

        """
        with self._turn:
            if token not in self._uploads:
                raise NotFound("this image is not here any more: drop it again")
            self._uploads.move_to_end(token)
            return self._uploads[token]

    def photo(self, photo: int) -> EmbeddedQuery:
        """Return a photo of the store, by its id in an earlier result, as a query."""
        paths = self._paths(photo)
        name = str(paths[0])
        if isinstance(self.store, ExampleStore):
            found = self.store.example(photo)
            if found is None:
                raise NotFound(f"the store has no photo {photo} any more: search again")
            return EmbeddedQuery(name, (found[0],), found[1])
        return self.embedded(self._file(paths))

    def offline(self) -> set[Path]:
        """Return the folders of the library whose drives are not mounted."""
        with self._turn:
            return set(self._library.offline_roots())

    def name(self, matches: Sequence[Match]) -> None:
        """Remember the photos of a result: pictures are shown for these only."""
        with self._turn:
            for match in matches:
                self._named[match.photo] = (match.path, *match.other_paths)
                self._named.move_to_end(match.photo)
            while len(self._named) > _MOST_NAMED:
                self._named.popitem(last=False)

    async def picture(self, photo: int, height: int | None) -> bytes:
        """Return a photo as JPEG with this height in pixels, or for the whole screen.

        Raises:
            NotFound: no answer named it, or no file of it may be shown.
            UnreadablePhoto: its file cannot be decoded.

        """
        return await to_thread.run_sync(self._picture, photo, height, limiter=self._makers)

    def _picture(self, photo: int, height: int | None) -> bytes:
        paths = self._paths(photo)
        if height is None:
            return self._thumbnails.view(self._file(paths))
        for shown in filter(None, map(self._known, paths)):
            kept = self._thumbnails.cached(shown, height)
            if kept is not None:
                return kept
        path = self._file(paths)
        photo_hash = self._known(path)
        try:
            if photo_hash is not None:
                return self._thumbnails.make(photo_hash, height, path)
        except UnreadablePhoto:  # another photo lies there by now
            pass
        return self._thumbnails.once(height, path)

    def _paths(self, photo: int) -> tuple[Path, ...]:
        with self._turn:
            paths = self._named.get(photo)
        if not paths:
            raise NotFound(f"no answer has named photo {photo}: search again")
        return paths

    def _file(self, paths: Sequence[Path]) -> Path:
        reach = self._reach()
        allowed = [path for path in paths if is_within(path, reach)]
        there = next((path for path in allowed if path.is_file()), None)
        if there is not None:
            return there
        if allowed:
            raise NotFound(f"{allowed[0]} is not there now: mount its drive")
        raise NotFound(
            f"{paths[0]} is in no folder that may be shown: name its folder with `vitsearch serve --in FOLDER`"
        )

    def _reach(self) -> list[Path]:
        with self._turn:
            known = self._library.layout.database.exists()
            roots = [root.path for root in self._library.catalog.roots()] if known else []
        return [*roots, *self._folders]

    def _known(self, path: Path) -> str | None:
        with self._turn:
            if not self._library.layout.database.exists():
                return None
            return Listing(self._library.catalog).photo_hash_at(path)

    def stop(self) -> None:
        """Do nothing: this server has no long operations."""

    def close(self) -> None:
        """Close the store and the library."""
        self.decoders.close()
        with self._turn:
            self._library.close()
            with suppress(StoreError):  # it has gone already
                self._closing.close()


async def _server(request: Request) -> StoreServer:
    server: StoreServer = request.app.state.server
    return server


ServedStore = Annotated[StoreServer, Depends(_server)]
