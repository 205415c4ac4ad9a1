"""What a library of many photos costs: `python benchmarks/library_search.py FOLDER [--steps build search change]`.

FOLDER is a library made by `synthetic_library.py`. `pass` reads all vectors from SQLite, against a bare read of the
file, neither of them in the page cache; `build` builds the neighbours; `search` times `Library.search` from example
files, the neighbours alone and FAISS alone with the same vectors in turns, so that the differences are what the layers
add, then filters; `commands` times what a person types, in new processes; `change` adds a folder of photos and takes
it out again, through the library, and then rows by the thousand. Memory: `private`
is what the process holds for itself, `resident` adds the pages of files that it has mapped; both are peaks. Run it
inside a control group with a memory limit to bound the page cache as well.
"""

from __future__ import annotations

import argparse
import functools
import os
import secrets
import statistics
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from machine import print_machine
from PIL import Image
from synthetic_library import Stored, query_files
from widening import Widening, read_base

from vitsearch.engines.merging import Merge, Places
from vitsearch.engines.parquet.reading import ImportedRow
from vitsearch.engines.portable import Place
from vitsearch.library import Library
from vitsearch.neighbours.files import cheapest
from vitsearch.neighbours.flat import import_faiss
from vitsearch.neighbours.neighbours import RECALL
from vitsearch.records import PhotoFacts
from vitsearch.storage.filters import Filter
from vitsearch.storage.layout import LIBRARY_FILE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from vitsearch.backbones import Space
    from vitsearch.neighbours.neighbours import Neighbours

faiss = import_faiss()

Answer = TypeVar("Answer")

K = 10
MERGED = 10_000
STEPS = ("pass", "build", "search", "commands", "change")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", nargs="+", choices=STEPS, default=list(STEPS))
    parser.add_argument("--base", type=Path, help="the file that the library was made from")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=200, help="new vectors that recall is measured with")
    arguments = parser.parse_args()
    print_machine("faiss-cpu", "numpy")
    base = read_base(arguments.base, arguments.dimension)
    with Library.open(arguments.folder, backbone=Stored(base.shape[1])) as library:
        for step in arguments.steps:
            print(f"\n{step}", flush=True)
            if step == "pass":
                read_everything(library)
            elif step == "build":
                build(library)
            elif step == "search":
                search(library, Widening(base).draw(arguments.queries, np.random.default_rng(2)))
            elif step == "commands":
                new_processes(library.folder, query_files(library.folder))
            else:
                change(library)


def read_everything(library: Library) -> None:
    """Time a pass over all vectors, and a bare read of the file that they are in."""
    path = library.folder / LIBRARY_FILE
    size = path.stat().st_size

    def bare() -> float:
        with path.open("rb", buffering=0) as file:
            block = bytearray(1 << 20)
            while file.readinto(block):
                pass
        return size

    def vectors() -> float:
        space_id, space = active(library)
        return sum(rows.nbytes for _, rows in library.catalog.vector_batches(space_id, space.dimension))

    for name, run in (("bare read of the file", bare), ("pass over the vectors", vectors)) * 2:
        forget_pages(path)
        start, used = time.perf_counter(), time.process_time()
        read = run()
        seconds, cores = time.perf_counter() - start, time.process_time() - used
        print(
            f"{name}: {read / 1e6:,.0f} MB in {seconds:.1f} s, {read / 1e6 / seconds:,.0f} MB/s; "
            f"{size / 1e6 / seconds:,.0f} MB/s of the file; {cores:.1f} core-seconds",
            flush=True,
        )


def build(library: Library) -> None:
    """Build the neighbours afresh, as a library does that has lost them."""
    space_id, space = active(library)
    library._search_cache(space_id, space).delete()  # noqa: SLF001
    library.close()
    used = time.process_time()
    with watched("build"):
        neighbours = current(library)
    print(f"{time.process_time() - used:,.0f} core-seconds; {len(neighbours):,} photos")
    folder = library.layout.search_caches
    total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    database = (library.folder / LIBRARY_FILE).stat().st_size
    print(f"on disk: database {database / 1e6:,.0f} MB, neighbours {total / 1e6:,.0f} MB")
    library.close()


