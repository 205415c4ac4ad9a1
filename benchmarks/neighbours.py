"""Nearest neighbours among many vectors: vitsearch against FAISS Flat and HNSW, hnswlib, usearch, SVS and turbovec.

    python benchmarks/neighbours.py [--base FILE.npy] [--sizes 100000 1000000] [--dimension 512] [--against hnswlib …]
                                    [--folder KEPT [--prepare]]

FILE.npy holds embeddings of real photos, (m, d); they are widened with noise to the size asked for (`widening.py`).
All engines hold the same rows and answer the same queries, which are not among the rows, in turns. Recall is the share
of the exact ten nearest that are found. Rates are medians; single means one query a call, batch all `--queries`. FAISS
Flat is left out where its float32 rows do not fit into memory beside the others.
Memory is what the engine takes beyond files that it maps, and then these. Graph engines are shown at the least `ef`
(SVS: the window of the search) that reaches each recall. Turbovec has codes of 4 bits and nothing to set. hnswlib,
usearch, SVS (the package `scalable-vs`, a Vamana graph over float32 rows) and turbovec are measured where they are
installed, best in an environment of their own. What was built is kept in `--folder`: building and timing can be done
apart, with `--prepare` first. The build is given in core-seconds, which other work on the machine does not change much,
and in seconds.
"""

from __future__ import annotations

import argparse
import functools
import gc
import importlib.util
import json
import math
import os
import shutil
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from machine import print_machine
from widening import Widening, read_base

from vitsearch.neighbours.flat import import_faiss
from vitsearch.neighbours.neighbours import RECALL, Neighbours

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Search = Callable[[np.ndarray], np.ndarray]
    Graph = Callable[[np.ndarray, int], np.ndarray]
    Make = Callable[[np.ndarray, Path], None]
    Open = Callable[[int, Path], Graph]

# All engines of FAISS here multiply with the kernels of this processor, as in vitsearch.
faiss = import_faiss()

K = 10
ROUNDS = 5
SINGLES = 40
BATCH = 1000
TARGETS = (0.95, 0.99)
# All rows as float32, and those that are mapped, may take so much of the memory that is free.
FREE_MEMORY_SHARE = 0.8
LINKS, BUILD_EF = 16, 100
EFFORTS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)
# What each engine's package is called on the index, and its module; FAISS is there anyway.
PACKAGES = {
    "hnswlib": ("hnswlib", "hnswlib"),
    "usearch": ("usearch", "usearch"),
    "svs": ("scalable-vs", "svs"),
    "turbovec": ("turbovec", "turbovec"),
}


@dataclass(frozen=True)
class Build:
    """What a build took: core-seconds, and seconds."""

    cores: float = math.nan
    seconds: float = math.nan


@dataclass
class Candidate:
    """One engine at one setting."""

    name: str
    search: Search
    memory: float
    mapped: float
    build: Build
    recall: float = 0.0
    single: list[float] = field(default_factory=list)
    batch: list[float] = field(default_factory=list)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--against", nargs="*", choices=list(GRAPHS), default=list(GRAPHS))
    parser.add_argument("--folder", type=Path, help="where rows and indexes are kept (default: nowhere)")
    parser.add_argument(
        "--queries", type=int, default=BATCH, help="how many there are, at least 200: a batch is all"
    )
    parser.add_argument("--prepare", action="store_true", help="build what is missing, and time no search")
    arguments = parser.parse_args()
    base = read_base(arguments.base, arguments.dimension)
    print_machine("faiss-cpu", "numpy", *(PACKAGES[name][0] for name in PACKAGES if is_installed(name)))
    with tempfile.TemporaryDirectory() as temporary:
        for size in arguments.sizes:
            folder = (arguments.folder or Path(temporary)) / str(size)
            folder.mkdir(parents=True, exist_ok=True)
            widening = Widening(base)
            rows = written_rows(folder / "rows.npy", widening, size)
            print(f"\n{size:,} x {rows.shape[1]}, noise {widening.noise:.2f}", flush=True)
            prepare(folder, rows, arguments.against)
            if not arguments.prepare:
                measure(folder, rows, widening, arguments.against, arguments.queries)


def written_rows(path: Path, widening: Widening, size: int) -> np.ndarray:
    """Return the rows (n, d) float16, drawn if they are not there yet."""
    if not path.exists():
        partial = path.with_suffix(".partial")
        rows = np.lib.format.open_memmap(partial, "w+", "float16", (size, widening.base.shape[1]))
        for start, block in widening.blocks(size, seed=1):
            rows[start : start + len(block)] = block
        rows.flush()
        partial.replace(path)
    written: np.ndarray = np.load(path, mmap_mode="r")
    return written


