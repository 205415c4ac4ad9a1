"""Occasional maintenance: back up a library, and erase photos or models from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.source import canonical
from vitsearch.errors import LibraryError, OutputError
from vitsearch.paths import absolute_path
from vitsearch.storage.backup import check_backup, lost_by_replacing, write_backup
from vitsearch.storage.backup import restore as restore_rows
from vitsearch.storage.database import path_to_value
from vitsearch.storage.erasing import Erased, erase_beside, erasure_scope_of
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from pathlib import Path

    from vitsearch.library import Library
    from vitsearch.storage.backup import Restored
    from vitsearch.storage.erasing import ErasureScope
    from vitsearch.storage.outputs import Output


def back_up(library: Library, output: Output) -> int:
    """Save labels, corrections, decisions and heads to one file; return how many there are.

    Raises:
        LibraryError: the library's folder cannot be written to, or the existing backup was written by a later version
            of vitsearch.
        OutputError: the file cannot be written, or must not be overwritten because most of the existing backup is
            missing from this library.

    """
    output.check()
    database = library.catalog.database
    new = library.layout.temporary("backup")
    try:
        count = write_backup(database, library.layout, new)
        lost, known = (
            (0, 0) if output.force or not output.path.exists() else lost_by_replacing(output.path, new)
        )
        if 2 * lost > known:
            raise OutputError(
                f"cannot write the backup {output.path}: {lost:,} of the {known:,} labels, decisions and heads in it "
                f"are not in this library; `vitsearch restore` brings them in, or choose another name, or add --force"
            )
        output.write(new.read_bytes())
    finally:
        new.unlink(missing_ok=True)
    return count


def restore(library: Library, backup: Path) -> Restored:
    """Restore the labels, corrections and decisions of a backup; existing ones stay as they are.

    Those of photos that are not in the library wait for them. Heads are restored by `heads.restoring`.

    Raises:
        LibraryError: the file is not a backup, or is damaged; nothing was changed.

    """
    check_backup(backup)  # before a library is made for it
    with library.writing() as catalog:
        return restore_rows(catalog.database, backup)


def erasure_scope(library: Library, places: Iterable[str | os.PathLike[str]]) -> ErasureScope:
    """Return what `erase` would remove for these files and folders, which need not exist any more.

    Raises:
        LibraryError: nothing is known about one of them.

    """
    return erasure_scope_of(library.catalog, [absolute_path(place) for place in places])


def erase(library: Library, places: Iterable[str | os.PathLike[str]]) -> Erased:
    """Erase everything about photos: paths, embeddings, labels, decisions, pictures; also from backups.

    The photos themselves are not touched.

    Raises:
        LibraryError: nothing is known about one of the files or folders.

    """
    catalog = library.catalog
    with write_lock(library.folder):
        going = erasure_scope(library, places)
        roots = [path_to_value(str(root.path)) for root in catalog.roots()]
        # The rows last, by which all of it can be named again after a kill; and once more what others wrote meanwhile.
        copies = erase_beside(library.layout, going, roots)
        library.delete_search_caches(catalog.spaces())
        catalog.erase(going.photos, going.files)
        copies += erase_beside(library.layout, going, roots)
        # Rows that a cache only marks as removed would still be on the disk.
        library.delete_search_caches(catalog.spaces(), rebuild=True)
    return Erased(len(going.photos), len(going.files), copies, going.others)


def remove_model(library: Library, model: str) -> int:
    """Delete the embeddings of a model that is not the main one, and stop computing them; return how many there were.

    Raises:
        LibraryError: it is the main model, or the library has no embeddings of it.

    """
    catalog = library.catalog
    with write_lock(library.folder):
        spaces = [stored for stored in catalog.spaces() if stored.space.model == canonical(model)]
        if not spaces:
            raise LibraryError(
                f"the library in {library.folder} has no vectors of {model}: see `vitsearch status`"
            )
        if all(stored.active for stored in spaces):
            raise LibraryError(
                f"searches use {model}: change first, with `vitsearch index --model OTHER --change-model`"
            )
        # One that is active is used in another way than by an earlier version.
        going = [stored for stored in spaces if not stored.active]
        removed = sum(catalog.remove_space(stored.id) for stored in going)
        library.delete_search_caches(going)
    return removed
