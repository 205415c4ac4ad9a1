"""A library of many photos in Milvus: how long an export takes, what kills do to it, and whether searches agree.

    python benchmarks/milvus_engine.py FOLDER [--photos 100000] [--base FILE.npy] [--kills 6] [--step STEP…]
    python benchmarks/milvus_engine.py FOLDER --server PYTHON [--server-kills 2] [--index HNSW]
    python benchmarks/milvus_engine.py FOLDER --server PYTHON --photos 1000000 --step rate index

FOLDER keeps the library and the collections, so that steps can be runs of their own. FILE.npy holds embeddings of real
photos, (m, d); they are widened with noise (`widening.py`). PYTHON is a Python that has the package `milvus`: a server
is started with it; without one, the collection is a file of Milvus Lite.

`export`: processes export the library and are killed: the first one at a random moment after its start, the others at a
random moment after they began to write. Then the server is killed while they export. One more export ends, the next has
nothing to do, and every row is read back and its checksum made anew from what it says.
`agreement`: searches are compared with the library's own exact search, 1,000 queries that are not among the rows, ten
matches each. Two lists agree if they name the same photos in the same order; photos whose scores differ by less than a
millionth may stand in any order, and at the end of the list in each other's place, since both sides round sums
differently. `rate`: an export that nobody disturbs, into a collection of its own. `index`: the index of the collection
that holds all photos is made anew as `--index`, unless it is one, and its recall and times are put beside those of the
library's own. Without `--step`, all of them.
"""

from __future__ import annotations

import argparse
import random
import resource
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from machine import print_machine
from synthetic_library import Stored, make_library
from widening import Widening, read_base

from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.export import export_milvus
from vitsearch.engines.milvus.rows import checksum
from vitsearch.engines.milvus.search import MilvusSearch
from vitsearch.engines.portable import Selection
from vitsearch.library import Library

if TYPE_CHECKING:
    from vitsearch.engines.milvus.rows import Row

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))
from tests.support.milvus_server import Server  # noqa: E402 - what the tests start, kill and start again

QUERIES, TIMED, K = 1000, 300, 10
TIE = 1e-6


