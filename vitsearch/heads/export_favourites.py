"""Export favourites for other programs: five-star ratings in sidecars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.errors import HeadError
from vitsearch.heads.xmp_rating import take_rating_back, write_rating
from vitsearch.paths import REPLACED
from vitsearch.photos.sidecars import SidecarFolders
from vitsearch.records import UnreadableFile
from vitsearch.storage.favourites import Favourites
from vitsearch.storage.filters import Filter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.library import Library

STARS = 5
_PHOTOS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True)
class RatedFiles:
    """How many sidecars were changed, how many had five stars already, and those that could not be written.

    `taken_back`: how many former favourites got their previous rating back.
    """

    changed: int
    unchanged: int
    failed: tuple[UnreadableFile, ...]
    taken_back: int = 0


def export_favourites(library: Library) -> RatedFiles:
    """Write five stars (xmp:Rating) to the sidecars of all files of all favourites; the photos are not touched.

    Stars of photos that are no longer favourites are removed again.
    """
    changed = unchanged = taken_back = 0
    failed: list[UnreadableFile] = []
    folders = SidecarFolders()
    for path, is_favourite, is_replaced in _files(library):
        try:
            if is_replaced:
                # The stars of a photo do not go to another one that has its name by now.
                failed += [UnreadableFile(path, REPLACED)] if is_favourite else []
            elif is_favourite:
                new = write_rating(path, STARS, folders=folders)
                changed += new
                unchanged += not new
            else:
                taken_back += take_rating_back(path, folders=folders)
        except (HeadError, OSError) as error:  # a name with no room for `.xmp` too
            failed.append(UnreadableFile(path, str(error)))
    return RatedFiles(changed, unchanged, tuple(failed), taken_back)


def _files(library: Library) -> Iterator[tuple[Path, bool, bool]]:
    """The files of all photos, favourites first, whether they are of one, and whether they are others by now."""
    favourites = Favourites(library.catalog.database).ids().tolist()
    others = sorted(set(library.catalog.select(Filter()).tolist()).difference(favourites))
    for photos, is_favourite in ((favourites, True), (others, False)):
        for start in range(0, len(photos), _PHOTOS_AT_ONCE):
            part = photos[start : start + _PHOTOS_AT_ONCE]
            replaced = library.catalog.replaced_files(part)
            for row in library.catalog.photos(part).values():
                for path in row.paths:
                    yield path, is_favourite, path in replaced
