"""Overviews of all photos of a library: in sections, by filter value, and details of a single photo."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the HTTP API describes these records from their annotations
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vitsearch.records import PhotoFacts  # noqa: TC001 - as above
from vitsearch.storage.database import path_to_value, value_to_path
from vitsearch.storage.facts import FACTS_SQL, facts_from
from vitsearch.storage.filters import CONDITIONS, FACETS, Facet
from vitsearch.storage.rows import OFFLINE
from vitsearch.storage.sql import marks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from vitsearch.storage.catalog import Catalog

    Ids = npt.NDArray[np.int64]

Arrangement = Literal["date", "folder", "label"]
_MONTHS = "January February March April May June July August September October November December".split()
# A thousand times wider than high is no photo; a layout must not break on one.
_WIDEST = 1000.0


@dataclass(frozen=True, slots=True)
class Section:
    """A titled section of the grid. `key` identifies it, `title` is for people."""

    key: str
    title: str
    count: int


@dataclass(frozen=True, slots=True)
class Grid:
    """Photos in the order of their sections: `ids` (n,) int64 and `ratios` (n,) float64, width / height."""

    sections: tuple[Section, ...]
    ids: Ids
    ratios: npt.NDArray[np.float64]

    @classmethod
    def empty(cls) -> Grid:
        """Return a grid without photos."""
        return cls((), np.empty(0, np.int64), np.empty(0))


@dataclass(frozen=True, slots=True)
class Count:
    """A value of a filter, and how many present photos match it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class Facets:
    """The values to filter by. Folder counts include subfolders; months are newest first.

    `choices`: the values of each filter with a `Facet`, by the filter's name; values without photos are left out.
    """

    folders: tuple[Count, ...]
    months: tuple[Count, ...]
    undated: int
    choices: Mapping[str, tuple[Count, ...]]


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file of a photo, and whether it is present: it may be missing, or its drive offline."""

    path: Path
    bytes: int
    mtime_ns: int
    state: Literal["present", "missing", "offline"]


@dataclass(frozen=True, slots=True)
class PhotoDetails:
    """Everything stored about a photo. `photo_hash` is the hash that identifies it, in hex."""

    photo: int
    photo_hash: str
    facts: PhotoFacts
    files: tuple[PlacedFile, ...]

    @property
    def present(self) -> Path | None:
        """The first file that is present, or None."""
        return next((file.path for file in self.files if file.state == "present"), None)


class Listing:
    """Read-only queries of a catalog for pages that show the whole library."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._database = catalog.database

    def grid(
        self,
        by: Arrangement,
        *,
        among: Ids | None = None,
        labels: Sequence[tuple[str, Ids]] = (),
    ) -> Grid:
        """Arrange the present photos, or those `among` these ids, in sections.

        By date: months, newest first; photos without a date last, by file time. By folder: sorted by path. By label: a
        section for each of `labels` in turn; each photo is in the first one that applies, and the rest come last.
        """
        ids, taken, ratios = self._present(among)
        if by == "folder":
            titles, place = self._by_folder(ids)
        elif by == "label":
            titles, place = _by_label(ids, labels)
        else:
            titles, place = _by_month(taken)
        order = np.argsort(place, kind="stable")
        counts = np.bincount(place, minlength=len(titles)).tolist()
        sections = tuple(
            Section(key, title, count) for (key, title), count in zip(titles, counts, strict=True) if count
        )
        return Grid(sections, ids[order], ratios[order])

    def facets(self) -> Facets:
        """Count the present photos by folder, month, and all filter values."""
        folders: Counter[Path] = Counter()
        roots = self._online()
        for root, base, count in self._folders(list(roots)):
            folder = roots[root] / base
            folders[folder] += count
            for parent in folder.parents if base else ():
                if not parent.is_relative_to(roots[root]):
                    break
                folders[parent] += count
        months = self._counts(Facet("substr(p.taken, 1, 7)"), list(roots), "ORDER BY 1 DESC")
        return Facets(
            tuple(Count(str(folder), count) for folder, count in sorted(folders.items())),
            tuple(Count(str(value), count) for value, count in months if value),
            sum(count for value, count in months if not value),
            {
                name: self._offered(facet, CONDITIONS[name], list(roots))
                if facet.offered
                else self._most_frequent(facet, list(roots))
                for name, facet in FACETS.items()
            },
        )

    def values_of(self, name: str) -> list[str]:
        """Return all values of a filter among the present photos, most frequent first."""
        roots = [root.id for root in self._catalog.roots()]
        found = self._counts(FACETS[name], roots, "HAVING chosen IS NOT NULL ORDER BY 2 DESC, 1")
        return [str(value) for value, _ in found]

    def _most_frequent(self, facet: Facet, roots: list[int]) -> tuple[Count, ...]:
        most = -1 if facet.most is None else facet.most
        found = self._counts(facet, roots, f"HAVING chosen IS NOT NULL ORDER BY 2 DESC, 1 LIMIT {most}")
        return tuple(Count(str(value), count) for value, count in found)

    def _offered(self, facet: Facet, condition: str, roots: list[int]) -> tuple[Count, ...]:
        sums = ", ".join(f"total({condition})" for _ in facet.offered)
        (row,) = self._database.rows(
            f"SELECT {sums} FROM photos p WHERE {self._present_sql(roots)}",
            [*facet.offered, *roots],
            row=tuple[float, ...],
        )
        counts = zip(facet.offered, map(int, row), strict=True)
        return tuple(
            Count("true" if value is True else str(value), count) for value, count in counts if count
        )

    def details(self, photo: int) -> PhotoDetails | None:
        """Return everything stored about a photo, or None if the library has no such photo or no file of it."""
        rows = self._database.rows(
            f"SELECT photo_hash, {FACTS_SQL} FROM photos WHERE id = ?",
            [photo],
            row=tuple[bytes, *tuple[Any, ...]],
        )
        files = self._files(photo)
        if not rows or not files:
            return None
        photo_hash, *facts = rows[0]
        return PhotoDetails(photo, photo_hash.hex(), facts_from(facts), tuple(files))

    def photo_hash(self, photo: int) -> str | None:
        """Return the hash of a photo with a file in the library, in hex, or None."""
        found = self._database.scalar(
            "SELECT photo_hash FROM photos p WHERE id = ? AND EXISTS (SELECT 1 FROM files f WHERE f.photo = p.id)",
            [photo],
            kind=bytes,
        )
        return found.hex() if found is not None else None

    def photo_hash_at(self, path: Path) -> str | None:
        """Return the hash, in hex, of the photo last seen at a path, even if it is missing now; None if unknown."""
        for root in self._catalog.roots():
            if path.is_relative_to(root.path):
                found = self._database.scalar(
                    "SELECT p.photo_hash FROM files f JOIN photos p ON p.id = f.photo WHERE f.root = ? AND f.path = ?",
                    [root.id, path_to_value(path.relative_to(root.path).as_posix())],
                    kind=bytes,
                )
                return found.hex() if found is not None else None
        return None

    def _files(self, photo: int) -> Iterable[PlacedFile]:
        offline = {root.id: (root.path, root.is_offline()) for root in self._catalog.roots()}
        found = []
        for root, path, size, mtime_ns, missing in self._database.rows(
            "SELECT root, path, size, mtime_ns, missing FROM files WHERE photo = ? ORDER BY id",
            [photo],
            row=tuple[int, str | bytes, int, int, int],
        ):
            base, away = offline[root]
            state: Literal["present", "missing", "offline"] = (
                "offline" if away or missing == OFFLINE else "missing" if missing else "present"
            )
            place = base / value_to_path(path)
            found.append(PlacedFile(place, size, mtime_ns, state))
        return found

    def _present(self, among: Ids | None) -> tuple[Ids, list[str | None], npt.NDArray[np.float64]]:
        """Return the present photos, newest first: ids, dates and aspect ratios."""
        roots = self._online()
        rows = self._database.rows(
            f"SELECT id, taken, width, height FROM photos p WHERE {self._present_sql(list(roots))} "
            # What has no date goes by the time of its file, apart from the rest.
            "ORDER BY taken DESC, CASE WHEN taken IS NULL THEN "
            "(SELECT max(mtime_ns) FROM files f WHERE f.photo = p.id) END DESC, id DESC",
            list(roots),
            row=tuple[int, str | None, int, int],
        )
        ids = np.fromiter((row[0] for row in rows), np.int64, len(rows))
        width = np.fromiter((row[2] for row in rows), np.float64, len(rows))
        height = np.fromiter((row[3] for row in rows), np.float64, len(rows))
        ratios = np.clip(width / np.maximum(height, 1), 1 / _WIDEST, _WIDEST).round(3)
        taken = [row[1] for row in rows]
        if among is None:
            return ids, taken, ratios
        keep = np.isin(ids, among)
        return ids[keep], [value for value, kept in zip(taken, keep, strict=True) if kept], ratios[keep]

    def _by_folder(self, ids: Ids) -> tuple[list[tuple[str, str]], npt.NDArray[np.intp]]:
        roots = self._online()
        folder_of: dict[int, Path] = {}
        known: dict[tuple[int, str], Path] = {}
        for photo, root, path in self._database.rows(
            f"SELECT photo, root, path FROM files WHERE missing = 0 AND photo IS NOT NULL AND root IN "
            f"({marks(roots)}) ORDER BY id DESC",
            list(roots),
            row=tuple[int, int, str | bytes],
        ):
            base = value_to_path(path).rpartition("/")[0]
            place = (root, base)
            if place not in known:
                known[place] = roots[place[0]] / base
            folder_of[photo] = known[place]
        folders = sorted(set(known.values()))
        number = {folder: index for index, folder in enumerate(folders)}
        # A photo that came or went since its row was read goes last.
        titles = [(str(folder), folder.name or str(folder)) for folder in folders] + [("", "Elsewhere")]
        place_of = {photo: number[folder] for photo, folder in folder_of.items()}
        last = len(folders)
        return titles, np.fromiter((place_of.get(i, last) for i in ids.tolist()), np.intp, len(ids))

    def _folders(self, roots: list[int]) -> Iterator[tuple[int, str, int]]:
        """Yield root, subfolder and number of present photo files, for each folder that has any."""
        counts: Counter[tuple[int, str]] = Counter()
        for root, path in self._database.rows(
            f"SELECT root, path FROM files WHERE missing = 0 AND photo IS NOT NULL AND root IN ({marks(roots)})",
            roots,
            row=tuple[int, str | bytes],
        ):
            counts[root, value_to_path(path).rpartition("/")[0]] += 1
        for (root_id, base), count in counts.items():
            yield root_id, base, count

    def _counts(self, facet: Facet, roots: list[int], which: str) -> list[tuple[str | None, int]]:
        """Return the values of a facet among present photos, with their counts."""
        rows, counted = (
            ("photos p", "*") if not facet.joined else (f"photos p, {facet.joined}", "DISTINCT p.id")
        )
        return self._database.rows(
            f"SELECT {facet.values} AS chosen, count({counted}) FROM {rows} WHERE {self._present_sql(roots)} "
            f"GROUP BY 1 {which}",
            roots,
            row=tuple[str | None, int],
        )

    def _present_sql(self, roots: Sequence[int]) -> str:
        return f"p.id IN (SELECT photo FROM files WHERE missing = 0 AND root IN ({marks(roots)}))"

    def _online(self) -> dict[int, Path]:
        return {root.id: root.path for root in self._catalog.roots() if not root.is_offline()}


def _by_month(taken: Sequence[str | None]) -> tuple[list[tuple[str, str]], npt.NDArray[np.intp]]:
    months = [value[:7] if value else "" for value in taken]
    order = {month: index for index, month in enumerate(sorted(set(months), reverse=True))}
    titles = [(month, _month_title(month)) for month in order]
    return titles, np.fromiter((order[month] for month in months), np.intp, len(months))


def _month_title(month: str) -> str:
    return f"{_MONTHS[int(month[5:]) - 1]} {month[:4]}" if month else "No date"


def _by_label(
    ids: Ids, labels: Sequence[tuple[str, Ids]]
) -> tuple[list[tuple[str, str]], npt.NDArray[np.intp]]:
    place = np.full(len(ids), len(labels), np.intp)
    for index in range(len(labels) - 1, -1, -1):
        place[np.isin(ids, labels[index][1])] = index
    return [*((label, label) for label, _ in labels), ("", "No label")], place
