"""What a file consists of: the parts that make up the picture, and the notes beside it.

A rating, a keyword or a caption written into a file must not make it a new photo, and a damaged note must not cost one.
So each container is taken apart here: image data, colour profile and transparency are the picture; EXIF, XMP, IPTC and
comments are notes. What cannot be taken apart is a picture as a whole.
"""

from __future__ import annotations

import binascii
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vitsearch.photos.formats import Container
from vitsearch.photos.iso_media import is_film, split_items
from vitsearch.photos.tiff import split_tiff

if TYPE_CHECKING:
    from collections.abc import Iterator

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
# PNG specification (third edition), section 11.3: the chunks that only describe.
_PNG_NOTES = frozenset((b"tEXt", b"zTXt", b"iTXt", b"tIME", b"eXIf"))
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
# JPEG markers: APP1 (EXIF, XMP), APP13 (IPTC in Photoshop's resources), COM.
_JPEG_NOTES = frozenset((0xE1, 0xED, 0xFE))
_JPEG_START_OF_SCAN = 0xDA
_XAP = b"http://ns.adobe.com/xap/1.0/\0"
_RESOURCES = b"Photoshop 3.0\0"
_IPTC_RESOURCE, _ICC_RESOURCE = 0x0404, 0x040F
# Text that unpacks to more is no caption.
_MOST_TEXT = 4 << 20


@dataclass(slots=True)
class Notes:
    """The raw bytes of what is written beside a picture: EXIF (a TIFF block), XMP (XML) and IPTC (its datasets)."""

    exif: bytes | None = None
    xmp: bytes | None = None
    iptc: bytes | None = None


@dataclass(slots=True)
class Parts:
    """A file taken apart. `is_split` is false where the picture is the whole file because its notes cannot be found."""

    image: list[memoryview]
    notes: Notes = field(default_factory=Notes)
    is_split: bool = True


def take_apart(data: bytes, container: Container) -> Parts:
    """Split a file of a known container; where it is damaged, the picture is the whole of it."""
    view, notes = memoryview(data), Notes()
    try:
        image = list(_SPLIT[container](view, notes)) if container in _SPLIT else []
    except (IndexError, ValueError, KeyError, RecursionError):
        image = []
    return Parts(image, notes) if image else Parts([view], notes, is_split=False)


def readable_png(data: bytes, *, only_needed: bool = False) -> bytes:
    """Return a PNG without its notes and without descriptive chunks whose checksum is wrong.

    With `only_needed`, colour profiles and all else that is not needed for a picture are left out too.

    What is left shows the same, and nothing in it can keep a decoder from it but damage to the picture itself.
    """
    view = memoryview(data)
    kept = [view[: len(PNG_SIGNATURE)]]
    last = len(PNG_SIGNATURE)
    for name, start, last in _png_chunks(view):
        is_critical = not name[0] & 0x20  # section 5.4 of the specification
        is_wanted = name == b"tRNS" if only_needed else name not in _PNG_NOTES
        if is_critical or (is_wanted and _checksum_fits(view, start, last)):
            kept.append(view[start:last])
    kept.append(view[last:])
    return b"".join(kept)


def readable_jpeg(data: bytes) -> bytes:
    """Return a JPEG without any application segments but those that say how its colours are meant."""
    view = memoryview(data)
    kept = [view[:2]]
    for marker, start, end in _jpeg_segments(view):
        body = bytes(view[start + 4 : end][:12])
        is_colour = (marker == 0xE2 and body.startswith(b"ICC_")) or (marker == 0xEE and len(body) == 12)
        if not 0xE1 <= marker <= 0xEF or is_colour:
            kept.append(view[start:end])
    return b"".join(kept)


def _jpeg_segments(view: memoryview) -> Iterator[tuple[int, int, int]]:
    """Marker, start and end of each segment; the last one is the scan and all that follows it."""
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
            yield marker, position, len(view)
            return
        yield marker, position, position + 2 + length
        position += 2 + length


