"""The boxes of HEIF, AVIF and their relatives (ISO/IEC 14496-12 and 23008-12), without a decoder."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOTE_TYPES = (b"Exif", b"mime", b"uri ")
_XMP_MIME = b"application/rdf+xml"
_TIFF = (b"II*\x00", b"MM\x00*")
_MOST_ITEMS = 100_000
# A reference from a note to what it describes; tagging a photo adds one.
_DESCRIBES = b"cdsc"
# Images that are made from others; and how those may be coded, in words.
_DERIVED, _MOST_DERIVED = (b"grid", b"iden", b"iovl", b"tmap"), 8
_CODINGS = {
    b"unci": "stored without compression",
    b"avc1": "compressed as H.264",
    b"vvc1": "compressed as H.266",
    b"evc1": "compressed as EVC",
    b"jpeg": "compressed as JPEG",
    b"j2k1": "compressed as JPEG 2000",
}


def boxes(view: memoryview, start: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of the bodies of the boxes between two places.

    Raises:
        ValueError: one runs past the end.

    """
    while start + 8 <= end:
        size, name, head = (
            int.from_bytes(view[start : start + 4], "big"),
            bytes(view[start + 4 : start + 8]),
            8,
        )
        if size == 1:
            size, head = int.from_bytes(view[start + 8 : start + 16], "big"), 16
        elif size == 0:
            size = end - start
        if size < head or start + size > end:
            raise ValueError(f"the box {name!r} runs past the end")
        yield name, start + head, start + size
        start += size


@dataclass(slots=True)
class Meta:
    """What a `meta` box says: items with their types and the places of their data, and what they are used for."""

    primary: int = 0
    types: dict[int, bytes] = field(default_factory=dict)
    entries: dict[int, memoryview] = field(default_factory=dict)
    entry_places: dict[int, int] = field(default_factory=dict)
    extents: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    references: list[tuple[bytes, int, list[int]]] = field(default_factory=list)
    properties: memoryview | None = None
    inside: int = 0

    def data(self, view: memoryview, item: int) -> list[memoryview]:
        """Return the pieces of an item's data.

        Raises:
            ValueError: they are not all there.

        """
        pieces = []
        for at, length in self.extents.get(item, []):
            stop = at + length if length else len(view)
            if stop > len(view):
                raise ValueError("the data of an item runs past the end")
            pieces.append(view[at:stop])
        return pieces


def read_meta(view: memoryview) -> Meta | None:
    """Read the first `meta` box of a file, or None where there is none.

    Raises:
        ValueError: it makes no sense.

    """
    start = 0
    while start + 8 <= len(view):
        size, name = int.from_bytes(view[start : start + 4], "big"), bytes(view[start + 4 : start + 8])
        if name == b"meta":
            return _meta(view, start + 12, min(start + size, len(view)) if size else len(view))
        if size < 8:
            return None
        start += size
    return None


def _meta(view: memoryview, start: int, end: int) -> Meta:
    meta = Meta()
    for name, at, stop in boxes(view, start, end):
        if name == b"pitm":
            meta.primary = int.from_bytes(view[at + 4 : at + (8 if view[at] else 6)], "big")
        elif name == b"iinf":
            wide = 4 if view[at] else 2
            for kind, inner, last in boxes(view, at + 4 + wide, stop):
                if kind == b"infe" and view[inner] >= 2:
                    number = 4 if view[inner] == 3 else 2
                    item = int.from_bytes(view[inner + 4 : inner + 4 + number], "big")
                    named = inner + 6 + number
                    meta.types[item] = bytes(view[named : named + 4])
                    meta.entries[item], meta.entry_places[item] = view[named:last], named
        elif name == b"iprp":
            meta.properties = view[at:stop]
        elif name == b"idat":
            meta.inside = at
        elif name == b"iref":
            wide = 4 if view[at] else 2
            for kind, inner, last in boxes(view, at + 4, stop):
                numbers = [
                    int.from_bytes(view[place : place + wide], "big")
                    for place in (inner, *range(inner + wide + 2, last, wide))
                ]
                meta.references.append((kind, numbers[0], numbers[1:]))
    # Last: an item's data may lie in the `idat` box that follows.
    for name, at, stop in boxes(view, start, end):
        if name == b"iloc":
            _read_places(view[at:stop], meta)
    return meta


