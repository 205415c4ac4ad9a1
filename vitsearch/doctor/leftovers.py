"""Files in a library's folder that nobody needs any more: what killed runs left, and caches of what is gone."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, cast

from vitsearch.neighbour_files import MANIFEST, StaleCache, read_manifest
from vitsearch.scan import LIBRARY_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.catalog import Catalog

# Heads and pictures are written without the lease, within milliseconds: an older temporary file is nobody's.
_YOUNG_SECONDS = 60.0
_PAYLOAD = re.compile(r"[0-9a-f]{64}")


def abandoned(folder: Path, catalog: Catalog) -> list[Path]:
    """Return the files that can go, sorted. Holding the lease makes sure that no run still needs one.

    Only what vitsearch itself made is ever named: files that it does not know are a person's.
    """
    found = [*folder.glob(f"{LIBRARY_FILE}.*.partial"), *_temporary_heads(folder)]
    found += _neighbours(folder / "neighbours", catalog)
    found += _thumbnails(folder / "thumbnails", catalog)
    return sorted(found)


def kept_copies(folder: Path) -> list[Path]:
    """Return the databases that upgrades and repairs have kept, sorted; they are a person's to delete."""
    return sorted(
        [*folder.glob(f"{LIBRARY_FILE}.format-*.backup"), *folder.glob(f"{LIBRARY_FILE}.damaged-*")]
    )


def _temporary_heads(folder: Path) -> Iterator[Path]:
    now = time.time()
    for path in (folder / "heads").glob(".*.tmp"):
        if _is_old(path, now):
            yield path


def _neighbours(folder: Path, catalog: Catalog) -> Iterator[Path]:
    dimensions = {str(stored.id): stored.space.dimension for stored in catalog.spaces()}
    for space in sorted(folder.iterdir()) if folder.is_dir() else ():
        if not space.is_dir():
            continue
        kept: set[str] = set()
        if space.name in dimensions:
            try:
                kept = {MANIFEST, *read_manifest(space, dimension=dimensions[space.name]).files}
            except StaleCache:
                # It is built again in another place: none of its files will be needed.
                kept = {MANIFEST}
        for pattern in (
            MANIFEST,
            "rows-*.f16",
            "ids-*.i64",
            "removed-*.bits",
            "cells-*.faiss",
            "manifest-*.tmp",
        ):
            yield from (path for path in space.glob(pattern) if path.name not in kept)


def _thumbnails(folder: Path, catalog: Catalog) -> Iterator[Path]:
    if not folder.is_dir():
        return
    pictured = {cast("bytes", row[0]).hex() for row in catalog.database.rows("SELECT payload FROM photos")}
    now = time.time()
    for path in folder.glob("*/*"):
        payload = path.parent.name + path.name.partition("-")[0]
        is_ours = _PAYLOAD.fullmatch(payload) and path.is_file()
        if is_ours and (payload not in pictured or path.suffix == ".partial") and _is_old(path, now):
            yield path


def _is_old(path: Path, now: float) -> bool:
    # A file from the future was written before the clock was set back.
    return not 0 <= now - path.stat().st_mtime < _YOUNG_SECONDS
