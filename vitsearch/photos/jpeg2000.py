"""JPEG 2000 (ISO/IEC 15444-1): deep colours, whose white Pillow turns to black, and ICC profiles, which it passes over.

Pillow decodes what has 8 bits a channel and grey of up to 16, OpenCV colours of more than 8.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from vitsearch.photos.formats import format_named
from vitsearch.photos.iso_media import boxes
from vitsearch.photos.opencv import stored_values
from vitsearch.photos.pictures import NotDecodable, PillowPicture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from PIL.Image import Image

# Two markers: start of the codestream, and size of the image (section A.5.1).
_CODESTREAM = b"\xff\x4f\xff\x51"
_COUNT_AT, _CHANNELS_AT, _CHANNEL = 40, 42, 3
_SIGNED = 0x80
_EIGHT = 8
_BOXED, _BRAND_AT = b"\0\0\0\x0c", 20
_OTHER_BRANDS = {b"mjp2": "a film in JPEG 2000", b"jpm ": "pages of JPEG 2000 in layers"}
# A colour box (section I.5.3.3) with a profile, restricted or of any kind, behind three bytes.
_WITH_PROFILE, _PROFILE_AT = (2, 3), 3
_PALETTE_DEPTHS_AT = 3
# Where OpenCV puts the channels of what Pillow calls so; of grey with transparency it knows nothing.
_OPENCV_ORDER = {"L": [0], "RGB": [2, 1, 0], "RGBA": [2, 1, 0, 3], "CMYK": [2, 1, 0, 3]}
_NOT_SUPPORTED = "it is a JPEG 2000 file with channels of a kind that is not supported"


class Jpeg2000Picture:
    """One JPEG 2000 file, or the bare codestream of one."""

    format = "JPEG2000"
    orientation: int | None = 1

    def __init__(self, data: bytes) -> None:
        format_ = format_named("JPEG2000")
        assert format_ is not None
        brand = data[_BRAND_AT : _BRAND_AT + 4] if data[:4] == _BOXED else b""
        if brand in _OTHER_BRANDS:
            raise NotDecodable(f"it is of a kind that is not supported ({_OTHER_BRANDS[brand]})")
        self._data = data
        self._picture = PillowPicture(data, format_)
        self.size: tuple[int, int] = self._picture.size
        self._depth = _depth(data)
        self._profile, has_deep_palette = _header(data)
        if has_deep_palette:
            raise NotDecodable(_NOT_SUPPORTED)

    def undecoded(self) -> Image:
        """The image as Pillow has opened it."""
        return self._picture.undecoded()

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:
        """Decode in full, in 8 bits a channel, or 16 of grey."""
        # Pillow's decoder also where its colours are wrong: OpenCV does not say that image data ends early.
        image = self._picture.decode(min_side, first_frame=first_frame)
        if self._depth > _EIGHT and image.mode != "I;16":
            image = self._deep(image.mode)
        if self._profile:
            image.info["icc_profile"] = self._profile
        return image

    def _deep(self, mode: str) -> Image:
        import numpy as np
        from PIL.Image import frombytes

        order = _OPENCV_ORDER.get(mode)
        values = stored_values(self._data) if order else None
        if values is None or values.dtype != np.uint16 or values.size != self._numbers(order):
            raise NotDecodable(_NOT_SUPPORTED)
        stored = values.reshape(self.size[1], self.size[0], -1)[..., order]
        shown = np.rint(stored * np.float32(255 / ((1 << self._depth) - 1))).clip(0, 255).astype(np.uint8)
        return frombytes(mode, self.size, shown.tobytes())

    def _numbers(self, order: list[int] | None) -> int:
        return len(order or ()) * self.size[0] * self.size[1]


def _depth(data: bytes) -> int:
    """Bits of the deepest channel; 8 where none is said, or signed numbers are."""
    at = data.find(_CODESTREAM)
    count = int.from_bytes(data[at + _COUNT_AT : at + _CHANNELS_AT], "big") if at >= 0 else 0
    depths = data[at + _CHANNELS_AT : at + _CHANNELS_AT + _CHANNEL * count : _CHANNEL]
    return max((depth + 1 for depth in depths if depth < _SIGNED), default=_EIGHT)


def _header(data: bytes) -> tuple[bytes | None, bool]:
    """Return a file's colour profile, if it has one, and whether its palette has more than 8 bits."""
    profile, has_deep_palette = None, False
    for name, body in _header_boxes(memoryview(data)):
        if name == b"colr" and body[0] in _WITH_PROFILE:
            profile = profile or bytes(body[_PROFILE_AT:])
        elif name == b"pclr":
            has_deep_palette = any(depth >= _EIGHT for depth in body[_PALETTE_DEPTHS_AT:][: body[2]])
    return profile, has_deep_palette


def _header_boxes(view: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    if bytes(view[: len(_CODESTREAM)]) == _CODESTREAM:
        return
    with suppress(ValueError):  # what follows the header may be cut off: the decoder says so
        for name, start, end in boxes(view, 0, len(view)):
            if name == b"jp2h":
                for kind, at, stop in boxes(view, start, end):
                    if stop > at + _PROFILE_AT:
                        yield kind, view[at:stop]
                return
