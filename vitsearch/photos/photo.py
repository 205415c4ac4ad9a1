"""One file: its hashes, its facts, and its upright pixels at the size asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blake3 import blake3

from vitsearch.errors import UnreadablePhoto
from vitsearch.paths import state_of
from vitsearch.photos.colours import to_rgb
from vitsearch.photos.containers import take_apart
from vitsearch.photos.details import FileDetails, details_of, has_transparency, on_contrast
from vitsearch.photos.exif import read_exif
from vitsearch.photos.facts import facts_of, orientation_of, programs_of, read_notes, was_developed
from vitsearch.photos.formats import SIGNATURE_BYTES, Container, Decoder, format_named, format_of
from vitsearch.photos.iso_media import unusual_coding
from vitsearch.photos.opening import open_picture, signalled_colours
from vitsearch.photos.photo_hash import hashes_of
from vitsearch.photos.pictures import NotDecodable
from vitsearch.photos.regular_file import open_regular
from vitsearch.photos.sidecars import Beside, read_sidecars
from vitsearch.photos.tiff import holds_picture, holds_sensor_data
from vitsearch.photos.xmp import joined

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from vitsearch.photo_facts import PhotoFacts
    from vitsearch.photos.code_points import SignalledColours
    from vitsearch.photos.containers import Parts
    from vitsearch.photos.facts import Told
    from vitsearch.photos.formats import Format
    from vitsearch.photos.pictures import Picture
    from vitsearch.space import Colours

# Limits on what one file may cost. A 200-megapixel phone photo passes; a decompression bomb does not.
MAX_FILE_BYTES = 1 << 29
MAX_PIXELS = 256_000_000
_TRUNCATED = (
    "truncated", "broken data stream", "end of file", "premature", "no data", "not enough image data",
)  # fmt: skip
_NOT_SUPPORTED = (
    "unsupported", "not supported", "unknown", "not implemented", "not been built in", "primary item", "security limit",
    "cannot handle",
)  # fmt: skip
_NOT_THIS_KIND = "it is of a kind that is not supported"
_NO_IMAGE = "it is not an image in a format that is read here"


@dataclass(frozen=True, slots=True)
class PhotoFile:
    """A file that was read and whose header was understood; `pixels` decodes it, once.

    `file_hash` is the 32-byte BLAKE3 of the whole file, `photo_hash` that of its image data and orientation alone:
    an edit of metadata changes the first and not the second. `earlier_hash` is what libraries made before call the same
    photo where that is something else. `remarks` say which notes beside the picture could not be read, and
    that a high dynamic range is not kept. `state` is the size and time that the file had when it was read, None for
    bytes from elsewhere.
    """

    file_hash: bytes
    photo_hash: bytes
    facts: PhotoFacts
    name: str
    _picture: Picture
    _orientation: int
    _data: bytes
    earlier_hash: bytes | None = None
    remarks: tuple[str, ...] = ()
    _signalled: SignalledColours | None = None
    state: tuple[int, int] | None = None
    _programs: tuple[str, ...] = ()
    _developed: bool = False

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """The hashes by which libraries may know the photo, the present one first."""
        return (self.photo_hash,) if self.earlier_hash is None else (self.photo_hash, self.earlier_hash)

    def pixels(
        self, *, min_side: int | None = None, colours: Colours = "sRGB", as_drawing: bool = False
    ) -> Image:
        """Decode into an upright RGB image, in sRGB or in the colours as they are stored.

        With `min_side`, a JPEG is decoded at the smallest of its 1/1, 1/2, 1/4 and 1/8 scales whose shorter side
        is still at least that long: several times faster, and the later resize sees no difference. Transparency is
        laid on white; with `as_drawing` on black where what is drawn is light, so that it is seen.

        Raises:
            UnreadablePhoto: the image data is truncated or damaged.

        """
        try:
            image = self._picture.decode(min_side, first_frame=colours == "stored" or as_drawing)
            if as_drawing and has_transparency(image):
                return _upright(on_contrast(image.convert("RGBA")), self._orientation)
            return _upright(
                to_rgb(image, colours, least=min_side, signalled=self._signalled), self._orientation
            )
        except Exception as error:
            raise UnreadablePhoto(self.name, _reason(error)) from error

    def details(self, *, with_pixels: bool = False) -> FileDetails:
        """Say what the file holds beside those pixels; `with_pixels`: with a digest of all that it shows.

        Raises:
            UnreadablePhoto: the image data is truncated or damaged.

        """
        try:
            found = details_of(
                self._picture.undecoded(),
                self._data,
                with_pixels=with_pixels,
                upright=lambda image: _upright(image, self._orientation),
                signalled=self._signalled,
            )
        except Exception as error:
            raise UnreadablePhoto(self.name, _reason(error)) from error
        return replace(found, programs=self._programs, developed=self._developed)


def read_photo(path: Path, *, with_sidecars: bool = True) -> PhotoFile:
    """Read a file once: hash it, parse its header and the notes beside it, and leave its pixels undecoded.

    Looking for sidecars takes a part of a millisecond: leave it out where there are none, or facts do not matter.

    Raises:
        UnreadablePhoto: the file cannot be read, is not an image, or is larger than the limits.

    """
    data, state = _read_bytes(path)
    beside = read_sidecars(path) if with_sidecars else Beside()
    return replace(parse_photo(data, name=str(path), beside=beside), state=state)


def parse_photo(data: bytes, *, name: str, beside: Beside | None = None) -> PhotoFile:
    """Do the same for bytes already in memory; `name` stands for the path in messages, `beside` for its sidecars.

    Raises:
        UnreadablePhoto: the bytes are not an image, or declare more pixels than the limit.

    """
    format_ = _format(data, name)
    try:
        picture = open_picture(data, format_)
    except Exception as error:
        raise UnreadablePhoto(name, _why_not_opened(error, data, format_)) from error
    width, height = picture.size
    if width * height > MAX_PIXELS:
        raise UnreadablePhoto(
            name, f"it declares {width} x {height} pixels, more than the limit of {MAX_PIXELS}"
        )
    parts = take_apart(data, format_.container)
    beside = beside or Beside()
    told = _told(data, parts, format_, picture)._replace(
        beside=joined(beside.packets), takeout=beside.takeout
    )
    orientation = picture.orientation or orientation_of(told)
    if orientation >= 5:
        width, height = height, width
    facts = facts_of(told, format_name=picture.format, width=width, height=height, name=name)
    photo_hash, earlier = hashes_of(data, parts, format_, orientation)
    signalled = signalled_colours(data, format_, picture)
    remarks = (*told.remarks, *beside.remarks)
    if told.beside.is_cut:
        remarks = (*remarks, "the XMP beside it is damaged, and what stands behind the damage was left out")
    if signalled is not None and signalled.hdr:
        remarks = (*remarks, f"high dynamic range ({signalled.hdr}): shown in the range of ordinary photos")
    return PhotoFile(
        blake3(data).digest(),
        photo_hash,
        facts,
        name,
        picture,
        orientation,
        data,
        earlier,
        remarks,
        signalled,
        _programs=programs_of(told),
        _developed=was_developed(told),
    )


def _format(data: bytes, name: str) -> Format:
    if not data:
        raise UnreadablePhoto(name, "the file is empty")
    known = format_of(data[:256], name)
    if known is None:
        raise UnreadablePhoto(name, _NO_IMAGE)
    dng = format_named("DNG")
    if known.name == "TIFF" and dng is not None and holds_sensor_data(data):
        return dng
    return known


def _told(data: bytes, parts: Parts, format_: Format, picture: Picture) -> Told:
    told = read_notes(parts.notes)
    if format_.decoder is Decoder.RAW:
        from vitsearch.photos.raw import raw_tags

        return told._replace(exif=raw_tags(data, getattr(picture, "preview_exif", None)))
    if format_.container is Container.TIFF:
        try:
            return told._replace(exif=read_exif(memoryview(data)))
        except ValueError:
            return told
    return told


def _read_bytes(path: Path) -> tuple[bytes, tuple[int, int]]:
    """Return what a file holds, and the state in which it held that."""
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
    return data, state_of(before)


def _why_not_opened(error: Exception, data: bytes, format_: Format) -> str:
    """Say why a decoder did not take a file that begins as one of its format does."""
    reason = _reason(error, part="header")
    if isinstance(error, NotDecodable) or len(data) < SIGNATURE_BYTES:
        return reason
    if format_.container is Container.ITEMS:
        # Its boxes are an image's: no decoder of pi-heif's takes what is in them.
        reason = _NOT_THIS_KIND if reason == _NO_IMAGE else reason
        coding = unusual_coding(data) if reason == _NOT_THIS_KIND else None
        return f"{reason} (its image is {coding})" if coding else reason
    if format_.container is Container.TIFF and not holds_picture(data):
        return _NO_IMAGE
    return "its header is damaged" if reason == _NO_IMAGE else reason


def _reason(error: Exception, *, part: str = "image data") -> str:
    """Say for people why a decoder gave up: what it says itself is for programmers."""
    if isinstance(error, NotDecodable):
        return str(error)
    if isinstance(error, MemoryError):
        return "it needs more memory than there is"
    text = str(error).lower()
    if "not identified" in text:
        return _NO_IMAGE
    if any(word in text for word in _TRUNCATED):
        return "it is truncated (its image data ends early)"
    if any(word in text for word in _NOT_SUPPORTED):
        detail = " (its compression is none that is known here)" if "compression" in text else ""
        return f"{_NOT_THIS_KIND}{detail}"
    return f"its {part} is damaged"


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
