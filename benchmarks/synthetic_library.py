"""Make a library of any size whose photos were never taken: `python benchmarks/synthetic_library.py FOLDER --photos N`.

Every table is filled as an index run fills it, a batch of photos, files and vectors at a time, so that their pages lie
between each other in `library.db` as they do in a real one. The vectors are real embeddings widened with noise
(`widening.py`). Among the photos are `QUERIES` real image files, which the library knows by their content (with
`pictures`, all are real files): searches for them need no model, and everything else is done as always. Only safety is
left out: nobody needs such a library after a crash, so it is written without a journal.
"""

from __future__ import annotations

import argparse
import math
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from variants import variants
from widening import Widening, read_base

from vitsearch.backbones import Embeddings, Preprocessing, Space
from vitsearch.backbones.backbone import Backbone
from vitsearch.photos.photo import read_photo
from vitsearch.storage.catalog import Catalog
from vitsearch.storage.database import Database
from vitsearch.storage.layout import LIBRARY_FILE

if TYPE_CHECKING:
    from collections.abc import Iterator

    Row = tuple[object, ...]

QUERIES = 64
BATCH = 512
PER_FOLDER = 1000
CAMERAS = (
    "Canon EOS 5D",
    "Canon EOS R6",
    "NIKON D750",
    "SONY ILCE-7M3",
    "Pixel 8",
    "iPhone 13",
    "FUJIFILM X-T4",
)
FIRST_DAY = datetime(2005, 1, 1, tzinfo=UTC)


class Stored(Backbone):
    """Stands in for the model of a synthetic library: all that is asked for is stored already."""

    device = "cpu"
    batch_size = 32

    def __init__(self, dimension: int) -> None:
        preprocessing = Preprocessing(8, 8, 8, "squeeze", 0, (0, 0, 0), (1, 1, 1))
        self.space = Space("synthetic", "0" * 64, preprocessing, "pooled", dimension)

    def embed_batch(self, pixels: np.ndarray) -> Embeddings:
        """Return unit rows that depend on the pixels alone."""
        rows = np.stack(
            [np.random.default_rng(int(one.sum())).standard_normal(self.space.dimension) for one in pixels]
        )
        norms = np.linalg.norm(rows, axis=1)
        return Embeddings((rows / norms[:, None]).astype(np.float32), norms.astype(np.float32))


def query_files(library: Path) -> list[Path]:
    """Return the image files of a synthetic library that are really there."""
    return sorted((library / "photos" / "queries").glob("*.jpg"))


def make_library(
    folder: Path,
    photos: int,
    widening: Widening,
    *,
    space: Space | None = None,
    minutes: float = math.inf,
    pictures: bool = False,
) -> int:
    """Fill a library in `folder` until it has that many photos, a file each, or until so many minutes have passed.

    With `pictures` each of them is really there, small. `space` is that of a real model. Returns how many photos
    there are: the next call goes on from there.
    """
    until = time.monotonic() + 60 * minutes
    root = folder / "photos"
    photo_hashes = _write_queries(root / "queries")
    database = Database.open(folder / LIBRARY_FILE, create=True)
    catalog = Catalog(database)
    space_id = catalog.add_space(space or Stored(widening.base.shape[1]).space)
    catalog.activate_space(space_id)
    root_id = catalog.add_root(root)[0].id
    made = database.number("SELECT coalesce(max(id), 0) FROM photos")
    database.close()
    connection = sqlite3.connect(folder / LIBRARY_FILE, isolation_level=None)
    for setting in ("journal_mode = OFF", "synchronous = OFF", "cache_size = -1000000"):
        connection.execute(f"PRAGMA {setting}")
    connection.execute("BEGIN")
    drawn = variants(
        [_noise(number).resize((320, 240), Image.Resampling.BICUBIC) for number in range(QUERIES)]
    )
    for first, block in widening.blocks(photos, seed=1, first=made):
        rows = block.astype("<f2")
        for start in range(0, len(block), BATCH):
            part = rows[start : start + BATCH]
            facts = _facts(first + start, len(part), photo_hashes, photos)
            if pictures:
                facts = _with_pictures(facts, root, drawn)
            _insert(connection, space_id, root_id, part, facts)
        made = first + len(block)
        if time.monotonic() > until:
            break
    connection.execute("UPDATE spaces SET generation = abs(random())")
    connection.execute("COMMIT")
    connection.close()
    return made


