"""Thumbnails of a library's photos: upright, made once, and stored next to the database.

An index run makes those for the grid from pixels that it has decoded anyway; others are made on demand. They are named
by photo hash, so that they stay valid whatever happens to ids and paths.
"""

from __future__ import annotations

import io
import math
from contextlib import suppress
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.storage import atomic
from vitsearch.storage.layout import Layout
from vitsearch.storage.private import make_folder

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from vitsearch.decoding.decoders import Decoders, ProtectedPhoto

HEIGHTS = (160, 320, 640)
# What a grid asks for on most screens, and what an index run makes.
_GRID_HEIGHT = 320
VIEW_SIDE = 2048
# A panorama as wide as this many heights is shown whole; a wider one would make the grid's row a strip of nothing.
_WIDEST = 6
_QUALITY = 82
_VIEW_QUALITY = 90
GRID_BOX = (_GRID_HEIGHT * _WIDEST, _GRID_HEIGHT)
"""The width and height that a thumbnail for the grid fits into."""


class KeptPictures:
    """A library's folder of thumbnails: JPEG files by photo hash and height. It is a cache and may be deleted.

    With `anew`, thumbnails of photos that are read are made again, because they may show the colours of an earlier
    version.
    """

    def __init__(self, library: Path, *, anew: bool = False) -> None:
        self._layout = Layout.of(library)
        self._anew = anew
        self.folder = self._layout.thumbnails

    def cached(self, photo_hash: str, kind: int | str) -> bytes | None:
        """Return a cached picture: a thumbnail by its height, others by the name of their kind."""
        try:
            return self._path(photo_hash, kind).read_bytes()
        except OSError:
            return None

    def keep(self, photo_hash: str, kind: int | str, data: bytes) -> None:
        """Store the JPEG bytes of a picture of a photo atomically."""
        path = self._path(photo_hash, kind)
        with suppress(OSError, LibraryError):  # a full or read-only disk costs time, not the picture
            self._layout.make_private()
            make_folder(path.parent)
            atomic.write(path, data, durable=False, private=True)

    def lacks_for_grid(self, photo_hash: str) -> bool:
        """Return whether the grid's thumbnail must be made; with `anew`, all existing ones are deleted first."""
        if self._anew:
            for height in HEIGHTS:
                with suppress(OSError):
                    self._path(photo_hash, height).unlink(missing_ok=True)
        return not self._path(photo_hash, _GRID_HEIGHT).exists()

    def keep_for_grid(self, photo_hash: str, image: Image) -> None:
        """Store an upright image within `GRID_BOX` as the grid's thumbnail."""
        self.keep(photo_hash, _GRID_HEIGHT, _encoded(image, _QUALITY))

    def _path(self, photo_hash: str, kind: int | str) -> Path:
        return self.folder / photo_hash[:2] / f"{photo_hash[2:]}-{kind}.jpg"


class Thumbnails(KeptPictures):
    """Makes missing thumbnails. Files are decoded by `decoders`, so that a bad file affects nothing but itself."""

    def __init__(self, library: Path, decoders: Decoders) -> None:
        super().__init__(library)
        self._decoders = decoders

    def make(self, photo_hash: str, height: int, photo: Path) -> bytes:
        """Make a thumbnail of a photo file (again), store it, and return its JPEG bytes.

        Raises:
            UnreadablePhoto: the file cannot be decoded, or does not hold this photo (any more).

        """
        made = self.cached(photo_hash, height)
        if made is not None:  # while this one waited for its turn
            return made
        with self._decoders.open(photo, photo_hash=photo_hash) as opened:
            data = _encoded(_scaled(opened, height), _QUALITY)
        self.keep(photo_hash, height, data)
        return data

    def once(self, height: int, photo: Path) -> bytes:
        """Return a thumbnail, as JPEG bytes, of a file that is not in the library. It is not stored.

        Raises:
            UnreadablePhoto: the file cannot be decoded.

        """
        with self._decoders.open(photo) as opened:
            return _encoded(_scaled(opened, height), _QUALITY)

    def view(self, photo: Path, *, photo_hash: str | None = None) -> bytes:
        """Return a photo as JPEG for the whole screen, with sides of at most 2048 pixels. It is not stored.

        Raises:
            UnreadablePhoto: the file cannot be decoded, or does not hold the photo with this hash.

        """
        with self._decoders.open(photo, photo_hash=photo_hash) as opened:
            return _encoded(_for_the_screen(opened), _VIEW_QUALITY)


def _scaled(photo: ProtectedPhoto, height: int) -> Image:
    """Decode a photo upright and scale it down to a height; smaller photos keep their size."""
    # The scale at which a JPEG is decoded goes by its shorter side.
    side = math.ceil(height * min(1.0, photo.facts.width / photo.facts.height))
    return photo.pixels(min_side=side, box=(height * _WIDEST, height))


def _for_the_screen(photo: ProtectedPhoto) -> Image:
    facts = photo.facts
    shrink = max(1.0, max(facts.width, facts.height) / VIEW_SIDE)
    side = math.ceil(min(facts.width, facts.height) / shrink)
    return photo.pixels(min_side=side, box=(VIEW_SIDE, VIEW_SIDE))


def _encoded(image: Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    # Only pixels: whatever else the file held (positions, comments, profiles) stays on the disk.
    image.info.clear()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
