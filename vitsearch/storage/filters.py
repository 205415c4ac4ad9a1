"""Photo filters: each is declared once, with its SQL condition."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from vitsearch.errors import LibraryError
from vitsearch.paths import absolute_path, names_of
from vitsearch.storage.database import Value, path_to_value

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

Condition = tuple[str, list[Value]]
"""SQL and the values of its question marks."""


@dataclass(frozen=True, slots=True)
class Facet:
    """The values that a page can offer for a filter.

    Either `values`, an SQL expression for the value of a photo `p` (NULL if it has none), with an optional table
    `joined` for photos with several values; the `most` frequent values are offered, most frequent first. Or `offered`:
    a fixed list of values, each shown with the number of photos that match.
    """

    values: str = ""
    joined: str = ""
    most: int | None = 300
    offered: tuple[Value, ...] = ()


def _about_photo(sql: str, *, in_stores: bool = False, facet: Facet | None = None) -> Any:  # noqa: ANN401 - as dataclasses.field
    """Declare a filter on the row `p` of a photo; it matches everything if it is not set.

    `in_stores`: external stores hold this field and can apply the filter.
    """
    return field(default=None, metadata={"sql": sql, "in_stores": in_stores, "facet": facet})


@dataclass(frozen=True, slots=True)
class Filter:
    """Conditions on the photos of a search; a photo must meet all that are set.

    - `folders`: photos in or below one of these folders. Paths are made absolute, and match with or without their
      symbolic links resolved.
    - `after`: taken on this ISO date or later: "2024", "2024-05" or "2024-05-17".
    - `before`: taken before this date.
    - `camera`: a part of the camera's name.
    - `keyword`: one of the photo's keywords; case does not matter.
    - `rating`: the lowest rating, 1 to 5.
    - `place`: latitude and longitude with one decimal each: "48.2,16.4".
    - `favourite`: whether the photo is a favourite.
    """

    folders: tuple[Path, ...] = field(default=(), metadata={"in_stores": True})
    after: str | None = _about_photo("p.taken >= ?", in_stores=True)
    before: str | None = _about_photo("p.taken < ?", in_stores=True)
    camera: str | None = _about_photo(
        "instr(lower(p.camera), lower(?)) > 0", in_stores=True, facet=Facet("p.camera", most=None)
    )
    keyword: str | None = _about_photo(
        "EXISTS (SELECT 1 FROM json_each(p.keywords) k WHERE casefolded(k.value) = casefolded(?))",
        facet=Facet("CASE k.type WHEN 'text' THEN k.value END", "json_each(p.keywords) k"),
    )
    rating: int | None = _about_photo("p.rating >= ?", facet=Facet(offered=(5, 4, 3, 2, 1)))
    place: str | None = _about_photo(
        "printf('%.1f,%.1f', p.latitude, p.longitude) = ?",
        facet=Facet(
            "CASE WHEN p.latitude + p.longitude IS NOT NULL THEN printf('%.1f,%.1f', p.latitude, p.longitude) END"
        ),
    )
    favourite: bool | None = _about_photo(
        "(p.photo_hash IN (SELECT photo_hash FROM favourites)) = ?", facet=Facet(offered=(True,))
    )

    def __post_init__(self) -> None:
        """Accept folders as callers pass them: as strings, relative, or a single one."""
        given = self.folders
        named = (given,) if isinstance(given, (str, os.PathLike)) else given
        object.__setattr__(self, "folders", tuple(map(absolute_path, named)))

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders, also with symbolic links resolved. This accesses the disk: read it once for many photos."""
        return names_of(self.folders)

    def asked(self) -> list[str]:
        """Return the names of the conditions that are set."""
        return [one.name for one in fields(self) if getattr(self, one.name) not in (None, "", ())]

    def about_photos(self) -> tuple[list[str], list[Value]]:
        """Return the SQL conditions on the photo row, and their values."""
        asked = [name for name in self.asked() if name in CONDITIONS]
        return [CONDITIONS[name] for name in asked], [getattr(self, name) for name in asked]

    def __bool__(self) -> bool:
        return bool(self.asked())


CONDITIONS: dict[str, str] = {
    one.name: one.metadata["sql"] for one in fields(Filter) if "sql" in one.metadata
}
"""The SQL conditions on a photo, by the names of the filters."""

FACETS: dict[str, Facet] = {one.name: facet for one in fields(Filter) if (facet := one.metadata.get("facet"))}
"""What there is to choose from, by the names of the filters."""

IN_STORES = frozenset(one.name for one in fields(Filter) if one.metadata["in_stores"])
"""The names of the filters that stores hold."""

ALL_PHOTOS = Filter()


def inside(folders: Sequence[Path], roots: Iterable[tuple[int, Path]]) -> Condition:
    """Return the SQL condition for files `f` in or below these folders; roots are (id, path) pairs.

    Raises:
        LibraryError: a folder is in no root.

    """
    known = list(roots)
    return _any_of([_inside_one(folder, known) for folder in folders])


def _inside_one(folder: Path, roots: Sequence[tuple[int, Path]]) -> Condition:
    conditions: list[Condition] = []
    places = names_of([folder])
    for root, path in roots:
        for place in places:
            if path.is_relative_to(place):
                conditions.append(("f.root = ?", [root]))
            elif place.is_relative_to(path):
                conditions.append(below(root, f"{place.relative_to(path).as_posix()}/"))
    if not conditions:
        raise LibraryError(f"{folder} is in no folder that was indexed: see `vitsearch roots list`")
    return _any_of(conditions)


def _any_of(conditions: Sequence[Condition]) -> Condition:
    return f"({' OR '.join(sql for sql, _ in conditions)})", [v for _, values in conditions for v in values]


def below(root: int, folder: str) -> Condition:
    """Return the SQL condition for the files below a subfolder of a root; "" is the whole root.

    The condition is a range so that SQLite can use the index on (root, path): everything below `a/b/` sorts before
    `a/b0`. Names that are not UTF-8 are stored as BLOBs, which never equal text, so both types are compared.
    """
    if not folder:
        return "root = ?", [root]
    first = os.fsencode(folder)
    last = first[:-1] + bytes([first[-1] + 1])
    ranges: list[Value] = [root, first, last]
    sql = "(root = ? AND path >= ? AND path < ?)"
    if isinstance(path_to_value(folder), bytes):
        return sql, ranges
    return f"({sql} OR {sql})", [*ranges, root, folder, last.decode()]
