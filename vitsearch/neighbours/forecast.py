"""What a library will need when it has grown: disk, memory and time, by formulas that are stated here.

- Database: what a photo takes in this library, times their number. A library with fewer than `ENOUGH_PHOTOS` says too
  little about itself; then a photo takes as many bytes as fit its vector into pages, and 450 for everything else.
- Index: a row of 2 bytes a dimension and an id of 8 for each photo; past `APPROXIMATE_FROM` photos, a code of 1 bit a
  dimension (4 bits for every 4 dimensions) and another id, and a centroid of 4 bytes a dimension for each cell; and the
  sample that scores are put against, once.
- Memory of a search: what Python, NumPy and FAISS take, the codes, the sample. The rows are mapped: they are read from
  the page cache, as far as the system has room for them.
- Building the index: the floating-point operations of k-means, of finding each row's cell and of measuring the recall,
  at the rate that this machine multiplies matrices; and for each row the time to move it.
- Embedding: the photos that are still to come, at the rate that this library measured when it was indexed.
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
    """What a library of `photos` will need.

    Bytes on disk, bytes of memory for a search (`mapped_bytes` of the page cache on top make it fast), seconds to
    build the index from nothing and to embed the photos that are still to come (None: nothing was measured yet).
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
    """Return forecasts for twice and ten times the photos, and for a million and ten million where those are more.

    `rate` is photos embedded a second, `multiply_rate` floating-point operations a second (measured if not given).
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
    """Return the bytes of the neighbours' files."""
    sample = min(photos, REFERENCE_SAMPLE)
    return photos * (2 * dimension + 8) + _cell_bytes(photos, dimension) + sample * (2 * dimension + 8)


def new_database_bytes(photos: int, dimension: int) -> int:
    """Return the bytes of a database that nothing is known of."""
    row = 2 * dimension + ROW_OVERHEAD
    vector = PAGE / (PAGE // row) if row < PAGE else row
    return round(photos * (vector + OTHER_BYTES))


def measured_multiply_rate(dimension: int) -> float:
    """Return the floating-point operations a second of this machine: the best of three small products."""
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
