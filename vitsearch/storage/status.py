"""The contents and the size of a library."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from vitsearch.records import LibraryStatus, RootInfo, UnreadableFile
from vitsearch.storage.layout import Layout
from vitsearch.storage.rows import Counts

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.records import UsedSpace, WordsStep
    from vitsearch.storage.catalog import Catalog
    from vitsearch.storage.counts import LibraryCounts


def library_status(
    catalog: Catalog,
    counts: LibraryCounts,
    spaces: tuple[UsedSpace, ...],
    *,
    words_step: WordsStep | None,
    cache_current: bool,
    thumbnails: bool,
) -> LibraryStatus:
    """Return the state of a library; thumbnail files are only counted with `thumbnails`."""
    layout = Layout.of(catalog.database.path.parent)
    active = catalog.active_space()
    roots = tuple(root_infos(catalog, counts))
    return LibraryStatus(
        folder=layout.home,
        model=active.space.model if active else None,
        dimension=active.space.dimension if active else None,
        photos=counts.photos,
        files=sum(root.files for root in roots),
        missing=sum(root.missing for root in roots),
        unreadable=sum(root.unreadable for root in roots),
        vectors=counts.vectors,
        roots=roots,
        database_bytes=catalog.database.path.stat().st_size,
        neighbours_bytes=folder_bytes(layout.search_caches),
        thumbnails_bytes=folder_bytes(layout.thumbnails) if thumbnails else None,
        cache_current=cache_current,
        spaces=spaces,
        reads_text=any(space.reads_text for space in spaces),
        words_step=words_step,
    )


def root_infos(catalog: Catalog, counted: LibraryCounts) -> list[RootInfo]:
    """Return the indexed folders with their counts."""
    infos = []
    for root in catalog.roots():
        counts = counted.roots.get(root.id, Counts(0, 0, 0))  # a run may just have added it
        is_absent = root.is_offline()
        is_folder = root.path.is_dir()
        # An empty folder in which there never was a photo is no drive that is away.
        online = not is_absent or (not counts.files and is_folder)
        infos.append(
            RootInfo(
                id=root.id,
                path=root.path,
                online=online,
                files=counts.files,
                missing=counts.missing,
                unreadable=counts.unreadable,
                offline=counts.offline,
                empty=is_folder and not online,
                to_come=catalog.unfinished(root.id),
            )
        )
    return infos


def unreadable_files(catalog: Catalog) -> tuple[UnreadableFile, ...]:
    """Return the unreadable files of all folders, sorted by path."""
    found = [
        UnreadableFile(root.path / path, reason)
        for root in catalog.roots()
        for path, reason in catalog.unreadable(root.id, "")
    ]
    return tuple(sorted(found, key=lambda file: file.path))


def folder_bytes(folder: Path) -> int:
    """Return the total size of the files below a folder; 0 if it does not exist. Raises `OSError`."""
    total = 0
    waiting = [os.fspath(folder)]
    while waiting:
        # A file that goes meanwhile has no size; a folder of a hundred thousand thumbnails is to be counted at once.
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        total += entry.stat(follow_symlinks=False).st_size
    return total
