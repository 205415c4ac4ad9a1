"""The operations that the server runs in worker processes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryBusy

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.duplicates.find import DuplicateReport
    from vitsearch.records import IndexReport
    from vitsearch.themes import Themes
    from vitsearch.web.services.jobs import Report
    from vitsearch.web.settings import LibrarySettings

# A search that brings its cache up to date holds the write lock for a moment.
_TRIES = 20
_PAUSE = 0.25


def index_folders(
    settings: LibrarySettings,
    folders: tuple[Path, ...],
    retry: bool,
    also: str | None,
    report: Report,
    *,
    model: str | None = None,
) -> IndexReport:
    """Index these folders, or update all indexed ones.

    With a `model` other than the library's, every photo is embedded again, and searches switch when that is complete.
    """
    with settings.open() as library:
        change = model is not None and library.existing_space() is not None
        for left in reversed(range(_TRIES + 1)):
            try:
                return library.index(
                    folders,
                    model=model,
                    change_model=change,
                    also=also,
                    retry=retry,
                    thumbnails=True,
                    on_progress=report,
                )
            except LibraryBusy:
                if not left:
                    raise
                time.sleep(_PAUSE)
    raise AssertionError("unreachable")


def look_for_themes(settings: LibrarySettings, report: Report) -> Themes:
    """Compute the themes of the library."""
    from vitsearch.themes import find_themes

    with settings.open() as library:
        return find_themes(library, on_progress=report)


def look_for_duplicates(settings: LibrarySettings, report: Report) -> DuplicateReport:
    """Find the duplicates of the library, all tiers."""
    from vitsearch.duplicates.find import find_duplicates

    with settings.open() as library:
        return find_duplicates(library, on_progress=report)
