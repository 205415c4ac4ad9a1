"""What names a photo: BLAKE3 over its image data and orientation, without the notes beside them.

Version 2 leaves the notes of all formats out that can be taken apart. Version 1 did so for JPEG, PNG and WebP alone,
whose hashes are the same in both, and took all other files whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from vitsearch.photos.formats import Container

if TYPE_CHECKING:
    from vitsearch.photos.containers import Parts
    from vitsearch.photos.formats import Format

VERSION = 2
_AS_BEFORE = (Container.JPEG, Container.PNG, Container.RIFF, Container.WHOLE)
# What version 1 could read at all.
_READ_BEFORE = ("HEIF", "AVIF", "TIFF", "GIF")


def hashes_of(data: bytes, parts: Parts, format_: Format, orientation: int) -> tuple[bytes, bytes | None]:
    """Return a photo's hash and, where it differs, the one that version 1 gave it: 32 bytes each."""
    lies = bytes([orientation])
    photo_hash = blake3(lies)
    if parts.is_split and format_.container not in _AS_BEFORE:
        photo_hash.update(format_.name.encode("ascii"))
    for part in parts.image:
        photo_hash.update(part)
    earlier = None
    if parts.is_split and format_.name in _READ_BEFORE:
        earlier = blake3(lies).update(data).digest()
    return photo_hash.digest(), earlier
