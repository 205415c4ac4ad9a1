"""Forecast the disk, memory and time that a library will need as it grows.

- Database: the bytes per photo in this library, times the number of photos. With fewer than `ENOUGH_PHOTOS`, the bytes
  are estimated: the embedding's share of a page, plus 450 for everything else.
- Index: for each photo, a row of 2 bytes per dimension and an id of 8 bytes. From `APPROXIMATE_FROM` photos on, also a
  code of 1 bit per dimension (4 bits for every 4 dimensions), another id, and a centroid of 4 bytes per dimension for
  each cell. The reference sample is added once.
- Memory of a search: Python, NumPy and FAISS, the codes, and the reference sample. The rows are memory-mapped: they
  are read from the page cache, as far as there is room.
- Building the index: the floating-point operations of k-means, of assigning rows to cells and of measuring the recall,
  at this machine's rate of matrix multiplication, plus the time to move each row.
- Embedding: the photos still to come, at the rate measured when this library was indexed.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from vitsearch.neighbours.neighbours import APPROXIMATE_FROM
from vitsearch.neighbours.reference_sample import REFERENCE_SAMPLE
from vitsearch.neighbours.sizing import KMEANS_ROUNDS, SAMPLE_QUERIES, CellShape

ENOUGH_PHOTOS = 1000
PAGE = 8192
# A row of `vectors` beyond its blob: header, numbers, norm, and the page's pointer to it.
ROW_OVERHEAD = 26
OTHER_BYTES = 450
BASE_MEMORY = 100_000_000
# Seconds to move a row: out of SQLite, into the file, twice into float32, into a code. Measured.
ROW_SECONDS = 12e-6
# Seconds to rank the candidates of the sampled queries, for each time that the number of visited cells is doubled.
RANKING_SECONDS = 1.0
LARGE = (1_000_000, 10_000_000)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a library with this number of `photos` will need.

    Bytes on disk; bytes of memory for a search (plus `mapped_bytes` of page cache for best speed); seconds to build
    the index from scratch, and to embed the photos still to come (None if nothing was measured yet).
    """

    photos: int
    database_bytes: int
    index_bytes: int
    memory_bytes: int
    mapped_bytes: int
    build_seconds: float
    embed_seconds: float | None


def forecasts(
    photos: int,
    dimension: int,
    *,
    database_bytes: int,
    rate: float | None,
    multiply_rate: float | None = None,
) -> tuple[Forecast, ...]:
    """Return forecasts for twice and ten times the photos, and for a million and ten million if those are more.

    `rate` is in photos embedded per second, `multiply_rate` in floating-point operations per second (measured by
    default).
    """
    sizes = sorted({2 * photos, 10 * photos, *(size for size in LARGE if size > photos)} - {0})
    speed = multiply_rate or measured_multiply_rate(dimension)
    return tuple(
        Forecast(
            photos=size,
            database_bytes=_database_bytes(size, dimension, known=photos, known_bytes=database_bytes),
            index_bytes=index_bytes(size, dimension),
            memory_bytes=BASE_MEMORY + _cell_bytes(size, dimension) + REFERENCE_SAMPLE * dimension * 4,
            mapped_bytes=size * dimension * 2,
            build_seconds=_build_seconds(size, dimension, speed),
            embed_seconds=(size - photos) / rate if rate else None,
        )
        for size in sizes
    )


def index_bytes(photos: int, dimension: int) -> int:
    """Return the size of the search cache in bytes."""
    sample = min(photos, REFERENCE_SAMPLE)
    return photos * (2 * dimension + 8) + _cell_bytes(photos, dimension) + sample * (2 * dimension + 8)


def new_database_bytes(photos: int, dimension: int) -> int:
    """Estimate the size of a database without measurements."""
    row = 2 * dimension + ROW_OVERHEAD
    vector = PAGE / (PAGE // row) if row < PAGE else row
    return round(photos * (vector + OTHER_BYTES))


def measured_multiply_rate(dimension: int) -> float:
    """Measure this machine's floating-point operations per second: the best of three small matrix products."""
    rows = np.ones((1024, dimension), np.float32)
    best = 0.0
    for _ in range(3):
        start = time.perf_counter()
        rows @ rows.T
        best = max(best, 2 * 1024 * 1024 * dimension / (time.perf_counter() - start))
    return best


def _database_bytes(photos: int, dimension: int, *, known: int, known_bytes: int) -> int:
    if known >= ENOUGH_PHOTOS:
        return round(photos * known_bytes / known)
    return max(known_bytes, new_database_bytes(photos, dimension))


def _cell_bytes(photos: int, dimension: int) -> int:
    return CellShape.of(photos, dimension).bytes_for(photos) if photos >= APPROXIMATE_FROM else 0


def _build_seconds(photos: int, dimension: int, speed: float) -> float:
    moving = photos * ROW_SECONDS
    if photos < APPROXIMATE_FROM:
        return moving
    shape = CellShape.of(photos, dimension)
    products = KMEANS_ROUNDS * shape.sample * shape.cells + photos * (shape.cells + SAMPLE_QUERIES)
    ranking = RANKING_SECONDS * np.log2(shape.cells / 4)
    return float(moving + products * 2 * dimension / speed + ranking)
