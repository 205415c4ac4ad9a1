"""A library of many photos in Milvus: how long an export takes, what kills do to it, and whether searches agree.

    python benchmarks/milvus.py [--photos 100000] [--base FILE.npy] [--dimension 512] [--kills 6] [--folder DIR]

FILE.npy holds embeddings of real photos, (m, d); they are widened with noise (`widening.py`). The library is exported
to a file of Milvus Lite by a process that is killed at random moments, then once more to the end. Every row is then
read back.
Searches are compared with the library's own exact search: 1,000 queries that are not among the rows, ten matches each.
Two lists agree if they name the same photos in the same order; photos whose scores differ by less than a millionth may
stand in any order, and at the end of the list in each other's place, since both sides round sums differently.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from machine import print_machine
from synthetic_library import Stored, make_library
from widening import Widening, read_base

from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.export import export_milvus
from vitsearch.engines.portable import Selection
from vitsearch.library import Library

QUERIES, K = 1000, 10
TIE = 1e-6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--photos", type=int, default=100_000)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--kills", type=int, default=6)
    parser.add_argument("--folder", type=Path, help="where all is kept (default: a temporary folder)")
    arguments = parser.parse_args()
    print_machine("pymilvus", "milvus-lite", "faiss-cpu", "numpy")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        base = read_base(arguments.base, arguments.dimension)
        widening = Widening(base)
        make_library(folder / "library", arguments.photos, widening)
        with Library.open(folder / "library", backbone=Stored(base.shape[1])) as library:
            address = Address.parse(f"milvus://{folder.as_posix()}/photos.db")
            print_export(folder, library, address, arguments.kills)
            print_agreement(library, address, widening)


def print_export(folder: Path, library: Library, address: Address, kills: int) -> None:
    """Kill exports at random moments, finish one, and read all back."""
    dice = random.Random(5)
    for number in range(kills):
        seconds = dice.uniform(1.5, 30)
        process = subprocess.Popen(
            [
                sys.executable,
                __file__.replace("milvus.py", "../cli.py"),
                "--library",
                str(folder / "library"),
                "export",
                "--to",
                f"milvus://{folder.as_posix()}/photos.db",
            ],
            stdout=subprocess.DEVNULL,
        )
        try:
            process.wait(seconds)
            print(f"export {number + 1} had ended before it could be killed")
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            with MilvusCollection(address) as collection:
                count = collection.count() if collection.exists() else 0
            print(f"export {number + 1} was killed after {seconds:.1f} s: {count:,} photos there")
    for name in ("the export that ends", "once more, with nothing to do"):
        start = time.perf_counter()
        with MilvusCollection(address) as collection:
            report = export_milvus(library, Selection.of(library), collection)
        print(
            f"{name}: {time.perf_counter() - start:.1f} s, {report.photos:,} photos, {report.written:,} written, "
            f"{report.removed:,} removed"
        )
    with MilvusCollection(address) as collection:
        keys = [row["photo"] for row in collection.all_rows("", ["photo"])]
        print(
            f"read back: {len(keys):,} rows, {len(set(keys)):,} different photos, count says {collection.count():,}"
        )
    start = time.perf_counter()
    second = Address.parse(f"milvus://{folder.as_posix()}/undisturbed.db")
    with MilvusCollection(second) as collection:
        report = export_milvus(library, Selection.of(library), collection)
    seconds = time.perf_counter() - start
    print(f"an export that nobody kills: {seconds:.1f} s, {report.written / seconds:,.0f} photos/s")


def print_agreement(library: Library, address: Address, widening: Widening) -> None:
    """Compare top-10 lists."""
    queries = widening.draw(QUERIES, np.random.default_rng(2))
    scores, ids = library.neighbours().search(queries, K + 6, exact=True)
    agree = same = 0
    seconds = []
    with MilvusCollection(address) as collection:
        for query, own_scores, own in zip(queries, scores, ids, strict=True):
            start = time.perf_counter()
            hits = collection.nearest(query, "", ["id"], limit=K)
            seconds.append(time.perf_counter() - start)
            theirs = [row["id"] for row, _ in hits]
            their_scores = np.array([score for _, score in hits])
            same += theirs == own[:K].tolist()
            agree += agrees(
                dict(zip(own.tolist(), own_scores.tolist(), strict=True)),
                own_scores[:K],
                theirs,
                their_scores,
            )
    print(
        f"same top-10 lists, ties aside: {agree} of {QUERIES} ({100 * agree / QUERIES:.2f} %); to the letter: {same}"
    )
    print(f"a search for ten in Milvus Lite: {1000 * float(np.median(seconds)):.0f} ms")


def agrees(known: dict[int, float], best: np.ndarray, theirs: list[int], their_scores: np.ndarray) -> bool:
    """Whether a list is the library's own, but for the order of photos that score alike."""
    return (
        len(set(theirs)) == K
        and bool(np.abs(their_scores - best).max() < TIE)
        and all(abs(known.get(photo, -1.0) - score) < TIE for photo, score in zip(theirs, best, strict=True))
    )


if __name__ == "__main__":
    main()
