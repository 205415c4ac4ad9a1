"""What a decoder makes of a file, and Pillow as the decoder of most formats."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from vitsearch.photos.containers import readable_jpeg, readable_png
from vitsearch.photos.formats import Container, Decoder
from vitsearch.photos.iso_media import without_notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image

    from vitsearch.photos.formats import Format

# Animations often begin with a blank frame; the first one that shows something is among so many.
_FRAMES_TRIED = 12
_FEATURELESS = 2
_END_OF_IMAGE = b"\xff\xd9"
# Pseudo-random bits that no entropy-coded data can be expected to go on with.
_FILLER = bytes((37 * number * number + 11 * number) % 251 for number in range(1, 4096))


class NotDecodable(Exception):
    """A reason, in words for people, why a file gives no pixels."""


class Picture(Protocol):
    """The image in a file, as stored: its format, its size in pixels, and its pixels on demand."""

    format: str
    size: tuple[int, int]
    orientation: int | None
    """How the stored pixels lie, where the decoder knows better than the notes; None where the notes say so."""

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:
        """Decode at a scale that keeps at least `min_side` pixels on the shorter side; all modes are possible."""

    def undecoded(self) -> Image:
        """The image with its header, its frames and its notes; decoding it uses the picture up."""


class PillowPicture:
    """Pillow's view of a file. What a note beside the picture makes Pillow refuse is read without the note."""

    def __init__(self, data: bytes, format_: Format) -> None:
        self._format = format_
        # A PNG's notes are left out from the start: Pillow unpacks them all before it gives a pixel.
        self._data = readable_png(data) if format_.container is Container.PNG else data
        try:
            self._image = self._opened(self._data)
        except Exception:
            cleaned = self._cleaned()
            if cleaned is None:
                raise
            self._data = cleaned
            self._image = self._opened(cleaned)
        self.format: str = self._image.format or format_.name
        self.size: tuple[int, int] = self._image.size
        self.orientation = self._own_orientation()

    def _own_orientation(self) -> int | None:
        """Of formats that say apart from EXIF how they lie: Pillow turns TIFF itself, and libheif HEIF."""
        if self._format.name == "AVIF":
            # libavif's transformations come as an EXIF tag.
            with suppress(Exception):
                return int(self._image.getexif().get(274, 1))
            return 1
        return 1 if self._format.name in ("TIFF", "HEIF", "JPEG2000") else None

    def _opened(self, data: bytes) -> Image:
        return _factory(self._format)(io.BytesIO(data))

    def _cleaned(self) -> bytes | None:
        """The file without its notes, or None where that would be no other file."""
        with suppress(ValueError, IndexError):
            if self._format.container is Container.JPEG:
                return readable_jpeg(self._data)
            if self._format.container is Container.PNG:
                return readable_png(self._data, only_needed=True)
            if self._format.container is Container.ITEMS:
                return without_notes(self._data)
        return None

    def undecoded(self) -> Image:
        """The image as Pillow has opened it."""
        return self._image

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:
        """Decode; a JPEG in the smallest of its scales that is large enough."""
        image, self._image = self._image, None  # type: ignore[assignment]
        try:
            return self._decoded(image, min_side, first_frame=first_frame)
        except MemoryError:
            raise
        except Exception:
            whole = self._without_its_end(min_side) if self._format.container is Container.JPEG else None
            if whole is not None:
                return whole
            cleaned = self._cleaned()
            if cleaned is None or cleaned == self._data:
                raise
            return self._decoded(self._opened(cleaned), min_side, first_frame=first_frame)

    def _decoded(self, image: Image, min_side: int | None, *, first_frame: bool) -> Image:
        if min_side is not None:
            image.draft(None, (min_side, min_side))
        image.load()
        if not first_frame and self._format.container in (Container.GIF, Container.RIFF, Container.PNG):
            image = _telling_frame(image)
        # A file of several images decodes anew whenever it is asked for anything: what is scaled in place must be no
        # file any more.
        is_several = self._format.container is Container.ITEMS and getattr(image, "n_frames", 1) > 1
        return image.copy() if is_several else image

    def _without_its_end(self, min_side: int | None) -> Image | None:
        """Return the image of a JPEG that lacks nothing but its end, or None.

        Where image data is missing, what stands in its place shows: two different fillings give two images.
        """
        if self._data.rstrip(b"\0").endswith(_END_OF_IMAGE):
            return None
        images = []
        for filler in (b"", _FILLER):
            try:
                image = self._opened(self._data + filler + _END_OF_IMAGE)
                images.append(self._decoded(image, min_side, first_frame=True))
            except Exception:  # noqa: BLE001 - the error that is reported is the one of the file as it is
                return None
        return images[0] if images[0].tobytes() == images[1].tobytes() else None


def _telling_frame(image: Image) -> Image:
    """Return the first frame of an animation that shows something, or its first one."""
    if getattr(image, "n_frames", 1) < 2 or _shows_something(image):
        return image
    first = image.copy()
    with suppress(Exception):  # a damaged frame ends the search, and costs nothing
        for number in range(1, min(image.n_frames, _FRAMES_TRIED)):  # type: ignore[attr-defined]
            image.seek(number)
            image.load()
            if _shows_something(image):
                return image.copy()
    return first


def _shows_something(image: Image) -> bool:
    small = image.convert("RGBA").reduce(max(1, min(image.size) // 64))
    bands = [small.getchannel(band).getextrema() for band in range(4)]
    spread = max(float(high) - float(low) for low, high in bands)  # type: ignore[arg-type]
    return spread > _FEATURELESS and bands[3][1] != 0


@cache
def _factory(format_: Format) -> Callable[[io.BytesIO], Image]:
    """Return what opens files of a format, and of no other, in Pillow."""
    from PIL import Image

    # The limit is checked for every file when its header is known; Pillow's own is a process-wide warning.
    Image.MAX_IMAGE_PIXELS = None
    if format_.decoder is Decoder.HEIF:
        import pi_heif

        opener: Callable[[io.BytesIO], Image.Image] = pi_heif.HeifImageFile
        return opener
    import_module(f"PIL.{format_.module}ImagePlugin")
    factory = Image.OPEN[format_.plugin][0]

    def opened(file: io.BytesIO) -> Image.Image:
        return factory(file, "")

    return opened