def search(library: Library, queries: np.ndarray) -> None:
    """Time searches by example file, and what they consist of."""
    files = query_files(library.folder)
    for path in (library.layout.search_caches).rglob("rows-*"):
        forget_pages(path)
    with watched("open and first search, no row in the page cache"):
        library.search(files[0])
    cold = current(library)
    seconds = in_turns({"": lambda index: cold.search(queries[-index][None], K)}, 30)[""]
    print(f"Neighbours.search while hardly a row is in the page cache: {spread(seconds)}")
    cold.search(queries[:64], K, exact=True)  # reads all rows
    neighbours = current(library)
    space_id, space = active(library)
    ids = [library.catalog.photo_id(library_photo_hash(path)) for path in files]
    rows = library.catalog.vectors(space_id, space.dimension, np.array(ids))
    order = np.argsort(rows[0])
    vectors = rows[1][order][np.searchsorted(rows[0][order], np.array(ids))].astype(np.float32)
    point = cheapest(neighbours._cells_record.points, RECALL) if neighbours._cells_record else None  # noqa: SLF001
    print(f"operating point {point}")
    runs: dict[str, Callable[[int], object]] = {
        "Library.search": lambda index: library.search(files[index], k=K),
        "reading the example": lambda index: library_photo_hash(files[index]),
        "Neighbours.search": lambda index: neighbours.search(
            vectors[index][None], K + 8, exclude=np.array([ids[index]])
        ),
    }
    if point is not None:
        index = neighbours._index  # noqa: SLF001
        assert index is not None
        refined = index._refined  # noqa: SLF001
        parameters = faiss.IndexRefineSearchParameters(
            k_factor=point.factor * max(1, 10 / (K + 9)),
            base_index_params=faiss.SearchParametersPreTransform(
                index_params=faiss.SearchParametersIVF(nprobe=point.nprobe)
            ),
        )
        faiss.omp_set_num_threads(1)
        runs["FAISS alone"] = lambda index: refined.search(vectors[index][None], K + 9, params=parameters)
    with watched("searches"):
        times = in_turns(runs, len(files))
    for name, seconds in times.items():
        print(f"{name}: {spread(seconds)}")
    others = np.array(times["Library.search"]) - np.array(times["reading the example"])
    print(
        f"Library.search beyond reading the example and Neighbours.search: "
        f"{spread((others - np.array(times['Neighbours.search'])).tolist())}"
    )
    with watched("new vectors"):
        alone = in_turns({"new": lambda index: neighbours.search(queries[index][None], K)}, len(queries))[
            "new"
        ]
    print(f"Neighbours.search, vectors that are not in the library: {spread(alone)}")
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    with watched("exact search of all new vectors at once"):
        truth = neighbours.search(queries, K, exact=True)[1]
    for target in (0.9, 0.95, RECALL):
        found = neighbours.search(queries, K, recall=target)[1]
        share = np.mean([len(np.intersect1d(*pair)) / K for pair in zip(found, truth, strict=True)])
        speed = in_turns({"": functools.partial(one_query, neighbours, queries, recall=target)}, 100)[""]
        print(f"recall={target}: recall@10 {share:.4f}, {spread(speed)}")
    filters = {
        "a year": Filter(after="2015", before="2016"),
        "an hour": Filter(after="2015-06-01T12", before="2015-06-01T13"),
        "a folder of 1,000": Filter(folders=(library.folder / "photos" / "00005",)),
        "a camera": Filter(camera="nikon"),
        "a camera and a day": Filter(camera="nikon", after="2015-06-01", before="2015-06-02"),
    }
    with watched("filters"):
        for name, where in filters.items():
            seconds, result = timed(functools.partial(library.search, files[1], k=K, where=where), 5)
            print(f"only {name}: {spread(seconds)}, {len(result.results)} results")
    exact, _ = timed(lambda: library.search(files[1], k=K, exact=True), 2)
    print(f"exact: {spread(exact)}")


def new_processes(folder: Path, files: list[Path]) -> None:
    """Time the commands that a person types, with the library's files out of the page cache and in it."""
    commands = {
        "vitsearch search": ["search", str(files[2])],
        "vitsearch search --json -k 100": ["search", str(files[3]), "--json", "-k", "100"],
        "vitsearch status": ["status"],
    }
    for name, arguments in commands.items():
        for state in ("out of the page cache", "in it", "in it"):
            if state == "out of the page cache":
                for path in [folder / LIBRARY_FILE, *(folder / ".vitsearch" / "neighbours").rglob("*")]:
                    if path.is_file():
                        forget_pages(path)
            seconds, private, resident = in_new_process(["--library", str(folder), *arguments])
            print(
                f"{name}, files {state}: {seconds:.2f} s, private {private:,.0f} MB, resident {resident:,.0f} MB",
                flush=True,
            )


def in_new_process(arguments: list[str]) -> tuple[float, float, float]:
    """Run the program; return seconds and the peaks of its private and of all its memory in MB."""
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "vitsearch", *arguments], stdout=subprocess.DEVNULL)
    peaks = {"RssAnon": 0.0, "VmHWM": 0.0}
    while process.poll() is None:
        with suppress(OSError):
            for line in Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8").splitlines():
                key = line.split(":")[0]
                if key in peaks:
                    peaks[key] = max(peaks[key], int(line.split()[1]) / 1e3)
        time.sleep(0.01)
    assert process.returncode == 0, arguments
    return time.perf_counter() - started, peaks["RssAnon"], peaks["VmHWM"]


