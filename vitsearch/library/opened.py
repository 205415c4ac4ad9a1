"""The resources of an open library: its tables, models and search caches."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Self

from vitsearch.backbones.source import BackboneSource
from vitsearch.errors import LibraryError
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database
from vitsearch.storage.layout import WRITABLE_LIBRARY, Layout
from vitsearch.storage.private import make_folder
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    import numpy as np
    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.decoding.decoders import Decoders
    from vitsearch.neighbours.cache import SearchCache
    from vitsearch.neighbours.neighbours import Neighbours
    from vitsearch.space import Space
    from vitsearch.storage.vectors import SpaceContents

    Vector = npt.NDArray[np.float32]


class OpenedLibrary:
    """A folder with a catalog of photos and their embeddings. Use it as a context manager.

    Opening is lazy: nothing is read before it is needed.
    """

    def __init__(
        self,
        folder: Path,
        *,
        backbone: Backbone | None,
        cache: Path | None,
        device: Device,
        batch_size: int | None,
        decoders: Decoders | None,
        notice: Callable[[str], None],
    ) -> None:
        self.folder = folder
        self._backbones = BackboneSource(
            folder, backbone, cache=cache, device=device, batch_size=batch_size, notice=notice
        )
        self._decoders = decoders
        self._notice = notice
        self._opened: Catalog | None = None
        self._searched: dict[tuple[int, Space], SearchCache] = {}

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str],
        *,
        backbone: Backbone | None = None,
        cache: Path | None = None,
        device: Device = "auto",
        batch_size: int | None = None,
        decoders: Decoders | None = None,
        notice: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Open the library in a folder.

        - `backbone`: a loaded backbone, instead of the model that the library would load.
        - `cache`: the folder of model weights, by default in the user cache folder.
        - `device`, `batch_size`: where the model runs, and how many photos go through it at once.
        - `decoders`: worker processes that decode the example images of searches. By default they are decoded in this
          process, which is fastest; a server passes `decoders` so that no upload can crash or hang it. Index runs
          always decode in worker processes.
        - `notice`: called with one-line messages for the user.
        """
        return cls(
            Path(folder).absolute(),
            backbone=backbone,
            cache=cache,
            device=device,
            batch_size=batch_size,
            decoders=decoders,
            notice=notice,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the database and release the search caches."""
        if self._opened is not None:
            self._opened.database.close()
        self._opened = None
        for cache in self._searched.values():
            cache.close()
        self._searched = {}

    @property
    def layout(self) -> Layout:
        """The paths of the library's files."""
        return Layout.of(self.folder)

    @property
    def catalog(self) -> Catalog:
        """The tables of the library.

        Raises:
            LibraryMissing: nothing has been indexed yet.

        """
        return self._catalog(create=False)

    @property
    def cache_folder(self) -> Path:
        """The folder of model weights."""
        return self._backbones.cache_folder

    @contextmanager
    def writing(self) -> Iterator[Catalog]:
        """Hold the library's write lock and yield its tables; creates the library if it does not exist.

        Raises:
            LibraryBusy: another process is changing the library.

        """
        self._make_folder()
        with write_lock(self.folder):
            yield self._catalog(create=True)

    def existing_space(self) -> Space | None:
        """Return the space that searches use, or None if the library is empty or does not exist."""
        if not self.layout.database.exists():
            return None
        active = self.catalog.active_space()
        return active.space if active else None

    def neighbours(self) -> Neighbours:
        """Return the embeddings of the main space, ready to be searched, with every row checked."""
        return self._search_cache(*self.catalog.require_space()).whole()

    def offline_roots(self) -> frozenset[Path]:
        """Return the indexed folders that are not accessible now; empty if the library does not exist."""
        if not self.layout.database.exists():
            return frozenset()
        return frozenset(root.path for root in self.catalog.roots() if root.is_offline())

    def delete_search_caches(self, spaces: Iterable[SpaceContents], *, rebuild: bool = False) -> None:
        """Delete the search caches of these spaces. The next search rebuilds them from the database.

        With `rebuild`, the cache of the main space is rebuilt at once.
        """
        for stored in spaces:
            cache = self._search_cache(stored.id, stored.space)
            cache.delete()
            if rebuild and stored.active:
                cache.bring_up_to_date()

    def backbone(self, space: Space) -> Backbone:
        """Load the model of a stored space.

        Raises:
            SpaceMismatch: the weights on this machine, or the backbone passed to `open`, belong to another space.

        """
        return self._backbones.of_space(space, main=not self._is_beside(space))

    def embed_words(self, space: Space, text: str) -> Vector:
        """Embed text in a space; returns a unit row (d,) float32.

        Raises:
            NoTextTower: the model of this space has no text tower.

        """
        row: Vector = self._backbones.embed_words(space, [text], main=not self._is_beside(space)).rows[0]
        return row

    def _make_folder(self) -> None:
        try:
            make_folder(self.folder)
        except OSError as error:
            raise LibraryError(
                f"cannot make the folder {self.folder}: {error.strerror or error}; {WRITABLE_LIBRARY}"
            ) from error
        self.layout.make_private()

    def _catalog(self, *, create: bool) -> Catalog:
        if self._opened is None:
            self._opened = Catalog(Database.open(self.layout.database, create=create))
        return self._opened

    def _is_beside(self, space: Space) -> bool:
        return self.layout.database.exists() and any(
            space == other for _, other in self.catalog.also_spaces()
        )

    def _search_cache(self, space_id: int, space: Space) -> SearchCache:
        from vitsearch.neighbours.cache import SearchCache

        key = (space_id, space)  # SQLite gives the id of a space that was removed again
        if key not in self._searched:
            self._searched[key] = SearchCache(self.folder, self.catalog, space_id, space)
        return self._searched[key]
