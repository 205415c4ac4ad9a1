"""Perceptual hashes that see a photo in all its eight orientations.

A hash is the signs of the lowest frequencies of the photo's discrete cosine transform. Mirroring a photo flips the
sign of its odd frequencies and turning it swaps the axes, so the hashes of all eight orientations follow from the one
that is stored. (Zauner, "Implementation and benchmarking of perceptual image hash functions", 2010, section 3.2.1,
with 16 x 16 instead of 8 x 8 frequencies: the distances of other photos then stay far from those of copies.)
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from vitsearch.photos.grey_grid import GRID, grey_grid

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt
    from PIL.Image import Image

    Words = npt.NDArray[np.uint64]

Number = TypeVar("Number", bound="np.generic")

SIDE = 16
BITS = SIDE * SIDE
BYTES = BITS // 8
WORDS = BITS // 64

ORIENTATIONS: tuple[str, ...] = (
    "upright",
    "mirrored",
    "upside down and mirrored",
    "upside down",
    "turned left and mirrored",
    "turned left",
    "turned right",
    "turned right and mirrored",
)
"""What was done to the second photo of a pair, by the index that `distances` returns."""


def inverse_orientation(orientation: int) -> int:
    """Return the index of what undoes an orientation: all but the turns by 90 degrees undo themselves."""
    swapped = orientation & 4 | (orientation & 1) << 1 | (orientation & 2) >> 1
    return swapped if orientation & 4 else orientation


def turned(plane: npt.NDArray[Number], orientation: int) -> npt.NDArray[Number]:
    """Put a plane, (h, w) or more, into one of the eight orientations, in the order of `ORIENTATIONS`: a view."""
    if orientation & 4:
        plane = plane.swapaxes(0, 1)
    if orientation & 2:
        plane = plane[::-1]
    if orientation & 1:
        plane = plane[:, ::-1]
    return plane


# Below this standard deviation in grey levels there is nothing in a picture but noise and the codec's traces.
_FEATURELESS = 1.5


def perceptual_hash(image: Image) -> bytes:
    """Hash an upright RGB image of any size: 32 bytes, or none where there is nothing to see in it."""
    return hash_of_grid(grey_grid(image).tobytes())


def hash_of_grid(grid: bytes) -> bytes:
    """Hash the 64 x 64 grey levels that `grey_grid` made of an image."""
    return hashes_of_grids(np.frombuffer(grid, np.uint8).reshape(1, GRID, GRID))[0]


def hashes_of_grids(grids: npt.NDArray[np.uint8]) -> list[bytes]:
    """Do the same for many, (n, 64, 64) uint8."""
    grey = grids.astype(np.float32)
    basis = _cosines()
    bits = (basis @ grey @ basis.T > 0).reshape(-1, BITS)
    bits[:, 0] = False
    packed = np.packbits(bits, axis=1, bitorder="little")
    spread = grey.reshape(-1, GRID * GRID).std(axis=1)
    return [b"" if low else row.tobytes() for low, row in zip(spread < _FEATURELESS, packed, strict=True)]


def unpacked(hashes: Sequence[bytes]) -> Words:
    """Gather hashes into (n, 4) uint64.

    Raises:
        ValueError: a hash does not have 32 bytes.

    """
    if any(len(one) != BYTES for one in hashes):
        raise ValueError(f"a perceptual hash has {BYTES} bytes")
    return np.frombuffer(b"".join(hashes), "<u8").astype(np.uint64).reshape(len(hashes), WORDS)


def in_all_orientations(words: Words) -> Words:
    """Turn hashes (n, 4) uint64 into those of the same photos in all orientations: (n, 8, 4) uint64."""
    source, flipped = _symmetries()
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    turned = bits[:, source] ^ flipped
    packed = np.packbits(turned.reshape(-1, BITS), axis=1, bitorder="little")
    return packed.view("<u8").astype(np.uint64).reshape(len(words), len(ORIENTATIONS), WORDS)


def distances(first: Words, second: Words) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Compare hashes pair by pair over all orientations.

    `first`, `second`: (m, 4) uint64. Returns the smallest Hamming distance of each pair, 0 to 255, and the index
    of the orientation that has it, both (m,) int64.
    """
    difference = first[:, np.newaxis] ^ in_all_orientations(second)
    counts = np.bitwise_count(difference).sum(axis=2, dtype=np.int64)
    best = counts.argmin(axis=1)
    return counts[np.arange(len(counts)), best], best


def as_unit_rows(words: Words) -> npt.NDArray[np.float32]:
    """Turn hashes (n, 4) uint64 into (n, 256) float32 unit rows whose cosine is 1 - distance / 128."""
    bits = np.unpackbits(words.astype("<u8").view(np.uint8), axis=1, bitorder="little")
    return (bits.astype(np.float32) * 2 - 1) / np.float32(SIDE)


@cache
def _cosines() -> npt.NDArray[np.float32]:
    """The lowest rows of the orthonormal DCT-II: (16, 64) float32."""
    frequency, position = np.arange(SIDE)[:, np.newaxis], np.arange(GRID)[np.newaxis]
    basis = np.cos(np.pi / GRID * (position + 0.5) * frequency) * np.sqrt(2 / GRID)
    basis[0] /= np.sqrt(2)
    return np.asarray(basis, dtype=np.float32)


@cache
def _symmetries() -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8]]:
    """For each orientation, where each bit comes from, (8, 256), and whether it is inverted, (8, 256)."""
    place = np.arange(BITS).reshape(SIDE, SIDE)
    odd = (np.arange(SIDE) % 2).astype(np.uint8)
    source, flipped = [], []
    for transposed in (False, True):
        for down in (0, 1):
            for across in (0, 1):
                source.append((place.T if transposed else place).reshape(-1))
                flipped.append(((down * odd[:, np.newaxis] + across * odd[np.newaxis]) % 2).reshape(-1))
    return np.array(source), np.array(flipped, dtype=np.uint8)
