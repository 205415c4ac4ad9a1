"""Attention maps drawn over the photo that they are about, where the model saw it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.storage.outputs import Output, write_picture

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt
    from PIL.Image import Image

    from vitsearch.backbones import BackboneSpec, Preprocessing

    Floats = npt.NDArray[np.float32]
    Box = tuple[float, float, float, float]

_LONGEST_SIDE = 1200
_CELL, _GAP, _CAPTION, _COLUMNS = 260, 10, 24, 4
_PAPER, _INK = (250, 250, 248), (24, 24, 27)
# Brightness of what lies outside of the model's view, and of what it saw but did not attend to.
_OUTSIDE, _UNATTENDED = 0.3, 0.55
_STRONGEST = 0.7
# Matplotlib's "inferno" at fifths of its range: brighter is more, also in grey and to the colour-blind.
_COLOURS = np.array(
    [(0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164)], np.float32
)
# Quantiles of a map that become the ends of the colour scale: a few patches take up attention for bookkeeping (Darcet
# et al., Vision Transformers Need Registers, 2024), and the scale must not be theirs alone.
_DARKEST, _BRIGHTEST = 0.3, 0.95


def seen_box(size: tuple[int, int], preprocessing: Preprocessing) -> Box:
    """Return the part of an upright photo of `size` (width, height) that the model's input shows.

    Left, top, right, bottom in pixels of the photo; with padding, or around a photo smaller than the crop, they lie
    outside of it.
    """
    pre = preprocessing
    width, height = size
    if pre.fit == "pad":
        scale = min(pre.width / width, pre.height / height)
        shown = max(1, round(width * scale)), max(1, round(height * scale))
        left, top = (shown[0] - pre.width + 1) // 2, (shown[1] - pre.height + 1) // 2
    elif pre.fit == "squeeze":
        short = min(pre.width, pre.height)
        shown = pre.resize * pre.width // short, pre.resize * pre.height // short
    else:
        long = int(pre.resize * max(size) / min(size))
        shown = (pre.resize, long) if width <= height else (long, pre.resize)
    if pre.fit != "pad":
        left, top = (shown[0] - pre.width) // 2, (shown[1] - pre.height) // 2
    across, down = width / shown[0], height / shown[1]
    return left * across, top * down, (left + pre.width) * across, (top + pre.height) * down


def draw_heat(photo: Image, heat: Floats, spec: BackboneSpec, *, longest_side: int = _LONGEST_SIDE) -> Image:
    """Draw one map (rows, columns) over an upright photo: bright where it is high, dim outside of the model's view."""
    from PIL import Image

    left, top, right, bottom = _patches_box(photo.size, spec)
    small = photo.convert("RGB")
    small.thumbnail((longest_side, longest_side), Image.Resampling.LANCZOS)
    across, down = small.width / photo.width, small.height / photo.height
    place = round(left * across), round(top * down)
    size = max(1, round(right * across) - place[0]), max(1, round(bottom * down) - place[1])
    unseen = -1.0  # no strength of attention
    layer = Image.new("F", small.size, unseen)
    grown = np.asarray(Image.fromarray(_scaled(heat)).resize(size, Image.Resampling.BICUBIC))
    layer.paste(Image.fromarray(np.clip(grown, 0, 1)), place)
    return Image.fromarray(_blended(np.asarray(small, np.float32), np.asarray(layer, np.float32)))


def _blended(pixels: Floats, strength: Floats) -> npt.NDArray[np.uint8]:
    """Colour (h, w, 3) pixels by (h, w) strengths in 0..1; where they are negative, nothing was seen."""
    seen = strength[..., None] >= 0
    heat = np.maximum(strength, 0)
    veil = _STRONGEST * heat[..., None]
    lit = pixels * (_UNATTENDED + (1 - _UNATTENDED) * heat[..., None])
    attended = (1 - veil) * lit + veil * _colours(heat)
    drawn = np.where(seen, attended, _OUTSIDE * pixels.mean(axis=2, keepdims=True))
    return np.clip(np.rint(drawn), 0, 255).astype(np.uint8)


def draw_heads(photo: Image, maps: Floats, spec: BackboneSpec) -> Image:
    """Draw the photo and one map a head (heads, rows, columns) as a sheet of pictures."""
    from PIL import Image

    small = photo.convert("RGB")
    small.thumbnail((_CELL, _CELL), Image.Resampling.LANCZOS)
    pictures = [small, *(draw_heat(photo, heat, spec, longest_side=_CELL) for heat in maps)]
    return _sheet(pictures, ["the photo", *(f"head {number}" for number in range(1, len(maps) + 1))])


def save_picture(picture: Image, file: Path, *, inputs: Sequence[Path] = (), force: bool = False) -> None:
    """Write a picture as PNG or JPEG, by the file's extension.

    Raises:
        OutputError: the file cannot be written, is one of the `inputs`, or is a photo that vitsearch did not write and
            `force` is not set.

    """
    write_picture(picture, Output(file, "picture", inputs=inputs, force=force))


def _patches_box(size: tuple[int, int], spec: BackboneSpec) -> Box:
    """The part of the photo that whole patches cover: an input may end with a part of one."""
    pre, patch = spec.space.preprocessing, spec.patch_size
    left, top, right, bottom = seen_box(size, pre)
    wide, high = pre.width // patch * patch / pre.width, pre.height // patch * patch / pre.height
    return left, top, left + (right - left) * wide, top + (bottom - top) * high


def _scaled(heat: Floats) -> Floats:
    """Bring a map into 0..1; a map without any differences is dark."""
    low, high = np.quantile(heat, (_DARKEST, _BRIGHTEST))
    if not high > low:
        return np.zeros(heat.shape, np.float32)
    scaled: Floats = np.clip((heat - low) / (high - low), 0, 1).astype(np.float32)
    return scaled


def _colours(values: Floats) -> Floats:
    places = np.linspace(0, 1, len(_COLOURS))
    channels = [np.interp(values, places, _COLOURS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1).astype(np.float32)


def _sheet(pictures: Sequence[Image], captions: Sequence[str]) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    columns = min(_COLUMNS, len(pictures))
    rows = -(-len(pictures) // columns)
    wide, high = (max(side) for side in zip(*(picture.size for picture in pictures), strict=True))
    sheet = Image.new("RGB", (columns * (wide + _GAP) + _GAP, rows * (high + _CAPTION + _GAP) + _GAP), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        left = _GAP + number % columns * (wide + _GAP)
        top = _GAP + number // columns * (high + _CAPTION + _GAP)
        sheet.paste(picture, (left, top))
        draw.text((left, top + picture.height + 3), caption, _INK, font=ImageFont.load_default(15))
    return sheet
