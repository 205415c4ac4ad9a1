"""Recognise files that vitsearch wrote.

Pictures carry a seal: a comment with the hash of the rest of the file. If another program changes the picture, the
seal no longer matches. Other kinds of files are recognised by content that only vitsearch writes.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Literal

from blake3 import blake3

if TYPE_CHECKING:
    from pathlib import Path

Kind = Literal["sheet", "picture", "page", "table", "head", "photos", "plan", "backup"]

PAGE_MARK = '<meta name="generator" content="vitsearch">'
TABLE_COLUMNS = ("path", "label", "probability", "rank", "abstained")
HEAD_MARK = "vitsearch-head"
BACKUP_MARK = b"vitb"  # SQLite's application id
PHOTOS_MARK = "vitsearch.space"

_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0\x00\x10JFIF"
# Behind the first chunk of a PNG file, and the first segment of a JPEG one.
_PNG_SEAL_AT, _JPEG_SEAL_AT = 33, 20
# No contact sheet is larger.
_MOST_BYTES = 1 << 28
_HEAD_BYTES = 1 << 16


def sealed(picture: bytes) -> bytes:
    """Return a PNG or JPEG file with its seal; other formats are returned unchanged."""
    at = _seal_at(picture)
    return picture[:at] + _seal(picture) + picture[at:] if at else picture


def is_own(path: Path, kind: Kind) -> bool:
    """Return whether vitsearch wrote this file as a file of this kind. Raises `OSError`."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if kind in ("sheet", "picture"):
            return size <= _MOST_BYTES and _fits_seal(file.read())
        head = file.read(_HEAD_BYTES)
        if kind == "page":
            return PAGE_MARK.encode() in head[:1024]
        if kind == "table":
            return head.startswith(",".join(TABLE_COLUMNS).encode() + b"\r\n")
        if kind == "head":
            return f'"{HEAD_MARK}"'.encode() in head and head[8:9] == b"{"
        if kind == "backup":
            return head.startswith(b"SQLite format 3\x00") and head[68:72] == BACKUP_MARK
        if kind == "photos" and head.startswith(b"PAR1") and size > 12:
            file.seek(-8, 2)
            footer = int.from_bytes(file.read(4), "little")
            file.seek(-min(size, footer + 8), 2)
            return PHOTOS_MARK.encode() in file.read(min(footer, _MOST_BYTES))
    return False


def _fits_seal(content: bytes) -> bool:
    at = _seal_at(content)
    length = len(_seal(content[:16]))
    rest = content[:at] + content[at + length :]
    return bool(at) and content[at : at + length] == _seal(rest)


def _seal_at(picture: bytes) -> int:
    if picture.startswith(_PNG):
        return _PNG_SEAL_AT
    return _JPEG_SEAL_AT if picture.startswith(_JPEG) else 0


def _seal(picture: bytes) -> bytes:
    said = blake3(picture).hexdigest().encode()
    if picture.startswith(_PNG):
        chunk = b"tEXtvitsearch\x00" + said
        return (len(chunk) - 4).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big")
    comment = b"vitsearch " + said
    return b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment
