"""How long readers and small writers wait while a large library is being indexed.

`python benchmarks/concurrent_access.py --photos 300000`: a library of so many photos is made; then one process stores
batches as an index run does, a second one searches and asks for the status, a third one stores decisions of a person,
and a fourth one holds the longest reads that the program has. Printed is the longest that each has waited.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vitsearch.duplicates.tables import copied_photos, dismiss, present_photos
from vitsearch.library import Library
from vitsearch.photos.photo import read_photo
from vitsearch.records import FoundFile, PhotoFacts
from vitsearch.space import Preprocessing, Space
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database
from vitsearch.storage.filters import Filter
from vitsearch.storage.rows import ReadableFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.synchronize import Event

DIMENSION = 384
BATCH = 64
SPACE = Space(
    "made-up",
    "0" * 64,
    Preprocessing(8, 8, 8, "squeeze", 2, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "pooled",
    DIMENSION,
)


def batch(root: int, folder: Path, start: int, count: int) -> list[ReadableFile]:
    """So many files that were read and embedded."""
    source = np.random.default_rng(start)
    rows = source.standard_normal((count, DIMENSION)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    files = []
    for offset, row in enumerate(rows):
        number = start + offset
        photo_hash = number.to_bytes(8, "big") + source.bytes(24)
        found = FoundFile(folder, f"{number // 1000:04}/{number:07}.jpg", 2_000_000 + number, number)
        facts = PhotoFacts("JPEG", 4000, 3000, "2024-05-01T12:00:00", "A camera", None, None, None)
        files.append(
            ReadableFile(
                root, found, photo_hash, photo_hash, facts, source.bytes(32), row.astype(np.float16), 1.0
            )
        )
    return files


def make(folder: Path, photos: Path, count: int) -> None:
    """Fill a library."""
    catalog = Catalog(Database.open(folder / "library.db", create=True))
    catalog.database.run("PRAGMA synchronous = OFF")
    space = catalog.add_space(SPACE)
    catalog.activate_space(space)
    root, _ = catalog.add_root(photos)
    for start in range(0, count, 5000):
        catalog.store(1, space, batch(root.id, photos, start, min(5000, count - start)), [])
    catalog.database.close()
    with Library.open(folder) as library:
        library.neighbours()


class Clock:
    """The longest of many waits, and their median."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def time(self, work: Callable[[], object]) -> None:
        """Do something and note how long it took."""
        started = time.perf_counter()
        work()
        self.waits.append(time.perf_counter() - started)

    def __str__(self) -> str:
        if not self.waits:
            return "never"
        return f"longest {max(self.waits):7.3f} s, median {np.median(self.waits):7.4f} s, {len(self.waits):,} times"


def index(folder: Path, photos: Path, count: int, stop: Event, say: Callable[[str], None]) -> None:
    """Store batch after batch, with the pause that embedding makes."""
    catalog = Catalog(Database.open(folder / "library.db"))
    space = catalog.require_space().id
    root = catalog.roots()[0].id
    clock, start = Clock(), count
    while not stop.is_set():
        files = batch(root, photos, start, BATCH)
        clock.time(partial(catalog.store, 2, space, files, []))
        start += BATCH
        time.sleep(0.3)
    say(f"a batch of {BATCH} is stored      {clock}")


def search(folder: Path, query: Path, stop: Event, say: Callable[[str], None]) -> None:
    """Search by a photo of the library, and ask for its status."""
    searches, states = Clock(), Clock()
    with Library.open(folder) as library:
        read_photo(query)
        ids = library.catalog.embedded_ids(1)
        row = library.neighbours().rows(ids[:1])
        while not stop.is_set():
            searches.time(lambda: library.catalog.photos(library.neighbours().search(row, 10)[1][0].tolist()))
            states.time(lambda: library.catalog.counts(1, ""))
    say(f"a search is answered          {searches}")
    say(f"the library is counted        {states}")


def decide(folder: Path, stop: Event, say: Callable[[str], None]) -> None:
    """Store decisions of a person."""
    catalog = Catalog(Database.open(folder / "library.db"))
    clock, number = Clock(), 1
    while not stop.is_set():
        clock.time(partial(dismiss, catalog, [number, number + 1]))
        number += 2
        time.sleep(0.05)
    say(f"a decision is stored          {clock}")


def read_all(folder: Path, stop: Event, say: Callable[[str], None]) -> None:
    """Read as the longest reads of the program do, without a pause."""
    catalog = Catalog(Database.open(folder / "library.db"))
    clocks = {
        "known files": (Clock(), lambda: catalog.known_files(1, "", 1)),
        "vector ids": (Clock(), lambda: catalog.embedded_ids(1)),
        "present photos": (Clock(), lambda: present_photos(catalog)),
        "copies": (Clock(), lambda: copied_photos(catalog)),
        "a filter": (Clock(), lambda: catalog.select(Filter(camera="camera"))),
        "vectors missing": (Clock(), lambda: catalog.count_without_vector(1)),
        "all vectors": (Clock(), lambda: [len(ids) for ids, _ in catalog.vector_batches(1, DIMENSION)]),
    }
    while not stop.is_set():
        for clock, read in clocks.values():
            clock.time(read)
    for name, (clock, _) in clocks.items():
        say(f"reading {name:<20}  {clock}")


def main() -> None:
    """Make the library, let everybody work, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=300_000)
    parser.add_argument("--seconds", type=float, default=40)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vitsearch-benchmark-") as name:
        folder, photos = Path(name, "library"), Path(name, "photos")
        folder.mkdir()
        photos.mkdir()
        query = photos / "query.png"
        Image.new("RGB", (64, 64), "red").save(query)
        started = time.perf_counter()
        make(folder, photos, options.photos)
        size = (folder / "library.db").stat().st_size
        print(
            f"{options.photos:,} photos, {size / 1e6:,.0f} MB, made in {time.perf_counter() - started:.0f} s"
        )
        context = multiprocessing.get_context("spawn")
        stop, lines = context.Event(), context.SimpleQueue()
        workers = [
            context.Process(target=index, args=(folder, photos, options.photos, stop, lines.put)),
            context.Process(target=search, args=(folder, query, stop, lines.put)),
            context.Process(target=decide, args=(folder, stop, lines.put)),
            context.Process(target=read_all, args=(folder, stop, lines.put)),
        ]
        for worker in workers:
            worker.start()
        time.sleep(options.seconds)
        stop.set()
        for worker in workers:
            worker.join()
        while not lines.empty():
            print(lines.get())


if __name__ == "__main__":
    main()
