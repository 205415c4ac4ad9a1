"""Mend a library: the truth is SQLite, and everything else is made from it again."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vitsearch.doctor.caches import cache_state, is_cached
from vitsearch.doctor.examine import bad_vectors, damaged_heads
from vitsearch.doctor.findings import Repair
from vitsearch.doctor.leftovers import abandoned
from vitsearch.doctor.salvage import salvage
from vitsearch.errors import LibraryDamaged, LibraryError, LibraryMissing
from vitsearch.neighbours.cache import SearchCache
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database
from vitsearch.storage.layout import SEARCH_CACHE_FILES, Layout, remove_made
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.doctor.salvage import SalvageReport


def repair(folder: Path) -> Repair:
    """Salvage a damaged database, drop vectors that are none, rebuild caches that differ, remove what is left over.

    No file of a person is touched, and a damaged database or head is kept under another name. Repairing a sound
    library changes nothing.

    Raises:
        LibraryMissing: there is no library in this folder.
        LibraryBusy: another run is changing it.
        LibraryDamaged: nothing of a library can be read from its database.
        LibraryError: the disk is full, or the folder cannot be written to.

    """
    if not Layout.of(folder).database.exists():
        raise LibraryMissing(f"there is no library in {folder}: make one with `vitsearch index FOLDER`")
    with write_lock(folder):
        report = salvage(folder) if _needs_salvage(folder) else None
        done = [] if report is None else [_said(report)]
        database = Database.open(Layout.of(folder).database)
        try:
            catalog = Catalog(database)
            done += _drop_bad_vectors(catalog)
            done += _put_heads_aside(folder)
            done += _rebuild_caches(folder, catalog)
            done += _remove_leftovers(folder, catalog)
        except OSError as error:
            raise LibraryError(f"cannot repair {folder}: {error.strerror or error}") from error
        finally:
            database.close()
    return Repair(tuple(done), report)


def _needs_salvage(folder: Path) -> bool:
    try:
        database = Database.open(Layout.of(folder).database)
    except LibraryDamaged:
        return True
    try:
        if database.damage() or database.rows("PRAGMA foreign_key_check"):
            return True
        Catalog(database).spaces()
    except LibraryDamaged:
        return True
    finally:
        database.close()
    return False


def _said(report: SalvageReport) -> str:
    saved = ", ".join(f"{table.saved:,} {table.name}" for table in report.tables if table.saved)
    dropped = sum(table.dropped for table in report.tables)
    lost = [f"{report.unreadable:,} of {report.pages:,} pages could not be read"] if report.unreadable else []
    lost += [f"{dropped:,} rows belonged to something that is lost"] if dropped else []
    return (
        f"salvaged the database: {saved}{'; ' if lost else ''}{'; '.join(lost)}; the damaged one is {report.kept}. "
        "Run `vitsearch index` to add what is missing"
    )


def _drop_bad_vectors(catalog: Catalog) -> Iterator[str]:
    bad = bad_vectors(catalog, catalog.spaces())
    if bad:
        catalog.drop_vectors(bad)
        yield f"dropped {len(bad):,} vectors that were none: `vitsearch index` computes them again"


def _put_heads_aside(folder: Path) -> Iterator[str]:
    for path in damaged_heads(folder):
        number = 1
        while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
            number += 1
        path.rename(aside)
        yield f"put the damaged head {path.stem} aside as {aside}: make it anew with `vitsearch heads`"


def _rebuild_caches(folder: Path, catalog: Catalog) -> Iterator[str]:
    for stored in catalog.spaces():
        state = cache_state(folder, catalog, stored)[0] if is_cached(folder, stored) else "ok"
        if state == "ok":
            continue
        cache = SearchCache(folder, catalog, stored.id, stored.space)
        if state == "wrong":
            cache.delete()
        cache.bring_up_to_date()
        cache.close()
        yield f"made the search cache of {stored.space.model} from the database"


def _remove_leftovers(folder: Path, catalog: Catalog) -> Iterator[str]:
    known = {str(stored.id) for stored in catalog.spaces()}
    removed = 0
    for path in abandoned(folder, catalog):
        with suppress(FileNotFoundError):
            path.unlink()
            removed += 1
    for space in Layout.of(folder).search_caches.glob("*"):
        if space.is_dir() and not space.is_symlink() and space.name not in known:
            remove_made(space, SEARCH_CACHE_FILES)
    if removed:
        yield f"removed {removed:,} files that nobody needs"
