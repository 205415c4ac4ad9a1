"""Favourites as ratings in XMP sidecars, which photo programs read.

The previous rating is recorded in the sidecar, as "5/3" in a list of vitsearch's own: a photo that is no longer a
favourite gets it back, unless the stars have been changed since.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vitsearch.heads.sidecar_editing import (
    OURS,
    bag,
    find_list,
    first_description,
    items_of,
    may_have_notes,
    new_list,
    rewritten,
)
from vitsearch.heads.xmp_outline import Document, Edit, Element, insert
from vitsearch.photos.sidecars import SidecarFolders

if TYPE_CHECKING:
    from pathlib import Path

_XMP = "http://ns.adobe.com/xap/1.0/"
_RATING = (_XMP, "Rating")
_NOTED = (OURS, "Ratings")
_ATTRIBUTE = re.compile(rb"\s([^\s=]+)\s*=\s*(\"[^\"]*\"|'[^']*')")


def write_rating(photo: Path, stars: int, *, folders: SidecarFolders | None = None) -> bool:
    """Put a rating of 1 to 5 stars into a photo's sidecar; everything else in it stays. Returns whether it is new.

    Raises `HeadError` as `write_labels`.
    """

    def edits_of(document: Document, path: Path) -> list[Edit]:
        return _rating_edits(document, path, str(stars))

    return rewritten(photo, edits_of, folders or SidecarFolders()).is_new


def take_rating_back(photo: Path, *, folders: SidecarFolders | None = None) -> bool:
    """Give a photo's sidecar the rating back that `write_rating` replaced, or none; return whether that changed it.

    One that somebody has changed since stays. Raises `HeadError` as `write_labels`.
    """
    places = folders or SidecarFolders()
    if not places.has_sidecar(photo) or not may_have_notes(places.sidecar_path(photo)):
        return False
    taken_back = False

    def edits_of(document: Document, _path: Path) -> list[Edit]:
        nonlocal taken_back
        notes = find_list(document.root, _NOTED)
        taken_back = False
        if notes is None:
            return []
        edits = [document.removal(notes)]
        written, _, former = next((note for _, note in items_of(notes)), "/").partition("/")
        found = _Rating.of(document)
        if found is not None and found.value == written != former:
            taken_back = True
            edits.append(found.replaced(document, former))
        return edits

    rewritten(photo, edits_of, places)
    return taken_back


class _Rating:
    """An existing rating: an element, or an attribute whose quoted value is at `start` to `end`."""

    def __init__(self, value: str, element: Element | None, span: tuple[int, int, int] = (0, 0, 0)) -> None:
        self.value, self._element, self._span = value, element, span

    @classmethod
    def of(cls, document: Document) -> _Rating | None:
        for element in document.root.walk():
            if element.name == _RATING:
                return cls(element.text.strip(), element)
            if _RATING in element.attributes:
                prefix, value = element.attributes[_RATING]
                name = f"{prefix}:{_RATING[1]}".encode()
                # One attribute after the other: the value of another one may look like it.
                found = next(
                    one
                    for one in _ATTRIBUTE.finditer(document.content, element.start, element.inner)
                    if one[1] == name
                )
                return cls(value.strip(), None, (found.start(), found.start(2), found.end(2)))
        return None

    def replaced(self, document: Document, value: str) -> Edit:
        """Return the edit that changes its value, or removes it if the value is ""."""
        element = self._element
        if element is None:
            name, start, end = self._span
            return Edit(start, end, f'"{value}"'.encode()) if value else Edit(name, end, b"")
        if not value:
            return document.removal(element)
        if element.empty:
            return insert(element, value, at=element.close)
        return Edit(element.inner, element.close, value.encode())


def _rating_edits(document: Document, path: Path, stars: str) -> list[Edit]:
    """Change the rating that is there, or put one into the first rdf:Description, and note what was there."""
    found = _Rating.of(document)
    if found is not None and found.value == stars:
        return []
    parent, noted = first_description(document.root, path), find_list(document.root, _NOTED)
    note = [f"{stars}/{found.value if found else ''}"]
    edits, new = [], ""
    if found is not None:
        edits.append(found.replaced(document, stars))
    else:
        new = f'\n   <xmp:Rating xmlns:xmp="{_XMP}">{stars}</xmp:Rating>'
    if noted is None:
        new += new_list("vitsearch", _NOTED, note)
    elif noted.empty:
        edits.append(insert(noted, bag(note), at=noted.close))
    else:
        edits.append(Edit(noted.inner, noted.close, bag(note).encode()))
    if new:
        edits.append(insert(parent, f"{new}\n  ", at=parent.close))
    return edits
