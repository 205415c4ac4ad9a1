"""A library: photos that were indexed, and the questions they answer.

The only place where the catalog and the neighbours change together: SQLite first, then the FAISS cache.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.backbones.source import BackboneSource, canonical
from vitsearch.errors import (
    BadQuery,
    LibraryError,
    ModelError,
    NoTextTower,
    SpaceMismatch,
)
from vitsearch.paths import real_path
from vitsearch.records import (
    EmbeddedFiles,
    FoundFile,
    IndexReport,
    LibraryStatus,
    RootInfo,
    SearchResult,
    UnreadableFile,
    UsedSpace,
)
from vitsearch.searching.matches import MatchOptions, find_matches, query_direction
from vitsearch.searching.query_embedder import QueryEmbedder
from vitsearch.searching.store import check_held
from vitsearch.searching.terms import Weighted, Words, weighted
from vitsearch.storage.backup import back_up, back_up_daily
from vitsearch.storage.catalog import Catalog, Root
from vitsearch.storage.counts import LibraryCounts, library_counts
from vitsearch.storage.database import Database
from vitsearch.storage.filters import ALL_PHOTOS, Filter
from vitsearch.storage.layout import WRITABLE_LIBRARY, Layout
from vitsearch.storage.private import make_folder
from vitsearch.storage.status import library_status, root_infos
from vitsearch.storage.vectors import StoredSpace
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.devices import Device
    from vitsearch.decoding.decoders import Decoders
    from vitsearch.indexing.engine import EmbeddingEngine, FileEmbedder, Target
    from vitsearch.neighbours.cache import SearchCache
    from vitsearch.neighbours.forecast import Forecast
    from vitsearch.neighbours.neighbours import Neighbours
    from vitsearch.records import Match, Progress, WordsStep
    from vitsearch.searching.queries import Crop, Example
    from vitsearch.searching.store import SearchStore
    from vitsearch.space import Space
    from vitsearch.storage.vectors import SpaceContents

    Vector = npt.NDArray[np.float32]


_NO_FOLDER = "no folder was indexed yet: name one, as in `vitsearch index ~/Pictures`"


class Library:
    """One folder that holds a catalog of photos and their vectors. Use it as a context manager.

    Opening is lazy: a library that does not exist yet is created by the first `index`.
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
    ) -> Library:
        """Open the library in a folder.

        `backbone` replaces the model that the library would load itself; `cache` is where weights are kept (the
        user's cache folder by default); `notice` is told, in one line each, what a person may want to know.
        Index runs decode in processes of their own. Examples of searches are decoded in this process, which is fastest
        for a person's own photo; a server passes `decoders`, so that no upload can end or hang it.
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

    def __enter__(self) -> Library:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the database and the vectors."""
        if self._opened is not None:
            self._opened.database.close()
        self._opened = None
        for cache in self._searched.values():
            cache.close()
        self._searched = {}

    @property
    def layout(self) -> Layout:
        """Where the library keeps what."""
        return Layout.of(self.folder)

    @property
    def catalog(self) -> Catalog:
        """The tables of a library that exists.

        Raises:
            LibraryMissing: nothing was indexed here yet.

        """
        return self._catalog(create=False)

    def index(
        self,
        folders: Iterable[str | os.PathLike[str]] = (),
        *,
        model: str | None = None,
        also: str | None = None,
        change_model: bool = False,
        upgrade: bool = False,
        prune: bool = False,
        retry: bool = False,
        workers: int | None = None,
        thumbnails: bool = False,
        engine: EmbeddingEngine | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> IndexReport:
        """Bring the library up to date with these folders, or with all folders that it knows.

        `model` is used by the first run and checked by later ones. `also` names a model that reads text: every photo is
        embedded with it too, beside the main space, in this run and all later ones, and searches by words use it.
        With `change_model` every photo is embedded again
        with `model`, beside the vectors that are there; searches go on with the old model until all is done. `upgrade`
        does the same with the library's own model, for one that was made before colour profiles were followed and
        photos of all formats known by their image data alone. `prune` deletes what is missing; `retry` looks at
        unreadable files again; `thumbnails` keeps small pictures of new photos for the web page. With an `engine`,
        others than this process embed. A run that is interrupted reports
        so and is continued by the next one.

        Raises:
            LibraryBusy: another run is indexing into this library.
            LibraryError: a folder does not exist, or there is nothing to index.
            SpaceMismatch: the library was indexed with another model.

        """
        from vitsearch.decoding.thumbnails import KeptPictures
        from vitsearch.indexing.embedding import Embedder
        from vitsearch.indexing.run import IndexRun, check_folders

        named = [os.fspath(folder) for folder in folders]
        if url := next((name for name in named if "://" in name), None):
            raise LibraryError(
                f"{url} is a URL: index URLs with --engine ray, and folders in a run of their own"
            )
        if not self.layout.database.exists():
            _check_first(named)
        self._load_first(model, also)
        with self.writing() as catalog:
            chosen = [Path(name).absolute() for name in named] or [root.path for root in catalog.roots()]
            if prune:
                back_up(catalog.database, self.layout)
            else:
                back_up_daily(catalog.database)
            if not chosen:
                raise LibraryError(_NO_FOLDER)
            # A folder of which nothing is known has nothing to lose.
            check_folders([root for root in catalog.roots() if catalog.has_files(root.id)], chosen)
            if upgrade:
                model, change_model = self._upgraded_model(catalog, model), True
            space_id, space = self._space_for_index(catalog, model, change=change_model)
            if also is not None:
                self._use_also(catalog, also, space)
            if space.preprocessing.colours == "stored" and not space.is_imported:
                self._notice(
                    "this library was made before colour profiles were followed, and stays as it is: "
                    "`vitsearch index --upgrade` embeds its photos again"
                )
            embedder: FileEmbedder
            if engine is None:
                embedder = Embedder(
                    catalog,
                    space_id,
                    lambda: self.backbone(space),
                    workers=workers,
                    pictures=KeptPictures(self.folder, anew=_follows_colours(catalog, space))
                    if thumbnails
                    else None,
                    on_progress=on_progress,
                )
            else:
                embedder = engine.open(self._target(catalog, space_id, space, on_progress))
            run = IndexRun(catalog, space_id, embedder, retry=retry, on_progress=on_progress)
            report = run.execute(chosen, prune=prune)
            if engine is None:  # another machine says nothing of what this one can do
                self._note_embedding(space_id, space, report.embedded, report.seconds)
            self._search_cache(space_id, space).bring_up_to_date()
            if change_model:
                self._change_space(space_id, space)
            if report.interrupted:
                return report
            return self._complete_beside(
                catalog, report, workers=workers, engine=engine, on_progress=on_progress
            )

    def _note_embedding(self, space_id: int, space: Space, photos: int, seconds: float) -> None:
        self.catalog.note_embedding(space_id, photos, seconds)
        self._backbones.note_rate(space, photos, seconds)

    def _use_also(self, catalog: Catalog, model: str, main: Space) -> None:
        """Have this run and later ones embed every photo with another model too.

        For the model from the package index, named as the library's own, its text tower is fetched, and no photo is
        embedded again.

        Raises:
            LibraryError: it is the library's own model.
            ModelError: it is one that reads no text, or cannot be had.

        """
        space = self._space_for_words(model, main)
        if space is not None:
            catalog.use_also(catalog.add_space(space))

    def _space_for_words(self, model: str, main: Space) -> Space | None:
        # Here, as a search for a photo needs to know nothing of checkpoints and the hub.
        from vitsearch.backbones.borrowed_text import borrows_text
        from vitsearch.backbones.words import check_reads_text, reads_no_text

        if canonical(model) == main.model and borrows_text(main):
            self._backbones.borrow_text()
            return None
        check_reads_text(model)
        space = self._backbones.space_of(model).with_colours(main.preprocessing.colours)
        if space == main:
            raise LibraryError(f"{space.model} is the library's own model: name another one with --also")
        if not self._backbones.reads_text(space):
            raise reads_no_text(space.model)
        return space

    def _load_first(self, model: str | None, also: str | None = None) -> None:
        """Load the models of a library that is not there yet: one that cannot be had leaves no library behind."""
        if self.layout.database.exists():
            return
        main = self._backbones.named(model).space
        if also is not None:
            self._space_for_words(also, main)

    def _complete_beside(
        self,
        catalog: Catalog,
        report: IndexReport,
        *,
        workers: int | None,
        engine: EmbeddingEngine | None,
        on_progress: Callable[[Progress], None],
    ) -> IndexReport:
        """Embed in the spaces beside the main one what they lack."""
        from vitsearch.indexing.beside import beside, complete
        from vitsearch.indexing.embedding import Embedder

        told = beside(on_progress)
        for space_id, space in self._also_spaces(catalog):

            def embedder(space_id: int = space_id, space: Space = space) -> FileEmbedder:
                if engine is not None:
                    return engine.open(self._target(catalog, space_id, space, told))
                return Embedder(
                    catalog,
                    space_id,
                    lambda: self.backbone(space),
                    workers=workers,
                    beside=True,
                    on_progress=told,
                )

            try:
                done, unread = complete(catalog, space_id, embedder)
            except KeyboardInterrupt:
                return replace(report, interrupted=True)
            except (ModelError, SpaceMismatch) as error:
                # The main space is complete: that the other one is not is no reason to hide it.
                self._notice(f"searches by words lack new photos: {error}")
                continue
            if engine is None:
                self._note_embedding(space_id, space, done.embedded, done.seconds)
            self._search_cache(space_id, space).bring_up_to_date()
            seen = {item.path for item in report.unreadable}
            others = tuple(item for item in unread if item.path not in seen)
            report = replace(
                report,
                also=(*report.also, done),
                unreadable=(*report.unreadable, *others),
                newly_unreadable=(*report.newly_unreadable, *others),
            )
        return report

    def _also_spaces(self, catalog: Catalog) -> list[StoredSpace]:
        """Return the spaces beside the main one, as that sees colours: photos are named by how they are seen."""
        main = catalog.active_space()
        if main is None:
            return []
        colours = main[1].preprocessing.colours
        for space_id, space in catalog.also_spaces():
            if space.preprocessing.colours != colours:  # the library was upgraded
                catalog.remove_space(space_id)
                self._search_cache(space_id, space).delete()
                catalog.use_also(catalog.add_space(space.with_colours(colours)))
        return catalog.also_spaces()

    @contextmanager
    def writing(self) -> Iterator[Catalog]:
        """Hold the write lock of the library, which is made if it is not there yet; yields its tables.

        Raises:
            LibraryBusy: another process is changing it.

        """
        self._make_folder()
        with write_lock(self.folder):
            yield self._catalog(create=True)

    @contextmanager
    def receiving_files(
        self,
        *,
        model: str | None = None,
        change_model: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[Target]:
        """Hold the write lock while an engine embeds files that no folder here holds, as `index` does for folders.

        Raises:
            LibraryBusy: another run is changing vectors.
            SpaceMismatch: the library was indexed with another model.

        """
        self._load_first(model)
        with self.writing() as catalog:
            space_id, space = self._space_for_index(catalog, model, change=change_model)
            yield self._target(catalog, space_id, space, on_progress)
            self._search_cache(space_id, space).bring_up_to_date()
            if change_model:
                self._change_space(space_id, space)

    @contextmanager
    def receiving(self, space: Space, *, use: bool = False) -> Iterator[tuple[Catalog, int]]:
        """Hold the write lock while vectors of a space are stored that were made elsewhere.

        Yields the catalog and the space's id. Searches use the space afterwards if `use` says so or there was none.

        Raises:
            LibraryBusy: another run is changing vectors.

        """
        with self.writing() as catalog:
            space_id = catalog.add_space(space)
            yield catalog, space_id
            if use or catalog.active_space() is None:
                catalog.activate_space(space_id)
            self._search_cache(space_id, space).bring_up_to_date()

    def ensure_space(self, space: Space | None = None) -> StoredSpace:
        """Make sure that the library exists and knows this space, or else its own: the default model's in a new one."""
        if space is None:
            self._load_first(None)
        self._make_folder()
        catalog = self._catalog(create=True)
        if space is None:
            return StoredSpace(*self._space_for_index(catalog, None))
        return StoredSpace(catalog.add_space(space), space)

    def embed_files(
        self,
        files: Iterable[str | os.PathLike[str]],
        *,
        space: Space | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> EmbeddedFiles:
        """Make sure that these files have a vector in a space (the library's own by default).

        Photos that are stored are not embedded again, and not even read where the file is unchanged. Others are
        embedded and kept without a place in the library: searches do not offer them, nothing counts them or puts scores
        against them, and `prune` drops them.

        Raises:
            LibraryBusy: another run is changing vectors, and there is something to embed.

        """
        from vitsearch.indexing.embedding import Embedder

        space_id, wanted = self.ensure_space(space)
        catalog = self.catalog
        paths = list(dict.fromkeys(map(real_path, files)))
        photos = {path: catalog.unchanged_photo(path, space_id) for path in paths}
        unreadable: list[UnreadableFile] = []
        new: list[FoundFile] = []
        for path in (path for path, photo in photos.items() if photo is None):
            try:
                info = path.stat()
                new.append(FoundFile(path.parent, path.name, info.st_size, info.st_mtime_ns))
            except OSError as error:
                unreadable.append(UnreadableFile(path, error.strerror or str(error)))
        if new:
            with write_lock(self.folder):
                embedder = Embedder(catalog, space_id, lambda: self.backbone(wanted), on_progress=on_progress)
                embedder.run(catalog.begin_run(), [(None, found) for found in new])
            photos |= {
                path: catalog.photo_id(photo_hash) for path, photo_hash in embedder.photo_hashes.items()
            }
            unreadable += [UnreadableFile(path, reason) for path, reason in embedder.reasons.items()]
        known = {path: photo for path, photo in photos.items() if photo is not None}
        return EmbeddedFiles(space_id, known, tuple(unreadable))

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
        """Find the photos most like the examples (their mean direction), away from the negative examples.

        An example is an image (a path, an https URL, bytes, an open binary file, a PIL image, or pixels (h, w, 3)
        uint8), a vector (d,) float32 of the model that answers, or `Words`, as `text` is; `Weighted` says how much it
        counts beside the others, which count 1. `crop` is x, y, width, height in pixels of the single upright example.
        Only photos that `where` keeps are answers. A `store` answers in place of the library, which need not exist
        then. With words the space that reads text answers, otherwise the main one.

        Raises:
            LibraryMissing: nothing was indexed here yet.
            BadQuery: there is no example and no text, or an option does not fit.
            UnreadablePhoto: an example cannot be read.
            NoTextTower: no space of the library reads text; the message says what to run.

        """
        asked = [weighted(each) for each in (*examples, *([Words(text)] if text else []))]
        away = [weighted(each) for each in negatives]
        if store is not None:
            space, known_row = store.searched_space, store.vector
        else:
            words = any(isinstance(each.example, Words) for each in (*asked, *away))
            space_id, space = searched = self.space_for(words=words)
            known_row = partial(self._stored_row, space_id, space)
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
            searches_here=store is None,
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
        """Find the photos nearest to the mean of unit vectors (d,) float32, away from the mean of `away`.

        A vector that is longer weighs more.

        The vectors are of the space that is `searched`, by default the main one; `names` is what the answer repeats as
        its query.

        Raises:
            LibraryMissing: nothing was indexed here yet.
            BadQuery: the vectors cancel each other out.

        """
        space_id, space = searched or self.catalog.require_space()
        direction = query_direction(vectors, away)
        cache = self._search_cache(space_id, space)

        def found() -> tuple[tuple[Match, ...], float | None]:
            return find_matches(direction, self.catalog, cache.current(), cache.background(), options)

        matches, floor = found()
        if not cache.agrees(direction, matches):
            cache.renew()
            matches, floor = found()
        return SearchResult(query=names, model=space.model, results=matches, matches_above=floor)

    def space_for(self, *, words: bool) -> tuple[int, Space]:
        """Return the space, with its id, that answers a search: the main one, or with `words` the one that reads text.

        Raises:
            LibraryMissing: nothing was indexed here yet.
            NoTextTower: there are words, and no space in use reads text; the message says what to run.

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
        """Return the space for words: one that was made for them, or else the main one; the first that is complete."""
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

    def existing_space(self) -> Space | None:
        """Return the space that searches use, or None in a library that is empty or does not exist."""
        if not self.layout.database.exists():
            return None
        active = self.catalog.active_space()
        return active.space if active else None

    def neighbours(self) -> Neighbours:
        """Return the vectors of the active space, ready to be searched and as current as can be had at once."""
        return self._search_cache(*self.catalog.require_space()).whole()

    def roots(self) -> list[RootInfo]:
        """Return the folders that the library knows, with their counts."""
        return root_infos(self.catalog, library_counts(self.catalog))

    def relocate_root(
        self, old: str | os.PathLike[str], new: str | os.PathLike[str], *, force: bool = False
    ) -> None:
        """Say that a known folder is now at another path; no photo is read again.

        Raises:
            LibraryError: the new folder does not exist, overlaps another one, or does not hold these photos: fewer than
                half of a sample have the same names and sizes there. `force` leaves the sample out.

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
        """Return how many photos `forget_root` would drop: those that are in no other folder."""
        return self.catalog.count_only_in(self._known_root(folder))

    def forget_root(self, folder: str | os.PathLike[str]) -> int:
        """Drop a folder from the library, and the photos that were nowhere else; return how many went."""
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

    def drop_search_caches(self, spaces: Iterable[SpaceContents]) -> None:
        """Delete the search caches of these spaces; that of the main one is made again from what is stored."""
        for stored in spaces:
            cache = self._search_cache(stored.id, stored.space)
            cache.delete()
            if stored.active:
                cache.bring_up_to_date()

    def status(self, *, thumbnails: bool = False) -> LibraryStatus:
        """Return what the library holds and how large it is; with `thumbnails`, their files are counted too."""
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
        """Return the spaces that are in use, the main one first; none in a library that does not exist."""
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
        """Return what the library will need when it has grown, by the formulas of `forecast.py`; () if it is empty."""
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

    def _space_for_index(
        self, catalog: Catalog, model: str | None, *, change: bool = False
    ) -> tuple[int, Space]:
        if change:
            space = self._backbones.named(model).space
            return catalog.add_space(space), space
        active = catalog.active_space()
        if active is None:
            space = self._backbones.named(model).space
            space_id = catalog.add_space(space)
            catalog.activate_space(space_id)
            return space_id, space
        self._backbones.check(active.space, model)
        pinned = self._backbones.pinned(active.space)
        if pinned.revision != active.space.revision:
            catalog.add_space(pinned)
        return active.id, pinned

    def _target(
        self, catalog: Catalog, space_id: int, space: Space, on_progress: Callable[[Progress], None]
    ) -> Target:
        from vitsearch.indexing.engine import Target

        return Target(
            catalog,
            space_id,
            space,
            self._backbones.loader(space, main=not self._is_beside(space)),
            self.folder,
            on_progress,
        )

    def _upgraded_model(self, catalog: Catalog, model: str | None) -> str | None:
        """The model of the library, to be used in the way of this version."""
        active = catalog.active_space()
        if active is None or model is not None:
            return model
        if active.space.is_imported:
            raise SpaceMismatch(
                f"the vectors of {active.space.model} were imported: compute new ones where those came "
                "from, and import them"
            )
        return active.space.model

    def _change_space(self, space_id: int, space: Space) -> None:
        left = self.catalog.count_without_vector(space_id)
        if left:
            self._notice(
                f"{left} photos are not embedded with {space.model} yet: searches go on with the old model; run the "
                "same command again (with all drives mounted) to finish"
            )
        else:
            self.catalog.activate_space(space_id)

    def backbone(self, space: Space) -> Backbone:
        """Load the model of a stored space, and nothing that differs from it.

        Raises:
            SpaceMismatch: the weights on this machine, or the backbone that was given, are of another space.

        """
        return self._backbones.of_space(space, main=not self._is_beside(space))

    def embed_words(self, space: Space, text: str) -> Vector:
        """Return the unit row (d,) float32 of words in a space.

        Raises:
            NoTextTower: its model sees only images.

        """
        row: Vector = self._backbones.embed_words(space, [text], main=not self._is_beside(space)).rows[0]
        return row

    def _is_beside(self, space: Space) -> bool:
        return self.layout.database.exists() and any(
            space == other for _, other in self.catalog.also_spaces()
        )

    @property
    def cache_folder(self) -> Path:
        """Where weights are kept."""
        return self._backbones.cache_folder

    def _stored_row(self, space_id: int, space: Space, photo_hash: bytes) -> Vector | None:
        known = self.catalog.photo_id(photo_hash)
        if known is None:
            return None
        _, rows = self.catalog.vectors(space_id, space.dimension, np.array([known]))
        return np.asarray(rows[0], np.float32) if len(rows) else None

    def offline_roots(self) -> frozenset[Path]:
        """Return the known folders that are not there now; none in a library that does not exist."""
        if not self.layout.database.exists():
            return frozenset()
        return frozenset(root.path for root in self.catalog.roots() if root.is_offline())

    def _search_cache(self, space_id: int, space: Space) -> SearchCache:
        from vitsearch.neighbours.cache import SearchCache

        key = (space_id, space)  # SQLite gives the id of a space that was removed again
        if key not in self._searched:
            self._searched[key] = SearchCache(self.folder, self.catalog, space_id, space)
        return self._searched[key]

    def _known_root(self, folder: str | os.PathLike[str]) -> Root:
        path = real_path(folder)
        for root in self.catalog.roots():
            # By its own name too: the folder of an imported photo may be a path of another system, or a URL.
            if root.path in (path, Path(folder)):
                return root
        raise LibraryError(f"{path} is not a folder that was indexed: see `vitsearch roots list`")


def _check_first(folders: Sequence[str]) -> None:
    """Look at the folders of a first run before the library is made, so that a slip of the pen leaves none behind."""
    from vitsearch.indexing.run import check_folders

    if not folders:
        raise LibraryError(_NO_FOLDER)
    check_folders((), [Path(name).absolute() for name in folders])


def _follows_colours(catalog: Catalog, space: Space) -> bool:
    """Whether photos that were embedded in their stored colours are embedded now by their profiles."""
    active = catalog.active_space()
    return (
        active is not None
        and active.space.preprocessing.colours == "stored"
        and space.preprocessing.colours != "stored"
    )
