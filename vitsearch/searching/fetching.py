"""Fetch example images from the web: https only, with limits on size and time."""

from __future__ import annotations

import errno
import socket
import ssl
import time
import urllib.error
import urllib.request
from contextlib import suppress
from http.client import HTTPException, HTTPSConnection
from threading import Timer
from typing import TYPE_CHECKING, Any

from vitsearch.errors import UnreadablePhoto

if TYPE_CHECKING:
    from http.client import HTTPMessage, HTTPResponse
    from typing import IO

MOST_BYTES = 64 << 20
_SECONDS = 60.0
_SILENCE = 15.0
_PART = 1 << 16
# Servers of photos want to know who asks.
_HEADERS = {"User-Agent": "vitsearch", "Accept": "image/*,*/*;q=0.1"}


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    """Follows redirects to other https addresses only."""

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


class _InTime(urllib.request.HTTPSHandler):
    """Tracks its connections from the start, so that slow servers can be cut off at any stage.

    A server can otherwise delay the TLS handshake, headers, redirects and trailers for as long as it likes.
    """

    def __init__(self) -> None:
        super().__init__()
        self._sockets: list[socket.socket] = []
        self._is_cut = False

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        """Open a connection."""

        def connection(host: str, **options: Any) -> HTTPSConnection:  # noqa: ANN401 - HTTPSConnection's own
            made = HTTPSConnection(host, **options)
            made._create_connection = self._connect  # type: ignore[attr-defined]  # noqa: SLF001 - there is no other way
            return made

        return self.do_open(connection, req)

    def cut(self) -> None:
        """Abort all transfers; whoever waits for them gets an error."""
        self._is_cut = True
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close all connections."""
        for each in self._sockets:
            each.close()

    def _connect(self, *where: Any, **options: Any) -> socket.socket:  # noqa: ANN401 - create_connection's own
        made = socket.create_connection(*where, **options)
        # A second handle on the connection: the first is taken over by TLS before its handshake.
        self._sockets.append(made.dup())
        if self._is_cut:
            self.cut()
        return made


def why_unreachable(error: BaseException) -> str:
    """Describe in plain words why an address cannot be reached, instead of the system's message."""
    cause = getattr(error, "reason", None)
    if isinstance(cause, BaseException):
        error = cause
    for kinds, words in _UNREACHABLE:
        if isinstance(error, kinds):
            return words
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, OSError) and error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        return "there is no way to that server from here"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(cause or error) or type(error).__name__


_UNREACHABLE: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    (socket.gaierror, "no server of that name is found"),
    (ConnectionRefusedError, "nothing answers there (connection refused)"),
    (TimeoutError, "it does not answer"),
    ((ConnectionResetError, ConnectionAbortedError, BrokenPipeError), "the server ended the connection"),
)


# Not `build_opener`, which would open files and FTP too.
_HANDLERS = (
    urllib.request.ProxyHandler,
    _OnlyHttps,
    urllib.request.HTTPErrorProcessor,
    urllib.request.HTTPDefaultErrorHandler,
    urllib.request.UnknownHandler,
)


def fetch(url: str, *, most: int = MOST_BYTES, seconds: float = _SECONDS) -> bytes:
    """Return the content of an https address, with limits on bytes and seconds.

    Raises:
        UnreadablePhoto: it is not an https address, or cannot be fetched.

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
        advice = "check the address and your network, or download the picture and name its file"
        raise UnreadablePhoto(url, f"{why_unreachable(error)}: {advice}", passing=True) from error
    finally:
        clock.cancel()
        clock.join()
        in_time.close()
    if time.monotonic() > until:  # it was cut
        raise UnreadablePhoto(url, f"it did not come within {seconds:.0f} s", passing=True)
    return b"".join(parts)
