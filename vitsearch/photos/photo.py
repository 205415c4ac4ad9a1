"""One file: its hashes, its facts, and its upright pixels at the size asked for."""

from __future__ import annotations

import io
import math
import os
import re
import stat
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, BinaryIO, SupportsFloat

from blake3 import blake3

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.photo_hash import photo_hash_parts
from vitsearch.records import PhotoFacts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from types import ModuleType

    from PIL.Image import Exif, Image

# Limits on what one file may cost. A 200-megapixel phone photo passes; a decompression bomb does not.
MAX_FILE_BYTES = 1 << 29
MAX_PIXELS = 256_000_000

# MPO comes with JPEG: Pillow sees the difference after the first header.
_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF")
_ORIENTATION, _DATE, _MAKE, _MODEL, _SOFTWARE = 0x0112, 0x0132, 0x010F, 0x0110, 0x0131
_EXIF_IFD, _GPS_IFD, _DATE_ORIGINAL = 0x8769, 0x8825, 0x9003


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file that was read and whose header was understood; `pixels` decodes it.

    `content` is the 32-byte BLAKE3 of the whole file, `photo_hash` that of its image data and orientation alone:
    an edit of metadata changes the first and not the second.
    """

    content: bytes
    photo_hash: bytes
    facts: PhotoFacts
    name: str
    _image: Image
    _orientation: int

    def pixels(self, *, min_side: int | None = None) -> Image:
        """Decode into an upright RGB image.

        With `min_side`, a JPEG is decoded at the smallest of its 1/1, 1/2, 1/4 and 1/8 scales whose shorter side
        is still at least that long: several times faster, and the later resize sees no difference.

        Raises:
            UnreadablePhoto: the image data is truncated or damaged.

        """
        try:
            image = self._image
            if min_side is not None:
                image.draft(None, (min_side, min_side))
            image.load()
            return _upright(_to_rgb(image), self._orientation)
        except Exception as error:
            raise UnreadablePhoto(self.name, _reason(error)) from error


def read_photo(path: Path) -> PhotoFile:
    """Read a file once: hash it, parse its header, and leave its pixels undecoded.

    Raises:
        UnreadablePhoto: the file cannot be read, is not an image, or is larger than the limits.

    """
    return parse_photo(_read_bytes(path), name=str(path))


def parse_photo(data: bytes, *, name: str) -> PhotoFile:
    """Do the same for bytes already in memory; `name` stands for the path in messages.

    Raises:
        UnreadablePhoto: the bytes are not an image, or declare more pixels than the limit.

    """
    if not data:
        raise UnreadablePhoto(name, "the file is empty")
    image = _opened(data, name)
    width, height = image.size
    try:
        exif = image.getexif()
        # Pillow turns a TIFF upright itself.
        orientation = 1 if image.format == "TIFF" else _orientation(exif)
    except Exception as error:
        raise UnreadablePhoto(name, _reason(error)) from error
    if orientation >= 5:
        width, height = height, width
    facts = PhotoFacts(
        format=image.format or "?",
        width=width,
        height=height,
        taken=_taken(exif),
        camera=_camera(exif),
        software=_text(exif.get(_SOFTWARE)),
        **_position(exif),
    )
    photo_hash = blake3(bytes([orientation]))
    for part in photo_hash_parts(data):
        photo_hash.update(part)
    return PhotoFile(blake3(data).digest(), photo_hash.digest(), facts, name, image, orientation)


def _opened(data: bytes, name: str) -> Image:
    formats: tuple[str, ...] = _FORMATS
    if data[4:8] == b"ftyp":
        _register_heif()
        formats = (*_FORMATS, "HEIF")
    try:
        image: Image = _pillow().open(io.BytesIO(data), formats=formats)
    except Exception as error:
        raise UnreadablePhoto(name, _reason(error)) from error
    width, height = image.size
    # Checked before anything else is asked of the image: Pillow decodes a whole PNG to find its EXIF.
    if width * height > MAX_PIXELS:
        raise UnreadablePhoto(
            name, f"it declares {width} x {height} pixels, more than the limit of {MAX_PIXELS}"
        )
    return image


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing but a file: a pipe that took its place must not hang anybody.

    Raises:
        UnreadablePhoto: it is not a regular file.
        OSError: it cannot be opened.

    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # `open` would not: it refuses a folder before it owns the descriptor
        raise UnreadablePhoto(path, "it is not a regular file")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, not a path


def _read_bytes(path: Path) -> bytes:
    try:
        with open_regular(path) as file:
            before = os.fstat(file.fileno())
            if before.st_size > MAX_FILE_BYTES:
                raise UnreadablePhoto(
                    path, f"it has {before.st_size} bytes, more than the limit of {MAX_FILE_BYTES}"
                )
            data = file.read(before.st_size + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise UnreadablePhoto(path, error.strerror or str(error), passing=True) from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or len(
        data
    ) != before.st_size:
        raise UnreadablePhoto(path, "it changed while it was read", passing=True)
    return data


@cache
def _pillow() -> ModuleType:
    from PIL import Image

    # The limit is checked in `parse_photo` for every file; Pillow's own is a process-wide warning.
    Image.MAX_IMAGE_PIXELS = None
    return Image


@cache
def _register_heif() -> None:
    """Teach Pillow HEIC and HEIF, when the first such file comes: the import takes longer than a search."""
    import pi_heif

    pi_heif.register_heif_opener()


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not an image in a format that is read here"
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    text = _printable(str(error)) or type(error).__name__
    if "truncated" in text.lower() or "broken data stream" in text.lower() or "Truncated" in text:
        return f"it is truncated ({text})"
    return f"its image data is damaged ({text})"


def _upright(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    method = {
        2: Transpose.FLIP_LEFT_RIGHT,
        3: Transpose.ROTATE_180,
        4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE,
        6: Transpose.ROTATE_270,
        7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image) -> Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scaled_to_8_bits(image).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        # Transparent pixels hold arbitrary colours; paper white is what a viewer shows there.
        layered = image.convert("RGBA")
        canvas = _pillow().new("RGB", layered.size, (255, 255, 255))
        canvas.paste(layered, mask=layered.getchannel("A"))
        return canvas  # type: ignore[no-any-return]
    return image.convert("RGB")


def _scaled_to_8_bits(image: Image) -> Image:
    """Bring 16-bit and float greys into 0..255; Pillow's own conversion clips them to white."""
    import numpy as np

    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16"):
        values = values / 257.0
    elif low < 0 or high > 255:
        values = (values - low) * (255.0 / ((high - low) or 1.0))
    elif image.mode == "F" and high <= 1:
        values = values * 255.0
    scaled: Image = _pillow().fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return scaled


