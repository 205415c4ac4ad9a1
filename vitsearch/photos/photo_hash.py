"""Which bytes of a file are the photo itself, and which are notes about it.

A rating, a keyword or a caption written into a file must not make it a new photo. So EXIF, XMP, IPTC and comments are
left out of the hash, and everything that changes what is seen (image data, colour profile, transparency) stays in.
Formats that cannot be split simply are taken whole; damaged files too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG specification (third edition), section 11.3: the chunks that only describe.
_PNG_NOTES = frozenset((b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"))
# WebP container specification, "Extended file format".
_WEBP_NOTES = frozenset((b"EXIF", b"XMP "))
# JPEG markers: APP1 (EXIF, XMP), APP13 (IPTC in Photoshop's resources), COM.
_JPEG_NOTES = frozenset((0xE1, 0xED, 0xFE))
_JPEG_START_OF_SCAN = 0xDA


def photo_hash_parts(data: bytes) -> list[memoryview]:
    """Return the slices of `data` that make up the photo itself, in order; the whole of it where that is unclear."""
    view = memoryview(data)
    try:
        if data.startswith(b"\xff\xd8"):
            return list(_jpeg_parts(view))
        if data.startswith(_PNG_SIGNATURE):
            return list(_png_parts(view))
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return list(_webp_parts(view))
    except (IndexError, ValueError):
        return [view]
    return [view]


def _jpeg_parts(view: memoryview) -> Iterator[memoryview]:
    position = 2
    while True:
        if view[position] != 0xFF:
            raise ValueError("no marker where one must be")
        marker = view[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        length = int.from_bytes(view[position + 2 : position + 4], "big")
        if length < 2 or position + 2 + length > len(view):
            raise ValueError("segment runs past the end")
        if marker == _JPEG_START_OF_SCAN:
            yield view[position:]
            return
        if marker not in _JPEG_NOTES:
            yield view[position : position + 2 + length]
        position += 2 + length


def _png_parts(view: memoryview) -> Iterator[memoryview]:
    position = len(_PNG_SIGNATURE)
    while position < len(view):
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        if end > len(view):
            raise ValueError("chunk runs past the end")
        if bytes(view[position + 4 : position + 8]) not in _PNG_NOTES:
            yield view[position:end]
        position = end


def _webp_parts(view: memoryview) -> Iterator[memoryview]:
    position = 12
    while position + 8 <= len(view):
        name = bytes(view[position : position + 4])
        size = int.from_bytes(view[position + 4 : position + 8], "little")
        end = position + 8 + size + size % 2
        if position + 8 + size > len(view):
            raise ValueError("chunk runs past the end")
        # VP8X only repeats the canvas size and says which notes follow.
        if name not in _WEBP_NOTES and name != b"VP8X":
            yield view[position:end]
        position = end
