"""Spaces beside the main one: after each run, what is not embedded in them yet.

No folder is walked for it. The run over the main space has just said what is there, what has moved and what has gone;
what a space lacks, after a kill too, is what SQLite says that it lacks.
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
    """Embed every photo that is here and has no vector in a space; what is done stays where this is cut short."""
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
    """Tell of progress as that of a space beside the main one."""
    return lambda progress: on_progress(replace(progress, stage="also"))