def _jpeg(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    for marker, start, end in _jpeg_segments(view):
        if marker not in _JPEG_NOTES:
            yield view[start:end]
            continue
        body = view[start + 4 : end]
        if marker == 0xE1 and bytes(body[:4]) == b"Exif" and notes.exif is None:
            notes.exif = bytes(body)
        elif marker == 0xE1 and body[: len(_XAP)] == _XAP and notes.xmp is None:
            notes.xmp = bytes(body[len(_XAP) :])
        elif marker == 0xED and body[: len(_RESOURCES)] == _RESOURCES:
            notes.iptc = notes.iptc or _resource(body[len(_RESOURCES) :], _IPTC_RESOURCE)


def _resource(view: memoryview, wanted: int) -> bytes | None:
    """Return one of Photoshop's image resources (Adobe, "Photoshop File Formats Specification")."""
    position = 0
    while bytes(view[position : position + 4]) == b"8BIM":
        kind = int.from_bytes(view[position + 4 : position + 6], "big")
        name = view[position + 6] + 1
        position += 6 + name + name % 2
        size = int.from_bytes(view[position : position + 4], "big")
        if kind == wanted:
            return bytes(view[position + 4 : position + 4 + size])
        position += 4 + size + size % 2
    return None


def _png_chunks(view: memoryview) -> Iterator[tuple[bytes, int, int]]:
    position = len(PNG_SIGNATURE)
    while position + 12 <= len(view):
        end = position + 12 + int.from_bytes(view[position : position + 4], "big")
        if end > len(view):
            return
        yield bytes(view[position + 4 : position + 8]), position, end
        position = end


def png_colours(data: bytes) -> tuple[int, int] | None:
    """Return the code points (primaries, transfer function) that a PNG names for its colours (chunk cICP)."""
    view = memoryview(data)
    for name, start, end in _png_chunks(view):
        if name == b"IDAT":
            break
        if name == b"cICP" and end - start == 16 and _checksum_fits(view, start, end):
            return view[start + 8], view[start + 9]
    return None


def _checksum_fits(view: memoryview, start: int, end: int) -> bool:
    return zlib.crc32(view[start + 4 : end - 4]) == int.from_bytes(view[end - 4 : end], "big")


def _png(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    position = len(PNG_SIGNATURE)
    for name, start, end in _png_chunks(view):
        position = end
        if name not in _PNG_NOTES:
            yield view[start:end]
        elif _checksum_fits(view, start, end):
            _read_png_note(name, bytes(view[start + 8 : end - 4]), notes)
    if position < len(view):
        raise ValueError("chunk runs past the end")


def _read_png_note(name: bytes, body: bytes, notes: Notes) -> None:
    if name == b"eXIf":
        notes.exif = body
    elif name == b"iTXt" and body.startswith(_XMP_KEYWORD):
        is_packed, text = body[len(_XMP_KEYWORD)], body[len(_XMP_KEYWORD) + 2 :].split(b"\0", 2)[-1]
        notes.xmp = _unpacked(text) if is_packed else text
    elif name in (b"zTXt", b"tEXt") and body.startswith(_XMP_KEYWORD):
        notes.xmp = notes.xmp or (
            _unpacked(body[len(_XMP_KEYWORD) + 1 :]) if name == b"zTXt" else body[len(_XMP_KEYWORD) :]
        )
    elif name in (b"zTXt", b"tEXt") and body.startswith(b"Raw profile type "):
        keyword, _, rest = body.partition(b"\0")
        profile = _raw_profile(_unpacked(rest[1:]) if name == b"zTXt" else rest)
        if keyword.endswith((b" exif", b" APP1")):
            notes.exif = notes.exif or profile
        elif keyword.endswith(b" xmp"):
            notes.xmp = notes.xmp or profile
        elif keyword.endswith(b" iptc") and profile is not None:
            notes.iptc = _resource(memoryview(profile), _IPTC_RESOURCE) or profile


def _unpacked(packed: bytes) -> bytes | None:
    with suppress(zlib.error):
        return zlib.decompressobj().decompress(packed, _MOST_TEXT)
    return None


def _raw_profile(text: bytes | None) -> bytes | None:
    """Undo what ImageMagick does to a profile that a PNG has no chunk for: a name, a length, and hexadecimal digits."""
    with suppress(binascii.Error, ValueError):
        _, length, digits = (text or b"").lstrip(b"\n").split(b"\n", 2)
        return bytes.fromhex(b"".join(digits.split())[: 2 * int(length)].decode("ascii"))
    return None


def _webp(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    position = 12
    while position + 8 <= len(view):
        name = bytes(view[position : position + 4])
        size = int.from_bytes(view[position + 4 : position + 8], "little")
        end = position + 8 + size + size % 2
        if position + 8 + size > len(view):
            raise ValueError("chunk runs past the end")
        body = view[position + 8 : position + 8 + size]
        if name == b"EXIF":
            notes.exif = bytes(body)
        elif name == b"XMP ":
            notes.xmp = bytes(body)
        elif name != b"VP8X":  # it only repeats the canvas size and says which notes follow
            yield view[position:end]
        position = end


def _gif(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    """GIF89a specification; XMP as in part 3 of Adobe's, section "GIF": the packet stands in the blocks unescaped."""
    # The signature says only whether there are extensions, and a comment makes one of 87a into 89a.
    position = 13 + (3 << ((view[10] & 7) + 1) if view[10] & 0x80 else 0)
    yield view[6:position]
    while view[position] != 0x3B:
        start, kind = position, view[position]
        if kind == 0x2C:
            flags = view[position + 9]
            position += 11 + (3 << ((flags & 7) + 1) if flags & 0x80 else 0)
        elif kind == 0x21:
            position += 2
        else:
            raise ValueError("no block where one must be")
        body = position
        while view[position]:
            position += 1 + view[position]
        position += 1
        is_xmp = bytes(view[start : start + 14]) == b"\x21\xff\x0bXMP DataXMP"
        if is_xmp:
            notes.xmp = bytes(view[body + 12 : position]).partition(b"\x01\xff\xfe")[0]
        elif not (kind == 0x21 and view[start + 1] == 0xFE):
            yield view[start:position]


def _boxes(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    """The codestream of a JPEG 2000 or JPEG XL file, in a container or bare: the same one gives the same parts."""
    if bytes(view[:2]) in (b"\xff\x0a", b"\xff\x4f"):
        yield view
        return
    from vitsearch.photos.iso_media import boxes

    for name, start, end in boxes(view, 0, len(view)):
        if name in (b"jxlc", b"jp2c"):
            yield view[start:end]
        elif name == b"jxlp":
            yield view[start + 4 : end]
        elif name == b"jp2h":
            yield view[start:end]
        elif name == b"Exif":
            notes.exif = bytes(view[start + 4 : end])
        elif name == b"xml ":
            notes.xmp = bytes(view[start:end])
        elif name == b"brob":
            _read_packed_note(bytes(view[start : start + 4]), bytes(view[start + 4 : end]), notes)
        elif name == b"uuid" and view[start : start + 16] == _UUID_XMP:
            notes.xmp = bytes(view[start + 16 : end])
        elif name == b"uuid" and view[start : start + 16] == _UUID_EXIF:
            notes.exif = bytes(view[start + 16 : end])


def _read_packed_note(name: bytes, packed: bytes, notes: Notes) -> None:
    if name not in (b"Exif", b"xml "):
        return
    from vitsearch.photos.libjxl import unpacked

    content = unpacked(packed, _MOST_TEXT)
    if content is not None and name == b"Exif":
        notes.exif = content[4:]
    elif content is not None:
        notes.xmp = content


_UUID_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")
_UUID_EXIF = b"JpgTiffExif->JP2"


def photoshop_profile(view: memoryview) -> bytes | None:
    """Return the colour profile of a Photoshop file, if it has one."""
    with suppress(IndexError, ValueError):
        return _resource(_resources(view)[1], _ICC_RESOURCE)
    return None


def _resources(view: memoryview) -> tuple[int, memoryview]:
    """Where the resources of a Photoshop file begin, with their length, and they themselves."""
    colours = 26 + 4 + int.from_bytes(view[26:30], "big")
    return colours, view[colours + 4 : colours + 4 + int.from_bytes(view[colours : colours + 4], "big")]


def _psd(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    """A Photoshop file without its resources, of which the colour profile alone changes what is seen."""
    colours, resources = _resources(view)
    rest = colours + 4 + len(resources)
    if rest >= len(view):
        raise ValueError("section runs past the end")
    notes.iptc = _resource(resources, _IPTC_RESOURCE)
    notes.exif = _resource(resources, 0x0422)
    notes.xmp = _resource(resources, 0x0424)
    yield view[:colours]
    yield memoryview(_resource(resources, _ICC_RESOURCE) or b"")
    yield view[rest:]


def _items(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    image, notes.exif, notes.xmp = split_items(view)
    if is_film(view):
        raise ValueError("notes that cannot be told from the rest simply")
    yield from image


def _tiff(view: memoryview, notes: Notes) -> Iterator[memoryview]:
    image, notes.xmp, notes.iptc = split_tiff(view)
    yield from image


_SPLIT = {
    Container.JPEG: _jpeg,
    Container.PNG: _png,
    Container.RIFF: _webp,
    Container.GIF: _gif,
    Container.TIFF: _tiff,
    Container.ITEMS: _items,
    Container.BOXES: _boxes,
    Container.PSD: _psd,
}
