"""Which photos a search is about: each filter is declared once, with the condition that SQLite checks."""

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
    """What there is to choose from for a filter, as a list on a page needs it.

    `values`: SQL of what a photo `p` has, NULL where it has nothing; `joined`: a table in which it may have several.
    The `most` frequent ones are offered, the most frequent first. Or `offered`: the values that are offered, in this
    order, each with the number of photos that the filter's own condition keeps.
    """

    values: str = ""
    joined: str = ""
    most: int | None = 300
    offered: tuple[Value, ...] = ()


def _about_photo(sql: str, *, in_stores: bool = False, facet: Facet | None = None) -> Any:  # noqa: ANN401 - as dataclasses.field
    """A filter on the row `p` of a photo; it keeps everything where it is not given.

    `in_stores`: engines hold what it asks for, so that the stores they make can answer it.
    """
    return field(default=None, metadata={"sql": sql, "in_stores": in_stores, "facet": facet})


@dataclass(frozen=True, slots=True)
class Filter:
    """Which photos a search is about. Dates are ISO text, compared by prefix; `camera` is part of its name.

    `keyword` is one of the photo's keywords, in any case; `rating` the least one, 1 to 5; `place` a
    latitude and longitude with one digit each, as "48.2,16.4"; `favourite` whether it is one.

    `folders`: made absolute, as a person wrote them. Photos are below such a folder by the path that they were found
    under, or by that which the folder has once its links are followed.
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
        """Take folders as people give them: text, relative, one alone."""
        given = self.folders
        named = (given,) if isinstance(given, (str, os.PathLike)) else given
        object.__setattr__(self, "folders", tuple(map(absolute_path, named)))

    @property
    def places(self) -> tuple[Path, ...]:
        """The folders by all of their names. Links are followed on disk each time: ask once for many photos."""
        return names_of(self.folders)

    def asked(self) -> list[str]:
        """Return the names of the filters that are given."""
        return [one.name for one in fields(self) if getattr(self, one.name) not in (None, "", ())]

    def about_photos(self) -> tuple[list[str], list[Value]]:
        """Return the SQL conditions for a photo's facts and their values."""
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
    """Return the condition for files `f` at or below one of these folders; roots are given by id and path.

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
    """Return the condition for the files below a subfolder of a root ("" for all of it).

    Ranges, so that SQLite's index on (root, path) is used: all that is below `a/b/` comes before `a/b0`. Names that
    are not UTF-8 are stored as BLOBs, which never equal text.
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
