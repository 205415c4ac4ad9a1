"""JPEG XL (ISO/IEC 18181): what its header says, and its pixels as all other formats have them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitsearch.photos.containers import take_apart
from vitsearch.photos.formats import Container
from vitsearch.photos.pictures import NotDecodable

if TYPE_CHECKING:
    from PIL.Image import Image

# More than any header but that of a picture with many named channels.
_HEADER_BYTES = 512
_GREY, _XYB = 1, 2
_OWN = 2
_ALPHA, _SPOT_COLOUR, _MOSAIC = 0, 2, 5
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}


class JpegXlPicture:
    """A JPEG XL file: its size from the header, its pixels, upright, from libjxl."""

    format = "JXL"
    orientation: int | None = 1

    def __init__(self, data: bytes) -> None:
        self._data = data
        stream = b"".join(take_apart(data, Container.BOXES).image)
        if stream[:2] != b"\xff\x0a":
            raise NotDecodable("it is truncated (its image data is missing)")
        bits = _Bits(stream[2 : 2 + _HEADER_BYTES])
        width, height = _size(bits)
        header = _metadata(bits)
        orientation, self.code_points = header.orientation, header.code_points
        self._header = header
        self.size = (height, width) if orientation >= 5 else (width, height)

    def undecoded(self) -> Image:
        """The image, decoded: its file says nothing of frames and depth that Pillow would understand."""
        return self.decode(None, first_frame=True)

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:  # noqa: ARG002 - all of it at once
        """Decode in full."""
        import numpy as np
        from PIL import Image

        from vitsearch.photos.libjxl import decoded, profile_of_pixels

        try:
            pixels: Any = decoded(self._data)
        except ImportError:
            raise NotDecodable(
                "JPEG XL needs the package imagecodecs: install it with `pip install 'vitsearch[jxl]'`, then index "
                "with --retry"
            ) from None
        if pixels.ndim == 4:  # an animation
            pixels = pixels[0]
        if pixels.dtype in (np.uint8, np.uint16):
            # Whole numbers come as deep as they are stored: 10 bits in 16, for example.
            full = (1 << self._header.depth) - 1 if self._header.depth else np.iinfo(pixels.dtype).max
            if full != 255:
                pixels = ((pixels.clip(max=full) * np.uint32(255) + full // 2) // full).astype(np.uint8)
        else:
            pixels = (np.nan_to_num(pixels.astype(np.float32)).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[..., 0]
        image = Image.fromarray(np.ascontiguousarray(pixels))
        if image.mode == "RGBA" and self._header.is_premultiplied:
            image = Image.frombytes("RGBa", image.size, image.tobytes()).convert("RGBA")
        if self._header.has_profile:
            profile = profile_of_pixels(self._data)
            if profile is not None:
                image.info["icc_profile"] = profile
        return image


class _Bits:
    """Bits of a codestream, the lowest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._number = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        if count > self._left:
            raise NotDecodable("it is truncated (its header ends early)")
        self._left -= count
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        return value

    def number(self, *choices: tuple[int, int]) -> int:
        """Read a number whose first two bits say how many more it has, and what is added to them."""
        count, offset = choices[self.take(2)]
        return self.take(count) + offset

    def enum(self) -> int:
        return self.number((0, 0), (0, 1), (4, 2), (6, 18))


def _size(bits: _Bits) -> tuple[int, int]:
    """Read the stored width and height (18181-1, annex D.2)."""
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1

    height = side()
    ratio = bits.take(3)
    above, below = _RATIOS.get(ratio, (0, 1))
    width = height * above // below if ratio else side()
    return width, height


@dataclass(slots=True)
class _Header:
    """The orientation as in EXIF, bits a number (0 where they are unknown), and what the colours follow.

    `code_points` are None where they are sRGB's.
    """

    orientation: int = 1
    depth: int = 0
    is_premultiplied: bool = False
    has_profile: bool = False
    code_points: tuple[int, int] | None = None


def _metadata(bits: _Bits) -> _Header:
    """Read the header behind the size (annex D.3).

    What makes no sense ends the reading: libjxl will say what is wrong.
    """
    header = _Header()
    if bits.take(1):
        header.depth = 8
        return header
    with suppress(NotDecodable):
        if bits.take(1):
            header.orientation = bits.take(3) + 1
            if bits.take(1):
                _size(bits)
            if bits.take(1):
                _preview(bits)
            if bits.take(1):
                _animation(bits)
        header.depth = _depth(bits)
        bits.take(1)
        for _ in range(bits.number((0, 0), (0, 1), (4, 2), (12, 1))):
            header.is_premultiplied |= _extra_channel(bits)
        bits.take(1)
        header.has_profile, header.code_points = _colours(bits)
    return header


def _preview(bits: _Bits) -> None:
    is_small = bits.take(1)

    def side() -> None:
        if is_small:
            bits.number((0, 16), (0, 32), (5, 1), (9, 33))
        else:
            bits.number((6, 1), (8, 65), (10, 321), (12, 1345))

    side()
    if not bits.take(3):
        side()


def _animation(bits: _Bits) -> None:
    bits.number((0, 100), (0, 1000), (10, 1), (30, 1))
    bits.number((0, 1), (0, 1001), (8, 1), (10, 1))
    bits.number((0, 0), (3, 0), (16, 0), (32, 0))
    bits.take(1)


def _depth(bits: _Bits) -> int:
    """Read how many bits a whole number has; 0 for floating ones."""
    if bits.take(1):
        bits.number((0, 32), (0, 16), (0, 24), (6, 1))
        bits.take(4)
        return 0
    return bits.number((0, 8), (0, 10), (0, 12), (6, 1))


def _extra_channel(bits: _Bits) -> bool:
    """Read past a channel; whether the colours are multiplied by it."""
    if bits.take(1):
        return False
    kind = bits.enum()
    _depth(bits)
    bits.number((0, 0), (0, 3), (0, 4), (3, 1))
    for _ in range(bits.number((0, 0), (4, 0), (5, 16), (10, 48))):
        bits.take(8)
    if kind == _ALPHA:
        return bool(bits.take(1))
    if kind == _SPOT_COLOUR:
        bits.take(64)
    elif kind == _MOSAIC:
        bits.number((0, 1), (2, 0), (4, 3), (8, 19))
    return False


def _colours(bits: _Bits) -> tuple[bool, tuple[int, int] | None]:
    """Whether there is an ICC profile, or the code points where they are not sRGB's."""
    if bits.take(1):  # all as usual
        return False, None
    if bits.take(1):
        return True, None
    space = bits.enum()
    if space == _XYB or (space != _GREY and space):
        return False, None
    white = bits.enum()
    if white == _OWN:
        _points(bits, 1)
    primaries = 1
    if space != _GREY:
        primaries = bits.enum()
        if primaries == _OWN:
            _points(bits, 3)
    if bits.take(1):
        return False, (primaries, _gamma(bits.take(24)))
    return False, (primaries, bits.enum())


def _points(bits: _Bits, count: int) -> None:
    for _ in range(2 * count):
        bits.number((19, 0), (19, 1 << 19), (20, 1 << 20), (21, 1 << 21))


def _gamma(exponent: int) -> int:
    """Code points know gammas of 1, 2.2 and 2.8; others are taken for sRGB's curve."""
    gamma = 10_000_000 / (exponent or 1)
    return next((code for code, known in ((8, 1.0), (4, 2.2), (5, 2.8)) if abs(gamma - known) < 0.05), 13)
