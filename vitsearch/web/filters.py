"""The filters that the grid and the search share: folder, dates, camera, label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
from fastapi import Depends, Query

from vitsearch.errors import BadQuery
from vitsearch.storage.filters import ALL_PHOTOS, Filter
from vitsearch.web.responses import Day, Folders, Words

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.library import Library

    Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Narrowing:
    """Which photos a request is about. Equal ones compare equal, so that answers can be remembered by them."""

    criteria: Filter = ALL_PHOTOS
    head: str | None = None
    label: str | None = None

    def __bool__(self) -> bool:
        return bool(self.criteria or self.label)

    def with_label(self, library: Library) -> Ids | None:
        """Return the ids (n,) of the photos that have the label, or None where none is asked for.

        Raises:
            HeadError: there is no such head or label.

        """
        if self.head is None or self.label is None:
            return None
        from vitsearch.heads.labelling import Labeller
        from vitsearch.heads.store import HeadShelf

        found = Labeller(HeadShelf(library), self.head).photos_with(self.label)
        return np.array([photo for photo, _ in found], np.int64)

    def among(self, library: Library) -> Ids | None:
        """Return the ids (n,) of the photos that pass, or None where all do."""
        labelled = self.with_label(library)
        if not self.criteria:
            return labelled
        ids = library.catalog.select(self.criteria)
        return ids if labelled is None else np.intersect1d(ids, labelled)


async def _narrowing(
    folder: Folders = [],  # noqa: B006 - FastAPI copies it
    after: Day = None,
    before: Day = None,
    camera: Words = None,
    keyword: Words = None,
    rating: Annotated[int | None, Query(ge=1, le=5)] = None,
    place: Annotated[str | None, Query(pattern=r"^-?[0-9]{1,2}\.[0-9],-?[0-9]{1,3}\.[0-9]$")] = None,
    favourite: bool = False,
    head: Annotated[str | None, Query(max_length=200)] = None,
    label: Annotated[str | None, Query(max_length=500)] = None,
) -> Narrowing:
    if label and not head:
        raise BadQuery("a label belongs to a head: name it with head=")
    if any("\0" in name or not Path(name).is_absolute() for name in folder):
        raise BadQuery("a folder is named by its whole path")
    criteria = Filter(
        tuple(map(Path, folder)),
        after=after or None,
        before=before or None,
        camera=camera or None,
        keyword=keyword or None,
        rating=rating,
        place=place or None,
        favourite=favourite or None,
    )
    return Narrowing(criteria, head or None, label or None)


Narrowed = Annotated[Narrowing, Depends(_narrowing)]
