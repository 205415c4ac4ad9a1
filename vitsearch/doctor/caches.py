"""Verify the search cache of a space against the database."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import LibraryDamaged
from vitsearch.neighbours.neighbours import Neighbours, StaleCache
from vitsearch.storage.layout import Layout

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.doctor.findings import State
    from vitsearch.storage.catalog import Catalog
    from vitsearch.storage.vectors import SpaceContents


def is_cached(folder: Path, stored: SpaceContents) -> bool:
    """Return whether a space has a search cache, or will have one after the next search."""
    return stored.active or stored.also or _cache_folder(folder, stored).is_dir()


def cache_state(folder: Path, catalog: Catalog, stored: SpaceContents) -> tuple[State, str]:
    """Verify all of a space's cache: compare each id and each row with the database.

    An outdated cache is a "note", because every search checks for that. Everything else is "wrong", because searches
    trust the cache.
    """
    try:
        cached = Neighbours.load(
            _cache_folder(folder, stored), dimension=stored.space.dimension, thorough=True
        )
        if cached.generation == catalog.generation(stored.id):
            difference = _difference(catalog, stored, cached)
            if difference is not None and cached.generation == catalog.generation(stored.id):
                return "wrong", difference
    except StaleCache as error:
        return ("note" if error.reason == "there is none yet" else "wrong"), error.reason
    except LibraryDamaged:
        return "note", "not compared: see the vectors"
    except (OSError, ValueError, RuntimeError) as error:
        return "wrong", f"it cannot be read ({error})"[:200]
    if cached.generation != catalog.generation(stored.id):
        return "note", "behind the database"
    return "ok", "current, with the vectors of the database"


def _difference(catalog: Catalog, stored: SpaceContents, cached: Neighbours) -> str | None:
    ids = catalog.embedded_ids(stored.id)
    if not np.array_equal(ids, cached.ids()):
        return f"its {len(cached):,} photos are not the {len(ids):,} of the database"
    for photos, rows in catalog.vector_batches(stored.id, stored.space.dimension):
        if not np.array_equal(cached.rows(photos), rows.astype(np.float32)):
            return "some of its vectors are not those of the database"
    return None


def _cache_folder(folder: Path, stored: SpaceContents) -> Path:
    return Layout.of(folder).search_cache(stored.id)
