"""Raw files of cameras: their full-size preview where they have one, a half-size development by LibRaw otherwise."""

from __future__ import annotations

import io
import os
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vitsearch.photos.containers import take_apart
from vitsearch.photos.exif import ExifTags, read_exif
from vitsearch.photos.facts import merged
from vitsearch.photos.formats import Container, format_named
from vitsearch.photos.pictures import NotDecodable, PillowPicture
from vitsearch.photos.tiff import sensor_data_ends_early

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

    from vitsearch.photos.formats import Format

# A preview that lacks no more than a margin shows all that the sensor saw.
_FULL_SIZE = 0.9
_SOFTWARE = 305
_TRUNCATED = "it is truncated (what the sensor saw is not all there)"
_NOT_SUPPORTED = "this camera's raw format is not supported by LibRaw"
_FUJIFILM, _FUJIFILM_SENSOR = b"FUJIFILMCCD-RAW", (100, 104)
_STANDARD_ERROR = 2
_ENDS_EARLY, _MOST_WORDS = b"end of file", 1 << 16
# LibRaw's `flip` and the EXIF orientation that turns the same way.
_ORIENTATION = {0: 1, 3: 3, 5: 8, 6: 6}


class RawPicture:
    """One raw file; `size` and the pixels are the preview's where there is a good one."""

    def __init__(self, data: bytes, format_: Format) -> None:
        import rawpy

        self.format = format_.name
        try:
            self._raw: Any = rawpy.imread(io.BytesIO(data))
        except rawpy.LibRawError as error:
            raise NotDecodable(_TRUNCATED if _ends_early(data) else _damage(error)) from None
        self._ends_early = _ends_early(data)
        sizes = self._raw.sizes
        self.size = _in_square_pixels(sizes.width, sizes.height, sizes.pixel_aspect)
        self.orientation: int | None = _ORIENTATION.get(sizes.flip, 1)
        self._preview = self._full_preview()
        self.preview_exif = ExifTags()
        if self._preview is not None:
            self._follow(self._preview)

    def _full_preview(self) -> bytes | None:
        import rawpy

        try:
            thumb = self._raw.extract_thumb()
        except rawpy.LibRawError:
            return None
        return bytes(thumb.data) if thumb.format == rawpy.ThumbFormat.JPEG else None

    def _follow(self, preview: bytes) -> None:
        jpeg = format_named("JPEG")
        assert jpeg is not None
        try:
            picture = PillowPicture(preview, jpeg)
            exif = take_apart(preview, jpeg.container).notes.exif
            self.preview_exif = read_exif(exif) if exif else ExifTags()
        except Exception:  # noqa: BLE001 - a damaged preview is as good as none
            self._preview = None
            return
        width, height = picture.size
        if min(width, height) < _FULL_SIZE * min(self.size) or max(width, height) < _FULL_SIZE * max(
            self.size
        ):
            self._preview = None
            return
        self._picture = picture
        # Some cameras turn their previews, most only say how they lie.
        is_turned = (width > height) != (self.size[0] > self.size[1]) and self.size[0] != self.size[1]
        if is_turned:
            self.orientation = 1
        self.size = picture.size

    def undecoded(self) -> Image:
        """The image, decoded: its file says nothing of frames and depth that Pillow would understand."""
        return self.decode(None, first_frame=True)

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:
        """Decode the preview, or develop the sensor's data, for `min_side` at half its size."""
        if self._preview is not None:
            return self._picture.decode(min_side, first_frame=first_frame)
        import rawpy
        from PIL import Image

        if self._ends_early:
            raise NotDecodable(_TRUNCATED)
        is_half = min_side is not None and min(self.size) // 2 >= min_side
        try:
            with _listening() as said:
                pixels = self._raw.postprocess(
                    half_size=is_half, use_camera_wb=True, user_flip=0, output_bps=8
                )
        except rawpy.LibRawDataError:
            raise NotDecodable(_TRUNCATED) from None
        except rawpy.LibRawError as error:
            raise NotDecodable(_damage(error)) from None
        if any(_ENDS_EARLY in words for words in said):
            raise NotDecodable(_TRUNCATED)
        return Image.fromarray(pixels)