def _orientation(exif: Exif) -> int:
    value = exif.get(_ORIENTATION)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable()).strip()[:200]


def _text(value: object) -> str | None:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return _printable(value.split("\0")[0]) or None if isinstance(value, str) else None


def _taken(exif: Exif) -> str | None:
    try:
        value = exif.get_ifd(_EXIF_IFD).get(_DATE_ORIGINAL) or exif.get(_DATE)
    except Exception:  # noqa: BLE001 - Pillow raises what it likes on a damaged EXIF block; the date is optional
        return None
    match = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", _text(value) or "")
    if match is None:
        return None
    year, month, day, hour, minute, second = map(int, match.groups())
    if not (
        year >= 1826 and 1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61
    ):
        return None
    return f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"


def _camera(exif: Exif) -> str | None:
    make, model = _text(exif.get(_MAKE)) or "", _text(exif.get(_MODEL)) or ""
    # Canon writes "Canon" and "Canon EOS R5"; people say the second.
    return (
        model if make and model.casefold().startswith(make.casefold()) else f"{make} {model}".strip() or None
    )


def _position(exif: Exif) -> dict[str, float | None]:
    nowhere: dict[str, float | None] = {"latitude": None, "longitude": None}
    try:
        gps = exif.get_ifd(_GPS_IFD)
        latitude = _degrees(gps[2], negative=_text(gps[1]) == "S")
        longitude = _degrees(gps[4], negative=_text(gps[3]) == "W")
    except Exception:  # noqa: BLE001 - as for the date: absent and damaged positions are the same to us
        return nowhere
    if not (abs(latitude) <= 90 and abs(longitude) <= 180) or (latitude == 0 and longitude == 0):
        return nowhere
    return {"latitude": latitude, "longitude": longitude}


def _degrees(parts: Iterable[SupportsFloat], *, negative: bool) -> float:
    degrees, minutes, seconds = (float(part) for part in parts)
    value = degrees + minutes / 60 + seconds / 3600
    return math.copysign(round(value, 7), -1.0 if negative else 1.0)
