"""The pipeline of an index run: scan, read and decode ahead, embed in batches, commit."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np

from vitsearch.catalog import ReadableFile, RejectedFile, Root
from vitsearch.duplicates.hashes import perceptual_hash
from vitsearch.errors import LibraryError, UnreadablePhoto
from vitsearch.photos import read_photo
from vitsearch.records import FoundFile, IndexReport, PhotoFacts, UnreadableFile
from vitsearch.scan import Skipped, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.catalog import Catalog, KnownFile

# Decoding a JPEG at a reduced scale stays at least this much above the model's input, so that the resize decides.
_DECODE_MARGIN = 2
# Files that need no embedding (moved, copied, unreadable) are committed in groups of this many.
_COMMIT_FILES = 256


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: `total` is None while the folders are still being walked."""

    stage: Literal["scan", "embed"]
    done: int
    total: int | None


@dataclass(frozen=True, slots=True)
class _Scope:
    """One folder of a run: a root, or a part of one."""

    root: Root
    below: str


@dataclass
class _Walked:
    """What the walk over one scope found, compared with what the catalog knows."""

    scope: _Scope
    todo: list[FoundFile] = field(default_factory=list)
    unchanged: int = 0
    unseen: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read; `pixels` (h, w, 3) uint8 only where the photo has to be embedded."""

    root: int
    found: FoundFile
    content: bytes
    payload: bytes
    facts: PhotoFacts
    perceptual: bytes | None
    pixels: npt.NDArray[np.uint8] | None


def check_folders(catalog: Catalog, folders: Sequence[Path]) -> None:
    """Look at the folders of a run before anything is loaded or stored for it.

    Raises:
        LibraryError: one is a file, or does not exist and belongs to no root that is offline, or would absorb a
            root that is offline: its files would then count as missing.

    """
    roots = catalog.roots()
    for folder in (folder.resolve() for folder in folders):
        root = next((root for root in roots if folder.is_relative_to(root.path)), None)
        if folder.is_file():
            raise LibraryError(f"{folder} is a file: give the folder that it is in")
        if root is None and not folder.exists():
            raise LibraryError(f"{folder} does not exist: check the spelling, or mount its drive")
        if root is not None and not folder.exists() and not root.is_offline():
            raise LibraryError(f"{folder} does not exist: index {root.path} to record what has gone")
        for inner in roots:
            if root is None and inner.path.is_relative_to(folder) and inner.is_offline():
                raise LibraryError(
                    f"{inner.path} in {folder} is absent or empty, perhaps an unmounted drive: mount it first, or use "
                    "`vitsearch roots forget`"
                )


class IndexRun:
    """One run over some folders of a library. Use once: `IndexRun(...).execute()`."""

    def __init__(
        self,
        catalog: Catalog,
        space: int,
        backbone: Callable[[], Backbone],
        *,
        workers: int | None = None,
        retry: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.catalog = catalog
        self.space = space
        self.backbone = backbone
        self.workers = workers or max(2, os.cpu_count() or 2)
        self.retry = retry
        self.on_progress = on_progress
        # SQLite's connection is shared with the decoding threads, which look payloads up.
        self._lock = threading.Lock()
        self._embedded = 0

    def execute(self, folders: Sequence[Path], *, prune: bool = False) -> IndexReport:
        """Bring the library up to date with these folders.

        Raises:
            LibraryError: an offline root was to be pruned.

        """
        started = time.monotonic()
        scopes, offline = self._scopes(folders)
        if prune and offline:
            raise LibraryError(
                f"{offline[0].path} is absent or empty, perhaps an unmounted drive: nothing was pruned. If it is "
                "gone for good, use `vitsearch roots forget`"
            )
        run = self.catalog.begin_run()
        walked, moved, pruned, interrupted = [], 0, 0, False
        try:
            scanned = 0
            for scope in scopes:
                walked.append(self._walk(scope, scanned))
                scanned += len(walked[-1].todo) + walked[-1].unchanged
            self._embed_all(run, [(walk.scope.root.id, found) for walk in walked for found in walk.todo])
            for result in walked:
                moved += self._finish(run, result)
            if prune:
                pruned = self.catalog.prune([(scope.root.id, scope.below) for scope in scopes])
        except KeyboardInterrupt:
            interrupted = True
        counts = [self.catalog.counts(scope.root.id, scope.below) for scope in scopes]
        space = self.catalog.active_space()
        return IndexReport(
            photos=self.catalog.count_photos([(scope.root.id, scope.below) for scope in scopes]),
            files=sum(count.files for count in counts),
            embedded=self._embedded,
            unchanged=sum(result.unchanged for result in walked),
            moved=moved,
            missing=sum(count.missing for count in counts),
            pruned=pruned,
            offline=sum(self.catalog.counts(root.id, "").files for root in offline),
            offline_roots=tuple(root.path for root in offline),
            unreadable=self._unreadable(scopes, walked),
            model=space[1].model if space else "",
            seconds=time.monotonic() - started,
            interrupted=interrupted,
        )

    def _scopes(self, folders: Sequence[Path]) -> tuple[list[_Scope], list[Root]]:
        """Turn folders into scopes, add new roots, and set aside the roots that are offline."""
        scopes: list[_Scope] = []
        offline: list[Root] = []
        for folder in dict.fromkeys(folder.resolve() for folder in folders):
            root, below = self.catalog.add_root(folder)
            counts = self.catalog.counts(root.id, "")
            if root.is_offline() and (counts.files or counts.missing):
                offline.append(root)
            else:
                scopes.append(_Scope(root, below))
        # A folder inside another one of the same run is walked with it.
        outer = [
            scope
            for scope in scopes
            if not any(
                scope is not other
                and scope.root.id == other.root.id
                and scope.below.startswith(other.below)
                and (scope.below != other.below)
                for other in scopes
            )
        ]
        current = {root.id: root for root in self.catalog.roots()}
        return [
            _Scope(current[scope.root.id], scope.below) for scope in outer if scope.root.id in current
        ], offline

    def _walk(self, scope: _Scope, before: int) -> _Walked:
        known = self.catalog.known_files(scope.root.id, scope.below, self.space)
        result = _Walked(scope)
        seen = 0
        for found in walk(scope.root.path, below=scope.below):
            if isinstance(found, Skipped):
                result.skipped.append(found)
                continue
            seen += 1
            if not seen % 1000:
                self.on_progress(Progress("scan", before + seen, None))
            file = known.pop(found.relative, None)
            if (
                file is None
                or found.size != file.size
                or found.mtime_ns != file.mtime_ns
                or self._is_due(file)
            ):
                result.todo.append(found)
            elif file.missing:
                result.returned.append(file.id)
        # What lies below a folder that could not be entered was not looked for, so it is not missing.
        closed = tuple(f"{skipped.path}{os.sep}" for skipped in result.skipped)
        base = f"{scope.root.path}{os.sep}"
        result.unchanged = seen - len(result.todo)
        result.unseen = [
            file.id for path, file in known.items() if not closed or not f"{base}{path}".startswith(closed)
        ]
        return result

    def _is_due(self, file: KnownFile) -> bool:
        """Whether an unchanged file has to be read all the same: it has no vector yet, or is to be tried again."""
        return not file.has_vector and (file.readable or self.retry)

    def _embed_all(self, run: int, todo: Sequence[tuple[int, FoundFile]]) -> None:
        if not todo:
            return
        backbone = self.backbone()
        readable: list[_Read] = []
        rejected: list[RejectedFile] = []
        waiting = 0
        self.on_progress(Progress("embed", 0, len(todo)))
        for done, outcome in enumerate(self._read_ahead(backbone, todo), 1):
            if isinstance(outcome, RejectedFile):
                rejected.append(outcome)
            else:
                readable.append(outcome)
                waiting += outcome.pixels is not None
            if waiting >= backbone.batch_size or len(readable) + len(rejected) - waiting >= _COMMIT_FILES:
                self._commit(run, backbone, readable, rejected)
                readable, rejected, waiting = [], [], 0
                self.on_progress(Progress("embed", done, len(todo)))
        self._commit(run, backbone, readable, rejected)
        self.on_progress(Progress("embed", len(todo), len(todo)))

    def _read_ahead(
        self, backbone: Backbone, todo: Iterable[tuple[int, FoundFile]]
    ) -> Iterator[_Read | RejectedFile]:
        """Read and decode in threads, in order, never further ahead than two batches."""
        ahead = 2 * backbone.batch_size + self.workers
        pending: deque[Future[_Read | RejectedFile]] = deque()
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="vitsearch-decode")
        try:
            for root, found in todo:
                pending.append(pool.submit(self._read, backbone, root, found))
                if len(pending) >= ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def _read(self, backbone: Backbone, root: int, found: FoundFile) -> _Read | RejectedFile:
        try:
            photo = read_photo(found.path)
            with self._lock:
                known = self.catalog.has_vector(photo.payload, self.space)
            if known:
                return _Read(root, found, photo.content, photo.payload, photo.facts, None, None)
            size = max(backbone.space.preprocessing.resize, backbone.space.preprocessing.height)
            image = photo.pixels(min_side=_DECODE_MARGIN * size)
        except UnreadablePhoto as error:
            return RejectedFile(root, found, error.reason)
        return _Read(
            root,
            found,
            photo.content,
            photo.payload,
            photo.facts,
            perceptual_hash(image),
            backbone.prepare(image),
        )

    def _commit(
        self, run: int, backbone: Backbone, readable: Sequence[_Read], rejected: list[RejectedFile]
    ) -> None:
        # The same photo twice in one batch is embedded once: the second file finds the first one's vector.
        first = {file.payload: file for file in reversed(readable) if file.pixels is not None}
        chosen = [file for file in readable if first.get(file.payload) is file]
        embeddings = backbone.embed_batch(
            _stacked([file.pixels for file in chosen if file.pixels is not None], backbone)
        )
        position = {id(file): index for index, file in enumerate(chosen)}
        usable = np.isfinite(embeddings.norms) & (embeddings.norms > 0)
        blank = {file.payload for file, fine in zip(chosen, usable, strict=True) if not fine}
        ready = []
        for file in readable:
            index = position.get(id(file))
            norm = float(embeddings.norms[index]) if index is not None else 0.0
            if file.payload in blank:
                rejected.append(RejectedFile(file.root, file.found, "the model gave no finite vector for it"))
                continue
            row = None if index is None else embeddings.rows[index].astype(np.float16)
            ready.append(
                ReadableFile(
                    file.root, file.found, file.content, file.payload, file.facts, file.perceptual, row, norm
                )
            )
        if ready or rejected:
            with self._lock:
                self._embedded += self.catalog.store(run, self.space, ready, rejected)

    def _finish(self, run: int, walked: _Walked) -> int:
        scope = walked.scope
        return self.catalog.finish_walk(
            run,
            scope.root,
            unseen=walked.unseen,
            returned=walked.returned,
            whole=not scope.below,
        )

    def _unreadable(self, scopes: Sequence[_Scope], walked: Sequence[_Walked]) -> tuple[UnreadableFile, ...]:
        skipped = [UnreadableFile(item.path, item.reason) for result in walked for item in result.skipped]
        stored = [
            UnreadableFile(scope.root.path / path, reason)
            for scope in scopes
            for path, reason in self.catalog.unreadable(scope.root.id, scope.below)
        ]
        return tuple(sorted(skipped + stored, key=lambda item: item.path))


def _stacked(pixels: Sequence[npt.NDArray[np.uint8]], backbone: Backbone) -> npt.NDArray[np.uint8]:
    if pixels:
        return np.stack(pixels)
    preprocessing = backbone.space.preprocessing
    return np.empty((0, preprocessing.height, preprocessing.width, 3), np.uint8)
