"""What the catalog knows about duplicates: where copies are, what a second look needs, and what was told apart."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from vitsearch.duplicates.group.keep import Candidate
from vitsearch.errors import BadQuery
from vitsearch.photos.perceptual_hash import BYTES, unpacked
from vitsearch.storage.backup import back_up_daily
from vitsearch.storage.database import value_to_path
from vitsearch.storage.filters import Filter
from vitsearch.storage.sql import in_parts, marks

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.photos.perceptual_hash import Words
    from vitsearch.storage.catalog import Catalog

    Ids = npt.NDArray[np.int64]
    # What `files_of` selects after the place, in the order of `Candidate`'s fields.
    _Facts = tuple[int, bytes, int, int, str, int, int, str | None, str | None, str | None]


class Shot(NamedTuple):
    """A photo as a pair of photos is judged by: its first place (None if it has none now) and what is stored.

    `file_hash` is that of the file at this place, as it was indexed.
    """

    path: Path | None
    width: int
    height: int
    taken: str | None
    camera: str | None
    perceptual: bytes | None
    file_hash: bytes | None = None


def present_photos(catalog: Catalog, folders: Sequence[Path] = ()) -> Ids:
    """Return the ids of the photos that are present on roots that are online, below these folders: (n,) ascending.

    Raises:
        LibraryError: a folder was not indexed.

    """
    roots = list(_online(catalog))
    rows = catalog.database.rows(
        f"SELECT DISTINCT photo FROM files WHERE missing = 0 AND photo IS NOT NULL AND root IN ({marks(roots)}) "
        "ORDER BY photo",
        roots,
    )
    photos = np.fromiter((cast("int", row[0]) for row in rows), np.int64, len(rows))
    return np.intersect1d(photos, catalog.select(Filter(tuple(folders)))) if folders else photos


def files_since(catalog: Catalog, since: datetime) -> frozenset[Path]:
    """Return the present files that were first indexed, or had other content, in a run that began since then.

    `since` is local time where it names no zone. Runs that were made before libraries noted times count as earlier.
    """
    online = _online(catalog)
    rows = catalog.database.rows(
        "SELECT f.root, f.path FROM files f JOIN runs r ON r.id = f.added_run "
        "WHERE f.missing = 0 AND f.photo IS NOT NULL AND r.started >= ?",
        [_seconds(since)],
    )
    return frozenset(online[cast("int", root)] / value_to_path(path) for root, path in rows if root in online)


def photos_at(catalog: Catalog, paths: Collection[Path]) -> Ids:
    """Return the ids of the photos that these present files hold: (n,) ascending."""
    online = _online(catalog)
    rows = catalog.database.rows(
        "SELECT photo, root, path FROM files WHERE missing = 0 AND photo IS NOT NULL"
    )
    found = {
        cast("int", photo)
        for photo, root, path in rows
        if root in online and online[cast("int", root)] / value_to_path(path) in paths
    }
    return np.array(sorted(found), np.int64)


def copied_photos(catalog: Catalog) -> Ids:
    """Return the ids of the photos that lie in several places: (n,) ascending."""
    roots = list(_online(catalog))
    rows = catalog.database.rows(
        f"SELECT photo FROM files WHERE missing = 0 AND photo IS NOT NULL AND root IN ({marks(roots)}) "
        "GROUP BY photo HAVING count(*) > 1 ORDER BY photo",
        roots,
    )
    return np.fromiter((cast("int", row[0]) for row in rows), np.int64, len(rows))


def files_of(catalog: Catalog, photos: Iterable[int]) -> list[Candidate]:
    """Return the present files of these photos, in the order of their ids and paths."""
    online = _online(catalog)
    found = []
    for part in in_parts(list(photos)):
        for row in catalog.database.rows(
            "SELECT f.root, f.path, p.id, f.file_hash, f.size, f.mtime_ns, p.format, p.width, p.height, p.taken, "
            "p.camera, p.software FROM files f JOIN photos p ON p.id = f.photo "
            f"WHERE f.missing = 0 AND p.id IN ({marks(part)})",
            part,
        ):
            root, path, *facts = row
            if root in online:
                place = online[cast("int", root)] / value_to_path(path)
                found.append(Candidate(place, *cast("_Facts", tuple(facts))))
    return sorted(found, key=lambda file: (file.photo, file.path))


def shots_of(catalog: Catalog, photos: Iterable[int]) -> dict[int, Shot]:
    """Return what is stored of these photos, by id."""
    online = _online(catalog)
    shots: dict[int, Shot] = {}
    for part in in_parts(list(photos)):
        places: dict[int, tuple[Path, bytes | None]] = {}
        for photo, root, path, file_hash in catalog.database.rows(
            "SELECT photo, root, path, file_hash FROM files "
            f"WHERE missing = 0 AND photo IN ({marks(part)}) ORDER BY id DESC",
            part,
        ):
            if root in online:
                place = online[cast("int", root)] / value_to_path(path)
                places[cast("int", photo)] = place, cast("bytes | None", file_hash)
        for row in catalog.database.rows(
            f"SELECT id, width, height, taken, camera, perceptual FROM photos WHERE id IN ({marks(part)})",
            part,
        ):
            photo = cast("int", row[0])
            facts = cast("tuple[int, int, str | None, str | None, bytes | None]", row[1:])
            found = places.get(photo)
            shots[photo] = Shot(
                None if found is None else found[0], *facts, None if found is None else found[1]
            )
    return shots


def hashes_of(catalog: Catalog, photos: Ids) -> tuple[Ids, Words]:
    """Return the perceptual hashes of these photos, as far as they have one: ids (m,) and words (m, 4) uint64."""
    ids: list[int] = []
    hashes: list[bytes] = []
    for part in in_parts(list(photos)):
        for photo, stored in catalog.database.rows(
            f"SELECT id, perceptual FROM photos WHERE id IN ({marks(part)}) AND length(perceptual) = {BYTES} "
            "ORDER BY id",
            part,
        ):
            ids.append(cast("int", photo))
            hashes.append(cast("bytes", stored))
    return np.array(ids, np.int64), unpacked(hashes)


def dismissed_pairs(catalog: Catalog) -> frozenset[tuple[int, int]]:
    """Return the pairs of photos that a person has told apart, the smaller id first."""
    rows = catalog.database.rows("SELECT first, second FROM not_duplicates")
    return frozenset(cast("tuple[int, int]", row) for row in rows)


def dismissed_for(catalog: Catalog, photo: int) -> tuple[int, ...]:
    """Return the ids of the photos that a person has told apart from this one, ascending."""
    rows = catalog.database.rows(
        "SELECT second FROM not_duplicates WHERE first = ? UNION SELECT first FROM not_duplicates WHERE second = ?",
        [photo, photo],
    )
    return tuple(sorted(cast("int", row[0]) for row in rows if row[0] != photo))


def dismiss(catalog: Catalog, photos: Collection[int]) -> int:
    """Record that no two of these photos are duplicates, or that the copies of a single photo are wanted.

    Returns how many pairs were new.

    Raises:
        BadQuery: the library has no photo with such an id.

    """
    return _change_of_pairs(catalog, photos, "INSERT OR IGNORE INTO not_duplicates VALUES (?, ?)")


def check_dismissible(catalog: Catalog, photos: Collection[int]) -> None:
    """Check that these photos can be dismissed: there must be at least two, or one photo with several files.

    Raises:
        BadQuery: it is one photo with one file.

    """
    chosen = set(photos)
    if len(chosen) == 1 and len(files_of(catalog, chosen)) == 1:
        raise BadQuery(
            f"there is one file of photo {min(chosen)}, and nothing to tell apart: name two photos or more"
        )


def restore(catalog: Catalog, photos: Collection[int]) -> int:
    """Undo `dismiss` for these photos. Returns how many pairs were dismissed.

    Raises:
        BadQuery: the library has no photo with such an id.

    """
    return -_change_of_pairs(catalog, photos, "DELETE FROM not_duplicates WHERE first = ? AND second = ?")


def _change_of_pairs(catalog: Catalog, photos: Collection[int], statement: str) -> int:
    """Run a statement for each pair of these photos; return how many more dismissed pairs there are afterwards."""
    pairs = _pairs_among(catalog, photos)
    back_up_daily(catalog.database)
    with catalog.database.write():
        before = catalog.database.scalar("SELECT count(*) FROM not_duplicates")
        catalog.database.run_many(statement, pairs)
        after = catalog.database.scalar("SELECT count(*) FROM not_duplicates")
    return cast("int", after) - cast("int", before)


def _pairs_among(catalog: Catalog, photos: Collection[int]) -> list[tuple[int, int]]:
    """All pairs of these photos, the smaller id first; of a single one, it with itself."""
    chosen = sorted(set(photos))
    unknown = set(chosen) - set(shots_of(catalog, chosen))
    if unknown:
        raise BadQuery(
            f"the library has no photo {min(unknown)}: take the group from the latest `vitsearch duplicates`"
        )
    return list(combinations(chosen, 2)) if len(chosen) > 1 else [(chosen[0], chosen[0])]


def _seconds(moment: datetime) -> float:
    """Return seconds since 1970; those of the first and last days that there are, whatever the zone."""
    try:
        return moment.timestamp()
    except (ValueError, OverflowError, OSError):
        return moment.replace(tzinfo=UTC).timestamp()


def _online(catalog: Catalog) -> dict[int, Path]:
    return {root.id: root.path for root in catalog.roots() if not root.is_offline()}