def prepare(folder: Path, rows: np.ndarray, against: list[str]) -> None:
    """Build every engine that is not there yet, and note what that took."""
    makes: dict[str, Make] = {"vitsearch": build_neighbours}
    makes |= {name: GRAPHS[name][0] for name in against if is_installed(name)}
    for name, make in makes.items():
        note = folder / f"{name}.json"
        if note.exists():
            continue
        begun, used = time.perf_counter(), time.process_time()
        make(rows, folder / name)
        build = Build(time.process_time() - used, time.perf_counter() - begun)
        note.write_text(json.dumps(asdict(build)), encoding="utf-8")
        print(f"{name} built in {build.cores:,.0f} core-seconds, {build.seconds:,.0f} s", flush=True)


def measure(folder: Path, rows: np.ndarray, widening: Widening, against: list[str], count: int) -> None:
    """Let every engine answer in turns, and print the table."""
    queries = widening.draw(count, np.random.default_rng(2))
    candidates = []
    neighbours, memory = held(lambda: open_neighbours(folder / "vitsearch", rows))
    mapped, build = rows.nbytes / 1e6, noted(folder / "vitsearch.json")
    fits = 4 * rows.size + rows.nbytes < FREE_MEMORY_SHARE * free_memory()
    if fits:
        flat, flat_memory = held(lambda: fill(faiss.IndexFlatIP(rows.shape[1]), rows))
        candidates.append(
            Candidate("FAISS Flat", lambda some: flat.search(some, K)[1], flat_memory, 0, Build())
        )
    else:
        print(
            "FAISS Flat is left out: its rows do not fit beside the others; ratios are to vitsearch's own exact search"
        )
    exact = Candidate(
        "vitsearch, exact", functools.partial(ours, neighbours, exact=True), memory, mapped, build
    )
    candidates.append(exact)
    truth = candidates[0].search(queries)
    candidates += [
        Candidate(
            f"vitsearch, recall={target}",
            functools.partial(ours, neighbours, recall=target),
            memory,
            mapped,
            build,
        )
        for target in TARGETS
    ]
    if fits:
        candidates += [
            Candidate(f"the same in FAISS, {target}", raw, math.nan, math.nan, Build())
            for target, raw in raw_cells(folder / "vitsearch", rows)
        ]
    for name in against:
        if not (folder / f"{name}.json").exists():
            print(f"{name} is not installed")
            continue
        open_it, build = GRAPHS[name][1], noted(folder / f"{name}.json")
        graph, memory = held(functools.partial(open_it, rows.shape[1], folder / name))
        candidates += [
            Candidate(f"{name}, ef={ef}", functools.partial(graph, ef=ef), memory, 0, build)
            for ef in least_efforts(graph, queries, truth, EFFORTS[:1] if name == "turbovec" else EFFORTS)
        ]
    for candidate in candidates:
        candidate.recall = recall(candidate.search(queries), truth)
    take_turns(candidates, queries)
    print_table(candidates)
    print_changes(folder / "vitsearch", widening, len(rows))


def ours(
    neighbours: Neighbours, some: np.ndarray, *, recall: float = RECALL, exact: bool = False
) -> np.ndarray:
    """Ask vitsearch for ids."""
    return neighbours.search(some, K, recall=recall, exact=exact)[1]


def noted(path: Path) -> Build:
    """Read what a build took."""
    return Build(**json.loads(path.read_text(encoding="utf-8")))


def is_installed(name: str) -> bool:
    """Whether a graph engine can be measured."""
    return name not in PACKAGES or importlib.util.find_spec(PACKAGES[name][1]) is not None


def take_turns(candidates: list[Candidate], queries: np.ndarray) -> None:
    """Time all candidates in each round, so that other work on the machine hits all of them alike."""
    for turn in range(ROUNDS):
        for candidate in candidates:
            seconds = []
            for query in range(turn * SINGLES, (turn + 1) * SINGLES):
                start = time.perf_counter()
                candidate.search(queries[query : query + 1])
                seconds.append(time.perf_counter() - start)
            candidate.single.append(1 / statistics.median(seconds))
            if turn < 3:
                start = time.perf_counter()
                candidate.search(queries)
                candidate.batch.append(len(queries) / (time.perf_counter() - start))


