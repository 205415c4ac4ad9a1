"""`vitsearch.Library`: the core's library, with vectors, duplicates and heads on it."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec

import numpy as np

from vitsearch import library as core
from vitsearch.duplicates.tiers import TIERS
from vitsearch.errors import BadQuery
from vitsearch.notebook.answers import SearchResult, StoredVectors
from vitsearch.notebook.places import cache_folder, library_folder
from vitsearch.storage.filters import ALL_PHOTOS

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Sequence
    from pathlib import Path

    from vitsearch import records
    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.decoding.decoders import Decoders
    from vitsearch.duplicates.tiers import Tier
    from vitsearch.notebook.duplicates import DuplicateReport
    from vitsearch.notebook.heads import Heads
    from vitsearch.records import Progress
    from vitsearch.storage.filters import Filter

    AnyPath = str | os.PathLike[str]

Asked = ParamSpec("Asked")


def _with_pictures(
    method: Callable[Concatenate[core.Library, Asked], records.SearchResult],
) -> Callable[Concatenate[core.Library, Asked], SearchResult]:
    """Let a method of the core answer with what a notebook shows; its parameters stay as they are."""

    @wraps(method)
    def asked(library: core.Library, /, *arguments: Asked.args, **options: Asked.kwargs) -> SearchResult:
        return SearchResult.of(method(library, *arguments, **options))

    return asked


class Library(core.Library):
    """One folder that holds a catalog of photos and their vectors. Use it as a context manager, or `close` it.

    Opening is lazy: a library that does not exist yet is created by the first `index`.
    """

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        backbone: Backbone | None = None,
        cache: Path | None = None,
        device: Device = "auto",
        batch_size: int | None = None,
        decoders: Decoders | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Library:
        """Open the library in a folder; without one, that of the command line (`VITSEARCH_LIBRARY`, or the user's).

        `backbone` replaces the model that the library would load itself; `cache` is where weights are kept, by default
        where the command line keeps them; `notice` is told, in one line each, what a person may want to know.
        Index runs decode in processes of their own. Examples of searches are decoded in this process, which is fastest
        for a person's own photo; a server passes `decoders`, so that no upload can end or hang it.
        """
        opened = super().open(
            library_folder() if folder is None else folder,
            backbone=backbone,
            cache=cache or cache_folder(),
            device=device,
            batch_size=batch_size,
            decoders=decoders,
            notice=notice,
        )
        assert isinstance(opened, Library)
        return opened

    search = _with_pictures(core.Library.search)
    search_by_vectors = _with_pictures(core.Library.search_by_vectors)

    def vectors(self, *, where: Filter = ALL_PHOTOS, model: str | None = None) -> StoredVectors:
        """Return the vectors of the present photos that `where` keeps: `paths, x = library.vectors()`.

        (n, d) float32 unit rows, ordered by photo id; a photo with several files has the path of the first. They are
        those that searches use, or those of another `model` that the library holds. All of them are in memory at
        once: 3 MB a thousand photos of 768 dimensions.

        Raises:
            LibraryMissing: nothing was indexed here yet.
            BadQuery: the library has no vectors of this model.
            LibraryError: a folder of `where` is in no folder that was indexed.

        """
        catalog = self.catalog
        space_id, space = catalog.require_space()
        if model is not None:
            known = {stored.space.model: stored for stored in catalog.spaces()}
            if model not in known:
                raise BadQuery(
                    f"the library in {self.folder} has no vectors of {model}, only of {', '.join(known)}"
                )
            space_id, space = known[model].id, known[model].space
        ids, rows = catalog.vectors(space_id, space.dimension, catalog.select(where))
        order = np.argsort(ids)
        ids, rows = ids[order], rows[order]
        places = where.places
        located = catalog.photos(ids.tolist())
        paths = [_first(located[photo].paths, places) if photo in located else None for photo in ids.tolist()]
        present = np.array([path is not None for path in paths], bool)
        return StoredVectors(
            tuple(path for path in paths if path is not None),
            rows[present].astype(np.float32),
            ids[present],
            space.model,
        )

    def duplicates(
        self,
        *,
        tiers: Collection[Tier] = TIERS,
        max_false_share: float = 0.001,
        between: tuple[AnyPath, AnyPath] | None = None,
        folders: Sequence[AnyPath] = (),
        prefer: Sequence[AnyPath] = (),
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> DuplicateReport:
        """Find the photos that the library has more than once, with evidence. No file is changed.

        `tiers`: some of `vitsearch.duplicates.tiers.RECORDS`, which say what each means.
        `max_false_share` of the near pairs may be wrong. With `between`, groups
        with files below both folders; with `folders`, only what is below them; `prefer`: where files to keep are.

        Raises:
            LibraryMissing: nothing was indexed here yet.
            BadQuery: an option does not fit.

        """
        from vitsearch.duplicates.find import find_duplicates
        from vitsearch.notebook.duplicates import DuplicateReport

        return DuplicateReport.of(
            find_duplicates(
                self,
                tiers=tiers,
                max_false_share=max_false_share,
                between=between,
                folders=folders,
                prefer=prefer,
                on_progress=on_progress,
            )
        )

    @property
    def heads(self) -> Heads:
        """The heads of this library: make them, apply them, find photos by label."""
        from vitsearch.notebook.heads import Heads

        return Heads(self)


def _first(paths: tuple[Path, ...], places: tuple[Path, ...]) -> Path | None:
    """Return the first path, of those below these folders where any are named."""
    inside = [path for path in paths if not places or any(map(path.is_relative_to, places))]
    return inside[0] if inside else None