def _read_places(view: memoryview, meta: Meta) -> None:
    version = view[0]
    offset, length, base, index = view[4] >> 4, view[4] & 15, view[5] >> 4, view[5] & 15
    wide = 2 if version < 2 else 4
    at = 6

    def take(size: int) -> int:
        nonlocal at
        if at + size > len(view):
            raise ValueError("the places of items run past the end")
        at += size
        return int.from_bytes(view[at - size : at], "big")

    count = take(wide)
    if count > _MOST_ITEMS:
        raise ValueError("too many items")
    for _ in range(count):
        item = take(wide)
        method = take(2) & 15 if version else 0
        take(2)
        origin = take(base) + (meta.inside if method == 1 else 0)
        places = []
        for _ in range(take(2)):
            if version:
                take(index)
            places.append((origin + take(offset), take(length)))
        meta.extents[item] = places


def split_items(view: memoryview) -> tuple[list[memoryview], bytes | None, bytes | None]:
    """Return what makes up the pictures of a HEIF or AVIF file, whatever order they lie in, its EXIF and its XMP.

    Raises:
        ValueError: the file is cut or damaged.

    """
    meta = read_meta(view)
    if meta is None:
        raise ValueError("no items")
    parts: list[memoryview] = [memoryview(meta.primary.to_bytes(4, "big"))]
    exif = xmp = None
    for item in sorted(meta.types):
        kind, pieces = meta.types[item], meta.data(view, item)
        if kind not in _NOTE_TYPES:
            parts += [memoryview(item.to_bytes(4, "big")), meta.entries[item], *pieces]
        elif kind == b"Exif" and exif is None:
            whole = b"".join(pieces)
            exif = whole[4 + int.from_bytes(whole[:4], "big") :]
            if not exif.startswith((b"Exif", *_TIFF)):  # some leave the offset out
                exif = whole[min((at for at in map(whole.find, _TIFF) if at >= 0), default=len(whole)) :]
        elif kind == b"mime" and _XMP_MIME in bytes(meta.entries[item]):
            xmp = b"".join(pieces)
    for kind, source, targets in sorted(meta.references):
        if kind != _DESCRIBES:
            parts.append(memoryview(kind + b"".join(item.to_bytes(4, "big") for item in (source, *targets))))
    if meta.properties is not None:
        parts.append(meta.properties)
    return parts, exif, xmp


def is_film(view: memoryview) -> bool:
    """Whether a file has pictures that follow each other in time, an animation for example.

    Raises:
        ValueError: it is cut or damaged.

    """
    return any(name == b"moov" for name, _, _ in boxes(view, 0, len(view)))


def what_is_missing(data: bytes) -> str | None:
    """Say what of the primary image is not in a HEIF or AVIF file, or return None where all is there."""
    view = memoryview(data)
    try:
        meta = read_meta(view)
    except (ValueError, IndexError):
        return None
    if meta is None:
        return _what_ends_early(view)
    needed = [meta.primary]
    for item in needed:
        needed += [
            target
            for kind, source, targets in meta.references
            if kind == b"dimg" and source == item
            for target in targets
            if target not in needed
        ]
        if len(needed) > _MOST_ITEMS:
            return None
    tiles = [item for item in needed[1:] if not _is_whole(view, meta, item)]
    if not _is_whole(view, meta, meta.primary):
        return "its image data ends early"
    return f"{len(tiles)} of {len(needed) - 1} tiles are missing" if tiles else None


def unusual_coding(data: bytes) -> str | None:
    """Say in words how the primary image of a HEIF file is coded where no decoder here knows that, or return None."""
    try:
        meta = read_meta(memoryview(data))
    except (ValueError, IndexError):
        return None
    if meta is None:
        return None
    item = meta.primary
    for _ in range(_MOST_DERIVED):
        if meta.types.get(item) not in _DERIVED:
            break
        item = next(
            (to[0] for kind, source, to in meta.references if kind == b"dimg" and source == item and to), 0
        )
    return _CODINGS.get(meta.types.get(item, b""))


def _what_ends_early(view: memoryview) -> str | None:
    """A file without a list of images is a film, whose boxes are all there, or was cut before the list."""
    try:
        return (
            None
            if any(True for _ in list(boxes(view, 0, len(view)))[1:])
            else "its list of images is missing"
        )
    except ValueError:
        return "its list of images is missing"


def _is_whole(view: memoryview, meta: Meta, item: int) -> bool:
    # An image that is derived from others needs no data of its own.
    places = meta.extents.get(item)
    if places is None:
        return meta.types.get(item) in (b"iden", b"iovl", b"tmap") or not meta.types
    return all(at + length <= len(view) for at, length in places)


