"""Checks that every request must pass before it is handled, and security headers of every response.

The page runs on the user's machine, in a browser that also shows other sites. Those must not be able to reach it: not
through another host name (DNS rebinding), not from another origin, not with a form or an image tag.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
import socket
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from anyio import current_time, fail_after
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, RedirectResponse

from vitsearch.web.responses import refusal

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

CHANGE_HEADER = "x-vitsearch"
MAX_BODY = 1 << 20
MAX_UPLOAD = 64 << 20
# How long a body may take to arrive, from when it is waited for.
BODY_SECONDS = 10.0
UPLOAD_SECONDS = 120.0
_UPLOADS = "/api/uploads"
_MAX_QUERY = 8192
_READING = frozenset(("GET", "HEAD"))
_LOOPBACK = frozenset(("127.0.0.1", "localhost", "::1"))

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ONWARDS = '<!doctype html><meta http-equiv="refresh" content="0; url={}"><title>vitsearch</title>'
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


@dataclass(frozen=True, slots=True)
class Access:
    """Who may connect. With a `token`, requests without it are refused."""

    host: str = "127.0.0.1"
    port: int = 8642
    token: str | None = None
    names: frozenset[str] = field(default=_LOOPBACK)

    @classmethod
    def to(cls, host: str, port: int, *, token: bool = True) -> Access:
        """Create the access rules of a server bound to `host`, with a new token; this machine may do without one."""
        if host in _LOOPBACK:
            return cls(host, port, secrets.token_urlsafe(32) if token else None)
        own = socket.gethostname().lower()
        names = _LOOPBACK | {host.lower(), own, f"{own}.local"}
        return cls(host, port, secrets.token_urlsafe(32), frozenset(names))

    @property
    def is_local(self) -> bool:
        """Whether only this machine can reach the server."""
        return self.host in _LOOPBACK

    def admits(self, host: str | None) -> bool:
        """Return whether a Host header names this server. A rebound host name does not."""
        name = _host_name(host)
        if name is None:
            return False
        # A page of somebody else's always has a name: that of a number is the number.
        return name in self.names or (not self.is_local and _is_address(name))

    @property
    def cookie(self) -> str:
        """The name of the cookie; it contains the port, because browsers share cookies among ports."""
        return f"vitsearch-{self.port}"


class Guard:
    """Outermost ASGI middleware: refuses requests with 400, 401, 403 or 413, and adds headers to responses."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or answer it here."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = Headers(scope=scope)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    answer[name] = value
                if "cache-control" not in answer:
                    answer["cache-control"] = "no-store"
            await send(message)

        answer = self._refused(scope, headers) or self._token(scope, headers)
        if answer is not None:
            await answer(scope, receive, send_guarded)
            return
        limit = MAX_UPLOAD if scope["path"] == _UPLOADS else MAX_BODY
        length = headers.get("content-length")
        if length is not None and (not re.fullmatch(r"[0-9]{1,15}", length) or int(length) > limit):
            await refusal(413, _too_large(limit))(scope, receive, send_guarded)
            return
        await self._app(scope, _bounded(receive, limit), send_guarded)

    def _refused(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._access.admits(hosts[0]):
            return refusal(
                403, "this is not the address of this server: use the one that `vitsearch serve` printed"
            )
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{hosts[0]}", f"https://{hosts[0]}"):
            return refusal(403, "requests from other pages are refused")
        site = headers.get("sec-fetch-site")
        if site not in (None, "same-origin", "none") and not _is_a_visit(scope, headers):
            return refusal(403, "requests from other pages are refused")
        if scope["method"] not in _READING and headers.get(CHANGE_HEADER) != "1":
            return refusal(403, "a request that changes something needs the header X-Vitsearch: 1")
        if len(scope["query_string"]) > _MAX_QUERY:
            return refusal(400, "the address is too long")
        return None

    def _token(self, scope: Scope, headers: Headers) -> ASGIApp | None:
        token = self._access.token
        if token is None:
            return None
        if any(_same(value, token) for value in _cookies(headers, self._access.cookie)):
            return None
        if _same(headers.get("authorization"), f"Bearer {token}"):
            return None
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = query.pop("token", [""])[0]
        if scope["method"] == "GET" and not scope["path"].startswith("/api/") and _same(given, token):
            rest = urlencode(query, doseq=True)
            # To the page itself: a path taken from the address could lead elsewhere.
            target = f"/?{rest}" if rest else "/"
            answer: Response
            if headers.get("sec-fetch-site") in (None, "none", "same-origin"):
                answer = RedirectResponse(target, status_code=303)
            else:  # from the file that opens the page: a redirect would go on as a visit from there, without the cookie
                answer = HTMLResponse(_ONWARDS.format(escape(target)))
            answer.set_cookie(self._access.cookie, token, httponly=True, samesite="strict", path="/")
            return answer
        return refusal(401, "open the link with the token that `vitsearch serve` printed")


def _too_large(limit: int) -> str:
    return f"that is more than the limit of {limit >> 20} MB"


class BodyTooLarge(HTTPException):
    """A request body exceeds its limit. An HTTPException, because FastAPI passes those on while it reads a body."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, _too_large(limit))


class BodyTooSlow(HTTPException):
    """A request body did not arrive in time."""

    def __init__(self) -> None:
        super().__init__(408, "the request did not arrive in time", headers={"connection": "close"})


def _bounded(receive: Receive, limit: int) -> Receive:
    """Limit the size of a request body, whatever its stated length, and the time in which it must arrive."""
    seconds = UPLOAD_SECONDS if limit == MAX_UPLOAD else BODY_SECONDS
    seen, deadline, complete = 0, None, False

    async def counted() -> Message:
        nonlocal seen, deadline, complete
        if complete:
            return await receive()  # it tells when the other side has gone
        deadline = current_time() + seconds if deadline is None else deadline
        try:
            with fail_after(deadline - current_time()):
                message = await receive()
        except TimeoutError:
            raise BodyTooSlow from None
        complete = not message.get("more_body", False)
        seen += len(message.get("body", b""))
        if seen > limit:
            raise BodyTooLarge(limit)
        return message

    return counted


def _is_a_visit(scope: Scope, headers: Headers) -> bool:
    """Return whether the request is a navigation to the page itself, whose address contains a query and no data."""
    return (
        scope["method"] == "GET"
        and not scope["path"].startswith(("/api", "/static", "/openapi"))
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
    )


def _host_name(host: str | None) -> str | None:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?", host or "", re.ASCII)
    return match[1].strip("[]").lower() if match else None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _cookies(headers: Headers, name: str) -> list[str]:
    """Return the values of our cookie; other programs on localhost may have set cookies of the same name."""
    pairs = (pair.partition("=") for text in headers.getlist("cookie") for pair in text.split(";"))
    return [value.strip().strip('"') for key, _, value in pairs if key.strip() == name]


def _same(given: str | None, secret: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode("utf-8", "replace"), secret.encode("utf-8"))
