"""Repair a library: SQLite is the source of truth, and everything else is rebuilt from it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.doctor.caches import cache_state, is_cached
from vitsearch.doctor.examine import bad_vectors, damaged_heads
from vitsearch.doctor.findings import Repair
from vitsearch.doctor.leftovers import abandoned
from vitsearch.doctor.salvage import salvage, second_name, set_aside
from vitsearch.errors import LibraryDamaged, LibraryError, LibraryMissing
from vitsearch.neighbours.cache import SearchCache
from vitsearch.space import Space
from vitsearch.storage import atomic
from vitsearch.storage.atomic import sync_folder
from vitsearch.storage.backup import back_up, backups, folders_in, heads_in, restore
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database, is_of_another_program, value_to_path
from vitsearch.storage.layout import LIBRARY_FILE, SEARCH_CACHE_FILES, Layout, remove_made
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vitsearch.doctor.salvage import SalvageReport


def repair(folder: Path) -> Repair:
    """Salvage a damaged database, delete invalid embeddings, rebuild caches that do not match, remove leftovers.

    No file of the user is touched, and a damaged database or head is kept under another name. Repairing a sound
    library changes nothing.

    Raises:
        LibraryMissing: there is no library in this folder.
        LibraryBusy: another run is changing it.
        LibraryDamaged: nothing can be read from its database.
        LibraryError: the disk is full, or the folder cannot be written to.

    """
    if not Layout.of(folder).database.exists():
        raise LibraryMissing(f"there is no library in {folder}: make one with `vitsearch index FOLDER`")
    with write_lock(folder):
        layout = Layout.of(folder)
        report, done = _salvaged(layout) if _needs_salvage(folder) else (None, [])
        database = Database.open(layout.database)
        try:
            catalog = Catalog(database)
            if not done and (bad_vectors(catalog, catalog.spaces()) or damaged_heads(folder)):
                back_up(database, layout)
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


def _salvaged(layout: Layout) -> tuple[SalvageReport | None, list[str]]:
    """Salvage a damaged database; lost labels and decisions are restored from the newest backup.

    Raises:
        LibraryDamaged: nothing can be read from it, and there is no backup.

    """
    known = backups(layout)
    restored = []

    def complete(database: Database) -> None:
        for backup in reversed(known):
            with suppress(LibraryError):  # a damaged one: the one before it
                found = restore(database, backup)
                if found.in_words:
                    restored.append(f"restored {' and '.join(found.in_words)} from {backup}")
                return

    try:
        report = salvage(layout.folder, complete=complete)
    except LibraryDamaged:
        if not known or is_of_another_program(layout.database):
            raise
        return None, [_begun_anew(layout, known[-1])]
    return report, [_said(report), *restored]


def _begun_anew(layout: Layout, backup: Path) -> str:
    """Move an unreadable database aside, and create a new one from a backup."""
    roots, space = folders_in(backup)
    new = layout.temporary(LIBRARY_FILE)
    database = Database.open(new, create=True)
    try:
        catalog = Catalog(database)
        for root in roots:
            catalog.add_root(Path(value_to_path(root)))
        if space is not None:
            catalog.activate_space(catalog.add_space(Space.from_json(space)))
        found = restore(database, backup)
    finally:
        database.close()
    kept = set_aside(layout)
    new.replace(layout.database)
    sync_folder(layout.home)
    return (
        f"nothing could be read from the database, which is {kept} now: began a new one with {found.labels:,} "
        f"labels and {found.decisions:,} decisions from {backup}. Run `vitsearch index`, which looks at all photos "
        "again"
    )


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
    layout = Layout.of(folder)
    for path in damaged_heads(folder):
        number = 1
        while os.path.lexists(aside := path.with_name(f"{path.name}.damaged-{number}")):
            number += 1
        # Under both names until there is another: a repair that is killed goes on when it is run again.
        second_name(path, aside)
        if _head_from_backup(layout, path):
            yield f"put the damaged head {path.stem} aside as {aside}, and restored it from a backup"
        else:
            path.unlink(missing_ok=True)
            yield f"put the damaged head {path.stem} aside as {aside}: make it anew with `vitsearch heads`"


def _head_from_backup(layout: Layout, path: Path) -> bool:
    """Restore the newest intact file of a head from the backups; return whether there is one."""
    for backup in reversed(backups(layout)):
        with suppress(LibraryError):
            for name, content in heads_in(backup):
                if name == path.stem:
                    atomic.write(path, content, private=True)
                    if path not in damaged_heads(layout.folder):
                        return True
                    path.unlink()
    return False


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
