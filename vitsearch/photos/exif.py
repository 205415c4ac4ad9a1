"""EXIF (CIPA DC-008): what it says of a photo, entry by entry, so that a damaged one costs itself and no other."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vitsearch.photos.tiff import Tiff

if TYPE_CHECKING:
    from collections.abc import Mapping

    from vitsearch.photos.tiff import Entry

_EXIF_IFD, _GPS_IFD = 34665, 34853
_ASCII, _UNDEFINED, _RATIONAL, _SIGNED_RATIONAL = 2, 7, 5, 10
_BYTE = 1
_MOST_VALUES = 64
_LONGEST = 2000

Value = str | tuple[float, ...]
_FLOATS = {11: "f", 12: "d"}
_SIGNED = {6: 1, 8: 2, 9: 4, 16: 8}


@dataclass(frozen=True, slots=True)
class ExifTags:
    """Tags by number, of the image, of the shot and of its position: text, or numbers."""

    image: Mapping[int, Value] = field(default_factory=dict)
    shot: Mapping[int, Value] = field(default_factory=dict)
    position: Mapping[int, Value] = field(default_factory=dict)

    def text(self, tag: int) -> str | None:
        """Return a tag of the image or the shot as text, or None."""
        value = self.image.get(tag, self.shot.get(tag))
        return value if isinstance(value, str) else None

    def number(self, tag: int) -> float | None:
        """Return the first number of a tag of the image or the shot, or None."""
        value = self.image.get(tag, self.shot.get(tag))
        return value[0] if isinstance(value, tuple) and value else None


def read_exif(block: bytes | memoryview) -> ExifTags:
    """Read a block as it stands in a JPEG, PNG, WebP, HEIF or TIFF file.

    Raises:
        ValueError: it is no EXIF block.

    """
    view = memoryview(block)
    while bytes(view[:6]) == b"Exif\0\0":
        view = view[6:]
    try:
        tiff = Tiff(view)
        image = _tags(tiff, tiff.first_directory())
        return ExifTags(image, _inner(tiff, image, _EXIF_IFD), _inner(tiff, image, _GPS_IFD))
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise ValueError("no EXIF block") from error


def _inner(tiff: Tiff, image: Mapping[int, Value], tag: int) -> Mapping[int, Value]:
    place = image.get(tag)
    if not isinstance(place, tuple) or not place:
        return {}
    try:
        return _tags(tiff, tiff.directory(int(place[0])))
    except (IndexError, ValueError):
        return {}


def _tags(tiff: Tiff, entries: list[Entry]) -> Mapping[int, Value]:
    found: dict[int, Value] = {}
    for entry in entries:
        value = _value(tiff, entry)
        if value is not None and value != "":
            found[entry.tag] = value
    return found


def _value(tiff: Tiff, entry: Entry) -> Value | None:
    if entry.kind in (_ASCII, _UNDEFINED) or (entry.kind == _BYTE and entry.amount > 4):
        return as_text(bytes(entry.value[:_LONGEST]))
    if entry.amount > _MOST_VALUES:
        return None
    if entry.kind in (_RATIONAL, _SIGNED_RATIONAL):
        halves = tiff.numbers(entry.value, 4, signed=entry.kind == _SIGNED_RATIONAL)
        return tuple(
            above / below if below else math.nan
            for above, below in zip(halves[::2], halves[1::2], strict=True)
        )
    if entry.kind in _FLOATS:
        order = "<" if tiff.order == "little" else ">"
        return struct.unpack(f"{order}{entry.amount}{_FLOATS[entry.kind]}", entry.value)
    if entry.kind in _SIGNED:
        return tuple(map(float, tiff.numbers(entry.value, _SIGNED[entry.kind], signed=True)))
    return tuple(map(float, tiff.values(entry)))


def as_text(raw: bytes) -> str | None:
    """Return what a program wrote as text, in UTF-8 or, as many do, in Latin-1; None where nothing is left."""
    raw = raw.split(b"\0")[0]
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    return printable(text) or None


def printable(text: str, *, most: int = 200) -> str:
    """Return text without what would disturb a terminal or a page, and not longer than anybody reads."""
    return "".join(character for character in text if character.isprintable()).strip()[:most]
