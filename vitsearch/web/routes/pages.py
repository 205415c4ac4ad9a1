"""The page: one HTML shell for all views, and its static files, served from memory and never by path."""

from __future__ import annotations

from dataclasses import asdict
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter, Request
from jinja2 import Environment, FileSystemLoader, select_autoescape
from starlette.responses import Response

from vitsearch.duplicates.tiers import RECORDS as TIERS
from vitsearch.version import VERSION
from vitsearch.web.filters import PARAMETERS
from vitsearch.web.responses import NotFound, PhotoId

router = APIRouter(include_in_schema=False)
static_router = APIRouter(include_in_schema=False)

_HERE = Path(__file__).parents[1]
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class Assets:
    """The shell and the static files, read once at start-up."""

    def __init__(self, folder: Path = _HERE, *, page: str = "page.html") -> None:
        static = folder / "static"
        self._files = {
            path.relative_to(static).as_posix(): path.read_bytes()
            for path in sorted(static.rglob("*"))
            if path.is_file() and path.suffix in _TYPES
        }
        digest = blake2b(digest_size=6)
        for name, content in self._files.items():
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        self.version = digest.hexdigest()
        """A hash over all files, which their addresses carry so that browsers may keep them."""
        templates = Environment(
            loader=FileSystemLoader(folder / "templates"), autoescape=select_autoescape(default=True)
        )
        templates.policies["json.dumps_kwargs"] = {"sort_keys": False}  # the order of tiers is theirs
        values = {
            "static": f"/static/{self.version}/",
            "version": VERSION,
            "filters": PARAMETERS,
            "tiers": {tier: asdict(record) for tier, record in TIERS.items()},
        }
        self.shell = templates.get_template(page).render(values)
        """The page's HTML."""

    def file(self, name: str) -> bytes:
        """Return a static file.

        Raises:
            NotFound: no static file has this name.

        """
        if name not in self._files:
            raise NotFound("there is nothing at this address")
        return self._files[name]


@static_router.get("/static/{version}/{name:path}")
async def static(request: Request, version: str, name: str) -> Response:
    """Return a style sheet, a script or an icon."""
    assets: Assets = request.app.state.assets
    content = assets.file(name)
    kept = "public, max-age=31536000, immutable" if version == assets.version else "no-cache"
    return Response(content, media_type=_TYPES[Path(name).suffix], headers={"cache-control": kept})


@router.get("/")
@router.get("/search")
@router.get("/duplicates")
@router.get("/labels")
@router.get("/themes")
@router.get("/indexing")
def shell(request: Request) -> Response:
    """Return the page; its address says what it shows."""
    assets: Assets = request.app.state.assets
    return Response(
        assets.shell, media_type="text/html; charset=utf-8", headers={"cache-control": "no-cache"}
    )


@router.get("/photo/{photo}")
def photo_shell(request: Request, photo: PhotoId) -> Response:
    """Return the page for one photo."""
    del photo
    return shell(request)
