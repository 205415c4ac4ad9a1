"""`vitsearch.Library`: the core's library, with vectors, duplicates and heads."""

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
    """Wrap a search method of the core, with the same parameters, so that it returns the notebook's `SearchResult`."""

    @wraps(method)
    def asked(library: core.Library, /, *arguments: Asked.args, **options: Asked.kwargs) -> SearchResult:
        return SearchResult.of(method(library, *arguments, **options))

    return asked


class Library(core.Library):
    """A folder with a catalog of photos and their embeddings. Use it as a context manager, or call `close`.

    Opening is lazy: the first `index` creates a library that does not exist yet.
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
        """Open the library in a folder, by default the one that the command line uses.

        - `backbone`: a loaded backbone, instead of the model that the library would load.
        - `cache`: the folder of model weights, by default the same as on the command line.
        - `device`, `batch_size`: where the model runs, and how many photos go through it at once.
        - `decoders`: worker processes that decode the example images of searches. By default they are decoded in this
          process, which is fastest; a server passes `decoders` so that no upload can crash or hang it. Index runs
          always decode in worker processes.
        - `notice`: called with one-line messages for the user.
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
        """Return the embeddings of the photos that match `where` and are present: `paths, x = library.vectors()`.

        The rows, (n, d) float32 unit rows ordered by photo id, are those that searches use, or those of another
        `model` in the library. A photo with several files has the path of the first one. All rows are loaded into
        memory: 3 MB per thousand photos at 768 dimensions.

        Raises:
            LibraryMissing: nothing has been indexed yet.
            BadQuery: the library has no embeddings of this model.
            LibraryError: a folder in `where` is not part of an indexed folder.

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
        """Find duplicate photos, with evidence for each pair. No file is changed.

        - `tiers`: the kinds of duplicates to look for; `vitsearch.duplicates.tiers.RECORDS` describes them.
        - `max_false_share`: the share of `near` pairs that may be wrong, used when dismissed pairs tighten the
          thresholds.
        - `between`: return only groups with files in both of these folders.
        - `folders`: compare only the photos in these folders.
        - `prefer`: keep files in these folders if they are as good as the others.

        Raises:
            LibraryMissing: nothing has been indexed yet.
            BadQuery: an option is not valid.

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
        """The heads of this library: train them, apply them, find photos by label."""
        from vitsearch.notebook.heads import Heads

        return Heads(self)


def _first(paths: tuple[Path, ...], places: tuple[Path, ...]) -> Path | None:
    """Return the first path, or the first one in these folders if any are given."""
    inside = [path for path in paths if not places or any(map(path.is_relative_to, places))]
    return inside[0] if inside else None
