"""From files to committed embeddings: decode ahead in worker processes, embed in batches, commit each batch."""

from __future__ import annotations

import os
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from vitsearch.decoding.answers import Header
from vitsearch.decoding.blocks import MOST_BYTES, MOST_FILES, RetryAlone
from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.process import ProcessDied
from vitsearch.decoding.thumbnails import GRID_BOX
from vitsearch.errors import UnreadablePhoto
from vitsearch.paths import state_of
from vitsearch.records import Progress
from vitsearch.storage.rows import ReadableFile, RejectedFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone, Embeddings
    from vitsearch.decoding.answers import Prepared
    from vitsearch.decoding.thumbnails import KeptPictures
    from vitsearch.records import FoundFile, PhotoFacts
    from vitsearch.space import Space

# Files that need no embedding (moved, copied, unreadable) are committed in groups of this many.
_COMMIT_FILES = 256
# So many files keep a decoding process busy for longer than it takes to start.
_FILES_PER_PROCESS = 4
# So many blocks a process: the last ones end at about the same time, and the first ones come soon.
_BLOCKS_PER_PROCESS = 8

_File = tuple["int | None", "FoundFile"]


@dataclass(frozen=True, slots=True)
class _Read:
    """A file that was read; `pixels` (h, w, 3) uint8 only if the photo must be embedded."""

    root: int | None
    found: FoundFile
    file_hash: bytes
    photo_hash: bytes
    facts: PhotoFacts
    perceptual: bytes | None
    pixels: npt.NDArray[np.uint8] | None
    earlier_hash: bytes | None


@dataclass(frozen=True, slots=True)
class _Batch:
    """Files that were read, and the embeddings of the chosen ones, which `wait` returns."""

    done: int
    readable: Sequence[_Read]
    rejected: list[RejectedFile]
    chosen: Sequence[_Read]
    wait: Callable[[], Embeddings]


class Destination(Protocol):
    """Where an embedder stores its results: a library's catalog, or a replacement for it in another process."""

    def with_vectors(self, hashes: Sequence[bytes], space: int) -> AbstractSet[bytes]:
        """Return the hashes whose photos are stored and embedded in this space."""

    def store(
        self, run: int, space: int, readable: Sequence[ReadableFile], rejected: Sequence[RejectedFile]
    ) -> int:
        """Store one batch of files that were read; return how many embeddings were added."""


