"""The numbers of photos, files and embeddings in a library.

SQLite counts by reading a whole index, which takes seconds at ten million photos, and half a minute from a cold disk.
Slow counts are therefore cached in a file for as long as the database is unchanged.
"""

from __future__ import annotations

import json
import time
import zlib
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.storage import atomic
from vitsearch.storage.layout import Layout
from vitsearch.storage.rows import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vitsearch.storage.catalog import Catalog

# A count that took less is made again each time.
WORTH_KEEPING_SECONDS = 0.1
# File systems tell times no finer than this: what changed later than so long ago may change again and look the same.
_SETTLED_SECONDS = 3.0

# What tells one state of the database's file from another: its size, time in ns, and number.
State = list[int]


@dataclass(frozen=True, slots=True)
class LibraryCounts:
    """The number of files of each root by its id, of present photos, and of embeddings in the main space.

    - `in_spaces`: the number of embeddings in each space in use, by its id.
    - `left`: the number of photos that each additional space lacks, by its id.
    """

    roots: Mapping[int, Counts]
    photos: int
    vectors: int
    in_spaces: Mapping[int, int] = field(default_factory=dict)
    left: Mapping[int, int] = field(default_factory=dict)


def library_counts(catalog: Catalog, *, worth_keeping: float = WORTH_KEEPING_SECONDS) -> LibraryCounts:
    """Count, or return cached counts that are still valid; counting that took `worth_keeping` seconds is cached."""
    database = catalog.database.path
    layout = Layout.of(database.parent)
    kept = layout.counts
    state = _state(database)
    known = _load(kept, state)
    if known is not None:
        return known
    settled = time.time() - state[1] / 1e9 > _SETTLED_SECONDS
    started = time.monotonic()
    counts = _count(catalog)
    if time.monotonic() - started >= worth_keeping and settled and _state(database) == state:
        with suppress(OSError, LibraryError):  # a library that only may be read is counted each time
            _save(layout, state, counts)
    return counts


def _count(catalog: Catalog) -> LibraryCounts:
    roots = {root.id: catalog.counts(root.id, "") for root in catalog.roots()}
    active = catalog.active_space()
    main = [active.id] if active else []
    also = [space for space, _ in catalog.also_spaces()]
    in_spaces = {space: catalog.count_vectors_of_files(space) for space in (*main, *also)}
    return LibraryCounts(
        roots=roots,
        photos=catalog.count_photos([(root, "") for root in roots]),
        vectors=in_spaces[main[0]] if main else 0,
        in_spaces=in_spaces,
        left={space: catalog.count_without_vector(space) for space in also},
    )


def _state(database: Path) -> State:
    info = database.stat()
    return [info.st_size, info.st_mtime_ns, info.st_ino]


def _save(layout: Layout, state: State, counts: LibraryCounts) -> None:
    fields = {
        "state": state,
        "roots": {str(root): asdict(found) for root, found in counts.roots.items()},
        "photos": counts.photos,
        "vectors": counts.vectors,
        "in_spaces": {str(space): count for space, count in counts.in_spaces.items()},
        "left": {str(space): count for space, count in counts.left.items()},
    }
    layout.make_private()
    atomic.write(
        layout.counts, json.dumps({"sum": _sum(fields), **fields}).encode(), durable=False, private=True
    )


def _load(path: Path, state: State) -> LibraryCounts | None:
    """Return what `_save` wrote for this state, or None if it is missing or damaged."""
    try:
        fields = json.loads(path.read_bytes())
        if fields.pop("sum") != _sum(fields) or fields["state"] != state:
            return None
        roots = {int(root): Counts(**found) for root, found in fields["roots"].items()}
        in_spaces, left = (
            {int(space): int(count) for space, count in fields[name].items()}
            for name in ("in_spaces", "left")
        )
        return LibraryCounts(roots, int(fields["photos"]), int(fields["vectors"]), in_spaces, left)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _sum(fields: Mapping[str, object]) -> int:
    return zlib.crc32(json.dumps(fields, sort_keys=True).encode())
