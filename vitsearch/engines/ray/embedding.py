"""Embed in Ray Data workers: on this machine or on a cluster, with the same code that reads, decodes and embeds here.

Files travel to the workers in blocks. A worker writes what it makes of a block into one Parquet file, a shard, which is
then merged into the library and removed. A worker that is lost costs its block, which another one does again; shards
that were written when a run was interrupted are merged by the next.
"""

from __future__ import annotations

import queue
import re
import socket
import threading
import time
import warnings
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitsearch.engines.merging import Merge, Places
from vitsearch.engines.parquet.reading import VectorFile
from vitsearch.engines.ray.workers import Block, BlockWorker, EmbeddedBlock
from vitsearch.errors import StoreError
from vitsearch.records import Progress
from vitsearch.searching.fetching import why_unreachable
from vitsearch.storage.layout import PRIVATE_FOLDER, SHARD_FILES, Layout, made_files

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Mapping, Sequence
    from pathlib import Path

    import ray.data

    from vitsearch.indexing.engine import Target
    from vitsearch.records import FoundFile

# What the loss of a worker costs at most, and at least: the start of its decoders must not count.
MOST_FILES_A_BLOCK, LEAST_FILES_A_BLOCK = 512, 64
# So many blocks a worker: a run has news of itself, and no worker is left alone with a long last block.
BLOCKS_A_WORKER = 8
# In seconds: how often to poll the cluster's head while nothing happens, and how long it may stay silent.
_ASK_HEAD, _HEAD_IS_LOST = 2.0, 10.0
# Seconds that a run which is given up waits for the block that comes next, so that Ray ends in good order.
_LAST_BLOCK = 10.0


@dataclass(frozen=True, slots=True)
class RayEngine:
    """Embeds in workers of Ray, and says where these run.

    `address` is a cluster's; without one they run here. `shards` is a folder that all of them see. Without
    `files_a_block` it is chosen by how many files there are. With `verbose`, what workers say reaches this process.
    """

    address: str | None = None
    shards: Path | None = None
    workers: int | None = None
    files_a_block: int | None = None
    verbose: bool = False

    def open(self, target: Target) -> RayEmbedder:
        """Begin a run into this target; shards that an interrupted run left are merged first."""
        return RayEmbedder(target, self)


class RayEmbedder:
    """Brings files into one space of a library by way of Ray: what `embedding.Embedder` does in this process."""

    def __init__(
        self,
        target: Target,
        engine: RayEngine,
    ) -> None:
        self.embedded = 0
        self.unread: dict[Path, str] = {}
        self.remarks: dict[Path, str] = {}  # workers report none
        self._target = target
        # In a folder that others share, a private one of this library's: shards are deleted once they are merged.
        self._layout = (
            Layout(engine.shards, engine.shards / f"{PRIVATE_FOLDER}-{target.catalog.library_id():x}")
            if engine.shards
            else Layout.of(target.folder)
        )
        self._shards = self._layout.shards
        self._engine = engine
        for left in made_files(self._shards, SHARD_FILES):
            if left.suffix == ".parquet":
                self._merge(left, run=0)
        self.embedded = 0  # the walk that comes finds these photos there already

    def run(
        self,
        run: int,
        todo: Sequence[tuple[int | None, FoundFile]],
        *,
        urls: Mapping[Path, str] | None = None,
    ) -> None:
        """Embed and commit files, given with the ids of their roots; `urls` says which roots are URLs.

        Raises:
            StoreError: Ray is not installed, its cluster does not answer, or workers fail again and again.

        """
        if not todo:
            return
        self._layout.make_private(mode=0o777 if self._engine.shards else 0o700)  # workers may be other users
        try:
            self._shards.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write to {self._shards}: {error.strerror or error}") from error
        done = 0
        self._target.on_progress(Progress("embed", 0, len(todo)))
        with _connection(self._engine) as workers:
            blocks = _blocks(
                todo, run, self._engine.files_a_block or _files_a_block(len(todo), workers.count)
            )
            files = {block.name: len(block.files) for block in blocks}
            for embedded in _embedded(
                blocks, workers, (self._target.load, str(self._shards), dict(urls or {}))
            ):
                self._check(embedded)
                self._merge(embedded.shard, run=run)
                self._target.catalog.store(run, self._target.space_id, [], embedded.rejected)
                self.unread.update(
                    (file.found.path, file.reason) for file in embedded.rejected if file.passing
                )
                done += files[embedded.name]
                self._target.on_progress(Progress("embed", done, len(todo)))
        for name in files:  # of a block that two workers did, because the first one seemed lost
            (self._shards / f"{name}.parquet").unlink(missing_ok=True)

    def _check(self, embedded: EmbeddedBlock) -> None:
        """Raise `StoreError` where a machine of the cluster cannot do its part: it would fail at every block."""
        trouble = embedded.trouble
        if not trouble and not embedded.shard.exists():
            trouble = (
                f"wrote to {self._shards}, which is another folder here: name one that all see, with --shards"
            )
        if trouble:
            raise StoreError(f"the machine {embedded.machine} {trouble}; then run the command again")

    def _merge(self, shard: Path, *, run: int) -> None:
        """Bring one shard into the library and remove it."""
        merge = Merge(self._target.catalog, self._target.space_id, Places(self._target.catalog, {}), run=run)
        with VectorFile(shard) as file:
            if file.space != self._target.space:
                return
            for rows, _ in file.batches():
                merge.by_content(rows)
        self.embedded += merge.tally.vectors
        shard.unlink()


