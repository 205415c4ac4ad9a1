"""Damage that is the same for the same seed: what disks, cables, half-finished downloads and strangers do to a file."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

# What lengths, offsets and counts are when somebody means harm.
_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


def mutated(data: bytes, source: Random, *, others: list[bytes]) -> bytes:
    """Damage a file in one to four ways; most of it near the beginning, where headers are."""
    changed = bytearray(data)
    for _ in range(source.choice((1, 1, 1, 2, 4))):
        if not changed:
            break
        source.choice(_WAYS)(changed, source, others)
    # A PNG is believed only where its sums are right.
    if changed.startswith(b"\x89PNG") and source.random() < 0.7:
        _mend_png_sums(changed)
    return bytes(changed)


def _place(data: bytearray, source: Random) -> int:
    reach = source.choice((32, 256, 2048, len(data)))
    return source.randrange(min(reach, len(data)))


def _flip_bits(data: bytearray, source: Random, _: list[bytes]) -> None:
    for _count in range(source.choice((1, 1, 4, 32))):
        data[_place(data, source)] ^= 1 << source.randrange(8)


def _set_bytes(data: bytearray, source: Random, _: list[bytes]) -> None:
    for _count in range(source.choice((1, 2, 16))):
        data[_place(data, source)] = source.choice((0, 1, 0x7F, 0x80, 0xFF, source.randrange(256)))


def _set_number(data: bytearray, source: Random, _: list[bytes]) -> None:
    value = source.choice(_EXTREMES)
    order = source.choice("<>") + ("H" if value < 1 << 16 and source.random() < 0.5 else "I")
    at = _place(data, source)
    number = struct.pack(order, value)
    data[at : at + len(number)] = number


def _cut_short(data: bytearray, source: Random, _: list[bytes]) -> None:
    del data[_place(data, source) :]


def _take_out(data: bytearray, source: Random, _: list[bytes]) -> None:
    at = _place(data, source)
    del data[at : at + source.choice((1, 2, 7, 64, 1024))]


def _put_in(data: bytearray, source: Random, _: list[bytes]) -> None:
    at = _place(data, source)
    data[at:at] = source.choice((bytes(64), b"\xff" * 64, source.randbytes(source.choice((1, 8, 512)))))


def _repeat(data: bytearray, source: Random, _: list[bytes]) -> None:
    at = _place(data, source)
    piece = bytes(data[at : at + source.choice((8, 64, 1024))])
    data[at:at] = piece * source.choice((1, 3, 50))


def _overwrite(data: bytearray, source: Random, _: list[bytes]) -> None:
    at = _place(data, source)
    length = source.choice((16, 512, 4096))
    data[at : at + length] = source.choice((bytes(length), source.randbytes(length)))


def _splice(data: bytearray, source: Random, others: list[bytes]) -> None:
    other = source.choice(others)
    at = source.randrange(len(other))
    data[_place(data, source) :] = other[at:]


_WAYS: tuple[Callable[[bytearray, Random, list[bytes]], None], ...] = (
    _flip_bits,
    _flip_bits,
    _set_bytes,
    _set_bytes,
    _set_number,
    _set_number,
    _set_number,
    _cut_short,
    _take_out,
    _put_in,
    _repeat,
    _overwrite,
    _splice,
)


def _mend_png_sums(data: bytearray) -> None:
    position = 8
    while position + 12 <= len(data):
        length = int.from_bytes(data[position : position + 4], "big")
        end = position + 12 + length
        if end > len(data):
            return
        data[end - 4 : end] = struct.pack(">I", zlib.crc32(data[position + 4 : end - 4]))
        position = end
