"""Favourites for other programs: five stars in the sidecar files beside the photos."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.errors import HeadError
from vitsearch.heads.xmp import write_rating
from vitsearch.photos.sidecars import SidecarFolders
from vitsearch.records import UnreadableFile
from vitsearch.storage.favourites import Favourites

if TYPE_CHECKING:
    from vitsearch.library import Library

STARS = 5


@dataclass(frozen=True, slots=True)
class RatedFiles:
    """How many sidecars got their stars, how many had them already, and those that could not be written."""

    changed: int
    unchanged: int
    failed: tuple[UnreadableFile, ...]


def export_favourites(library: Library) -> RatedFiles:
    """Write five stars (xmp:Rating) into the sidecar of each file of each favourite; the photos are not touched."""
    rows = library.catalog.photos(Favourites(library.catalog.database).ids().tolist())
    changed = unchanged = 0
    failed: list[UnreadableFile] = []
    folders = SidecarFolders()
    for row in rows.values():
        for path in row.paths:
            try:
                new = write_rating(path, STARS, folders=folders)
            except (HeadError, OSError) as error:  # a name with no room for `.xmp` too
                failed.append(UnreadableFile(path, str(error)))
                continue
            changed += new
            unchanged += not new
    return RatedFiles(changed, unchanged, tuple(failed))
