"""What one file holds beside the upright RGB pixels of its first picture, and the camera's own notes in it.

Two files can show the same and one of them hold more: an animation and its first frame, a motion photo and its still,
a 16-bit scan and its 8-bit copy, a drawing on transparency and its print on white.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from vitsearch.photos.behind import behind_picture

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt
    from PIL.Image import Exif, Image

    from vitsearch.photos.behind import Behind
    from vitsearch.photos.code_points import SignalledColours

# Frames whose pixels are compared; of longer files the bytes are.
_MOST_FRAMES = 64
_MOST_PIXELS = 256_000_000
_MAKE, _MODEL, _EXIF_IFD = 0x010F, 0x0110, 0x8769
# EXIF 2.32, 4.6.5: exposure time, f-number, ISO; lens make and model, lens specification.
_EXPOSURE, _LENS = (0x829A, 0x829D, 0x8827), (0xA433, 0xA434, 0xA432)
# The size; how it was rendered; fractions of the second of the shot.
_WIDTH, _HEIGHT, _RENDERED, _SUBSECOND = 0xA002, 0xA003, 0xA401, 0x9291
_BITS_PER_SAMPLE = 258
_PNG_DEPTH_AT, _EIGHT = 24, 8
# A drawing whose opaque pixels are lighter than this is seen on black, as viewers with a dark page show it.
_LIGHT = 140
_WITHOUT_LOSS, _PALETTE = frozenset(("GIF", "PNG", "BMP", "TIFF", "TGA", "PPM")), 256


@dataclass(frozen=True, slots=True)
class FileDetails:
    """What a file holds.

    `frames`: pictures or pages. `depth`: bits a channel that are used. `hdr`: whether it has a high dynamic range.
    `alpha`: whether a pixel is transparent. `few_colours`: whether it has 256 colours at most, as a GIF has.
    `profile`: digest or code points of colours other than sRGB, "" for none. `video_bytes`: of a video behind it;
    `behind_bytes`: of something else behind it that is more than notes.
    `extras`: digest of the further frames and of what lies behind, "" where there is nothing.
    `lens`, `exposure`: whether the camera noted them. `programs`: those that its XMP says to have made or saved it;
    `developed`: whether it holds the settings of a raw converter that the picture was made with.
    `noted_width`, `noted_height`: the size that its EXIF says, 0 where it says none. `rendered`: how the camera made
    it (EXIF CustomRendered), 0 for the normal way; `subsecond`: the digits after the second it was taken at.
    `table`: a JPEG's 64 quantisation steps for luminance, row by row, () for other formats.
    `pixels`: digest of all that is shown (values, depth, transparency, profile, frames, video), where asked for.
    """

    frames: int = 1
    depth: int = 8
    hdr: bool = False
    alpha: bool = False
    few_colours: bool = False
    profile: str = ""
    video_bytes: int = 0
    behind_bytes: int = 0
    extras: str = ""
    lens: bool = False
    exposure: bool = False
    noted_width: int = 0
    noted_height: int = 0
    rendered: int = 0
    subsecond: str = ""
    programs: tuple[str, ...] = ()
    developed: bool = False
    table: tuple[int, ...] = ()
    pixels: str = ""


def details_of(
    image: Image,
    data: bytes,
    *,
    with_pixels: bool,
    upright: Callable[[Image], Image],
    signalled: SignalledColours | None = None,
) -> FileDetails:
    """Look into an opened image, whose file is `data`; `upright` turns it as its EXIF says. Decodes it.

    `signalled` are the colours that the file names by code points.

    Raises whatever Pillow raises on damaged image data.
    """
    notes = _notes(image.getexif())
    lens, exposure = (any(notes.get(tag) for tag in tags) for tags in (_LENS, _EXPOSURE))
    profile = _profile(image.info.get("icc_profile"))
    if signalled is not None and not signalled.is_srgb:
        profile = f"code points {signalled.primaries} {signalled.transfer}"
    table = (
        tuple(map(int, getattr(image, "quantization", {}).get(0, ())))
        if image.format in ("JPEG", "MPO")
        else ()
    )
    frames = int(getattr(image, "n_frames", 1))
    behind = behind_picture(data)
    # The further pictures of a JPEG lie behind its first one.
    behind = replace(behind, other=b"") if frames > 1 else behind
    extras = _extras(image, data, frames, behind)
    deep = _deep_values(image, data)
    alpha = _is_transparent(image)
    return FileDetails(
        frames=frames,
        depth=_EIGHT if deep is None else 16,
        hdr=signalled is not None and bool(signalled.hdr),
        alpha=alpha,
        few_colours=_has_few_colours(image),
        profile=profile,
        video_bytes=len(behind.video),
        behind_bytes=len(behind.other),
        extras=extras,
        lens=lens,
        exposure=exposure,
        noted_width=_number(notes.get(_WIDTH)),
        noted_height=_number(notes.get(_HEIGHT)),
        rendered=_number(notes.get(_RENDERED)),
        subsecond=_digits(notes.get(_SUBSECOND)),
        table=table if len(table) == 64 else (),
        pixels=_digest(image, deep, alpha, profile, extras, upright) if with_pixels else "",
    )


def on_contrast(image: Image) -> Image:
    """Lay a picture with transparency (RGBA) on white, or on black if it is light itself: RGB, the drawing is seen."""
    import numpy as np
    from PIL.Image import new

    opaque = np.asarray(image.getchannel("A"), np.float32)
    light = float((np.asarray(image.convert("L"), np.float32) * opaque).sum() / max(1.0, float(opaque.sum())))
    canvas = new("RGB", image.size, (0, 0, 0) if light > _LIGHT else (255, 255, 255))
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas


def has_transparency(image: Image) -> bool:
    """Whether an image has a channel or a colour for what is transparent."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def _is_transparent(image: Image) -> bool:
    return has_transparency(image) and any(image.convert("RGBA").getchannel("A").histogram()[:255])


