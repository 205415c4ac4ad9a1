"""JPEG XL (ISO/IEC 18181), decoded by libjxl through imagecodecs, which is an extra of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.photos.containers import take_apart
from vitsearch.photos.formats import Container
from vitsearch.photos.pictures import NotDecodable

if TYPE_CHECKING:
    from PIL.Image import Image

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
        width, height, is_turned = _size(stream)
        self.size = (height, width) if is_turned else (width, height)

    def undecoded(self) -> Image:
        """The image, decoded: its file says nothing of frames and depth that Pillow would understand."""
        return self.decode(None, first_frame=True)

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:  # noqa: ARG002 - all of it at once
        """Decode in full."""
        try:
            import imagecodecs
        except ImportError:
            raise NotDecodable(
                "JPEG XL needs the package imagecodecs: install it with `pip install 'vitsearch[jxl]'`, then index "
                "with --retry"
            ) from None
        import numpy as np
        from PIL import Image

        pixels = imagecodecs.jpegxl_decode(self._data, numthreads=1)
        if pixels.ndim == 4:  # an animation
            pixels = pixels[0]
        if pixels.dtype == np.uint16:
            pixels = (pixels >> 8).astype(np.uint8)
        elif pixels.dtype != np.uint8:
            pixels = (np.nan_to_num(pixels.astype(np.float32)).clip(0, 1) * 255 + 0.5).astype(np.uint8)
        if pixels.ndim == 3 and pixels.shape[2] == 1:
            pixels = pixels[..., 0]
        return Image.fromarray(np.ascontiguousarray(pixels))


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


def _size(stream: bytes) -> tuple[int, int, bool]:
    """Return the stored width and height, and whether the picture lies on its side (18181-1, annex D)."""
    bits = _Bits(stream[2:34])
    is_small = bits.take(1)

    def side() -> int:
        return 8 * (bits.take(5) + 1) if is_small else bits.take((9, 13, 18, 30)[bits.take(2)]) + 1

    height = side()
    ratio = bits.take(3)
    above, below = _RATIOS.get(ratio, (0, 1))
    width = height * above // below if ratio else side()
    is_default = bits.take(1)
    is_turned = not is_default and bool(bits.take(1)) and bits.take(3) >= 4
    return width, height, is_turned
