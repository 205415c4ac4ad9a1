"""All near pairs of many vectors: `python benchmarks/near_pairs.py [--rows 100000] [--slice 12288]`.

The speed is a share of the float32 matrix multiplication that numpy reaches on blocks of the same shape, measured
before and after in the same run; memory is what the process needs beyond the rows. Pairs are planted among random
rows at cosines around the cut-off, and compared with those of a plain double-precision product.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import time
from pathlib import Path

import numpy as np
from machine import print_machine

from vitsearch.duplicates.propose.pairs import BLOCK, near_pairs

CUTOFF = 0.85
PLANTED = 2000
MARGIN = 1e-5


def make_rows(count: int, dimension: int) -> np.ndarray:
    """Unit rows in float16, as a library stores them, the last ones noisy copies of the first."""
    random = np.random.default_rng(0)
    rows = np.empty((count, dimension), np.float16)
    for start in range(0, count, BLOCK):
        part = random.standard_normal((min(BLOCK, count - start), dimension), dtype=np.float32)
        rows[start : start + BLOCK] = part / np.linalg.norm(part, axis=1, keepdims=True)
    noise = random.standard_normal((PLANTED, dimension)) * np.linspace(0.2, 1.2, PLANTED)[:, None]
    copies = rows[:PLANTED].astype(np.float64) + noise / dimension**0.5
    rows[-PLANTED:] = copies / np.linalg.norm(copies, axis=1, keepdims=True)
    return rows


def multiplication_rate(dimension: int, *, repeats: int = 7) -> float:
    """Operations a second of one block's product."""
    random = np.random.default_rng(1)
    left, right = (random.standard_normal((BLOCK, dimension), dtype=np.float32) for _ in range(2))
    out = np.empty((BLOCK, BLOCK), np.float32)
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        np.matmul(left, right.T, out=out)
        seconds.append(time.perf_counter() - start)
    return 2 * BLOCK * BLOCK * dimension / statistics.median(seconds)


def peak_bytes() -> int:
    """The most memory that this process has held so far."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def held_bytes() -> int:
    """What the process holds now (Linux), which may be less than its peak so far."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def true_pairs(rows: np.ndarray, cutoff: float) -> set[tuple[int, int]]:
    """The planted rows against all others in double precision."""
    planted = rows[-PLANTED:].astype(np.float64)
    found = set()
    for start in range(0, len(rows), BLOCK):
        cosines = planted @ rows[start : start + BLOCK].astype(np.float64).T
        for copy, other in np.argwhere(cosines >= cutoff):
            first, second = sorted((len(rows) - PLANTED + int(copy), start + int(other)))
            if first != second:
                found.add((first, second))
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--slice", type=int, help="only the pairs of so many rows with all others")
    options = parser.parse_args()
    print_machine("numpy")
    rows = make_rows(options.rows, options.dimension)
    before = multiplication_rate(options.dimension)
    held = held_bytes()
    start = time.perf_counter()
    found = near_pairs(rows[: options.slice], CUTOFF, against=rows)
    seconds = time.perf_counter() - start
    extra = peak_bytes() - held
    rate = statistics.mean((before, multiplication_rate(options.dimension)))
    blocks, mine = -(-options.rows // BLOCK), -(-(options.slice or options.rows) // BLOCK)
    work = 2 * options.dimension * BLOCK * BLOCK * mine * (2 * blocks - mine + 1) / 2
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    wanted = {pair for pair in true_pairs(rows, CUTOFF + MARGIN) if pair[0] < (options.slice or len(rows))}
    missed = wanted - pairs
    what = f"{options.slice or 'all'} of {options.rows} rows of {options.dimension}"
    print(f"{what}: {seconds:.1f} s, {len(found)} pairs, {len(missed)} of {len(wanted)} planted ones missed")
    print(f"{work / seconds / 1e9:.1f} of {rate / 1e9:.1f} GFLOPS: {work / seconds / rate:.2f}")
    print(f"{extra / 1e6:.0f} MB beyond the rows ({rows.nbytes / 1e6:.0f} MB)")


if __name__ == "__main__":
    main()