def print_table(candidates: list[Candidate]) -> None:
    """Print a Markdown table; ratios are to the first candidate, medians of those of single rounds."""
    flat = candidates[0]
    print(
        "| engine | recall@10 | single/s | x first | batch/s | x first | memory MB | mapped MB | build core-s | s |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    for one in candidates:
        single = statistics.median(a / b for a, b in zip(one.single, flat.single, strict=True))
        batch = statistics.median(a / b for a, b in zip(one.batch, flat.batch, strict=True))
        print(
            f"| {one.name} | {one.recall:.4f} | {statistics.median(one.single):,.0f} | {single:,.1f} "
            f"| {statistics.median(one.batch):,.0f} | {batch:,.1f} | {one.memory:,.0f} | {one.mapped:,.0f} "
            f"| {one.build.cores:,.0f} | {one.build.seconds:,.0f} |"
        )


def print_changes(folder: Path, widening: Widening, size: int) -> None:
    """Time what happens to a cache between searches."""
    dimension = widening.base.shape[1]
    fresh = widening.draw(1001, np.random.default_rng(3))
    copy = folder.with_name("changed")
    shutil.rmtree(copy, ignore_errors=True)
    folder = Path(shutil.copytree(folder, copy))
    neighbours = Neighbours.load(folder, dimension=dimension)

    def load() -> None:
        Neighbours.load(folder, dimension=dimension)

    def add(first: int, count: int) -> None:
        neighbours.add(np.arange(size + first, size + first + count), fresh[first : first + count])
        neighbours.save(generation=2)

    def remove() -> None:
        neighbours.remove(np.arange(0, size, size // 1000))
        neighbours.save(generation=3)

    def first_search() -> None:
        Neighbours.load(folder, dimension=dimension).search(fresh[:1], K)

    steps = {
        "load": load,
        "load and first search": first_search,
        "add 1 and save": lambda: add(0, 1),
        "add 1,000 and save": lambda: add(1, 1000),
        "remove 1,000 and save": remove,
        "load and first search after that": first_search,
    }
    for name, step in steps.items():
        start = time.perf_counter()
        step()
        print(f"{name}: {(time.perf_counter() - start) * 1000:.0f} ms")
    shutil.rmtree(copy)


def build_neighbours(rows: np.ndarray, folder: Path) -> None:
    """Build a cache as a library does."""
    batches = ((np.arange(start, start + len(block)), block) for start, block in parts(rows))
    Neighbours.build(rows.shape[1], batches, folder=folder, generation=1)


def open_neighbours(folder: Path, rows: np.ndarray) -> Neighbours:
    """Load a cache and search once, so that all that it reads is read."""
    neighbours = Neighbours.load(folder, dimension=rows.shape[1])
    neighbours.search(rows[:1].astype(np.float32), K)
    return neighbours


def raw_cells(folder: Path, rows: np.ndarray) -> Iterator[tuple[float, Search]]:
    """Search the cache's own FAISS file with FAISS alone: what vitsearch adds is the difference."""
    record = json.loads((folder / "manifest.json").read_text())["cells"]
    if record is None:
        return
    exact = faiss.IndexScalarQuantizer(
        rows.shape[1], faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
    )
    refined = faiss.IndexRefine(faiss.read_index(str(folder / record["file"])), fill(exact, rows))
    for target in TARGETS:
        point = next((point for point in record["points"] if point["recall"] >= target), record["points"][-1])
        cells = faiss.SearchParametersIVF(nprobe=point["nprobe"])
        parameters = faiss.IndexRefineSearchParameters(
            k_factor=point["factor"], base_index_params=faiss.SearchParametersPreTransform(index_params=cells)
        )
        yield target, functools.partial(search_with, refined, parameters)


def search_with(index: Any, parameters: Any, some: np.ndarray) -> np.ndarray:  # noqa: ANN401 - FAISS has no types
    """Search a FAISS index."""
    return np.asarray(index.search(some, K, params=parameters)[1])


def make_faiss_hnsw(rows: np.ndarray, path: Path) -> None:
    """Build FAISS's own graph index."""
    index = faiss.IndexHNSWFlat(rows.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
    index.hnsw.efConstruction = BUILD_EF
    faiss.write_index(fill(index, rows), str(path))


def open_faiss_hnsw(dimension: int, path: Path) -> Graph:  # noqa: ARG001
    """Open FAISS's own graph index."""
    index = faiss.read_index(str(path))
    return lambda some, ef: search_with(index, faiss.SearchParametersHNSW(efSearch=ef), some)


def make_hnswlib(rows: np.ndarray, path: Path) -> None:
    """Build the reference implementation of HNSW."""
    import hnswlib

    index = hnswlib.Index("ip", rows.shape[1])
    index.init_index(len(rows), ef_construction=BUILD_EF, M=LINKS)
    for start, block in parts(rows):
        index.add_items(block.astype(np.float32), np.arange(start, start + len(block)))
    index.save_index(str(path))


def open_hnswlib(dimension: int, path: Path) -> Graph:
    """Open the reference implementation of HNSW."""
    import hnswlib

    index = hnswlib.Index("ip", dimension)
    index.load_index(str(path))

    def search(some: np.ndarray, ef: int) -> np.ndarray:
        index.set_ef(ef)
        return np.asarray(index.knn_query(some, K, num_threads=1 if len(some) == 1 else -1)[0])

    return search


def make_usearch(rows: np.ndarray, path: Path) -> None:
    """Build HNSW with half-precision rows."""
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILD_EF)
    for start, block in parts(rows):
        index.add(np.arange(start, start + len(block)), block)
    index.save(str(path))


def open_usearch(dimension: int, path: Path) -> Graph:
    """Open HNSW with half-precision rows."""
    from usearch.index import Index

    index = Index(ndim=dimension, metric="ip", dtype="f16", connectivity=LINKS, expansion_add=BUILD_EF)
    index.load(str(path))

    def search(some: np.ndarray, ef: int) -> np.ndarray:
        index.expansion_search = ef
        return np.atleast_2d(index.search(some, K).keys)

    return search


def make_svs(rows: np.ndarray, path: Path) -> None:
    """Build the Vamana graph of SVS over float32 rows, with as many links as HNSW has in its lowest layer."""
    import svs

    parameters = svs.VamanaBuildParameters(alpha=0.95, graph_max_degree=2 * LINKS, window_size=BUILD_EF)
    index = svs.Vamana.build(
        parameters, rows.astype(np.float32), svs.DistanceType.MIP, num_threads=os.cpu_count() or 1
    )
    path.mkdir(exist_ok=True)
    index.save(*(str(path / part) for part in ("config", "graph", "data")))


def open_svs(dimension: int, path: Path) -> Graph:
    """Open the graph of SVS."""
    import svs

    index = svs.Vamana(
        str(path / "config"),
        svs.GraphLoader(str(path / "graph")),
        svs.VectorDataLoader(str(path / "data"), svs.DataType.float32, dims=dimension),
        svs.DistanceType.MIP,
    )
    threads = os.cpu_count() or 1

    def search(some: np.ndarray, ef: int) -> np.ndarray:
        wanted = 1 if len(some) == 1 else threads
        if index.num_threads != wanted:
            index.num_threads = wanted
        if index.search_window_size != max(ef, K):
            index.search_window_size = max(ef, K)
        return np.asarray(index.search(some, K)[0], np.int64)

    return search


def make_turbovec(rows: np.ndarray, path: Path) -> None:
    """Quantise all rows to four bits a dimension."""
    import turbovec

    index = turbovec.TurboQuantIndex(rows.shape[1], 4)
    for _, block in parts(rows):
        index.add(block.astype(np.float32))
    index.prepare()
    index.write(str(path))


def open_turbovec(dimension: int, path: Path) -> Graph:  # noqa: ARG001
    """Open the codes of turbovec, all of which are scanned."""
    import turbovec

    index = turbovec.TurboQuantIndex.load(str(path))
    return lambda some, ef: np.asarray(index.search(some, K)[1], dtype=np.int64)  # noqa: ARG005


GRAPHS: dict[str, tuple[Make, Open]] = {
    "faiss-hnsw": (make_faiss_hnsw, open_faiss_hnsw),
    "hnswlib": (make_hnswlib, open_hnswlib),
    "usearch": (make_usearch, open_usearch),
    "svs": (make_svs, open_svs),
    "turbovec": (make_turbovec, open_turbovec),
}


def least_efforts(
    graph: Graph, queries: np.ndarray, truth: np.ndarray, efforts: tuple[int, ...]
) -> list[int]:
    """Return the least `ef` for each target recall, as far as the last reaches it."""
    found: dict[int, float] = {}
    for ef in efforts:
        found[ef] = recall(graph(queries, ef), truth)
        if found[ef] >= TARGETS[-1]:
            break
    reached = [
        next((ef for ef, share in found.items() if share >= target), efforts[-1]) for target in TARGETS
    ]
    return sorted(set(reached))


def recall(found: np.ndarray, truth: np.ndarray) -> float:
    """Return the share of the true neighbours that were found."""
    return float(np.mean([len(np.intersect1d(*pair)) / K for pair in zip(found, truth, strict=True)]))


def fill(index: Any, rows: np.ndarray) -> Any:  # noqa: ANN401 - FAISS has no types
    """Add all rows to a FAISS index."""
    for _, block in parts(rows):
        index.add(block.astype(np.float32))
    return index


def parts(rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield blocks of rows with the number of their first row."""
    for start in range(0, len(rows), 8192):
        yield start, rows[start : start + 8192]


def held(make: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `make` makes and the megabytes of memory that it holds."""
    gc.collect()
    before = private_memory()
    made = make()
    gc.collect()
    return made, private_memory() - before


def private_memory() -> float:
    """Return this process's memory in MB, mapped files left out; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    return next(int(line.split()[1]) / 1000 for line in lines if line.startswith("RssAnon"))


def free_memory() -> int:
    """Return how many bytes are free, without bounds where the system does not say."""
    try:
        fields = Path("/proc/meminfo").read_text(encoding="utf-8").partition("MemAvailable:")[2].split()
    except OSError:
        return sys.maxsize
    return 1024 * int(fields[0])


if __name__ == "__main__":
    main()
