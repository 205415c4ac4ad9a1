"""The protocol of engines that embed elsewhere, such as Ray workers. The caller passes an engine in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.records import FoundFile, Progress
    from vitsearch.space import Space
    from vitsearch.storage.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Target:
    """Where the embeddings of a run go, and the model that makes them.

    `load` loads the backbone of `space`; an engine calls it, or sends it to its workers. `folder` is the library's
    folder.
    """

    catalog: Catalog
    space_id: int
    space: Space
    load: Callable[[], Backbone]
    folder: Path
    on_progress: Callable[[Progress], None]


class FileEmbedder(Protocol):
    """Embeds the files of one run and commits them."""

    @property
    def embedded(self) -> int:
        """How many embeddings were added."""

    @property
    def unread(self) -> Mapping[Path, str]:
        """The files that could not be read for a temporary cause, such as permissions, each with the reason."""

    @property
    def remarks(self) -> Mapping[Path, str]:
        """Notes on files that were read, such as damaged metadata."""

    def run(self, run: int, todo: Sequence[tuple[int | None, FoundFile]]) -> None:
        """Embed and commit files, given with the ids of their roots."""


class EmbeddingEngine(Protocol):
    """Embeds elsewhere what `indexing.embedding.Embedder` embeds in this process."""

    def open(self, target: Target) -> FileEmbedder:
        """Begin a run into this target; results of an interrupted run are stored first."""