def change(library: Library) -> None:
    """Add a folder of photos, find one of them, take the folder out again, and look that it is gone."""
    folder = library.folder / "more"
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(9)
    for number in range(100):
        small = Image.fromarray(random.integers(256, size=(12, 16, 3), dtype=np.uint8))
        small.save(folder / f"{number:03}.png")
    current(library)
    with watched("index of 100 new photos"):
        library.index([folder])
    with watched("search for one of them"):
        result = library.search(folder / "050.png", include_self=True)
    assert result.results[0].path == folder / "050.png"
    with watched("the folder is forgotten"):
        library.forget_root(folder)
    with watched("search afterwards"):
        result = library.search(query_files(library.folder)[0])
    assert all(folder not in match.path.parents for match in result.results)
    merge_and_forget(library)


def merge_and_forget(library: Library) -> None:
    """Merge many photos from elsewhere into the library as an import does, find one, and take them out again."""
    space_id, space = active(library)
    rows = Widening(read_base(None, space.dimension)).draw(MERGED, np.random.default_rng(11))
    elsewhere = Path("/elsewhere")
    photos = [
        ImportedRow(
            number=number,
            photo_hash=secrets.token_bytes(32),
            path=None,
            facts=PhotoFacts("JPEG", 4032, 3024),
            perceptual=None,
            places=(Place(str(elsewhere), f"{number}.jpg", 3_000_000, 1, secrets.token_bytes(32)),),
            row=row,
            norm=10.0,
        )
        for number, row in enumerate(rows)
    ]
    with watched(f"merging {MERGED:,} photos from elsewhere"), library.receiving(space) as (catalog, _):
        merge = Merge(catalog, space_id, Places(catalog, {}))
        for start in range(0, MERGED, 1000):
            merge.by_content(photos[start : start + 1000])
    neighbours = current(library)
    merged = photos[7].photo_hash
    assert merged is not None
    added = library.catalog.photo_id(merged)
    assert neighbours.search(rows[7:8], 1)[1][0, 0] == added
    seconds = in_turns({"": lambda index: neighbours.search(rows[index][None], K)}, 100)[""]
    print(f"Neighbours.search with {MERGED:,} rows in no cell yet: {spread(seconds)}")
    with watched(f"the {MERGED:,} are forgotten"):
        library.forget_root(elsewhere)
    assert current(library).search(rows[7:8], 1)[1][0, 0] != added


def active(library: Library) -> tuple[int, Space]:
    """Return the space that searches use."""
    found = library.catalog.active_space()
    assert found is not None
    return found


def current(library: Library) -> Neighbours:
    """Return the neighbours as a search has them: the rows of a large library are not read first."""
    return library._search_cache(*active(library)).current()  # noqa: SLF001


def library_photo_hash(path: Path) -> bytes:
    """Read an example file as a search does."""
    from vitsearch.searching.queries import QueryImage

    with QueryImage.open(path, decoders=None) as query:
        return query.photo.photo_hash


def in_turns(runs: dict[str, Callable[[int], object]], count: int) -> dict[str, list[float]]:
    """Time every run once for each index, in turns."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(count):
        for name, run in runs.items():
            start = time.perf_counter()
            run(index)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def timed(run: Callable[[], Answer], repeats: int) -> tuple[list[float], Answer]:
    """Time something several times; return the seconds, and what it returned last."""
    seconds: list[float] = []
    results: list[Answer] = []
    for _ in range(repeats):
        start = time.perf_counter()
        results[:] = [run()]
        seconds.append(time.perf_counter() - start)
    return seconds, results[0]


def one_query(neighbours: Neighbours, queries: np.ndarray, index: int, *, recall: float) -> object:
    """Search for one of the queries."""
    return neighbours.search(queries[index][None], K, recall=recall)


def spread(seconds: list[float]) -> str:
    """Say median and 95th percentile in milliseconds."""
    high = float(np.quantile(seconds, 0.95))
    return f"p50 {statistics.median(seconds) * 1000:,.2f} ms, p95 {high * 1000:,.2f} ms"


@contextmanager
def watched(name: str) -> Iterator[None]:
    """Say how long something took and how much memory it needed at its peak."""
    peaks = {"RssAnon": 0, "VmRSS": 0}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
                key = line.split(":")[0]
                if key in peaks:
                    peaks[key] = max(peaks[key], int(line.split()[1]))

    thread = threading.Thread(target=look)
    thread.start()
    start = time.perf_counter()
    try:
        yield
    finally:
        seconds = time.perf_counter() - start
        done.set()
        thread.join()
    memory = f", private {peaks['RssAnon'] / 1e3:,.0f} MB, resident {peaks['VmRSS'] / 1e3:,.0f} MB"
    print(f"{name}: {seconds:,.3f} s{memory if peaks['VmRSS'] else ''}", flush=True)


def forget_pages(path: Path) -> None:
    """Drop a file from the page cache."""
    os.sync()
    descriptor = os.open(path, os.O_RDONLY)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)


if __name__ == "__main__":
    main()