def without_notes(data: bytes) -> bytes:
    """Return a file of the same length in which no decoder finds EXIF or XMP: their items have another type."""
    changed = bytearray(data)
    view = memoryview(data)
    meta = read_meta(view)
    if meta is None:
        return data
    for item, kind in meta.types.items():
        if kind in _NOTE_TYPES:
            at = meta.entry_places[item]
            changed[at : at + 4] = b"skip"
    return bytes(changed)


def code_points(data: bytes) -> tuple[int, int] | None:
    """Return the code points (primaries, transfer function) that a HEIF or AVIF file names for its primary image.

    None where it names none, or has an ICC profile, which says more.
    """
    view = memoryview(data)
    try:
        meta = read_meta(view)
        if meta is None or meta.properties is None:
            return None
        tiles = [
            target
            for kind, source, targets in meta.references
            if kind == b"dimg" and source == meta.primary
            for target in targets[:1]
        ]
        for item in (meta.primary, *tiles):
            named = [body for name, body in _properties(meta.properties, item) if name == b"colr"]
            if any(bytes(body[:4]) in (b"prof", b"rICC") for body in named):
                return None
            for body in named:
                if bytes(body[:4]) == b"nclx" and len(body) >= 8:
                    return int.from_bytes(body[4:6], "big"), int.from_bytes(body[6:8], "big")
    except (ValueError, IndexError):
        return None
    return None


def _properties(view: memoryview, item: int) -> list[tuple[bytes, memoryview]]:
    """Return the properties of an item, by what is said in `ipma`, as names and bodies."""
    all_of_them: list[tuple[bytes, memoryview]] = []
    found: list[tuple[bytes, memoryview]] = []
    for name, start, end in boxes(view, 0, len(view)):
        if name == b"ipco":
            all_of_them += [(kind, view[at:stop]) for kind, at, stop in boxes(view, start, end)]
        elif name == b"ipma":
            found += [all_of_them[number - 1] for number in _associated(view[start:end], item) if number]
    return found


def _associated(view: memoryview, item: int) -> list[int]:
    wide, step = (4 if view[0] else 2), (2 if view[3] & 1 else 1)
    at, numbers = 8, []
    for _ in range(min(int.from_bytes(view[4:8], "big"), _MOST_ITEMS)):
        which, count = int.from_bytes(view[at : at + wide], "big"), view[at + wide]
        at += wide + 1
        if which == item:
            numbers += [
                int.from_bytes(view[place : place + step], "big") & (0x7FFF if step == 2 else 0x7F)
                for place in range(at, at + count * step, step)
            ]
        at += count * step
    return numbers


def with_one_association_box(data: bytes) -> bytes:
    """Join the boxes that give properties to items, where there are several of one kind (ISO/IEC 23008-12, 9.3.1).

    Early encoders of AVIF wrote one for each item, and libavif refuses such files. No byte of the image moves: what is
    left over becomes a property without a meaning, behind the others.
    """
    view = memoryview(data)
    try:
        properties, *places = _property_boxes(view)
    except ValueError:
        return data
    kinds = {bytes(view[at : at + 4]) for at, _ in places}
    follow = all(stop + 8 == at for (_, stop), (at, _) in pairwise((properties, *places)))
    if len(places) < 2 or len(kinds) > 1 or not follow:
        return data
    count = sum(int.from_bytes(view[at + 4 : at + 8], "big") for at, _ in places)
    entries = b"".join(bytes(view[at + 8 : stop]) for at, stop in places)
    joined = _box(b"ipma", kinds.pop() + count.to_bytes(4, "big") + entries)
    (start, stop), end = properties, places[-1][1]
    left = _box(b"free", bytes(end - stop - len(joined) - 8))
    return data[: start - 8] + _box(b"ipco", data[start:stop] + left) + joined + data[end:]


def _box(name: bytes, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + name + body


def _property_boxes(view: memoryview) -> list[tuple[int, int]]:
    """Where the properties of items are, and the boxes that give them to items. Raises `ValueError` without any."""
    for name, start, end in boxes(view, 0, len(view)):
        if name == b"meta":
            for kind, at, stop in boxes(view, start + 4, end):
                if kind == b"iprp":
                    found = list(boxes(view, at, stop))
                    if [inner for inner, _, _ in found] == [b"ipco", *[b"ipma"] * (len(found) - 1)]:
                        return [(one, last) for _, one, last in found]
    raise ValueError("no properties of items")
