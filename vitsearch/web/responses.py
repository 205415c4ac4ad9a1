"""What all endpoints share: JSON in the command line's format, one-line errors, and validated parameters."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Annotated

from fastapi import Path as PathParameter
from fastapi import Query
from fastapi.exceptions import RequestValidationError
from pydantic import BeforeValidator, Field
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, Response

from vitsearch.errors import (
    HeadMissing,
    LibraryBusy,
    LibraryDamaged,
    LibraryError,
    LibraryMissing,
    PlanError,
    VitsearchError,
)
from vitsearch.jsonable import to_jsonable
from vitsearch.web.malformed import line_about

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

_LOG = logging.getLogger(__name__)
_LARGEST = 2**63 - 1
_STATUS: tuple[tuple[type[VitsearchError], int], ...] = (
    (LibraryMissing, 404),
    (HeadMissing, 404),
    (LibraryBusy, 409),
    (LibraryDamaged, 500),
    (PlanError, 409),
    (VitsearchError, 400),
)


class Answer(Response):
    """A record, or any structure of records, as a JSON response. Names that are not UTF-8 are escaped."""

    media_type = "application/json"

    def render(self, content: object) -> bytes:
        """Encode the content."""
        return to_json(content)


class NotFound(VitsearchError):
    """The requested object is not in the library."""


class Conflict(VitsearchError):
    """The request is not possible in the current state."""


def to_json(value: object) -> bytes:
    """Encode a value as JSON."""
    return json.dumps(to_jsonable(value), separators=(",", ":"), allow_nan=False).encode("ascii")


def refusal(status: int, line: str, headers: Mapping[str, str] | None = None) -> Answer:
    """Return a one-line error response."""
    return Answer({"error": line}, status_code=status, headers=dict(headers) if headers else None)


def handle_errors(app: FastAPI) -> None:
    """Turn all exceptions of endpoints into one-line errors; unexpected ones are logged by the server only."""
    app.add_exception_handler(VitsearchError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unknown)


def status_of(error: Exception) -> int:
    """Return the HTTP status for an error."""
    if isinstance(error, NotFound):
        return 404
    if isinstance(error, Conflict):
        return 409
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 400)


async def _known(_request: Request, error: Exception) -> Response:
    if isinstance(error, LibraryError):
        _LOG.info("%s", error)
    return refusal(status_of(error), str(error))


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    if _is_a_page(request):
        return _page_of_nothing(request)
    return refusal(422, line_about(error.errors(), request.headers.get("content-type", "")))


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404 and _is_a_page(request):
        return _page_of_nothing(request)
    line = {404: "there is nothing at this address", 405: "this address does not take such a request"}
    return refusal(error.status_code, line.get(error.status_code, str(error.detail)), error.headers)


def _is_a_page(request: Request) -> bool:
    """Return whether a browser navigated to this address."""
    return (
        request.method == "GET"
        and not request.url.path.startswith(("/api/", "/static/", "/openapi"))
        and "text/html" in request.headers.get("accept", "")
    )


def _page_of_nothing(request: Request) -> Response:
    """Return the page, which itself says that nothing was found at its address."""
    return HTMLResponse(
        request.app.state.assets.shell, status_code=404, headers={"cache-control": "no-cache"}
    )


async def _unknown(_request: Request, _error: Exception) -> Response:
    return refusal(500, "something went wrong inside; the server's terminal says what")


def _whole_number(value: object) -> object:
    # Python's own `int` takes signs, underscores, spaces and digits of other scripts.
    if isinstance(value, str) and not re.fullmatch(r"[0-9]{1,19}", value, re.ASCII):
        raise ValueError("a whole number is expected")
    return value


PhotoId = Annotated[int, BeforeValidator(_whole_number), PathParameter(ge=1, le=_LARGEST)]
PhotoIds = Annotated[
    list[Annotated[int, BeforeValidator(_whole_number), Field(ge=1, le=_LARGEST)]], Query(max_length=50)
]
Token = Annotated[str, PathParameter(pattern="^[0-9a-f]{32}$")]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Limit = Annotated[int, Query(ge=1, le=1000)]
Day = Annotated[str | None, Query(pattern=r"^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?$")]
Folders = Annotated[list[str], Query(max_length=20)]
Words = Annotated[str | None, Query(max_length=500)]
Name = Annotated[str, PathParameter(max_length=200)]
