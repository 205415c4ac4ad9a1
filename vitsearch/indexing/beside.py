"""Additional spaces: after each run, embed the photos that they lack.

This needs no walk of its own: the run over the main space has just updated the files, and SQLite knows which
embeddings are missing, even after a kill.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from vitsearch.records import AlsoReport, UnreadableFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from vitsearch.indexing.engine import FileEmbedder
    from vitsearch.records import Progress
    from vitsearch.storage.catalog import Catalog


def complete(
    catalog: Catalog, space: int, open_embedder: Callable[[], FileEmbedder]
) -> tuple[AlsoReport, tuple[UnreadableFile, ...]]:
    """Embed every present photo that has no embedding in a space; an interrupted run keeps finished work."""
    started = time.monotonic()
    todo = catalog.files_without_vector(space)
    embedded = 0
    unread: tuple[UnreadableFile, ...] = ()
    if todo:
        embedder = open_embedder()
        embedder.run(catalog.begin_run(), list(todo))
        embedded = embedder.embedded
        unread = tuple(UnreadableFile(path, reason) for path, reason in sorted(embedder.unread.items()))
    return AlsoReport(
        model=catalog.space(space).model,
        embedded=embedded,
        left=catalog.count_without_vector(space),
        seconds=time.monotonic() - started,
    ), unread


def beside(on_progress: Callable[[Progress], None]) -> Callable[[Progress], None]:
    """Label progress as that of an additional space."""
    return lambda progress: on_progress(replace(progress, stage="also"))