def _notes(exif: Exif) -> Mapping[int, object]:
    """What the camera noted of the shot, by tag."""
    try:
        return dict(exif.get_ifd(_EXIF_IFD))
    except Exception:  # noqa: BLE001 - Pillow raises what it likes on a damaged EXIF block; the notes are optional
        return {}


def _number(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0


def _digits(value: object) -> str:
    """The digits of a fraction, without the zeros and blanks that some cameras add."""
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else str(value or "")
    text = text.strip(" \0")
    return text.rstrip("0") or "0" if text.isascii() and text.isdigit() else ""


def _profile(profile: object) -> str:
    """The digest of a colour profile; "" for none and for sRGB, which means the same."""
    if not isinstance(profile, bytes) or not profile:
        return ""
    from blake3 import blake3
    from PIL import ImageCms

    try:
        name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return ""
    return "" if "sRGB" in name else blake3(profile).hexdigest()


def _extras(image: Image, data: bytes, frames: int, behind: Behind) -> str:
    if frames <= 1 and not behind.video and not behind.other:
        return ""
    from blake3 import blake3

    digest = blake3(behind.video or behind.other)
    if frames > _MOST_FRAMES or frames * image.width * image.height > _MOST_PIXELS:
        digest.update(data)
    else:
        for frame in range(1, frames):
            image.seek(frame)
            shown = image.convert("RGBA")
            digest.update(repr(shown.size).encode())
            digest.update(shown.tobytes())
        image.seek(0)
    return digest.hexdigest()


def _deep_values(image: Image, data: bytes) -> npt.NDArray[np.uint16] | None:
    """The values of an image that uses more than 8 bits a channel, which Pillow cuts off where there is colour."""
    if not _declares_more_than_8_bits(image, data):
        return None
    import cv2
    import numpy as np

    if image.mode.startswith("I"):
        values = np.asarray(image)
    else:
        try:
            decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        except cv2.error:
            return None
        if decoded is None:
            return None
        values = np.asarray(decoded)
    if values.dtype not in (np.uint16, np.int32) or not values.size:
        return None
    values = values.astype(np.uint16)
    # Made from 8 bits: a value twice in both bytes, or in the upper one alone.
    low, high = values & 0xFF, values >> 8
    return None if not low.any() or bool((low == high).all()) else values


def _declares_more_than_8_bits(image: Image, data: bytes) -> bool:
    if image.mode.startswith("I;16"):
        return True
    if image.format == "PNG":
        return data[_PNG_DEPTH_AT] > _EIGHT
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
        return bool(max(bits if isinstance(bits, tuple) else (bits,)) == 2 * _EIGHT)
    return False


def _has_few_colours(image: Image) -> bool:
    """Whether a picture in colour that is stored without loss has no more colours than a palette."""
    if image.format not in _WITHOUT_LOSS or image.mode not in ("P", "RGB", "RGBA"):
        return False
    colours = image.convert("RGB").getcolors(_PALETTE)
    return colours is not None and any(len(set(cast("tuple[int, ...]", colour))) > 1 for _, colour in colours)


def _digest(
    image: Image,
    deep: npt.NDArray[np.uint16] | None,
    alpha: bool,  # noqa: FBT001
    profile: str,
    extras: str,
    upright: Callable[[Image], Image],
) -> str:
    import numpy as np
    from blake3 import blake3
    from PIL.Image import fromarray, new

    if alpha:
        layered = image.convert("RGBA")
        # Colours that nobody sees differ from program to program.
        shown = new("RGBA", layered.size, (0, 0, 0, 0))
        shown.paste(layered, mask=layered.getchannel("A").point(lambda value: 255 * (value > 0)))
    elif image.mode.startswith("I;16") and deep is None:
        shown = fromarray((np.asarray(image) >> 8).astype(np.uint8)).convert("RGB")
    elif image.mode in ("I", "F") or image.mode.startswith("I;16"):
        shown = image
    else:
        shown = image.convert("RGB")
    shown = upright(shown)
    digest = blake3(repr((shown.mode, shown.size, profile, extras)).encode())
    digest.update(shown.tobytes())
    if deep is not None:
        digest.update(deep.tobytes())
    return digest.hexdigest()
