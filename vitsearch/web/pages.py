"""The page: one HTML shell for all views, and its static files, which are read from memory and never by a path."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.responses import Response

from vitsearch import __version__
from vitsearch.web.answers import NotFound, PhotoId

if TYPE_CHECKING:
    from collections.abc import Mapping

router = APIRouter(include_in_schema=False)

_HERE = Path(__file__).parent
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class _Tree:
    """All static files of one moment: their content by relative path, and one hash over all of them."""

    seen: tuple[tuple[str, int, int], ...]
    version: str
    files: Mapping[str, bytes]


class Assets:
    """The shell and the static files. Changed files are taken in when the shell is asked for the next time."""

    def __init__(self, folder: Path = _HERE) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._tree: _Tree | None = None
        self._templates = Environment(
            loader=FileSystemLoader(folder / "templates"), autoescape=select_autoescape(default=True)
        )

    def shell(self) -> str:
        """Return the page's HTML."""
        values = {"static": f"/static/{self.current().version}/", "version": __version__}
        return self._templates.get_template("page.html").render(values)

    def current(self) -> _Tree:
        """Return the static files as they are now."""
        static = self._folder / "static"
        paths = sorted(path for path in static.rglob("*") if path.is_file() and path.suffix in _TYPES)
        stats = [(path, path.stat()) for path in paths]
        seen = tuple(
            (path.relative_to(static).as_posix(), stat.st_size, stat.st_mtime_ns) for path, stat in stats
        )
        with self._lock:
            if self._tree is None or self._tree.seen != seen:
                files = {path.relative_to(static).as_posix(): path.read_bytes() for path in paths}
                digest = blake2b(digest_size=6)
                for name, content in files.items():
                    digest.update(f"{name}\0{len(content)}\0".encode())
                    digest.update(content)
                self._tree = _Tree(seen, digest.hexdigest(), files)
            return self._tree

    def file(self, name: str) -> tuple[bytes, str]:
        """Return a static file and the version of all. Raises `NotFound` for a name that is none of them."""
        tree = self._tree or self.current()
        if name not in tree.files:
            raise NotFound("there is nothing at this address")
        return tree.files[name], tree.version


@router.get("/static/{version}/{name:path}")
async def static(request: Request, version: str, name: str) -> Response:
    """Return a style sheet, a script or an icon."""
    assets: Assets = request.app.state.assets
    content, current = assets.file(name)
    kept = "public, max-age=31536000, immutable" if version == current else "no-cache"
    return Response(content, media_type=_TYPES[Path(name).suffix], headers={"cache-control": kept})


@router.get("/")
@router.get("/search")
@router.get("/duplicates")
@router.get("/labels")
@router.get("/indexing")
def shell(request: Request) -> Response:
    """Return the page; what it shows is in the address."""
    assets: Assets = request.app.state.assets
    return Response(
        assets.shell(), media_type="text/html; charset=utf-8", headers={"cache-control": "no-cache"}
    )


@router.get("/photo/{photo}")
def photo_shell(request: Request, photo: PhotoId) -> Response:
    """Return the page for one photo."""
    del photo
    return shell(request)
