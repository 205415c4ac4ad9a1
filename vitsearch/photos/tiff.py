"""TIFF directories (TIFF 6.0, BigTIFF, DNG and the raw formats that are built like them), without a decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_MOST_DIRECTORIES = 64
_MOST_ENTRIES = 1000
# Where image data lies and how long it is: strips, tiles, and JPEG previews of old.
_DATA = {273: 279, 324: 325, 513: 514}
_SUB_IFDS, _XMP, _IPTC = 330, 700, 33723
_DNG_VERSION, _PHOTOMETRIC, _WIDTH = 50706, 262, 256
_SENSOR = (32803, 34892)  # colour filter array, and linear raw
# What changes how image data looks: size, depth, compression, colours, prediction, planes, orientation, profile,
# JPEG tables, and a raw file's black and white levels and filter pattern.
_SHOWN = frozenset(
    (256, 257, 258, 259, 262, 266, 274, 277, 284, 317, 320, 322, 323, 332, 338, 339, 347, 529, 530, 531, 532)
) | frozenset((34675, 33421, 33422, 50710, 50711, 50712, 50713, 50714, 50717, 50718, 50719, 50720))
_ORIENTATION = 274
_UPRIGHT = (b"\x00\x01", b"\x01\x00")


class Entry(NamedTuple):
    """One entry of a directory: its tag and type, how many values, and their bytes."""

    tag: int
    kind: int
    amount: int
    value: memoryview


class Tiff:
    """Reads the directories of a TIFF file.

    Raises `ValueError` or `IndexError` where they make no sense.
    """

    def __init__(self, view: memoryview) -> None:
        self.view = view
        self.order: str = {b"II": "little", b"MM": "big"}[bytes(view[:2])]
        magic = self.number(2, 2)
        if magic not in (42, 43, 0x55, 0x4F52, 0x5352):
            raise ValueError("no TIFF")
        self._is_big = magic == 43

    def number(self, at: int, size: int) -> int:
        """Read a whole number."""
        if at + size > len(self.view):
            raise ValueError("runs past the end")
        return int.from_bytes(self.view[at : at + size], self.order)  # type: ignore[arg-type]

    def numbers(self, view: memoryview, size: int, *, signed: bool = False) -> list[int]:
        """Read all whole numbers of a size in bytes."""
        return [
            int.from_bytes(view[at : at + size], self.order, signed=signed)  # type: ignore[arg-type]
            for at in range(0, len(view) - size + 1, size)
        ]

    def first_directory(self) -> list[Entry]:
        """Return the first directory alone."""
        return self.directory(self.number(8, 8) if self._is_big else self.number(4, 4))

    def directory(self, at: int) -> list[Entry]:
        """Return the entries of the directory at a place, as far as their values are there."""
        return self._directory(at)[0]

    def directories(self) -> Iterator[list[Entry]]:
        """Yield all directories: the chain of pages, each followed by those inside it."""
        waiting = [self.number(8, 8) if self._is_big else self.number(4, 4)]
        seen: set[int] = set()
        while waiting:
            at = waiting.pop()
            if not at or at in seen:
                continue
            seen.add(at)
            if len(seen) > _MOST_DIRECTORIES:
                raise ValueError("too many directories")
            entries, following = self._directory(at)
            yield entries
            waiting.append(following)
            for entry in entries:
                if entry.tag == _SUB_IFDS:
                    waiting += reversed(self.values(entry))

    def _directory(self, at: int) -> tuple[list[Entry], int]:
        head, size, wide = (8, 20, 8) if self._is_big else (2, 12, 4)
        count = self.number(at, head)
        if count > _MOST_ENTRIES:
            raise ValueError("too many entries")
        entries = []
        for index in range(count):
            place = at + head + size * index
            tag, kind, amount = self.number(place, 2), self.number(place + 2, 2), self.number(place + 4, wide)
            length = _SIZES.get(kind, 0) * amount
            value = place + 4 + wide
            if length > wide:
                value = self.number(value, wide)
            if value + length > len(self.view):
                # A note that is cut off costs itself; image data that is cut off is found by the decoder.
                continue
            entries.append(Entry(tag, kind, amount, self.view[value : value + length]))
        after = at + head + size * count
        return entries, self.number(after, wide) if after + wide <= len(self.view) else 0

    def values(self, entry: Entry) -> list[int]:
        """Return the whole numbers of an entry."""
        return self.numbers(entry.value, _SIZES.get(entry.kind, 1))


def split_tiff(view: memoryview) -> tuple[list[memoryview], bytes | None, bytes | None]:
    """Return what makes up the pictures of a TIFF file, in an order that rewriting keeps, its XMP and its IPTC."""
    tiff = Tiff(view)
    parts: list[memoryview] = []
    xmp = iptc = None
    has_data = False
    for entries in tiff.directories():
        by_tag = {entry.tag: entry for entry in entries}
        for tag in sorted(by_tag):
            entry = by_tag[tag]
            if tag in _SHOWN and not (tag == _ORIENTATION and bytes(entry.value) in _UPRIGHT):
                parts += [memoryview(tag.to_bytes(2, "big")), entry.value]
            elif tag == _XMP:
                xmp = xmp or bytes(entry.value)
            elif tag == _IPTC:
                iptc = iptc or bytes(entry.value)
        for places, lengths in _DATA.items():
            if places in by_tag and lengths in by_tag:
                for at, length in zip(
                    tiff.values(by_tag[places]), tiff.values(by_tag[lengths]), strict=False
                ):
                    if at + length > len(view):
                        raise ValueError("image data runs past the end")
                    parts.append(view[at : at + length])
                    has_data = True
    return (parts if has_data else []), xmp, iptc


def holds_sensor_data(data: bytes) -> bool:
    """Whether a file that begins like a TIFF is a DNG, whatever it is called."""
    try:
        tiff = Tiff(memoryview(data))
        for entries in tiff.directories():
            for entry in entries:
                if entry.tag == _DNG_VERSION or (
                    entry.tag == _PHOTOMETRIC and tiff.values(entry)[:1] and tiff.values(entry)[0] in _SENSOR
                ):
                    return True
    except (ValueError, IndexError, KeyError):
        return False
    return False


def holds_picture(data: bytes) -> bool:
    """Whether a file that begins like a TIFF has a picture; programs keep other things in such files, too."""
    try:
        return any(
            entry.tag == _WIDTH for entries in Tiff(memoryview(data)).directories() for entry in entries
        )
    except (ValueError, IndexError, KeyError):
        return True  # damaged, as far as one can tell


def sensor_data_ends_early(data: bytes) -> bool:
    """Whether a raw file that is built like a TIFF lacks what its sensor saw: more than a margin of it.

    A few cameras note a few bytes more than there are.
    """
    most = missing = 0
    try:
        tiff = Tiff(memoryview(data))
        for entries in tiff.directories():
            by_tag = {entry.tag: entry for entry in entries}
            for places, lengths in _DATA.items():
                if places not in by_tag or lengths not in by_tag:
                    continue
                pieces = list(zip(tiff.values(by_tag[places]), tiff.values(by_tag[lengths]), strict=False))
                size = sum(length for _, length in pieces)
                if size > most:
                    most = size
                    missing = sum(min(length, max(0, at + length - len(data))) for at, length in pieces)
    except (ValueError, IndexError, KeyError):
        return False
    return missing > most // 100
