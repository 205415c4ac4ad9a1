"""The formats that are read, and how they are told by their names and first bytes."""

from __future__ import annotations

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .avif .heic .heif .hif .mpo".split()
)

# The first bytes of the formats that are read, so that a photo with a wrong or missing extension is found too.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")

SIGNATURE_BYTES = 16

_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
)


def looks_like_image(head: bytes) -> bool:
    """Whether a file that starts with `head` (16 bytes) is of a format that is read here."""
    if head.startswith(_SIGNATURES):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS
