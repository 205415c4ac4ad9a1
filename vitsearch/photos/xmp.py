"""XMP (ISO 16684-1) and IPTC (IIM 4.2) as they stand in photos: read by what they say, however they are spelt."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from xml.parsers import expat

from vitsearch.photos.exif import as_text, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_NAMES = {
    "http://ns.adobe.com/exif/1.0/": "exif",
    "http://cipa.jp/exif/1.0/": "exifEX",
    "http://ns.adobe.com/tiff/1.0/": "tiff",
    "http://ns.adobe.com/xap/1.0/": "xmp",
    "http://ns.adobe.com/photoshop/1.0/": "photoshop",
    "http://purl.org/dc/elements/1.1/": "dc",
    "http://ns.adobe.com/exif/1.0/aux/": "aux",
    "http://ns.microsoft.com/photo/1.0/": "MicrosoftPhoto",
    "http://www.digikam.org/ns/1.0/": "digiKam",
    "http://ns.adobe.com/lightroom/1.0/": "lr",
    "http://ns.adobe.com/camera-raw-settings/1.0/": "crs",
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": "Iptc4xmpExt",
    "http://www.metadataworkinggroup.com/schemas/regions/": "mwg-rs",
    "http://ns.microsoft.com/photo/1.2/t/Region#": "MPReg",
    "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#": "stEvt",
}
# Who is in a marked part of the picture: these lie deep in other properties.
_NESTED = ("mwg-rs:Name", "MPReg:PersonDisplayName")
PEOPLE = ("Iptc4xmpExt:PersonInImage", *_NESTED)
"""The properties that name people in a picture."""
_BEHIND_IT = expat.errors.codes[expat.errors.XML_ERROR_JUNK_AFTER_DOC_ELEMENT]
LARGEST_PACKET = 4 << 20
_MOST_KEYWORDS, _LONGEST_CAPTION = 200, 2000
_IPTC_KEYWORD, _IPTC_DATE, _IPTC_TIME, _IPTC_CAPTION, _IPTC_TITLE = (
    (2, 25),
    (2, 55),
    (2, 60),
    (2, 120),
    (2, 5),
)


_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_FIRST_BYTES = (
    (b"<\0\0\0", "utf-32-le"),
    (b"\0\0\0<", "utf-32-be"),
    (b"<\0", "utf-16-le"),
    (b"\0<", "utf-16-be"),
)
_DECLARED = re.compile(rb"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"'>]*)["']""")
_OF_ONE_BYTE = {"iso-8859-1": "latin-1", "iso-8859-15": "iso-8859-15", "windows-1252": "cp1252"}


@dataclass(frozen=True, slots=True)
class XmpValues:
    """Properties by their usual names ("tiff:Make"), each with its values in order; `is_cut`: others may be missing."""

    values: dict[str, list[str]]
    is_cut: bool = False

    def first(self, *names: str) -> str | None:
        """Return the first value of the first of these properties that has one."""
        return next((value for name in names for value in self.values.get(name, ())), None)

    def all(self, *names: str) -> list[str]:
        """Return all values of these properties, each once."""
        return list(dict.fromkeys(value for name in names for value in self.values.get(name, ())))


def encoding_of(packet: bytes) -> str:
    """Return the codec of XMP (UTF-8, as nearly all is, UTF-16 or UTF-32) or of XML in general.

    The bytes are believed first: texts of .NET declare UTF-16 and are saved in UTF-8.
    """
    for start, codec in (*_BYTE_ORDER_MARKS, *_FIRST_BYTES):
        if packet.startswith(start):
            return codec
    declared = _DECLARED.match(packet)
    name = declared[1].decode("ascii", "replace").lower() if declared else ""
    return _OF_ONE_BYTE.get(name, "utf-8")


def read_xmp(packet: bytes) -> XmpValues:
    """Read a packet of XMP; what stands before the damage, where it is damaged.

    Document types are refused, so that no entity is ever expanded.
    """
    reader = _Reader()
    codec, content = encoding_of(packet), packet[:LARGEST_PACKET]
    if codec != "utf-8":
        content = content.decode(codec, "replace").encode()
    parser = expat.ParserCreate("utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.buffer_size = 1 << 16
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = _refuse
    try:
        parser.Parse(content.rstrip(b"\0"), True)  # noqa: FBT003 - expat's own argument
    except expat.ExpatError as error:
        # What stands behind the packet is no part of it.
        return XmpValues(reader.values, error.code != _BEHIND_IT)
    except ValueError:
        return XmpValues(reader.values, is_cut=True)
    return XmpValues(reader.values)


def joined(packets: Sequence[bytes]) -> XmpValues:
    """Read several packets about one photo as one; of each property what the first packet says that has it."""
    values: dict[str, list[str]] = {}
    is_cut = False
    for packet in packets:
        read = read_xmp(packet)
        values, is_cut = {**read.values, **values}, is_cut or read.is_cut
    return XmpValues(values, is_cut)


def _refuse(*_: object) -> None:
    raise ValueError("a document type")


class _Reader:
    def __init__(self) -> None:
        self.values: dict[str, list[str]] = {}
        self._property: str | None = None
        self._depth = 0
        self._inside = 0
        # Pieces: text that grew by each line and each entity would be copied again and again.
        self._text: list[str] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        self._text.clear()
        known = _known(name)
        for attribute, value in attributes.items():
            said = _known(attribute)
            if self._property is None or said in _NESTED:
                self._add(said, value)
        if self._property is None and known is not None:
            self._property, self._inside = known, self._depth

    def text(self, text: str) -> None:
        if self._property is not None:
            self._text.append(text)

    def end(self, name: str) -> None:
        if (nested := _known(name)) in _NESTED and self._depth != self._inside:
            self._add(nested, "".join(self._text))
        if self._property is not None and (self._depth == self._inside or name == f"{_RDF} li"):
            self._add(self._property, "".join(self._text))
        self._text.clear()
        if self._depth == self._inside:
            self._property, self._inside = None, 0
        self._depth -= 1

    def _add(self, name: str | None, value: str) -> None:
        text = printable(value, most=_LONGEST_CAPTION)
        if name is not None and text:
            values = self.values.setdefault(name, [])
            if len(values) < _MOST_KEYWORDS:
                values.append(text)


def _known(name: str) -> str | None:
    space, _, local = name.rpartition(" ")
    prefix = _NAMES.get(space)
    return f"{prefix}:{local}" if prefix else None


@dataclass(frozen=True, slots=True)
class IptcValues:
    """What IPTC datasets say of a photo."""

    keywords: tuple[str, ...] = ()
    caption: str | None = None
    title: str | None = None
    taken: str | None = None


def read_iptc(block: bytes) -> IptcValues:
    """Read IPTC's datasets, in UTF-8 or Latin-1; what stands before the damage, where they are damaged."""
    found: dict[tuple[int, int], list[bytes]] = {}
    at = 0
    while at + 5 <= len(block) and block[at] == 0x1C:
        size = int.from_bytes(block[at + 3 : at + 5], "big")
        if size & 0x8000 or at + 5 + size > len(block):
            break
        found.setdefault((block[at + 1], block[at + 2]), []).append(block[at + 5 : at + 5 + size])
        at += 5 + size

    def first(dataset: tuple[int, int], most: int = 200) -> str | None:
        text = as_text(found[dataset][0]) if dataset in found else None
        return text[:most] if text else None

    keywords = tuple(text for raw in found.get(_IPTC_KEYWORD, ())[:_MOST_KEYWORDS] if (text := as_text(raw)))
    date, time = first(_IPTC_DATE) or "", first(_IPTC_TIME) or ""
    taken = None
    if re.fullmatch(r"\d{8}", date):
        clock = re.match(r"(\d\d)(\d\d)(\d\d)([+-]\d{4})?", time)
        taken = f"{date[:4]}-{date[4:6]}-{date[6:]}T" + (
            ":".join(clock.groups()[:3]) if clock else "00:00:00"
        )
        if clock and clock[4]:
            taken += f"{clock[4][:3]}:{clock[4][3:]}"
    return IptcValues(keywords, first(_IPTC_CAPTION, _LONGEST_CAPTION), first(_IPTC_TITLE), taken)