def _facts(first: int, count: int, photo_hashes: list[tuple[Path, bytes]], photos: int) -> Iterator[Row]:
    """Yield id, photo_hash, time, camera, random bytes and path of photos; every so many is a query's."""
    random = np.random.default_rng(first)
    noise = random.bytes(count * 128)
    minutes = random.integers(20 * 365 * 24 * 60, size=count)
    cameras = random.integers(len(CAMERAS), size=count)
    apart = max(1, photos // QUERIES)
    for index in range(count):
        number = first + index
        some = noise[index * 128 : index * 128 + 128]
        path, photo_hash = f"{number // PER_FOLDER:05}/IMG_{number:08}.jpg", some[:32]
        if number % apart == 0 and number // apart < QUERIES:
            place, photo_hash = photo_hashes[number // apart]
            path = f"queries/{place.name}"
        taken = (FIRST_DAY + timedelta(minutes=int(minutes[index]))).strftime("%Y-%m-%dT%H:%M:%S")
        yield number + 1, photo_hash, taken, CAMERAS[cameras[index]], some[32:64], some[64:], path


def _with_pictures(facts: Iterator[Row], root: Path, drawn: Iterator[bytes]) -> Iterator[Row]:
    """Write the files of photos that are none of the queries, and put the hashes that they have among the facts."""
    for photo, photo_hash, *others, path in facts:
        place = root / str(path)
        if not place.exists():
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(next(drawn))
            photo_hash = read_photo(place).photo_hash
        yield photo, photo_hash, *others, path


def _noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(256, size=(12, 16, 3), dtype=np.uint8))


def _insert(
    connection: sqlite3.Connection, space: int, root: int, rows: np.ndarray, facts: Iterator[Row]
) -> None:
    known = list(facts)
    connection.executemany(
        "INSERT INTO photos (id, photo_hash, format, width, height, taken, camera, perceptual) "
        "VALUES (?, ?, 'JPEG', 4032, 3024, ?, ?, ?)",
        [
            (photo, photo_hash, taken, camera, hashes)
            for photo, photo_hash, taken, camera, _, hashes, _ in known
        ],
    )
    connection.executemany(
        "INSERT INTO vectors (space, photo, norm, vector) VALUES (?, ?, 10.0, ?)",
        [(space, one[0], row.tobytes()) for one, row in zip(known, rows, strict=True)],
    )
    connection.executemany(
        "INSERT INTO files (root, path, photo, file_hash, size, mtime_ns, added_run) "
        "VALUES (?, ?, ?, ?, 3000000, 1700000000000000000, 1)",
        [(root, path, photo, content) for photo, _, _, _, content, _, path in known],
    )


def _write_queries(folder: Path) -> list[tuple[Path, bytes]]:
    folder.mkdir(parents=True, exist_ok=True)
    photo_hashes = []
    for number in range(QUERIES):
        path = folder / f"query-{number:02}.jpg"
        _noise(number).resize((1024, 768), Image.Resampling.BICUBIC).save(path, quality=90)
        photo_hashes.append((path, read_photo(path).photo_hash))
    return photo_hashes


def main() -> None:
    """Make one."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--photos", type=int, required=True)
    parser.add_argument("--base", type=Path, help="embeddings of real photos, (m, d), a .npy file")
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop then; the same command goes on")
    arguments = parser.parse_args()
    base = read_base(arguments.base, arguments.dimension)
    made = make_library(arguments.folder, arguments.photos, Widening(base), minutes=arguments.minutes)
    print(f"{made:,} of {arguments.photos:,} photos")


if __name__ == "__main__":
    main()