@dataclass(frozen=True, slots=True)
class _Workers:
    """How many workers there are, and what each is given of its machine."""

    count: int
    cores: int
    gpus: int
    most: int | None

    def pool(self, blocks: int) -> ray.data.ActorPoolStrategy:
        """Return what Ray is told of them: as many as now, and more where machines join."""
        import ray.data

        least = max(1, min(self.count, blocks))
        return ray.data.ActorPoolStrategy(
            min_size=least, max_size=max(least, self.most or blocks), max_tasks_in_flight_per_actor=2
        )

    @classmethod
    def of_cluster(cls, wanted: int | None) -> _Workers:
        """One worker a GPU, or one a machine: it decodes and embeds in processes and threads of its own.

        Without GPUs it gets all cores of the smallest machine, as Ray tells OpenMP to start no more threads than that.
        Ray's workers run at a low priority, so that searches on their machines do not wait for them.
        """
        import ray

        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = sum(int(machine.get("GPU", 0)) for machine in machines)
        cores = [int(machine["CPU"]) for machine in machines if machine.get("CPU", 0) >= 1]
        if gpus:
            return cls(wanted or gpus, 0, 1, wanted)
        count = wanted or max(1, len(cores))
        return cls(count, max(1, min(cores, default=1) * len(cores) // max(count, len(cores), 1)), 0, wanted)


def _files_a_block(files: int, workers: int) -> int:
    return max(LEAST_FILES_A_BLOCK, min(MOST_FILES_A_BLOCK, files // (workers * BLOCKS_A_WORKER)))


def _blocks(todo: Sequence[tuple[int | None, FoundFile]], run: int, size: int) -> list[Block]:
    return [
        Block(f"block-{run}-{number}", todo[start : start + size])
        for number, start in enumerate(range(0, len(todo), size))
    ]


@contextmanager
def _connection(engine: RayEngine) -> Iterator[_Workers]:
    """Start Ray or join its cluster, unless that was done already, and leave it as it was found."""
    try:
        import ray
    except ImportError as error:
        raise StoreError("the engine needs Ray: install it with `pip install 'vitsearch[ray]'`") from error
    started = not ray.is_initialized()
    try:
        with _plain_errors(), warnings.catch_warnings():
            if not engine.verbose:
                warnings.simplefilter("ignore")
            if started:
                _knock(engine.address)
                ray.init(
                    address=engine.address
                    or "local",  # not another cluster that happens to run on this machine
                    include_dashboard=False if engine.address is None else None,
                    log_to_driver=engine.verbose,
                    logging_level="INFO" if engine.verbose else "ERROR",
                )
            workers = _Workers.of_cluster(engine.workers)
        yield workers
    finally:
        if started:
            ray.shutdown()


def _knock(address: str | None) -> None:
    """Raise `ConnectionError` if nobody listens at `HOST:PORT`: Ray itself would wait for minutes."""
    parts = re.fullmatch(r"\[?([^/\]]+)\]?:([0-9]{1,5})", address or "")
    if parts is None:
        return
    try:
        socket.create_connection((parts[1], int(parts[2])), timeout=_HEAD_IS_LOST).close()
    except (OSError, OverflowError) as error:
        raise ConnectionError(f"nobody answers at {address} ({why_unreachable(error)})") from error


def _embedded(
    blocks: Sequence[Block], workers: _Workers, arguments: tuple[Any, ...]
) -> Iterator[EmbeddedBlock]:
    """Hand blocks to workers; yield each as it is finished.

    Ray waits a minute for a head that is lost, and then ends the process without a word. So it is waited for in a
    thread, and the head is asked from here.
    """
    done: queue.SimpleQueue[EmbeddedBlock | BaseException | None] = queue.SimpleQueue()
    stop = threading.Event()

    def take() -> None:
        try:
            with closing(_finished_rows(blocks, workers, arguments)) as rows:
                for row in rows:
                    done.put(EmbeddedBlock.unpacked(row))
                    if stop.is_set():
                        return
            done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is waited for
            done.put(error)

    taking = threading.Thread(target=take, name="vitsearch-ray", daemon=True)
    taking.start()
    head = _Head()
    try:
        with _plain_errors():
            while True:
                try:
                    embedded = done.get(timeout=_ASK_HEAD)
                except queue.Empty:
                    head.check()
                    continue
                if embedded is None:
                    return
                if isinstance(embedded, BaseException):
                    raise embedded
                yield embedded
    finally:
        stop.set()
        if not head.is_lost:  # or no row would ever come
            taking.join(_LAST_BLOCK)


def _finished_rows(
    blocks: Sequence[Block], workers: _Workers, arguments: tuple[Any, ...]
) -> Generator[Mapping[str, Any], None, None]:
    import ray.data

    ray.data.DataContext.get_current().enable_progress_bars = False
    rows = ray.data.from_items([block.packed() for block in blocks], override_num_blocks=len(blocks))
    dataset = rows.map_batches(
        BlockWorker,
        fn_constructor_args=arguments,
        batch_size=1,
        compute=workers.pool(len(blocks)),
        num_cpus=workers.cores or None,
        num_gpus=workers.gpus or None,
    )
    yield from dataset.iter_rows()


class _Head:
    """The head of the cluster, which may be lost while its workers are waited for."""

    def __init__(self) -> None:
        import ray

        # A client of a cluster (ray://…) has no other way to its head than the one that it waits on.
        self._address = "" if ray.util.client.ray.is_connected() else ray.get_runtime_context().gcs_address
        self._answered = time.monotonic()
        self.is_lost = False

    def check(self) -> None:
        """Raise `ConnectionError` if it has not answered for a while."""
        if not self._address:
            return
        host, _, port = self._address.rpartition(":")
        with suppress(OSError), socket.create_connection((host.strip("[]"), int(port)), timeout=_ASK_HEAD):
            self._answered = time.monotonic()
        self.is_lost = time.monotonic() - self._answered > _HEAD_IS_LOST
        if self.is_lost:
            raise ConnectionError(f"the head of its cluster, {self._address}, does not answer any more")


@contextmanager
def _plain_errors() -> Iterator[None]:
    import ray

    try:
        yield
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise StoreError(
            f"Ray cannot go on: {_reason(error)}; mend that, then run the command again: it goes on where it stopped"
        ) from error


def _reason(error: BaseException) -> str:
    """The last line of what happened: Ray puts the worker's traceback before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
