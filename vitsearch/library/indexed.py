"""How photos and their embeddings are added to a library: from folders, engines and imports."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.backbones.source import canonical, framing_of
from vitsearch.errors import LibraryError, ModelError, SpaceMismatch
from vitsearch.library.opened import OpenedLibrary
from vitsearch.paths import real_path, state_of
from vitsearch.records import EmbeddedFiles, FoundFile, IndexReport, UnreadableFile
from vitsearch.storage.backup import back_up, back_up_daily
from vitsearch.storage.vectors import StoredSpace
from vitsearch.storage.write_lock import write_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from vitsearch.indexing.engine import EmbeddingEngine, FileEmbedder, Target
    from vitsearch.records import Progress
    from vitsearch.space import Framing, Space
    from vitsearch.storage.catalog import Catalog

_NO_FOLDER = "no folder was indexed yet: name one, as in `vitsearch index ~/Pictures`"


class IndexedLibrary(OpenedLibrary):
    """The part of a library that writes embeddings."""

    def index(
        self,
        folders: Iterable[str | os.PathLike[str]] = (),
        *,
        model: str | None = None,
        also: str | None = None,
        framing: Framing | None = None,
        change_model: bool = False,
        upgrade: bool = False,
        prune: bool = False,
        retry: bool = False,
        workers: int | None = None,
        thumbnails: bool = False,
        engine: EmbeddingEngine | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> IndexReport:
        """Index the photos in these folders, or update all indexed folders.

        - `model`: the model of the first run; later runs check that it is the library's.
        - `also`: an additional model that reads text. This run and all later ones embed every photo with it too, and
          text searches use it.
        - `framing`: "model" embeds what the model's preprocessing sees, for most models a centre crop; "whole" embeds
          the whole frame as well, in twice the time.
        - `change_model`: embed every photo again with `model` and `framing`, or the library's own where they are not
          given. Searches use the old embeddings until all photos are done.
        - `upgrade`: the same with the library's own model, for a library made before colour profiles were applied and
          photos of all formats were identified by their image data alone.
        - `prune`: delete the records of missing files.
        - `retry`: try unreadable files again.
        - `workers`: how many processes decode photos, by default one per core.
        - `thumbnails`: keep thumbnails of new photos for the web page.
        - `engine`: embed elsewhere, such as on a Ray cluster, instead of in this process.

        The report says if the run was interrupted; the next run continues it.

        Raises:
            LibraryBusy: another run is indexing into this library.
            LibraryError: a folder does not exist, or there is nothing to index.
            SpaceMismatch: the library was indexed with another model.

        """
        from vitsearch.decoding.thumbnails import KeptPictures
        from vitsearch.indexing.embedding import Embedder
        from vitsearch.indexing.refusals import check_folders
        from vitsearch.indexing.run import IndexRun

        named = [os.fspath(folder) for folder in folders]
        if url := next((name for name in named if "://" in name), None):
            raise LibraryError(
                f"{url} is a URL: index URLs with --engine ray, and folders in a run of their own"
            )
        if not self.layout.database.exists():
            _check_first(named)
        self._load_first(model, also, framing)
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
            if upgrade or change_model:
                model, framing = self._changed(catalog, model, framing)
                change_model = True
            space_id, space = self._space_for_index(catalog, model, framing, change=change_model)
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

    @contextmanager
    def receiving_files(
        self,
        *,
        model: str | None = None,
        change_model: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> Iterator[Target]:
        """Hold the write lock while an engine embeds files that are in no local folder; `index` does this for folders.

        Raises:
            LibraryBusy: another run is writing embeddings.
            SpaceMismatch: the library was indexed with another model.

        """
        self._load_first(model)
        with self.writing() as catalog:
            framing = None
            if change_model:
                model, framing = self._changed(catalog, model, None)
            space_id, space = self._space_for_index(catalog, model, framing, change=change_model)
            yield self._target(catalog, space_id, space, on_progress)
            self._search_cache(space_id, space).bring_up_to_date()
            if change_model:
                self._change_space(space_id, space)

    @contextmanager
    def receiving(self, space: Space, *, use: bool = False) -> Iterator[tuple[Catalog, int]]:
        """Hold the write lock while embeddings computed elsewhere are stored.

        Yields the catalog and the id of their space. Searches use the space afterwards if `use` is set, or if the
        library had no other.

        Raises:
            LibraryBusy: another run is writing embeddings.

        """
        with self.writing() as catalog:
            space_id = catalog.add_space(space)
            yield catalog, space_id
            if use or catalog.active_space() is None:
                catalog.activate_space(space_id)
            self._search_cache(space_id, space).bring_up_to_date()

    def ensure_space(self, space: Space | None = None) -> StoredSpace:
        """Create the library and this embedding space if they do not exist; without a space, the library's own.

        A new library gets the space of the default model.
        """
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
        """Embed files, by default with the library's own model, without adding them to the indexed folders.

        Photos that the library has are not embedded again, and unchanged files are not even read. Other photos are
        stored for heads only: searches, counts and the reference sample leave them out, and `prune` removes them.

        Raises:
            LibraryBusy: there is something to embed, and another run is writing embeddings.

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
                new.append(FoundFile(path.parent, path.name, *state_of(info)))
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

    def _note_embedding(self, space_id: int, space: Space, photos: int, seconds: float) -> None:
        self.catalog.note_embedding(space_id, photos, seconds)
        self._backbones.note_rate(space, photos, seconds)

    def _use_also(self, catalog: Catalog, model: str, main: Space) -> None:
        """Make this run and later ones embed every photo with an additional model.

        If the model is the library's own, published without its text tower, only the text tower is fetched and no
        photo is embedded again.

        Raises:
            LibraryError: the model is the library's own.
            ModelError: the model reads no text, or is not available.

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

    def _load_first(self, model: str | None, also: str | None = None, framing: Framing | None = None) -> None:
        """Load the models before the library is created, so that an unavailable model leaves no library behind."""
        if self.layout.database.exists():
            return
        main = self._backbones.named(model, framing).space
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
        """Embed the photos that the additional spaces lack."""
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
        """Return the additional spaces, converted to the main space's colour handling, which photo hashes depend on."""
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

    def _space_for_index(
        self, catalog: Catalog, model: str | None, framing: Framing | None = None, *, change: bool = False
    ) -> tuple[int, Space]:
        if change:
            space = self._backbones.named(model, framing).space
            return catalog.add_space(space), space
        active = catalog.active_space()
        if active is None:
            space = self._backbones.named(model, framing).space
            space_id = catalog.add_space(space)
            catalog.activate_space(space_id)
            return space_id, space
        self._backbones.check(active.space, model, framing)
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

    def _changed(
        self, catalog: Catalog, model: str | None, framing: Framing | None
    ) -> tuple[str | None, Framing | None]:
        """Return the model and framing to embed all photos with again; the library's own where none is given."""
        active = catalog.active_space()
        if active is None:
            return model, framing
        if model is None and active.space.is_imported:
            raise SpaceMismatch(
                f"the vectors of {active.space.model} were imported: compute new ones where those came "
                "from, and import them"
            )
        return model or active.space.model, framing or framing_of(active.space)

    def _change_space(self, space_id: int, space: Space) -> None:
        left = self.catalog.count_without_vector(space_id)
        if left:
            self._notice(
                f"{left} photos are not embedded with {space.model} yet: searches go on with the old model; run the "
                "same command again (with all drives mounted) to finish"
            )
        else:
            self.catalog.activate_space(space_id)


def _check_first(folders: Sequence[str]) -> None:
    """Check the folders of a first run before the library is created, so that a typo leaves no library behind."""
    from vitsearch.indexing.refusals import check_folders

    if not folders:
        raise LibraryError(_NO_FOLDER)
    check_folders((), [Path(name).absolute() for name in folders])


def _follows_colours(catalog: Catalog, space: Space) -> bool:
    """Return whether photos that were embedded in their stored colours are now embedded by their profiles."""
    active = catalog.active_space()
    return (
        active is not None
        and active.space.preprocessing.colours == "stored"
        and space.preprocessing.colours != "stored"
    )
