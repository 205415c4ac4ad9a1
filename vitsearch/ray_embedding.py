"""Embed in Ray Data workers: on this machine or on a cluster, with the same code that reads, decodes and embeds here.

Files travel to the workers in blocks. A worker writes what it makes of a block into one Parquet file, a shard, which is
then merged into the library and removed. A worker that is lost costs its block, which another one does again; shards
that were written when a run was interrupted are merged by the next.
"""

from __future__ import annotations

import pickle
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from vitsearch.catalog import RejectedFile
from vitsearch.embedding import Embedder, Progress
from vitsearch.errors import LibraryError, StoreError, UnreadablePhoto
from vitsearch.photos import MAX_FILE_BYTES
from vitsearch.records import FoundFile, IndexReport, UnreadableFile
from vitsearch.scan import EXTENSIONS
from vitsearch.stores.importing import Merge, Places
from vitsearch.stores.parquet import ShardWriter
from vitsearch.stores.parquet_reading import VectorFile
from vitsearch.stores.portable import Place, PortablePhoto

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.spec import Space
    from vitsearch.catalog import Catalog, ReadableFile

    # The id of the file's root, the root, the path below it, size and time.
    Listed = tuple[int | None, str, str, int, int]

# What the loss of a worker costs, and how often a worker waits for its first photos.
FILES_A_BLOCK = 512


@dataclass(frozen=True, slots=True)
class RayOptions:
    """Where workers run.

    `address` is a cluster's; without one they run here. `shards` is a folder that all of them see.
    """

    address: str | None = None
    shards: Path | None = None
    workers: int | None = None
    files_a_block: int = FILES_A_BLOCK


@dataclass
class _Collected:
    """Takes the place of a library's catalog in a worker: keeps what is read and embedded."""

    readable: list[ReadableFile] = field(default_factory=list)
    rejected: list[RejectedFile] = field(default_factory=list)
    payloads: set[bytes] = field(default_factory=set)

    def has_vector(self, payload: bytes, space: int) -> bool:
        """Whether this block has the photo already."""
        del space
        return payload in self.payloads

    def store(
        self, run: int, space: int, readable: Sequence[ReadableFile], rejected: Sequence[RejectedFile]
    ) -> int:
        """Keep a batch."""
        del run, space
        self.readable += readable
        self.rejected += rejected
        self.payloads |= {file.payload for file in readable if file.row is not None}
        return sum(file.row is not None for file in readable)

    def photos(self) -> list[PortablePhoto]:
        """Return the photos that were embedded, each with all of its files."""
        files: dict[bytes, list[ReadableFile]] = {}
        for file in self.readable:
            files.setdefault(file.payload, []).append(file)
        found = []
        for payload, same in files.items():
            first = next(file for file in same if file.row is not None)
            assert first.row is not None
            places = tuple(
                Place(
                    str(each.found.root),
                    each.found.relative,
                    each.found.size,
                    each.found.mtime_ns,
                    each.content,
                )
                for each in same
            )
            found.append(
                PortablePhoto(0, payload, first.facts, first.perceptual, places, first.row, first.norm)
            )
        return found


class BlockWorker:
    """Lives in a worker process: loads the model once, then turns blocks of files into shards."""

    def __init__(self, load: Callable[[], Backbone], shards: str) -> None:
        self._backbone = load()
        self._shards = Path(shards)

    def __call__(self, batch: dict[str, npt.NDArray[Any]]) -> dict[str, list[Any]]:
        """Embed the blocks of a batch; return the shard of each and what could not be read."""
        names, rejected = [], []
        for name, block in zip(batch["name"], batch["block"], strict=True):
            listed: list[Listed] = pickle.loads(block)  # noqa: S301 - our own, from the process that started us
            collected = _Collected()
            files = [
                (root, FoundFile(Path(folder), relative, size, time))
                for root, folder, relative, size, time in listed
            ]
            urls = {
                found: f"{folder}/{found.relative}"
                for (_, found), (_, folder, *_) in zip(files, listed, strict=True)
                if "://" in folder
            }
            embedder = Embedder(collected, 0, lambda: self._backbone, source=partial(_source, urls))
            embedder.run(0, files)
            shard = self._shards / f"{name}.parquet"
            with ShardWriter(shard, self._backbone.space) as writer:
                writer.write(collected.photos())
            writer.partial.replace(shard)
            names.append(str(shard))
            rejected.append(
                pickle.dumps(
                    [
                        (
                            each.root,
                            str(each.found.root),
                            each.found.relative,
                            each.found.size,
                            each.found.mtime_ns,
                            each.reason,
                        )
                        for each in collected.rejected
                    ]
                )
            )
        return {"shard": names, "rejected": rejected}