@dataclass(frozen=True, slots=True)
class Place:
    """Where the collections are: in a file of Milvus Lite, or on a server."""

    folder: Path
    server: Server | None

    def text(self, name: str) -> str:
        """Return the address of a collection, exact search."""
        if self.server is not None:
            return self.server.address(name)
        return f"milvus://{self.folder.as_posix()}/{name}.db"

    def open(self, name: str, *, timeout: float = 60.0) -> MilvusCollection:
        """Open a collection."""
        return MilvusCollection(Address.parse(self.text(name)), timeout=timeout)

    def search(self, name: str, *, timeout: float = 60.0) -> MilvusSearch:
        """Open a collection as searches do."""
        return MilvusSearch(Address.parse(self.text(name)), timeout=timeout)

    def memory(self) -> str:
        """Say how much memory the server holds, and held at most."""
        if self.server is None:
            return ""
        told = Path(f"/proc/{self.server.pid}/status").read_text(encoding="utf-8").splitlines()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in told if line.startswith("Vm")}
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return (
            f"; the server holds {kilobytes['VmRSS'] / 1e6:.1f} GB, at most {kilobytes['VmHWM'] / 1e6:.1f} GB, "
            f"this process at most {own / 1e6:.1f} GB"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--server", metavar="PYTHON")
    parser.add_argument("--server-kills", type=int, default=2)
    parser.add_argument("--index", default="HNSW")
    parser.add_argument(
        "--step",
        nargs="+",
        choices=["make", "export", "agreement", "rate", "index"],
        default=["export", "agreement", "rate", "index"],
    )
    arguments = parser.parse_args()
    print_machine("pymilvus", "milvus-lite", "faiss-cpu", "numpy")
    folder = arguments.folder.absolute()
    widening = Widening(read_base(arguments.base, arguments.dimension))
    make_library(folder / "library", arguments.photos, widening)
    if arguments.step == ["make"]:
        return
    with ExitStack() as stack:
        server = None
        if arguments.server:
            server = Server(arguments.server, folder / "milvus")
            server.folder.mkdir(exist_ok=True)
            started = time.perf_counter()
            server.start()
            stack.callback(server.stop)
            print(f"a server of Milvus was there after {time.perf_counter() - started:.0f} s")
        place = Place(folder, server)
        library = stack.enter_context(
            Library.open(folder / "library", backbone=Stored(widening.base.shape[1]))
        )
        if "export" in arguments.step:
            print_kills(
                place, arguments.kills, arguments.server_kills if server else 0, arguments.photos / 10_000
            )
            print_export(place, library)
        if "agreement" in arguments.step:
            print_agreement(place, library, widening)
        if "rate" in arguments.step:
            print_rate(place, library)
        if "index" in arguments.step and server:
            print_index(place, library, widening, arguments.index)


def print_kills(place: Place, kills: int, server_kills: int, writing: float) -> None:
    """Kill exports at random moments, and the server under others, within so many seconds after they began to write."""
    dice = random.Random(5)
    for number in range(kills):
        process = _Export(place)
        known = number and process.begins_to_write(place)
        try:
            process.wait(dice.uniform(0, writing if known else 20))
            print(f"export {number + 1} had ended before it could be killed, status {process.returncode}")
        except subprocess.TimeoutExpired:
            age = process.age
            process.kill()
            process.wait()
            print(f"export {number + 1} was killed after {age:.1f} s: {_count(place):,} photos there")
    for number in range(server_kills):
        assert place.server is not None
        process = _Export(place)
        process.begins_to_write(place)
        time.sleep(dice.uniform(0, writing))
        age = process.age
        place.server.kill()
        started = time.perf_counter()
        said = process.communicate()[1].decode().strip()
        print(
            f"the server was killed after {age:.1f} s of an export, which ended with status {process.returncode} "
            f"{time.perf_counter() - started:.0f} s later and said: {said}"
        )
        started = time.perf_counter()
        place.server.start()
        there = time.perf_counter() - started
        print(f"kill {number + 1}: the server was back after {there:.0f} s: {_count(place):,} photos there")


class _Export(subprocess.Popen[bytes]):
    """`vitsearch export` in a process of its own."""

    def __init__(self, place: Place) -> None:
        self.started = time.perf_counter()
        command = [sys.executable, str(ROOT / "cli.py"), "--library", str(place.folder / "library")]
        super().__init__(
            [*command, "export", "--to", place.text("photos")],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return time.perf_counter() - self.started

    def begins_to_write(self, place: Place) -> bool:
        """Wait until the collection holds more photos than before, or until the export ends.

        Returns False where that cannot be known: a file of Milvus Lite takes one process at a time.
        """
        if place.server is None:
            return False
        before = _count(place)
        with place.open("photos", timeout=120) as collection:
            while self.poll() is None:
                if collection.exists() and collection.is_indexed() and collection.count() > before:
                    break
                time.sleep(0.5)
        return True


def _count(place: Place) -> int:
    with place.open("photos", timeout=120) as collection:
        return collection.count() if collection.exists() and collection.is_indexed() else 0


def print_export(place: Place, library: Library) -> None:
    """Finish an export, do it once more, change something, and read everything back."""
    for name in ("the export that ends", "once more, with nothing to do"):
        _bring(place, library, name)
    with library.catalog.database.write():
        library.catalog.database.run("UPDATE photos SET camera = 'Leica M11' WHERE id % 10000 = 7")
    _bring(place, library, "after every ten-thousandth photo changed")
    with place.open("photos") as collection:
        rows = right = 0
        keys = set()
        for row in collection.all_rows("", ["*"]):
            rows += 1
            keys.add(row["photo"])
            right += checksum(row) == row["checksum"]
        print(
            f"read back: {rows:,} rows, {len(keys):,} different photos, count says {collection.count():,}; "
            f"{right:,} checksums made anew are those that are stored{place.memory()}"
        )


def _bring(place: Place, library: Library, name: str, collection_name: str = "photos") -> None:
    start = time.perf_counter()
    told = 0

    def tell(done: int, total: int) -> None:
        nonlocal told
        if 10 * done // total > told and total > 200_000:
            told = 10 * done // total
            print(f"  {done:,} photos after {time.perf_counter() - start:.0f} s{place.memory()}", flush=True)

    with place.open(collection_name) as collection:
        report = export_milvus(library, Selection.of(library), collection, on_progress=tell)
    seconds = time.perf_counter() - start
    rate = f", {report.written / seconds:,.0f} photos/s" if report.written > report.photos / 2 else ""
    print(
        f"{name}: {seconds:.1f} s, {report.photos:,} photos, {report.written:,} written, "
        f"{report.removed:,} removed{rate}{place.memory()}"
    )


def print_rate(place: Place, library: Library) -> None:
    """Export into a new collection, undisturbed."""
    with place.open("undisturbed") as collection:
        if collection.exists():
            collection._client.drop_collection(collection.address.collection)  # noqa: SLF001 - no export does this
    _bring(place, library, "an export that nobody kills", "undisturbed")


def print_agreement(place: Place, library: Library, widening: Widening) -> None:
    """Compare top-10 lists."""
    queries = widening.draw(QUERIES, np.random.default_rng(2))
    scores, ids = library.neighbours().search(queries, K + 6, exact=True)
    agree = same = 0
    with place.search("photos") as collection:
        found = _all_nearest(place, collection, queries)
    for hits, own_scores, own in zip(found, scores, ids, strict=True):
        theirs = [row["id"] for row, _ in hits]
        their_scores = np.array([score for _, score in hits])
        same += theirs == own[:K].tolist()
        known = dict(zip(own.tolist(), own_scores.tolist(), strict=True))
        agree += agrees(known, own_scores[:K], theirs, their_scores)
    print(
        f"same top-10 lists, ties aside: {agree} of {QUERIES} ({100 * agree / QUERIES:.2f} %); to the letter: {same}"
        f"{place.memory()}"
    )


def _all_nearest(
    place: Place, collection: MilvusSearch, queries: np.ndarray
) -> list[list[tuple[Row, float]]]:
    """Search for all queries, several at once where a server answers."""
    with ThreadPoolExecutor(16 if place.server else 1) as threads:
        return list(
            threads.map(lambda query: collection.nearest(query, "", ["id"], limit=K), queries, timeout=3000)
        )


def agrees(known: dict[int, float], best: np.ndarray, theirs: list[int], their_scores: np.ndarray) -> bool:
    """Whether a list is the library's own, but for the order of photos that score alike."""
    return (
        len(set(theirs)) == K
        and bool(np.abs(their_scores - best).max() < TIE)
        and all(abs(known.get(photo, -1.0) - score) < TIE for photo, score in zip(theirs, best, strict=True))
    )


def print_index(place: Place, library: Library, widening: Widening, kind: str) -> None:
    """Put the recall and the times of an index of Milvus beside those of the library's own."""
    queries = widening.draw(QUERIES, np.random.default_rng(2))
    neighbours = library.neighbours()
    start = time.perf_counter()
    _, right = neighbours.search(queries, K, exact=True)
    print(f"the exact answers: {time.perf_counter() - start:.0f} s for {QUERIES} queries at once")
    neighbours.search(queries[:20], K)
    found, seconds = [], []
    for query in queries:
        start = time.perf_counter()
        _, ids = neighbours.search(query[None], K)
        seconds.append(time.perf_counter() - start)
        found.append(ids[0].tolist())
    del seconds[TIMED:]
    print(f"the library's own index: recall@{K} {_recall(right, found):.4f}, {_times(seconds)}")
    with place.search(_full(place, len(neighbours)), timeout=3000) as collection:
        start = time.perf_counter()
        _make_index(collection, kind)
        print(f"{kind} in Milvus was made in {time.perf_counter() - start:.0f} s{place.memory()}")
        found = [[row["id"] for row, _ in hits] for hits in _all_nearest(place, collection, queries)]
        seconds = []
        for query in queries[:TIMED]:
            start = time.perf_counter()
            collection.nearest(query, "", ["id"], limit=K)
            seconds.append(time.perf_counter() - start)
    print(f"{kind} in Milvus: recall@{K} {_recall(right, found):.4f}, {_times(seconds)}{place.memory()}")


def _full(place: Place, photos: int) -> str:
    """Return the name of a collection that holds all photos."""
    for name in ("photos", "undisturbed"):
        with place.open(name, timeout=600) as collection:
            if collection.exists() and collection.count() == photos:
                return name
    raise SystemExit("no collection holds all photos: add the step `export` or `rate`")


def _make_index(collection: MilvusCollection, kind: str) -> None:
    """Put an index in place of the collection's own and wait until all rows are in it."""
    client, name = collection._client, collection.address.collection  # noqa: SLF001 - no export does this
    told = client.describe_index(name, "vector")
    if told["index_type"] != kind:
        client.release_collection(name)
        client.drop_index(name, "vector")
        params = client.prepare_index_params()
        building = {"HNSW": {"M": 16, "efConstruction": 200}}.get(kind, {"nlist": 1024})
        params.add_index("vector", index_type=kind, metric_type="IP", params=building)
        client.create_index(name, params, sync=False)
    while True:
        told = client.describe_index(name, "vector")
        if int(told.get("pending_index_rows", 0)) == 0 and told.get("state") in (None, "Finished", 3):
            break
        time.sleep(2)
    client.load_collection(name)


def _recall(right: np.ndarray, found: list[list[int]]) -> float:
    pairs = zip(right.tolist(), found, strict=True)
    return sum(len(set(each).intersection(ids)) for each, ids in pairs) / right.size


def _times(seconds: list[float]) -> str:
    p50, p99 = 1000 * np.quantile(seconds, [0.5, 0.99])
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms"


if __name__ == "__main__":
    main()
