"""Server-sent events to open pages."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from vitsearch.jsonable import to_jsonable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

# A page that does not read its events only gets the most recent ones.
_WAITING = 64
_HEARTBEAT = 15.0


class Events:
    """Open pages and their event streams; `publish` may be called from any thread."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[asyncio.Queue[bytes | None]] = set()
        self._closing = False

    @property
    def has_pages(self) -> bool:
        """Whether a page is listening."""
        return bool(self._pages)

    def open(self) -> None:
        """Start, in the server's event loop."""
        self._loop = asyncio.get_running_loop()

    def close(self) -> None:
        """End all open streams; may be called from any thread."""
        self._closing = True
        self._say(None)

    def publish(self, kind: str, value: object) -> None:
        """Send an event to every open page."""
        data = json.dumps(to_jsonable(value), separators=(",", ":"))
        self._say(f"event: {kind}\ndata: {data}\n\n".encode("ascii"))

    def _say(self, message: bytes | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._hand_out, message)

    def _hand_out(self, message: bytes | None) -> None:
        for page in self._pages:
            while page.qsize() >= _WAITING:
                page.get_nowait()
            page.put_nowait(message)

    async def stream(self, first: str) -> AsyncIterator[bytes]:
        """What one page hears, beginning with `first` (a finished event), until it goes or the server stops."""
        page: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._pages.add(page)
        try:
            yield b"retry: 2000\n\n" + first.encode("ascii")
            while not self._closing:
                try:
                    message = await asyncio.wait_for(page.get(), _HEARTBEAT)
                except TimeoutError:
                    message = b": still here\n\n"
                if message is None:
                    return
                yield message
        finally:
            self._pages.discard(page)


def event(kind: str, value: object) -> str:
    """Encode an event."""
    return f"event: {kind}\ndata: {json.dumps(to_jsonable(value), separators=(',', ':'))}\n\n"
