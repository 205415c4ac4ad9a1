"""TIFF files of colours in floats: light as it is, 1 for white, as programs for high dynamic range write it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.photos.opencv import stored_values
from vitsearch.photos.pictures import NotDecodable
from vitsearch.photos.tiff import Tiff

if TYPE_CHECKING:
    from PIL.Image import Image

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT = 256, 257, 258, 262, 277, 339
_ASKED, _MOST_VALUES = {_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _FORMAT}, 16
_RGB, _FLOAT, _DEPTH = 2, 3, 32
_MODES = {3: "RGB", 4: "RGBA"}
_DAMAGED = "its image data is damaged"


class LightTiffPicture:
    """The first page of such a file."""

    format = "TIFF"
    orientation: int | None = None

    def __init__(self, data: bytes, size: tuple[int, int], channels: int) -> None:
        self._data = data
        self.size = size
        self._channels = channels

    def undecoded(self) -> Image:
        """The image, decoded: Pillow understands nothing of such a file."""
        return self.decode(None, first_frame=True)

    def decode(self, min_side: int | None, *, first_frame: bool) -> Image:  # noqa: ARG002 - all of it at once
        """Decode in full, in 8 bits a channel."""
        import numpy as np
        from PIL.Image import frombytes

        values = stored_values(self._data)
        if values is None or values.dtype != np.float32 or values.shape != (*self.size[::-1], self._channels):
            raise NotDecodable(_DAMAGED)
        light = np.nan_to_num(values[..., [2, 1, 0, 3][: self._channels]]).clip(0, 1)
        colours = light[..., :3]
        colours[...] = np.where(colours <= 0.0031308, 12.92 * colours, 1.055 * colours ** (1 / 2.4) - 0.055)
        return frombytes(_MODES[self._channels], self.size, np.rint(light * 255).astype(np.uint8).tobytes())


def light_tiff(data: bytes) -> LightTiffPicture | None:
    """Return the picture of a TIFF file whose first page has colours in floats of 32 bits, or None."""
    try:
        tiff = Tiff(memoryview(data))
        # Others may be large: the layers of an editor, a profile.
        tags = {
            entry.tag: tiff.values(entry)
            for entry in tiff.first_directory()
            if entry.tag in _ASKED and entry.amount <= _MOST_VALUES
        }
        channels = tags[_SAMPLES][0]
        is_light = tags[_PHOTOMETRIC] == [_RGB] and channels in _MODES
        if not is_light or set(tags[_BITS]) != {_DEPTH} or set(tags[_FORMAT]) != {_FLOAT}:
            return None
        return LightTiffPicture(data, (tags[_WIDTH][0], tags[_HEIGHT][0]), channels)
    except (ValueError, IndexError, KeyError):
        return None
