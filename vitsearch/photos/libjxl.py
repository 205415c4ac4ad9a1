"""What imagecodecs, which is an extra of this package, does for JPEG XL: pixels, their profile, and packed notes.

The profile stands in the codestream in a compression of its own, and imagecodecs has no function for it. The libjxl
that it brings along reads it, where it is a shared library: in the packages for Linux and macOS.
"""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

# decode.h of libjxl: an event, a status that has the event's number, and which of two profiles is asked for.
_COLOR_ENCODING, _SUCCESS, _OF_THE_PIXELS = 0x100, 0, 1
_LARGEST = 4 << 20


def decoded(data: bytes) -> npt.NDArray[np.generic]:
    """Decode a file, upright: ([frames,] height, width[, channels]), numbers as they are stored.

    Raises:
        ImportError: imagecodecs is not installed.

    """
    import imagecodecs

    pixels: npt.NDArray[np.generic] = imagecodecs.jpegxl_decode(data, numthreads=1)
    return pixels


def unpacked(box: bytes, most: int) -> bytes | None:
    """Unpack a note that libjxl's encoder has packed with Brotli; None where it is damaged, or has more bytes."""
    try:
        import imagecodecs

        content = imagecodecs.brotli_decode(box, out=most)
    except Exception:  # noqa: BLE001 - whatever a codec raises costs the note
        return None
    return bytes(content)


def profile_of_pixels(data: bytes) -> bytes | None:
    """Return the ICC profile that decoded pixels follow, or None where it cannot be had."""
    library = _libjxl()
    if library is None:
        return None
    decoder = ctypes.c_void_p(library.JxlDecoderCreate(None))
    if not decoder:
        return None
    try:
        library.JxlDecoderSubscribeEvents(decoder, _COLOR_ENCODING)
        library.JxlDecoderSetInput(decoder, data, ctypes.c_size_t(len(data)))
        library.JxlDecoderCloseInput(decoder)
        if library.JxlDecoderProcessInput(decoder) != _COLOR_ENCODING:
            return None
        size = ctypes.c_size_t()
        said = library.JxlDecoderGetICCProfileSize(decoder, _OF_THE_PIXELS, ctypes.byref(size))
        if said != _SUCCESS or size.value > _LARGEST:
            return None
        profile = ctypes.create_string_buffer(size.value)
        said = library.JxlDecoderGetColorAsICCProfile(decoder, _OF_THE_PIXELS, profile, size)
        return profile.raw if said == _SUCCESS else None
    finally:
        library.JxlDecoderDestroy(decoder)


@cache
def _libjxl() -> ctypes.CDLL | None:
    """The library that imagecodecs has loaded, or None where it is a part of its module."""
    import imagecodecs
    import imagecodecs._jpegxl  # loads it, with what it needs

    package = Path(imagecodecs.__file__).parent
    names = [*package.parent.glob("imagecodecs.libs/libjxl-*"), *package.glob(".dylibs/libjxl.*.dylib")]
    try:
        library = ctypes.CDLL(str(names[0])) if names else None
        if library is not None:
            library.JxlDecoderCreate.restype = ctypes.c_void_p
    except (OSError, AttributeError):
        return None
    return library
