"""How long it takes to see that nothing has changed: `python benchmarks/rescan.py [--files 100000] [--fill]`.

A rescan of unchanged files against a bare `os.scandir` walk with `stat` over the same folders, side by side. With
`--fill` the library is written as an index run would have left it, which takes minutes instead of an hour for a million
files. For the memory of rescans alone, run it once more on what `--made` has kept.
"""

from __future__ import annotations

import argparse
import os
import resource
import secrets
import tempfile
from pathlib import Path

import numpy as np
from machine import medians, print_machine
from PIL import Image

from vitsearch.backbones import Embeddings, Preprocessing, Space
from vitsearch.backbones.backbone import Backbone
from vitsearch.library import Library
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database
from vitsearch.storage.layout import LIBRARY_FILE


class NoModel(Backbone):
    """Stands in for a model while the library is filled: a rescan embeds nothing."""

    device = "cpu"
    batch_size = 256
    space = Space("none", "", Preprocessing(8, 8, 8, "squeeze", 0, (0, 0, 0), (1, 1, 1)), "pooled", 4)

    def embed_batch(self, pixels: np.ndarray) -> Embeddings:
        """Return the same unit row for every image."""
        row = np.array([1, 0, 0, 0], np.float32)
        return Embeddings(np.tile(row, (len(pixels), 1)), np.ones(len(pixels), np.float32))


def bare_walk(folder: str) -> int:
    """Count the files below a folder, with a `stat` of each."""
    count = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                count += bare_walk(entry.path)
            else:
                count += entry.stat().st_size > 0
    return count


def make_files(folder: Path, count: int) -> None:
    """Write small images, a thousand to a folder, each of another colour."""
    for index in range(count):
        place = folder / f"{index // 1000:03}"
        if index % 1000 == 0:
            place.mkdir(parents=True)
        colour = (index % 251, index // 251 % 251, index // 63001)
        Image.new("RGB", (2, 2), colour).save(place / f"photo-{index:06}.bmp")


def fill(library: Path, photos: Path) -> int:
    """Write all files below a folder into the library, a photo each, as if they had been indexed; return how many."""
    library.mkdir(parents=True, exist_ok=True)
    catalog = Catalog(Database.open(library / LIBRARY_FILE, create=True))
    catalog.activate_space(space_id := catalog.add_space(NoModel.space))
    root, _ = catalog.add_root(photos)
    number, vector = 0, np.array([1, 0, 0, 0], "<f2").tobytes()
    for folder in sorted(photos.iterdir()):
        known = [(entry.name, entry.stat()) for entry in os.scandir(folder)]
        numbers = range(number + 1, number + 1 + len(known))
        number += len(known)
        with catalog.database.write():
            run_many = catalog.database.run_many
            run_many(
                "INSERT INTO photos (id, photo_hash, format, width, height) VALUES (?, ?, 'BMP', 2, 2)",
                [(photo, secrets.token_bytes(32)) for photo in numbers],
            )
            run_many(
                "INSERT INTO files (root, path, photo, file_hash, size, mtime_ns, added_run) VALUES (?,?,?,?,?,?,1)",
                [
                    (
                        root.id,
                        f"{folder.name}/{name}",
                        photo,
                        secrets.token_bytes(32),
                        of.st_size,
                        of.st_mtime_ns,
                    )
                    for photo, (name, of) in zip(numbers, known, strict=True)
                ],
            )
            run_many(
                "INSERT INTO vectors (space, photo, norm, vector) VALUES (?, ?, 1.0, ?)",
                [(space_id, photo, vector) for photo in numbers],
            )
    catalog.database.close()
    return number


def peak_memory() -> float:
    """Return the most memory that this process has held, in MB (macOS counts bytes, others KB)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
        1e6 if os.uname().sysname == "Darwin" else 1e3
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--made", type=Path, help="where files and library are kept for the next run")
    parser.add_argument(
        "--fill", action="store_true", help="write the library's rows instead of indexing the files"
    )
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print_machine("vitsearch")
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.made or Path(scratch)
        photos = folder / "photos"
        if not photos.exists():
            make_files(photos, arguments.files)
        if arguments.fill and not (folder / "library").exists():
            print(f"{fill(folder / 'library', photos):,} files written into the library")
        with Library.open(folder / "library", backbone=NoModel()) as library:
            first = library.index([photos])
            print(f"{first.files:,} files, {first.embedded:,} of them new, in {first.seconds:.1f} s")
            seconds = medians(
                {"bare walk with stat": lambda: bare_walk(str(photos)), "vitsearch rescan": library.index},
                repeats=arguments.repeats,
            )
    walk = seconds["bare walk with stat"]
    for name, value in seconds.items():
        print(f"{name:<22} {value:7.3f} s  {value / walk:5.2f} x")
    print(f"the process held {peak_memory():,.0f} MB at most")


if __name__ == "__main__":
    main()
