"""Limits on idle connections: each has a timeout, and together they cannot use up all slots."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio

HEADER_SECONDS = 10.0
"""How long a request's first line and headers may take, from the connection, or from their first byte on."""

MOST_CONNECTIONS = 128
"""How many connections there may be. Browsers open six, and each open page one more."""


class Connection(H11Protocol):
    """A connection that is closed if no request arrives in time, or if a newer connection needs its slot."""

    # The oldest first; the protocols of one server, as there is one a process.
    _open: ClassVar[dict[Connection, None]] = {}

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a slot; if none is free, take that of the oldest idle connection."""
        super().connection_made(transport)
        self._open[self] = None
        if len(self._open) > MOST_CONNECTIONS:
            next((each for each in self._open if each.waits), self).transport.abort()
        self._expect_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Free the slot."""
        self._open.pop(self, None)
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Stop the timeout when a request is complete, and start it with the first byte of the next one."""
        super().data_received(data)
        if not self.waits:
            self._expect_nothing()
        elif self._deadline is None:
            self._expect_headers()

    @property
    def waits(self) -> bool:
        """Whether the connection is idle."""
        return self.cycle is None or self.cycle.response_complete

    def _expect_headers(self) -> None:
        self._deadline = self.loop.call_later(HEADER_SECONDS, self._run_out)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _run_out(self) -> None:
        self._deadline = None
        if self.waits:
            self.transport.abort()
