"""Images from the web, as examples: over https alone, of a limited size, within a limited time."""

from __future__ import annotations

import socket
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException, HTTPSConnection
from threading import Timer
from typing import TYPE_CHECKING, Any

from vitsearch.errors import UnreadablePhoto

if TYPE_CHECKING:
    from collections.abc import Callable
    from http.client import HTTPMessage, HTTPResponse
    from typing import IO

MOST_BYTES = 64 << 20
_SECONDS = 60.0
_SILENCE = 15.0
_PART = 1 << 16
# Servers of photos want to know who asks.
_HEADERS = {"User-Agent": "vitsearch", "Accept": "image/*,*/*;q=0.1"}


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows a server to another https address, and nowhere else: not to a file, not to what anybody can read."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """Return the next request."""
        if not newurl.lower().startswith("https://"):
            raise urllib.error.URLError("it leads away from https")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Connection(HTTPSConnection):
    """A connection whose socket is told of."""

    told: Callable[[socket.socket], None]

    def connect(self) -> None:
        """Connect."""
        super().connect()
        self.told(self.sock)


class _InTime(urllib.request.HTTPSHandler):
    """Knows its sockets: headers, redirects and trailers come line by line for as long as a server likes."""

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Open."""

        def connection(host: str, **options: Any) -> _Connection:  # noqa: ANN401 - HTTPSConnection's own
            made = _Connection(host, **options)
            made.told = self._sockets.append
            return made

        return self.do_open(connection, req)

    def cut(self) -> None:
        """End what is being received: whoever waits for it gets an error."""
        for each in self._sockets:
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)


# Not `build_opener`, which would open files and FTP too.
_HANDLERS = (
    urllib.request.ProxyHandler,
    _OnlyHttps,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.UnknownHandler,
)


def fetch(url: str, *, most: int = MOST_BYTES, seconds: float = _SECONDS) -> bytes:
    """Return what lies at an https address, of at most so many bytes, got within so many seconds.

    Raises:
        UnreadablePhoto: it is no https address, or the bytes cannot be had.

    """
    if not url.lower().startswith("https://"):
        raise UnreadablePhoto(url, "only https addresses are fetched: download it, and name the file")
    until = time.monotonic() + seconds
    opener = urllib.request.OpenerDirector()
    for handler in _HANDLERS:
        opener.add_handler(handler())
    in_time = _InTime()
    opener.add_handler(in_time)
    clock = Timer(seconds, in_time.cut)
    clock.daemon = True
    clock.start()
    try:
        request = urllib.request.Request(url, headers=_HEADERS)  # noqa: S310 - https, see above
        with opener.open(request, timeout=_SILENCE) as answer:
            parts: list[bytes] = []
            size = 0
            while part := answer.read1(_PART):
                size += len(part)
                if size > most:
                    raise UnreadablePhoto(url, f"it has more bytes than the limit of {most}")
                if time.monotonic() > until:
                    raise UnreadablePhoto(url, f"it did not come within {seconds:.0f} s", passing=True)
                parts.append(part)
    except urllib.error.HTTPError as error:
        away = 300 <= error.code < 400  # to a file, which Python refuses by itself
        reason = "it leads away from https" if away else f"the server says {error.code} {error.reason}"
        raise UnreadablePhoto(url, reason, passing=True) from error
    except (OSError, HTTPException, ValueError) as error:
        if time.monotonic() > until:
            raise UnreadablePhoto(url, f"it did not come within {seconds:.0f} s", passing=True) from error
        said = str(getattr(error, "reason", None) or error) or type(error).__name__
        raise UnreadablePhoto(url, said, passing=True) from error
    finally:
        clock.cancel()
    if time.monotonic() > until:  # it was cut
        raise UnreadablePhoto(url, f"it did not come within {seconds:.0f} s", passing=True)
    return b"".join(parts)