def _source(urls: Mapping[FoundFile, str], found: FoundFile) -> Path | bytes:
    """Where a file is, or what a URL gives."""
    if found not in urls:
        return found.path
    import fsspec

    url = urls[found]
    try:
        with fsspec.open(url, "rb") as file:
            return bytes(file.read(MAX_FILE_BYTES))
    except (OSError, ImportError, ValueError) as error:
        raise UnreadablePhoto(url, str(error) or type(error).__name__) from error


class RayEmbedder:
    """Brings files into one space of a library by way of Ray: what `embedding.Embedder` does in this process."""

    def __init__(
        self,
        catalog: Catalog,
        space_id: int,
        space: Space,
        load: Callable[[], Backbone],
        folder: Path,
        options: RayOptions,
        *,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.embedded = 0
        self._catalog = catalog
        self._space_id = space_id
        self._space = space
        self._load = load
        self._shards = options.shards or folder / "shards"
        self._options = options
        self._on_progress = on_progress
        for left in sorted(self._shards.glob("block-*.parquet")):
            self._merge(left, run=0)

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
        try:
            self._shards.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write to {self._shards}: {error.strerror or error}") from error
        done = 0
        self._on_progress(Progress("embed", 0, len(todo)))
        for shard, rejected, files in _work(self._load, self._shards, todo, run, self._options, urls or {}):
            self._merge(shard, run=run)
            self._catalog.store(run, self._space_id, [], rejected)
            done += files
            self._on_progress(Progress("embed", done, len(todo)))

    def _merge(self, shard: Path, *, run: int) -> None:
        """Bring one shard into the library and remove it."""
        merge = Merge(self._catalog, self._space_id, Places(self._catalog, {}), run=run)
        with VectorFile(shard) as file:
            if file.space != self._space:
                return
            for rows, _ in file.batches():
                merge.by_content(rows)
        self.embedded += merge.tally.vectors
        shard.unlink()


def index_urls(
    catalog: Catalog, space_id: int, space: Space, urls: Sequence[str], embedder: RayEmbedder
) -> IndexReport:
    """Bring the photos below these URLs (of any kind that fsspec opens) into the library.

    A URL is a root that is not here: its photos are among the answers of a search once `roots relocate` says where they
    are mounted. Photos that have gone from there stay as they are.

    Raises:
        LibraryError: a URL cannot be listed.

    """
    started = time.monotonic()
    run = catalog.begin_run()
    todo: list[tuple[int | None, FoundFile]] = []
    unchanged = 0
    roots = []
    for url in urls:
        root, below = catalog.add_root(Path(url))
        if below:
            raise LibraryError(f"{url} lies in {root.path}, which was indexed: name that")
        roots.append(root)
        known = catalog.known_files(root.id, "", space_id)
        for found in _listed(url):
            file = known.get(found.relative)
            if file is None or file[2:4] != (found.size, found.mtime_ns) or not file[6]:
                todo.append((root.id, found))
            else:
                unchanged += 1
    embedder.run(run, todo, urls={Path(url): url.rstrip("/") for url in urls})
    counts = [catalog.counts(root.id, "") for root in roots]
    return IndexReport(
        photos=catalog.count_photos([(root.id, "") for root in roots]),
        files=sum(count.files for count in counts),
        embedded=embedder.embedded,
        unchanged=unchanged,
        moved=0,
        missing=sum(count.missing for count in counts),
        pruned=0,
        offline=0,
        offline_roots=(),
        unreadable=tuple(
            UnreadableFile(root.path / path, reason)
            for root in roots
            for path, reason in catalog.unreadable(root.id, "")
        ),
        model=space.model,
        seconds=time.monotonic() - started,
    )


def _listed(url: str) -> list[FoundFile]:
    """The photos below a URL, sorted by path."""
    import fsspec

    try:
        system, base = fsspec.core.url_to_fs(url)
        entries = system.find(base, detail=True)
    except (OSError, ImportError, ValueError) as error:
        raise LibraryError(f"cannot list {url}: {error}") from error
    found = []
    for name, told in entries.items():
        path = PurePosixPath(name[len(base) :].lstrip("/"))
        hidden = any(part.startswith(".") for part in path.parts)
        if told.get("type") == "file" and path.suffix.lower() in EXTENSIONS and not hidden:
            changed = next(
                (told[key] for key in ("mtime", "LastModified", "last_modified", "updated") if key in told), 0
            )
            seconds = changed.timestamp() if hasattr(changed, "timestamp") else changed
            usable = isinstance(seconds, (int, float))
            found.append(
                FoundFile(
                    Path(url), str(path), int(told.get("size") or 0), int(seconds * 1e9) if usable else 0
                )
            )
    if not found:
        raise LibraryError(f"there are no photos below {url}: check the address")
    return sorted(found, key=lambda each: each.relative)


def _work(
    load: Callable[[], Backbone],
    shards: Path,
    todo: Sequence[tuple[int | None, FoundFile]],
    run: int,
    options: RayOptions,
    urls: Mapping[Path, str],
) -> Iterator[tuple[Path, list[RejectedFile], int]]:
    """Hand blocks to Ray; yield each shard as it is finished, with the files that could not be read."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise StoreError("the engine needs Ray: install it with `pip install 'vitsearch[ray]'`") from error
    blocks: list[dict[str, Any]] = []
    sizes: dict[str, int] = {}
    for number, start in enumerate(range(0, len(todo), options.files_a_block)):
        listed: list[Listed] = [
            (root, urls.get(found.root, str(found.root)), found.relative, found.size, found.mtime_ns)
            for root, found in todo[start : start + options.files_a_block]
        ]
        name = f"block-{run}-{number}"
        sizes[str(shards / f"{name}.parquet")] = len(listed)
        blocks.append({"name": name, "block": pickle.dumps(listed)})
    started = not ray.is_initialized()
    try:
        if started:
            ray.init(
                address=options.address,
                include_dashboard=False if options.address is None else None,
                log_to_driver=False,
                logging_level="ERROR",
            )
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        cores = int(ray.cluster_resources().get("CPU", 1))
        gpus = int(ray.cluster_resources().get("GPU", 0))
        nodes = max(1, len([node for node in ray.nodes() if node["Alive"]]))
        # One worker a GPU, or one a node: it decodes and embeds in threads of its own. A core is left for readers.
        workers = options.workers or gpus or nodes
        share = {"num_gpus": 1} if gpus else {"num_cpus": max(1, (cores - nodes) // workers)}
        dataset = ray.data.from_items(blocks, override_num_blocks=len(blocks)).map_batches(
            BlockWorker,
            fn_constructor_args=(load, str(shards)),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=2),
            **share,
        )
        for row in dataset.iter_rows():
            shard = str(row["shard"])
            rejected = [
                RejectedFile(root, FoundFile(Path(folder), relative, size, time), reason)
                for root, folder, relative, size, time, reason in pickle.loads(row["rejected"])  # noqa: S301 - our own workers
            ]
            yield Path(shard), rejected, sizes[shard]
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise StoreError(
            f"Ray cannot go on: {_reason(error)}; mend that, then run the command again: it goes on where it stopped"
        ) from error
    finally:
        if started:
            ray.shutdown()


def _reason(error: BaseException) -> str:
    """The last line of what happened: Ray puts the worker's traceback before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
