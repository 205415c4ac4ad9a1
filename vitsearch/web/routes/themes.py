"""Themes: groups of similar photos, computed in the background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from fastapi import APIRouter
from fastapi import Path as PathParameter
from starlette.responses import Response

from vitsearch.records import Progress
from vitsearch.web.responses import Answer, NotFound
from vitsearch.web.server import Served

if TYPE_CHECKING:
    from vitsearch.library import Library

router = APIRouter(prefix="/api/themes", tags=["themes"])

# Photos that stand for a theme.
_TYPICAL = 5


@dataclass(frozen=True, slots=True)
class ThemePhoto:
    """A photo of a theme."""

    photo: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class ThemeAnswer:
    """A theme: its number of photos, and its most typical photos, most typical first."""

    id: int
    count: int
    typical: tuple[ThemePhoto, ...]


@dataclass(frozen=True, slots=True)
class ThemesAnswer:
    """The themes, largest first; `rest` photos are in none. `stale`: photos were added or removed since."""

    state: Literal["none", "running", "done", "failed"]
    progress: Progress | None
    error: str | None
    stale: bool
    rest: int
    themes: tuple[ThemeAnswer, ...]


@dataclass(frozen=True, slots=True)
class WholeTheme:
    """All photos of a theme, most typical first."""

    id: int
    photos: tuple[ThemePhoto, ...]


@router.get("", response_model=ThemesAnswer)
def themes(server: Served) -> Response:
    """Return the latest themes at once, even while new ones are computed."""
    with server.libraries.library() as library:
        found, stale = server.themes.known(library)
        shown = () if found is None else found.themes
        typical = _shown(library, [int(one) for theme in shown for one in theme.photos[:_TYPICAL]])
    return Answer(
        ThemesAnswer(
            server.themes.state(found),
            server.themes.progress,
            server.themes.error,
            stale,
            0 if found is None else found.rest,
            tuple(
                ThemeAnswer(
                    theme.id,
                    len(theme.photos),
                    tuple(typical[int(one)] for one in theme.photos[:_TYPICAL] if int(one) in typical),
                )
                for theme in shown
            ),
        )
    )


@router.post("/find", status_code=202)
def find(server: Served) -> Response:
    """Start computing themes in a worker process."""
    with server.libraries.library():  # none without a library
        server.themes.start()
    return Answer({"state": "running"}, status_code=202)


@router.get("/{theme}", response_model=WholeTheme)
def whole(server: Served, theme: Annotated[int, PathParameter(ge=1, lt=2**31)]) -> Response:
    """Return all photos of a theme."""
    with server.libraries.library() as library:
        found, _ = server.themes.known(library)
        chosen = next((one for one in (() if found is None else found.themes) if one.id == theme), None)
        if chosen is None:
            raise NotFound(f"there is no theme {theme} any more")
        ids = [int(one) for one in chosen.photos]
        known = _shown(library, ids)
    return Answer(WholeTheme(theme, tuple(known[one] for one in ids if one in known)))


def _shown(library: Library, photos: list[int]) -> dict[int, ThemePhoto]:
    rows = library.catalog.photos(photos)
    return {photo: ThemePhoto(photo, row.facts.width, row.facts.height) for photo, row in rows.items()}
