"""A library of indexed photos, and the queries it answers."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import BadQuery, LibraryError, NoTextTower
from vitsearch.library.indexed import IndexedLibrary
from vitsearch.paths import real_path
from vitsearch.records import LibraryStatus, RootInfo, SearchResult, UsedSpace
from vitsearch.searching.matches import MatchOptions, find_matches, query_direction
from vitsearch.searching.query_embedder import QueryEmbedder
from vitsearch.searching.store import check_held
from vitsearch.searching.terms import Weighted, Words, weighted
from vitsearch.storage.backup import back_up
from vitsearch.storage.counts import LibraryCounts, library_counts
from vitsearch.storage.filters import ALL_PHOTOS, Filter
from vitsearch.storage.status import library_status, root_infos
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    import numpy.typing as npt

    from vitsearch.neighbours.forecast import Forecast
    from vitsearch.records import Match, WordsStep
    from vitsearch.searching.queries import Crop, Example
    from vitsearch.searching.store import SearchStore
    from vitsearch.space import Space
    from vitsearch.storage.rows import Root

    Vector = npt.NDArray[np.float32]


class Library(IndexedLibrary):
    """A folder with a catalog of photos and their embeddings. Use it as a context manager.

    Opening is lazy: the first `index` creates a library that does not exist yet.
    """

    def search(
        self,
        *examples: Example | Words | Weighted,
        text: str | None = None,
        negatives: Sequence[Example | Words | Weighted] = (),
        k: int = 10,
        crop: Crop | None = None,
        where: Filter = ALL_PHOTOS,
        include_self: bool = False,
        distinct: bool = False,
        only_matches: bool = False,
        exact: bool = False,
        store: SearchStore | None = None,
    ) -> SearchResult:
        """Find the photos most similar to the examples.

        An example is an image (a path, an https URL, bytes, an open binary file, a PIL image, or pixels (h, w, 3)
        uint8), an embedding (d,) float32 of the same model, or `Words`. Several examples are averaged; `Weighted`
        gives one more or less weight than 1. With `Words` among them, the space that reads text is searched, otherwise
        the main one.

        - `text`: a text query, short for the example `Words(text)`.
        - `negatives`: examples to move away from.
        - `k`: how many matches to return.
        - `crop`: search for a region of the single example image: x, y, width, height in pixels of the upright image.
        - `where`: return only photos that match this filter.
        - `include_self`: keep photos identical to an example.
        - `distinct`: leave out near copies of better matches.
        - `only_matches`: leave out photos that do not stand out from the rest of the library.
        - `exact`: compare every photo, even in a very large library.
        - `store`: search this store instead of the library, which then need not exist.

        Raises:
            LibraryMissing: nothing has been indexed yet.
            BadQuery: there is no example and no text, or an option is not valid.
            UnreadablePhoto: an example cannot be read.
            NoTextTower: no space of the library reads text; the message says what to run.

        """
        asked = [weighted(each) for each in (*examples, *([Words(text)] if text else []))]
        away = [weighted(each) for each in negatives]
        if store is not None:
            space, known_row = store.searched_space, store.vector
            prepare_search = None
        else:
            words = any(isinstance(each.example, Words) for each in (*asked, *away))
            space_id, space = searched = self.space_for(words=words)
            known_row = partial(self._stored_row, space_id, space)
            prepare_search = partial(self._prepare_search, space_id, space)
        if k < 1:
            raise BadQuery(f"k is {k}: ask for at least one match")
        if store is not None:
            check_held(where)
        if not asked:
            raise BadQuery("there is nothing to search for: give an image or --text")
        if crop is not None and sum(not isinstance(each.example, Words) for each in asked) != 1:
            raise BadQuery("a crop needs exactly one example image")
        embedder = QueryEmbedder(
            space,
            partial(self.backbone, space),
            partial(self.embed_words, space),
            known_row,
            self._decoders,
            prepare_search=prepare_search,
            import_runtime=self._backbones.import_runtime,
        )
        queries = [embedder.embed(each, crop) for each in asked]
        vectors = [query.vector for query in queries]
        opposite = [embedder.embed(each).vector for each in away]
        own = [] if include_self or crop else [photo_hash for query in queries for photo_hash in query.hashes]
        options = MatchOptions(
            k=k,
            criteria=where,
            exact=exact,
            distinct=distinct,
            only_matches=only_matches,
        )
        names = tuple(query.name for query in queries)
        if store is not None:
            direction = query_direction(vectors, opposite)
            matches, floor = store.find(direction, own, options, offline=self.offline_roots())
            return SearchResult(query=names, model=space.model, results=matches, matches_above=floor)
        ids = tuple(photo for photo in map(self.catalog.photo_id, own) if photo is not None)
        options = replace(options, leave_out=ids)
        return self.search_by_vectors(vectors, opposite, names=names, options=options, searched=searched)

    def search_by_vectors(
        self,
        vectors: Sequence[Vector],
        away: Sequence[Vector] = (),
        *,
        names: tuple[str, ...] = (),
        options: MatchOptions,
        searched: tuple[int, Space] | None = None,
    ) -> SearchResult:
        """Find the photos nearest to the mean of these embeddings (d,) float32, moved away from the mean of `away`.

        Embeddings are unit vectors; a longer one has more weight.

        - `names`: what the result repeats as its `query`.
        - `options`: how many matches to return, and which photos qualify.
        - `searched`: the space of the embeddings and its id, by default the main space.

        Raises:
            LibraryMissing: nothing has been indexed yet.
            BadQuery: the vectors cancel each other out.

        """
        space_id, space = searched or self.catalog.require_space()
        direction = query_direction(vectors, away)
        cache = self._search_cache(space_id, space)

        def found() -> tuple[tuple[Match, ...], float | None]:
            return find_matches(direction, self.catalog, cache.current(), cache.reference_sample(), options)

        matches, floor = found()
        if not cache.agrees(direction, matches):
            cache.renew()
            matches, floor = found()
        return SearchResult(query=names, model=space.model, results=matches, matches_above=floor)

    def space_for(self, *, words: bool) -> tuple[int, Space]:
        """Return the id and space for a search: the main space, or with `words` the one that reads text.

        Raises:
            LibraryMissing: nothing has been indexed yet.
            NoTextTower: `words` is set and no space in use reads text; the message says what to run.

        """
        main = self.catalog.require_space()
        if not words:
            return main
        found = self._space_that_reads(main)
        if found is None:
            from vitsearch.searching.words import sentence

            step = self._words_step(main, library_counts(self.catalog).photos)
            raise NoTextTower(sentence(step, main[1].model))
        if found != main:
            self._tell_what_is_left(found[0], found[1], main[0])
        return found

    def _space_that_reads(self, main: tuple[int, Space]) -> tuple[int, Space] | None:
        """Return the first complete space that reads text, or else the first one; the main space comes last."""
        spaces = [each for each in (*self.catalog.also_spaces(), main) if self._backbones.reads_text(each[1])]
        if len(spaces) < 2:
            return spaces[0] if spaces else None
        count = self.catalog.count_vectors
        return next((each for each in spaces if count(each[0]) >= count(main[0])), spaces[0])

    def _tell_what_is_left(self, space_id: int, space: Space, main: int) -> None:
        catalog = self.catalog
        if catalog.count_vectors(space_id) >= catalog.count_vectors(main):
            return
        left = catalog.count_without_vector(space_id)
        if left:
            self._notice(
                f"{left:,} photos are not embedded with {space.model} yet, so that words do not find them: "
                "`vitsearch index` goes on with that"
            )

    def roots(self) -> list[RootInfo]:
        """Return the indexed folders with their counts."""
        return root_infos(self.catalog, library_counts(self.catalog))

    def relocate_root(
        self, old: str | os.PathLike[str], new: str | os.PathLike[str], *, force: bool = False
    ) -> None:
        """Record that an indexed folder is now at another path. No photo is read again.

        `force` skips the check that the new folder holds the same photos.

        Raises:
            LibraryError: the new folder does not exist, overlaps another indexed folder, or does not hold these photos:
                fewer than half of a sample have the same names and sizes there.

        """
        folder = real_path(new)
        if not folder.is_dir():
            raise LibraryError(f"{folder} does not exist: mount its drive, then relocate")
        catalog = (
            self.catalog
        )  # before the lock, whose file would make the folder of a library that is not there
        with write_lock(self.folder):
            root = self._known_root(old)
            catalog.check_overlap(root, folder)
            if not force:
                catalog.check_sample(root, folder)
            catalog.relocate_root(root, folder)

    def photos_only_in(self, folder: str | os.PathLike[str]) -> int:
        """Return how many photos `forget_root` would remove: those in no other folder that no head learns from."""
        return self.catalog.count_only_in(self._known_root(folder))[0]

    def examples_only_in(self, folder: str | os.PathLike[str]) -> int:
        """Return how many photos in this folder alone are examples of heads; `forget_root` keeps their embeddings."""
        return self.catalog.count_only_in(self._known_root(folder))[1]

    def forget_root(self, folder: str | os.PathLike[str]) -> int:
        """Remove a folder from the library, with the photos that are in no other folder.

        Returns how many photos were removed.
        """
        catalog = self.catalog
        with write_lock(self.folder):
            active = catalog.active_space()
            before = catalog.generation(active.id) if active else 0
            root = self._known_root(folder)
            back_up(catalog.database, self.layout)
            removed = catalog.forget_root(root)
            if active is not None:
                self._search_cache(*active).follow_removal(removed, since=before)
            return len(removed)

    def status(self, *, thumbnails: bool = False) -> LibraryStatus:
        """Return what the library holds and its size on disk; `thumbnails` includes the size of the thumbnails."""
        active = self.catalog.active_space()
        counts = library_counts(self.catalog)
        spaces = self._used_spaces(counts)
        step = None
        if active is not None and not any(space.reads_text for space in spaces):
            step = self._words_step(active, counts.photos)
        return library_status(
            self.catalog,
            counts,
            spaces,
            words_step=step,
            cache_current=active is None or not self._search_cache(*active).is_stale(),
            thumbnails=thumbnails,
        )

    def _words_step(self, main: tuple[int, Space], photos: int) -> WordsStep:
        from vitsearch.searching.words import words_step

        return words_step(self.catalog, main, photos, cache=self.cache_folder)

    def used_spaces(self) -> tuple[UsedSpace, ...]:
        """Return the embedding spaces in use, the main one first; empty if the library does not exist."""
        return self._used_spaces(library_counts(self.catalog)) if self.layout.database.exists() else ()

    def _used_spaces(self, counts: LibraryCounts) -> tuple[UsedSpace, ...]:
        active = self.catalog.active_space()
        if active is None:
            return ()
        return tuple(
            UsedSpace(
                model=space.model,
                dimension=space.dimension,
                main=space_id == active.id,
                reads_text=self._backbones.reads_text(space),
                vectors=counts.in_spaces.get(space_id, 0),
                left=counts.left.get(space_id, 0),
            )
            for space_id, space in (active, *self.catalog.also_spaces())
        )

    def forecast(self) -> tuple[Forecast, ...]:
        """Estimate the disk, memory and time that the library will need as it grows; empty if it has no photos."""
        from vitsearch.neighbours.forecast import forecasts

        catalog = self.catalog
        active = catalog.active_space()
        if active is None:
            return ()
        return forecasts(
            library_counts(catalog).vectors,
            active.space.dimension,
            database_bytes=catalog.database.path.stat().st_size,
            rate=catalog.embedding_rate(active.id),
        )

    def _stored_row(self, space_id: int, space: Space, photo_hash: bytes) -> Vector | None:
        # One that is known and is no photo of the library, as an example of a head, is looked at as any other from
        # elsewhere: a copy of the library, which lacks it, gives the same scores.
        known = self.catalog.photo_id(photo_hash, present=True)
        if known is None:
            return None
        _, rows = self.catalog.vectors(space_id, space.dimension, np.array([known]))
        return np.asarray(rows[0], np.float32) if len(rows) else None

    def _prepare_search(self, space_id: int, space: Space) -> None:
        cache = self._search_cache(space_id, space)
        cache.current().prepare()
        cache.reference_sample()

    def _known_root(self, folder: str | os.PathLike[str]) -> Root:
        path = real_path(folder)
        for root in self.catalog.roots():
            # By its own name too: the folder of an imported photo may be a path of another system, or a URL.
            if root.path in (path, Path(folder)):
                return root
        raise LibraryError(f"{path} is not a folder that was indexed: see `vitsearch roots list`")