def _ends_early(data: bytes) -> bool:
    """Whether what the sensor saw is not all there, by the places that the file names."""
    if not data.startswith(_FUJIFILM):
        return sensor_data_ends_early(data)
    at, length = (int.from_bytes(data[place : place + 4], "big") for place in _FUJIFILM_SENSOR)
    return len(data) < _FUJIFILM_SENSOR[1] + 4 or at + length - len(data) > length // 100


def _in_square_pixels(width: int, height: int, aspect: float) -> tuple[int, int]:
    """The size of what LibRaw develops: it stretches what a few sensors see in oblong pixels."""
    return (width, int(height / aspect + 0.5)) if aspect < 1 else (int(width * aspect + 0.5), height)


@contextmanager
def _listening() -> Iterator[list[bytes]]:
    """Yield a list that holds, after the block, what was written to standard error.

    Where data is missing LibRaw goes on with black or noise, and says so there and nowhere else.
    """
    import tempfile

    said: list[bytes] = []
    try:
        before = os.dup(_STANDARD_ERROR)
    except OSError:  # a program without one
        yield said
        return
    with tempfile.TemporaryFile() as heard:
        os.dup2(heard.fileno(), _STANDARD_ERROR)
        try:
            yield said
        finally:
            os.dup2(before, _STANDARD_ERROR)
            os.close(before)
            heard.seek(0)
            said.append(heard.read(_MOST_WORDS))


def _damage(error: Exception) -> str:
    """What LibRaw calls an input error is data that is not there: it reads from memory."""
    text = str(error.args[0] if error.args else "").lower()
    if "input/output" in text:
        return _TRUNCATED
    return _NOT_SUPPORTED if "unsupported" in text or "not supported" in text else "its image data is damaged"


def raw_tags(data: bytes, preview: ExifTags | None) -> ExifTags:
    """Return the tags of a raw file from wherever its maker keeps them, and at last those of its preview."""
    told = merged(ExifTags(), [*_blocks(data), preview or ExifTags()])
    if str(told.image.get(_SOFTWARE)).startswith("dcraw"):  # LibRaw's own word, in a preview that has no EXIF
        return replace(told, image={tag: value for tag, value in told.image.items() if tag != _SOFTWARE})
    return told


def _blocks(data: bytes) -> Iterator[ExifTags]:
    if data[4:8] == b"ftyp":
        yield from _canon_blocks(memoryview(data))
        return
    with suppress(ValueError, IndexError):
        yield read_exif(_block(memoryview(data)))


def _block(view: memoryview) -> memoryview | bytes:
    """Where the EXIF of a raw file is that is built like none of the others."""
    if bytes(view[: len(_FUJIFILM)]) == _FUJIFILM:  # its preview's, before LibRaw has touched that
        start, length = (int.from_bytes(view[at : at + 4], "big") for at in (84, 88))
        return take_apart(bytes(view[start : start + length]), Container.JPEG).notes.exif or b""
    if bytes(view[:4]) == b"\0MRM":  # Minolta: a block "TTW", behind others
        at = 8
        while bytes(view[at : at + 4]) != b"\0TTW":
            at += 8 + int.from_bytes(view[at + 4 : at + 8], "big")
            if at >= len(view):
                raise ValueError("no EXIF block")
        return view[at + 8 :]
    return view


def _canon_blocks(view: memoryview) -> Iterator[ExifTags]:
    """A CR3's tags: boxes CMT1 (image), CMT2 (shot) and CMT4 (position), each a TIFF block of its own."""
    from vitsearch.photos.iso_media import boxes

    try:
        for name, start, end in boxes(view, 0, len(view)):
            if name != b"moov":
                continue
            for kind, inner, last in boxes(view, start, end):
                if kind != b"uuid":
                    continue
                for block, at, stop in boxes(view, inner + 16, last):
                    if block in (b"CMT1", b"CMT2", b"CMT4"):
                        tags = read_exif(view[at:stop]).image
                        yield ExifTags(
                            tags if block == b"CMT1" else {},
                            tags if block == b"CMT2" else {},
                            tags if block == b"CMT4" else {},
                        )
    except ValueError:
        return