class Embedder:
    """Embeds files into one space of a library. A file with the root None is embedded without being indexed.

    - `pictures`: keep thumbnails for the grid.
    - `source`: returns the path or bytes of files that are stored elsewhere; may raise `UnreadablePhoto`.
    - `beside`: the photos are embedded in the main space already; one without a finite embedding in this space is
      still a photo.
    - `dtype`: the type of the rows; a library stores float16.
    """

    def __init__(
        self,
        catalog: Destination,
        space: int,
        backbone: Callable[[], Backbone],
        *,
        source: Callable[[FoundFile], Path | bytes] | None = None,
        workers: int | None = None,
        pictures: KeptPictures | None = None,
        beside: bool = False,
        dtype: type[np.floating] = np.float16,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.embedded = 0
        self.photo_hashes: dict[Path, bytes] = {}
        self.reasons: dict[Path, str] = {}
        self.unread: dict[Path, str] = {}
        self.remarks: dict[Path, str] = {}
        self._catalog = catalog
        self._space = space
        self._load = backbone
        self._source = source
        self._pictures = pictures
        self._beside = beside
        self._workers = workers or max(2, os.cpu_count() or 2)
        self._dtype = dtype
        self._on_progress = on_progress
        # SQLite's connection is shared with the threads that wait for the decoders and look photo_hashes up.
        self._lock = threading.Lock()

    def run(self, run: int, todo: Sequence[_File]) -> None:
        """Embed and commit files, given with the ids of their roots, in order.

        Afterwards, `embedded` is the number of new embeddings, `unread` lists the files that could not be read for a
        temporary cause, and `photo_hashes` and `reasons` hold the results of files without a root.
        """
        if not todo:
            return
        # Commits have a thread of their own, where Ctrl-C never comes between a commit and its count; it is waited for.
        with (
            ThreadPoolExecutor(1, thread_name_prefix="vitsearch-commit") as committer,
            Decoders(min(self._workers, 1 + len(todo) // _FILES_PER_PROCESS)) as decoders,
        ):
            decoders.start()  # while the model is loaded
            self._run(run, todo, decoders, committer)

    def _run(
        self, run: int, todo: Sequence[_File], decoders: Decoders, committer: ThreadPoolExecutor
    ) -> None:
        backbone = self._load()
        backbone.expect(len(todo))
        started: deque[_Batch] = deque()
        readable: list[_Read] = []
        rejected: list[RejectedFile] = []
        waiting = 0
        self._on_progress(Progress("embed", 0, len(todo)))
        for done, outcome in enumerate(self._read_ahead(backbone, decoders, todo), 1):
            if isinstance(outcome, RejectedFile):
                rejected.append(outcome)
            else:
                readable.append(outcome)
                waiting += outcome.pixels is not None
            if waiting >= backbone.batch_size or len(readable) + len(rejected) - waiting >= _COMMIT_FILES:
                started.append(self._started(backbone, readable, rejected, done))
                readable, rejected, waiting = [], [], 0
                while len(started) > backbone.in_flight:
                    self._commit(run, started[0], committer)
                    self._on_progress(Progress("embed", started.popleft().done, len(todo)))
        for batch in (*started, self._started(backbone, readable, rejected, len(todo))):
            self._commit(run, batch, committer)
        self._on_progress(Progress("embed", len(todo), len(todo)))

    def _read_ahead(
        self, backbone: Backbone, decoders: Decoders, todo: Sequence[_File]
    ) -> Iterator[_Read | RejectedFile]:
        """Read and decode files in order, with one thread per decoder, at most two batches ahead."""
        ahead = (2 + backbone.in_flight) * backbone.batch_size + decoders.count
        many = min(len(todo) // _BLOCKS_PER_PROCESS, ahead // 2) // decoders.count
        most = 1 if self._source else max(1, min(MOST_FILES, many))
        pending: deque[tuple[int, Future[list[_Read | RejectedFile]]]] = deque()
        waiting = 0
        pool = ThreadPoolExecutor(decoders.count, thread_name_prefix="vitsearch-decode")
        try:
            for block in _blocks(todo, most):
                while waiting + len(block) > ahead:
                    count, future = pending.popleft()
                    waiting -= count
                    yield from future.result()
                pending.append((len(block), pool.submit(self._read_block, backbone, decoders, block)))
                waiting += len(block)
            while pending:
                yield from pending.popleft()[1].result()
        finally:
            # Before the threads: a run that is interrupted does not wait for a photo that takes long.
            decoders.close()
            pool.shutdown(wait=True, cancel_futures=True)

    def _read_block(
        self, backbone: Backbone, decoders: Decoders, block: Sequence[_File]
    ) -> list[_Read | RejectedFile]:
        together: dict[int, _Read | RejectedFile] = {}
        if len(block) > 1:
            # Where one of them kills the process, each is read on its own: it costs itself and no other.
            with suppress(ProcessDied):
                together = self._read_together(backbone, decoders, block)
        return [
            together[place] if place in together else self._read(backbone, decoders, root, found)
            for place, (root, found) in enumerate(block)
        ]

    def _read_together(
        self, backbone: Backbone, decoders: Decoders, block: Sequence[_File]
    ) -> dict[int, _Read | RejectedFile]:
        """Read a block of files in one process; files that are not returned must be read individually."""
        noted = [bool(found.sidecars) for _, found in block]
        with decoders.open_block([found.path for _, found in block], with_sidecars=noted) as opened:
            readable = {
                place: header for place, header in enumerate(opened.headers) if isinstance(header, Header)
            }
            new = self._new(backbone.space, readable)
            boxes = [self._box(readable[place]) for place in new]
            prepared = opened.prepared(backbone.space.preprocessing, new, boxes=boxes) if new else []
        decoded = dict(zip(new, prepared, strict=True))
        read: dict[int, _Read | RejectedFile] = {}
        for place, (header, (root, found)) in enumerate(zip(opened.headers, block, strict=True)):
            result = decoded.get(place)
            if isinstance(header, RetryAlone) or isinstance(result, RetryAlone):
                continue
            refusal = header if isinstance(header, UnreadablePhoto) else result
            if isinstance(refusal, UnreadablePhoto):
                read[place] = self._rejected(root, found, refusal)
            elif isinstance(header, Header):
                read[place] = self._kept(backbone.space, root, found, header, refusal)
        return read

    def _read(
        self, backbone: Backbone, decoders: Decoders, root: int | None, found: FoundFile
    ) -> _Read | RejectedFile:
        space = backbone.space
        try:
            source = self._source(found) if self._source else found.path
            noted = bool(found.sidecars)
            with decoders.open(source, name=str(found.path), with_sidecars=noted) as photo:
                header, prepared = photo.header, None
                if self._new(space, {0: header}):
                    prepared = photo.prepared_with_thumbnail(space.preprocessing, self._box(header))
        except UnreadablePhoto as error:
            return self._rejected(root, found, error)
        return self._kept(space, root, found, header, prepared)

    def _new(self, space: Space, headers: Mapping[int, Header]) -> list[int]:
        """Return the positions of the photos that have no embedding yet."""
        hashes = {
            place: {*identity_in(space, header.photo_hash, header.earlier_hash)} - {None}
            for place, header in headers.items()
        }
        with self._lock:
            known = self._catalog.with_vectors(
                [each for some in hashes.values() for each in some if each], self._space
            )
        return [place for place, some in hashes.items() if known.isdisjoint(some)]

    def _box(self, header: Header) -> tuple[int, int] | None:
        """Return the size of the thumbnail to make, or None if none is needed."""
        if self._pictures is not None and self._pictures.lacks_for_grid(header.photo_hash.hex()):
            return GRID_BOX
        return None

    def _kept(
        self, space: Space, root: int | None, found: FoundFile, header: Header, prepared: Prepared | None
    ) -> _Read:
        """Keep the thumbnail, if there is one, and return the rest."""
        if prepared is not None and prepared.thumbnail is not None and self._pictures is not None:
            self._pictures.keep_for_grid(header.photo_hash.hex(), prepared.thumbnail)
        self.remarks.update((found.path, remark) for remark in header.remarks)
        perceptual, pixels = (prepared.perceptual, prepared.pixels) if prepared else (None, None)
        photo_hash, earlier = identity_in(space, header.photo_hash, header.earlier_hash)
        if header.state is not None and self._source is None:
            # What was read may be another file than the walk has seen, which may come back with the time that it had.
            found = found._replace(size=header.state[0], mtime_ns=header.state[1])
        return _Read(root, found, header.file_hash, photo_hash, header.facts, perceptual, pixels, earlier)

    def _rejected(self, root: int | None, found: FoundFile, error: UnreadablePhoto) -> RejectedFile:
        """Record why a file could not be read; the reason is dropped if the file was replaced since the walk."""
        passing = error.passing
        if not passing and self._source is None:
            try:
                passing = state_of(found.path.stat()) != (found.size, found.mtime_ns)
            except OSError:
                passing = True
        return RejectedFile(root, found, error.reason, passing)

    def _started(
        self, backbone: Backbone, readable: Sequence[_Read], rejected: list[RejectedFile], done: int
    ) -> _Batch:
        """Start embedding a batch; `done` files of the run have been read so far."""
        # The same photo twice in one batch is embedded once: the second file finds the first one's vector.
        first = {file.photo_hash: file for file in reversed(readable) if file.pixels is not None}
        chosen = [file for file in readable if first.get(file.photo_hash) is file]
        wait = backbone.start([file.pixels for file in chosen if file.pixels is not None])
        return _Batch(done, readable, rejected, chosen, wait)

    def _commit(self, run: int, batch: _Batch, committer: ThreadPoolExecutor) -> None:
        embeddings, chosen, rejected = batch.wait(), batch.chosen, batch.rejected
        position = {id(file): index for index, file in enumerate(chosen)}
        usable = np.isfinite(embeddings.norms) & (embeddings.norms > 0)
        blank = {file.photo_hash for file, fine in zip(chosen, usable, strict=True) if not fine}
        ready = []
        for file in batch.readable:
            index = position.get(id(file))
            norm = float(embeddings.norms[index]) if index is not None else 0.0
            if file.photo_hash in blank:
                reason = "the model gave no finite vector for it"
                rejected.append(RejectedFile(file.root, file.found, reason, passing=self._beside))
                continue
            row = None if index is None else embeddings.rows[index].astype(self._dtype)
            ready.append(
                ReadableFile(
                    file.root,
                    file.found,
                    file.file_hash,
                    file.photo_hash,
                    file.facts,
                    file.perceptual,
                    row,
                    norm,
                    file.earlier_hash,
                )
            )
        committer.submit(self._store, run, ready, rejected).result()

    def _store(self, run: int, ready: Sequence[ReadableFile], rejected: Sequence[RejectedFile]) -> None:
        if ready or rejected:
            with self._lock:
                self.embedded += self._catalog.store(run, self._space, ready, rejected)
        self.photo_hashes.update((file.found.path, file.photo_hash) for file in ready if file.root is None)
        self.reasons.update((file.found.path, file.reason) for file in rejected if file.root is None)
        self.unread.update((file.found.path, file.reason) for file in rejected if file.passing)


def identity_in(space: Space, photo_hash: bytes, earlier: bytes | None) -> tuple[bytes, bytes | None]:
    """Return the hash of a photo in a library with this space, and an earlier hash it may be stored under.

    A library uses one kind of hash: if its space takes colours as stored, photos have the hash of that time.
    """
    if space.preprocessing.colours == "stored":
        return earlier or photo_hash, None
    return photo_hash, earlier


def _blocks(todo: Sequence[_File], most: int) -> Iterator[list[_File]]:
    """Group files in order; small ones share a block."""
    block: list[_File] = []
    size = 0
    for root, found in todo:
        if block and (len(block) >= most or size + found.size > MOST_BYTES):
            yield block
            block, size = [], 0
        block.append((root, found))
        size += found.size
    if block:
        yield block
