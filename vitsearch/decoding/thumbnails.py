"""Small upright pictures of a library's photos, made once and kept beside the database.

An index run makes those for the grid from the pixels that it has decoded anyway; all others are made when asked for.
They are named by what a photo shows (its photo hash), so that they stay right whatever happens to ids and paths.
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
    """A library's folder of thumbnails: JPEG files, by photo hash and height. A cache: delete it at will.

    With `anew`, those of photos that are read are made again: they may show the colours of an earlier version.
    """

    def __init__(self, library: Path, *, anew: bool = False) -> None:
        self._layout = Layout.of(library)
        self._anew = anew
        self.folder = self._layout.thumbnails

    def cached(self, photo_hash: str, kind: int | str) -> bytes | None:
        """Return a picture that was kept before: a thumbnail by its height, another by the name of its kind."""
        try:
            return self._path(photo_hash, kind).read_bytes()
        except OSError:
            return None

    def keep(self, photo_hash: str, kind: int | str, data: bytes) -> None:
        """Keep the JPEG bytes of a picture of a photo; readers see all of it or nothing."""
        path = self._path(photo_hash, kind)
        with suppress(OSError, LibraryError):  # a full or read-only disk costs time, not the picture
            self._layout.make_private()
            make_folder(path.parent)
            atomic.write(path, data, durable=False, private=True)

    def lacks_for_grid(self, photo_hash: str) -> bool:
        """Whether the thumbnail that a grid shows has to be made; with `anew`, all that are there go first."""
        if self._anew:
            for height in HEIGHTS:
                with suppress(OSError):
                    self._path(photo_hash, height).unlink(missing_ok=True)
        return not self._path(photo_hash, _GRID_HEIGHT).exists()

    def keep_for_grid(self, photo_hash: str, image: Image) -> None:
        """Keep an upright image within `GRID_BOX` as the thumbnail that a grid shows."""
        self.keep(photo_hash, _GRID_HEIGHT, _encoded(image, _QUALITY))

    def _path(self, photo_hash: str, kind: int | str) -> Path:
        return self.folder / photo_hash[:2] / f"{photo_hash[2:]}-{kind}.jpg"


class Thumbnails(KeptPictures):
    """Makes the pictures that are not there yet. Files are decoded by `decoders`: they can harm none but themselves."""

    def __init__(self, library: Path, decoders: Decoders) -> None:
        super().__init__(library)
        self._decoders = decoders

    def make(self, photo_hash: str, height: int, photo: Path) -> bytes:
        """Make a thumbnail of a photo file (again), keep it, and return its JPEG bytes.

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
        """Return a thumbnail of a file that is no photo of the library, as JPEG bytes. It is not kept.

        Raises:
            UnreadablePhoto: the file cannot be decoded.

        """
        with self._decoders.open(photo) as opened:
            return _encoded(_scaled(opened, height), _QUALITY)

    def view(self, photo: Path, *, photo_hash: str | None = None) -> bytes:
        """Return a photo for the whole screen, as JPEG with no side longer than 2048 pixels. It is not kept.

        Raises:
            UnreadablePhoto: the file cannot be decoded, or does not hold the photo with this hash.

        """
        with self._decoders.open(photo, photo_hash=photo_hash) as opened:
            return _encoded(_for_the_screen(opened), _VIEW_QUALITY)


def _scaled(photo: ProtectedPhoto, height: int) -> Image:
    """Decode a photo upright and scale it down to a height; what is smaller stays as it is."""
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
