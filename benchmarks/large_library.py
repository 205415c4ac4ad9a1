"""A large library without large files: `python benchmarks/large_library.py FOLDER [--photos 50000]`.

The photos of `sample_images/` are indexed with a real model; the others are variants of small copies of them, with
random vectors, random dates and a few cameras, so that each has a picture to show and a place among its neighbours.
"""

from __future__ import annotations

import argparse
import secrets
from pathlib import Path

import numpy as np
from PIL import Image
from variants import variants

from vitsearch.library import Library
from vitsearch.photos.photo import read_photo

SAMPLES = Path(__file__).parent.parent / "sample_images"
A_FOLDER = 500
AT_ONCE = 5000
CAMERAS = ("Canon EOS R5", "FUJIFILM X-T4", "iPhone 15", "Pixel 8", None)


def make_library(folder: Path, photos: int, *, model: str | None = None) -> None:
    """Fill `folder` with `library/` and `photos/`: this many photos, those of the samples among them."""
    place = folder / "photos"
    place.mkdir(parents=True)
    pictures = []
    for path in sorted(SAMPLES.rglob("*.jpg")):
        target = place / "samples" / path.parent.name / path.name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
        pictures.append(target)
    with Library.open(folder / "library", notice=print) as library:
        report = library.index([place], model=model)
        readable = [path for path in pictures if path not in {file.path for file in report.unreadable}]
        _add(library, place, readable, photos - report.photos)
    with Library.open(folder / "library") as library:
        library.neighbours()


def _add(library: Library, place: Path, pictures: list[Path], count: int) -> None:
    catalog = library.catalog
    root, active = catalog.roots()[0], catalog.active_space()
    assert active is not None
    space_id, space = active
    random = np.random.default_rng(0)
    different = {}
    for picture in pictures:
        with Image.open(picture) as image:
            image.thumbnail((400, 400))
            different[image.tobytes()] = image.convert("RGB")
    small = list(different.values())
    files_of = variants(small)
    for start in range(0, count, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, count))
        rows = random.standard_normal((len(numbers), space.dimension)).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        days = random.integers(0, 20 * 365, len(numbers))
        taken = np.datetime64("2005-01-01T12:00:00") + days.astype("timedelta64[D]")
        photos, files, vectors = [], [], []
        for number, row, moment in zip(numbers, rows, taken.tolist(), strict=True):
            photo, size = 1_000_000 + number, small[number % len(small)].size
            path = f"{number // A_FOLDER:04}/photo-{number:06}.jpg"
            (place / path).parent.mkdir(exist_ok=True)
            (place / path).write_bytes(next(files_of))
            status, photo_hash = (place / path).stat(), read_photo(place / path).photo_hash
            camera = CAMERAS[number % len(CAMERAS)]
            photos.append((photo, photo_hash, "JPEG", *size, moment.isoformat(), camera))
            files.append((root.id, path, photo, secrets.token_bytes(32), status.st_size, status.st_mtime_ns))
            vectors.append((space_id, photo, row.astype("<f2").tobytes()))
        with catalog.database.write():
            run_many = catalog.database.run_many
            run_many(
                "INSERT INTO photos (id, photo_hash, format, width, height, taken, camera) VALUES (?,?,?,?,?,?,?)",
                photos,
            )
            run_many(
                "INSERT INTO files (root, path, photo, file_hash, size, mtime_ns, added_run) VALUES (?,?,?,?,?,?,1)",
                files,
            )
            run_many("INSERT INTO vectors (space, photo, norm, vector) VALUES (?, ?, 1.0, ?)", vectors)
            catalog.database.run("UPDATE spaces SET generation = random() & 0x7fffffffffffffff")


def main() -> None:
    """Make a library."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, default=50_000)
    parser.add_argument("--model")
    options = parser.parse_args()
    make_library(options.folder, options.photos, model=options.model)


if __name__ == "__main__":
    main()
