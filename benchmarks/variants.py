"""Thousands of pictures that look the same and are not: each is a photo of its own to a library.

They differ in how their three highest frequencies are quantised, which no eye sees: one takes no longer than a copy.
"""

from __future__ import annotations

import io
from itertools import product
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from PIL.Image import Image

_STEPS = 40
# ITU-T T.81, B.2.4.1: marker, length and precision stand before the 64 steps, the highest frequency last.
_MARKER, _BEFORE, _ENTRIES = b"\xff\xdb", 5, 64


def variants(pictures: Sequence[Image]) -> Iterator[bytes]:
    """Yield JPEGs of these pictures in turn, 64,000 different ones of each."""
    files = [_file(picture) for picture in pictures]
    for finest in product(range(1, 1 + _STEPS), repeat=3):
        for before, after in files:
            yield before + bytes(finest) + after


def _file(picture: Image) -> tuple[bytes, bytes]:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    data = buffer.getvalue()
    end = data.index(_MARKER) + _BEFORE + _ENTRIES
    return data[: end - 3], data[end:]
