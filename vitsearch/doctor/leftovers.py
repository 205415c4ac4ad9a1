"""Files in a library's folder that are not needed any more: leftovers of killed runs, and outdated caches."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from vitsearch.neighbours.files import BACKGROUND, MANIFEST, StaleCache, read_manifest
from vitsearch.storage import atomic
from vitsearch.storage.layout import (
    LIBRARY_FILE,
    SEARCH_CACHE_FILES,
    SHARD_FILES,
    TEMPORARY_FILES,
    THUMBNAIL_FILES,
    UPLOAD_FILES,
    Layout,
    made_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.storage.catalog import Catalog

# Pictures are written without the write lock, within milliseconds.
_YOUNG_SECONDS = 60.0


def abandoned(folder: Path, catalog: Catalog) -> list[Path]:
    """Return the files that can be deleted, sorted. Hold the write lock, so that no run still needs one.

    Only vitsearch's own files in the library's private folder are included.
    """
    layout = Layout.of(folder)
    now = time.time()
    found = [*_neighbours(layout, catalog)]
    found += [path for path in _thumbnails(layout, catalog) if _is_old(path, now)]
    found += [path for path in _unfinished(layout) if _is_old(path, now)]
    return sorted(found)


def kept_copies(folder: Path) -> list[Path]:
    """Return the database copies left by upgrades and repairs, sorted; the user may delete them."""
    layout = Layout.of(folder)
    earlier = [f"{LIBRARY_FILE}.format-*.backup", f"{LIBRARY_FILE}.damaged-*"]
    copies = [path for pattern in earlier for path in layout.home.glob(pattern)]
    return sorted([*copies, *layout.backups.glob(f"{LIBRARY_FILE}.*")])


def _neighbours(layout: Layout, catalog: Catalog) -> Iterator[Path]:
    dimensions = {str(stored.id): stored.space.dimension for stored in catalog.spaces()}
    folder = layout.search_caches
    for space in sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else ():
        kept: set[str] = set()
        if space.name in dimensions:
            try:
                kept = {MANIFEST, BACKGROUND, *read_manifest(space, dimension=dimensions[space.name]).files}
            except StaleCache:
                # It is built again in another place: none of its files will be needed.
                kept = {MANIFEST}
        yield from (path for path in made_files(space, SEARCH_CACHE_FILES) if path.name not in kept)


def _thumbnails(layout: Layout, catalog: Catalog) -> Iterator[Path]:
    folder = layout.thumbnails
    if not folder.is_dir() or folder.is_symlink():
        return
    hashes = catalog.database.rows("SELECT photo_hash FROM photos", row=tuple[bytes])
    pictured = {photo_hash.hex() for (photo_hash,) in hashes}
    for part in folder.iterdir():
        for path in made_files(part, THUMBNAIL_FILES):
            named = THUMBNAIL_FILES.fullmatch(path.name)
            assert named is not None
            if named["partial"] or part.name + named["rest"] not in pictured:
                yield path


def _unfinished(layout: Layout) -> Iterator[Path]:
    yield from made_files(layout.temporaries, TEMPORARY_FILES)
    for folder, pattern in ((layout.uploads, UPLOAD_FILES), (layout.shards, SHARD_FILES)):
        for path in made_files(folder, pattern):
            named = pattern.fullmatch(path.name)
            if named is not None and named["partial"]:
                yield path
    places = (layout.private, layout.heads, layout.plans, layout.uploads, layout.shards)
    for place in (*places, *layout.search_caches.glob("*/"), *layout.thumbnails.glob("*/")):
        yield from atomic.abandoned(place)


def _is_old(path: Path, now: float) -> bool:
    # A file from the future was written before the clock was set back.
    try:
        return not 0 <= now - os.lstat(path).st_mtime < _YOUNG_SECONDS
    except FileNotFoundError:  # it was still being written, and has its name by now
        return False
