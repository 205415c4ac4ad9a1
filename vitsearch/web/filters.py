"""Photo filters as query parameters of the API and as controls of the page, shared by the grid and the search."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_type_hints

import numpy as np
from fastapi import Depends, Query

from vitsearch.errors import BadQuery
from vitsearch.storage.filters import ALL_PHOTOS, Filter
from vitsearch.web.responses import Day, Folders, Words

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from vitsearch.library import Library

    Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class PhotoFilter:
    """The photos that a request selects. Hashable by value, so that results can be cached."""

    criteria: Filter = ALL_PHOTOS
    head: str | None = None
    label: str | None = None

    def __bool__(self) -> bool:
        return bool(self.criteria or self.label)

    def with_label(self, library: Library) -> Ids | None:
        """Return the ids (n,) of the photos that have the label, or None if no label is set.

        Raises:
            HeadError: there is no such head or label.

        """
        if self.head is None or self.label is None:
            return None
        from vitsearch.heads.labelling import Labeller
        from vitsearch.heads.store import HeadStore

        found = Labeller(HeadStore(library), self.head).photos_with(self.label)
        return np.array([photo for photo, _ in found], np.int64)

    def among(self, library: Library) -> Ids | None:
        """Return the ids (n,) of the photos that match, or None if all do."""
        labelled = self.with_label(library)
        if not self.criteria:
            return labelled
        ids = library.catalog.select(self.criteria)
        return ids if labelled is None else np.intersect1d(ids, labelled)


@dataclass(frozen=True, slots=True)
class Control:
    """How the page shows a filter: as a list of values with a label for "all", as a date, or as a switch.

    A list or a switch needs a `Facet` in `vitsearch.storage.filters`; `words` turns a value into text for people.
    """

    kind: Literal["folder", "list", "date", "switch"]
    label: str
    all: str = ""
    words: Callable[[str], str] = str


def _degrees(place: str) -> str:
    latitude, longitude = map(float, place.split(","))
    return f"{abs(latitude):.1f}° {'NS'[latitude < 0]}, {abs(longitude):.1f}° {'EW'[longitude < 0]}"


def _stars(rating: str) -> str:
    return "★" * int(rating) + ("" if rating == "5" else " or more")


Degrees = Annotated[str | None, Query(pattern=r"^-?[0-9]{1,2}\.[0-9],-?[0-9]{1,3}\.[0-9]$")]
Stars = Annotated[int | None, Query(ge=1, le=5)]


async def _criteria(
    folder: Annotated[Folders, Control("folder", "Folder", "All folders")] = [],  # noqa: B006 - FastAPI copies it
    after: Annotated[Day, Control("date", "Taken from")] = None,
    before: Annotated[Day, Control("date", "before")] = None,
    camera: Annotated[Words, Control("list", "Camera", "All cameras")] = None,
    place: Annotated[Degrees, Control("list", "Place", "All places", _degrees)] = None,
    rating: Annotated[Stars, Control("list", "Rating", "Any rating", _stars)] = None,
    keyword: Annotated[Words, Control("list", "Keyword", "All keywords")] = None,
    favourite: Annotated[bool, Control("switch", "Favourites only")] = False,
) -> Filter:
    # FastAPI makes a parameter of each; all but the first have the names of `Filter`.
    given = {name: value or None for name, value in locals().items() if name != "folder"}
    if any("\0" in name or not Path(name).is_absolute() for name in folder):
        raise BadQuery("a folder is named by its whole path")
    return Filter(tuple(map(Path, folder)), **given)


CONTROLS: dict[str, Control] = {
    name: about
    for name, hint in get_type_hints(_criteria, include_extras=True).items()
    for about in getattr(hint, "__metadata__", ())
    if isinstance(about, Control)
}
"""The controls in the order of the page, by the names of the parameters."""

PARAMETERS = (*CONTROLS, "head", "label")
"""What an address may say of which photos it is about."""


async def _narrowing(
    criteria: Annotated[Filter, Depends(_criteria)],
    head: Annotated[str | None, Query(max_length=200)] = None,
    label: Annotated[str | None, Query(max_length=500)] = None,
) -> PhotoFilter:
    if label and not head:
        raise BadQuery("a label belongs to a head: name it with head=")
    return PhotoFilter(criteria, head or None, label or None)


Narrowed = Annotated[PhotoFilter, Depends(_narrowing)]
