"""Photoshop files (Adobe, "Photoshop File Formats Specification"): the flattened picture.

Pillow has only 8 bits a channel, takes masks for transparency, and knows no large documents (PSB); palettes are left to
it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.photos.containers import photoshop_profile
from vitsearch.photos.pictures import NotDecodable

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Image

_HEAD = 26
_LARGE = 2
# Mode in the file: the mode here, and how many channels the picture has; others behind them are masks.
_MODES = {0: ("L", 1), 1: ("L", 1), 3: ("RGB", 3), 4: ("CMYK", 4), 7: ("L", 1), 8: ("L", 1), 9: ("LAB", 3)}
_RAW, _PACKED = 0, 1


def has_palette(data: bytes) -> bool:
    """Whether the picture of a Photoshop file has a palette."""
    return data[24:26] == b"\0\2"


class PsdPicture:
    """The flattened picture of a Photoshop file."""

    format = "PSD"
    orientation: int | None = None

    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._is_large = self._number(4, 2) == _LARGE
        self._channels, self._depth, mode = (self._number(place, 2) for place in (12, 22, 24))
        self.size: tuple[int, int] = (self._number(18, 4), self._number(14, 4))
        if self._depth not in (1, 8, 16, 32) or mode not in _MODES or not all(self.size):
            raise NotDecodable("it is a Photoshop file of a kind that is not supported")
        self._row = (self.size[0] * self._depth + 7) // 8
        self._mode, self._used = _MODES[mode]
        # Three sections with their lengths lie between the header and the picture: colours, resources, layers.
        at = _HEAD
        for wide in (4, 4, 8 if self._is_large else 4):
            at += wide + self._number(at, wide)
        self._at = at

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._data[at : at + size], "big")

    def undecoded(self) -> Image:
        """The image, decoded: its file says nothing of frames that Pillow would understand."""
        return self.decode(None, first_frame=True)

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:  # noqa: ARG002 - all of it at once
        """Decode in full, in 8 bits a channel."""
        import numpy as np
        from PIL import Image

        bands = [self._in_8_bits(channel) for channel in self._stored()]
        if self._mode == "CMYK":  # stored as how much paper is left
            bands = [255 - band for band in bands]
        elif self._mode == "LAB":  # Pillow takes numbers with a sign, as TIFF has them
            sign = np.uint8(128)
            bands = [bands[0], bands[1] ^ sign, bands[2] ^ sign]
        pixels = np.ascontiguousarray(np.dstack(bands) if len(bands) > 1 else bands[0])
        image = Image.frombytes(self._mode, self.size, pixels.tobytes())
        profile = photoshop_profile(self._data) if self._depth < 32 else None
        if profile:
            image.info["icc_profile"] = profile
        return image

    def _stored(self) -> list[bytes]:
        """Return the bytes of the channels that are shown, one after the other."""
        size = self._row * self.size[1]
        if self._at + 2 > len(self._data) or self._channels < self._used:
            raise NotDecodable("it is truncated (its flattened picture is missing)")
        compression = int.from_bytes(self._data[self._at : self._at + 2], "big")
        body = self._data[self._at + 2 :]
        if compression == _RAW:
            stored = [bytes(body[number * size : (number + 1) * size]) for number in range(self._used)]
        elif compression == _PACKED:
            stored = self._unpacked(body)
        else:
            raise NotDecodable("it is a Photoshop file with a compression that is not supported")
        if any(len(channel) != size for channel in stored):
            raise NotDecodable("it is truncated (its flattened picture is not all there)")
        return stored

    def _unpacked(self, body: memoryview) -> list[bytes]:
        """Unpack rows, whose lengths stand before them, for all channels."""
        from PIL import Image

        height = self.size[1]
        wide = 4 if self._is_large else 2
        at = wide * height * self._channels
        if at > len(body):
            return [b""]
        stored = []
        for number in range(self._used):
            counts = body[wide * height * number : wide * height * (number + 1)]
            end = at + sum(
                int.from_bytes(counts[place : place + wide], "big") for place in range(0, len(counts), wide)
            )
            if end > len(body):
                return [b""]
            stored.append(
                Image.frombytes("L", (self._row, height), bytes(body[at:end]), "packbits", "L").tobytes()
            )
            at = end
        return stored

    def _in_8_bits(self, channel: bytes) -> npt.NDArray[np.uint8]:
        import numpy as np

        shape = self.size[::-1]
        if self._depth == 1:  # set bits are black
            bits = np.unpackbits(np.frombuffer(channel, np.uint8).reshape(shape[0], -1), axis=1)
            return np.where(bits[:, : shape[1]], 0, 255).astype(np.uint8)
        if self._depth == 8:
            return np.frombuffer(channel, np.uint8).reshape(shape)
        if self._depth == 16:
            return (np.frombuffer(channel, ">u2") >> 8).astype(np.uint8).reshape(shape)
        # Light as it is, 1 for white.
        light = np.nan_to_num(np.frombuffer(channel, ">f4").astype(np.float32)).clip(0, 1).reshape(shape)
        value = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        numbers: npt.NDArray[np.uint8] = np.rint(value * 255).astype(np.uint8)
        return numbers
