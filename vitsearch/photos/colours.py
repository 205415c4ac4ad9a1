"""Stored colours become sRGB: profiles are followed, deep and wide numbers brought to 8 bits, alpha laid on white."""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageCms import ImageCmsTransform

    from vitsearch.photos.code_points import SignalledColours
    from vitsearch.space import Colours

# A profile that changes no colour by more than this is sRGB in other words.
_SAME = 2
_PROBE_STEPS = 9
# Where a profile's table of tags is, and how many are looked at; X, Y and Z of its white, and how far off it may be.
_ICC_TABLE_AT, _MOST_ICC_TAGS = 128, 100
_WHITE, _WHITE_OFF = (0.9642, 1.0, 0.8249), 0.25
# What scanners and microscopes with converters of 10 and 12 bits leave in files of 16 bits.
_DEPTHS = (1023, 4095)


def to_rgb(
    image: Image, colours: Colours, *, least: int | None = None, signalled: SignalledColours | None = None
) -> Image:
    """Turn a decoded image of any mode into RGB.

    With "sRGB", its colour profile is followed (relative colorimetric with black point compensation, by LittleCMS),
    or what is `signalled` instead; what has either is first reduced to a shorter side of at least `least` pixels. With
    "stored", numbers are taken as they stand, as libraries made before profiles were followed have them.
    """
    if colours == "stored":
        return _plain_rgb(image, follow_depth=False)
    if signalled is not None and not signalled.is_srgb:
        from vitsearch.photos.signalled import signalled_to_srgb

        return signalled_to_srgb(_plain_rgb(_reduced(image, least), follow_depth=True), signalled)
    profile = image.info.get("icc_profile")
    if not profile and image.mode != "LAB":
        return _plain_rgb(image, follow_depth=True)
    is_plain = image.mode in ("RGB", "L", "CMYK", "LAB") and "transparency" not in image.info
    mode = image.mode if is_plain else "RGB"
    for wanted in dict.fromkeys((mode, "L" if _is_grey(image) else mode)):
        transform = _transform(profile, wanted)
        if transform is not None:
            ready = _reduced(image, least)
            ready = ready if is_plain else _plain_rgb(ready, follow_depth=True)
            return _applied(ready if ready.mode == wanted else ready.convert(wanted), transform)
    return _plain_rgb(image, follow_depth=True)


def _applied(image: Image, transform: ImageCmsTransform) -> Image:
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # only a conversion in place returns nothing
    return converted


def _is_grey(image: Image) -> bool:
    return image.mode in ("L", "LA", "La", "1", "I", "F") or image.mode.startswith("I;16")


def _reduced(image: Image, least: int | None) -> Image:
    factor = min(image.size) // least if least else 1
    # Palettes and 1 bit cannot be averaged, and numbers of more than 8 bits have no profile to speak of.
    if factor < 2 or image.mode not in ("RGB", "L", "CMYK", "RGBA", "LA") or "transparency" in image.info:
        return image
    small = image.reduce(factor)
    small.info = image.info
    return small


@lru_cache(maxsize=64)
def _transform(profile: bytes | None, mode: str) -> ImageCmsTransform | None:
    """Return the way from a profile to sRGB, or None where it is damaged, not for such images, or changes nothing."""
    from PIL import ImageCms

    if profile is not None and not _has_white(profile):
        return None
    try:
        source = (
            ImageCms.createProfile("LAB")
            if profile is None
            else ImageCms.ImageCmsProfile(io.BytesIO(profile))
        )
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return transform if mode in ("CMYK", "LAB") or _changes_colours(transform, mode) else None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None


def _has_white(profile: bytes) -> bool:
    """Whether the primaries of a profile, if it has three, add up to about its white, D50 (ICC.1:2022, 8.3.2).

    Others are no colours of anything; LittleCMS follows them into noise.
    """
    at, primaries = _ICC_TABLE_AT, []
    for _ in range(min(int.from_bytes(profile[at : at + 4], "big"), _MOST_ICC_TAGS)):
        name, place = profile[at + 4 : at + 8], int.from_bytes(profile[at + 8 : at + 12], "big")
        body = profile[place : place + 20]
        if name in (b"rXYZ", b"gXYZ", b"bXYZ") and len(body) == 20:
            primaries.append(struct.unpack(">3i", body[8:]))
        at += 12
    if len(primaries) != 3:
        return True
    white = [sum(values) / 65536 for values in zip(*primaries, strict=True)]
    return all(abs(mine - right) < _WHITE_OFF for mine, right in zip(white, _WHITE, strict=True))


def _changes_colours(transform: ImageCmsTransform, mode: str) -> bool:
    from PIL import Image, ImageChops

    steps = [round(255 * step / (_PROBE_STEPS - 1)) for step in range(_PROBE_STEPS)]
    if mode == "L":
        probe = Image.frombytes("L", (256, 1), bytes(range(256)))
    else:
        cube = bytes(
            value for red in steps for green in steps for blue in steps for value in (red, green, blue)
        )
        probe = Image.frombytes("RGB", (_PROBE_STEPS**2, _PROBE_STEPS), cube)
    changed = ImageChops.difference(_applied(probe, transform), probe.convert("RGB"))
    return max(high for _, high in changed.getextrema()) > _SAME  # type: ignore[misc]


def _plain_rgb(image: Image, *, follow_depth: bool) -> Image:
    from PIL import Image as PillowImage

    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scaled_to_8_bits(image, follow_depth=follow_depth).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        # Transparent pixels hold arbitrary colours; paper white is what a viewer shows there.
        layered = image.convert("RGBA")
        canvas = PillowImage.new("RGB", layered.size, (255, 255, 255))
        canvas.paste(layered, mask=layered.getchannel("A"))
        return canvas
    return image.convert("RGB")


def _scaled_to_8_bits(image: Image, *, follow_depth: bool) -> Image:
    """Bring 16-bit and float greys into 0..255; Pillow's own conversion clips them to white."""
    import numpy as np
    from PIL import Image as PillowImage

    values = np.nan_to_num(np.asarray(image, dtype=np.float32), posinf=0.0, neginf=0.0)
    low, high = float(values.min()), float(values.max())
    if image.mode.startswith("I;16"):
        full = next((depth for depth in _DEPTHS if 255 < high <= depth), 65535) if follow_depth else 65535
        values = values * (255.0 / full)
    elif low < 0 or high > 255:
        values = (values - low) * (255.0 / ((high - low) or 1.0))
    elif image.mode == "F" and high <= 1:
        values = values * 255.0
    scaled: Image = PillowImage.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
    return scaled
