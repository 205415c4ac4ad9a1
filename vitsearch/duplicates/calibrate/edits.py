"""Synthetic copies of a photo: what people and programs do to a picture without taking another one.

They are the positives that the cut-offs of the second look are chosen on (`calibration`), and that the benchmark
measures. Each edit ends as the bytes of a file that is read again, so that no copy is free of a codec's traces.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Transform = Callable[[Image.Image, Random], Image.Image]

Family = Literal["codec", "resize", "light", "crop", "border", "turn", "overlay", "screenshot", "combined"]

_EXIF_ORIENTATION = 0x0112
_EXIF_TURN_90 = 6  # EXIF 2.32, 4.6.4: show after a clockwise turn by 90 degrees


@dataclass(frozen=True, slots=True)
class Edit:
    """One way to change a photo: `change` takes an upright RGB image and a source of chance, `kind` is Pillow's.

    With `by_exif` the pixels are stored turned left, and a tag says to turn them right again.
    """

    name: str
    family: Family
    change: Transform
    kind: str = "JPEG"
    quality: int = 90
    by_exif: bool = False

    @property
    def light(self) -> bool:
        """Whether the frame stays as it is: only codec, size and light change, or something is drawn over it."""
        return self.family in ("codec", "resize", "light", "overlay")

    def file(self, image: Image.Image, rng: Random) -> bytes:
        """Return the edited photo as the bytes of a file."""
        changed, exif = self.change(image, rng), Image.Exif()
        if self.by_exif:
            changed = changed.transpose(Image.Transpose.ROTATE_90)
            exif[_EXIF_ORIENTATION] = _EXIF_TURN_90
        buffer = io.BytesIO()
        changed.save(buffer, self.kind, quality=self.quality, exif=exif)
        return buffer.getvalue()

    def apply(self, image: Image.Image, rng: Random) -> Image.Image:
        """Return what a reader of the edited file sees, upright RGB."""
        with Image.open(io.BytesIO(self.file(image, rng))) as edited:
            return ImageOps.exif_transpose(edited).convert("RGB")


def _unchanged(image: Image.Image, _: Random) -> Image.Image:
    return image


def _resized(image: Image.Image, factor: float) -> Image.Image:
    size = (max(8, round(image.width * factor)), max(8, round(image.height * factor)))
    return image.resize(size, Image.Resampling.BICUBIC)


def _resize(factor: float) -> Transform:
    return lambda image, _: _resized(image, factor)


def _enhance(kind: type[ImageEnhance.Brightness | ImageEnhance.Contrast], factor: float) -> Transform:
    return lambda image, _: kind(image).enhance(factor)


def _grey(image: Image.Image, _: Random) -> Image.Image:
    return ImageOps.grayscale(image).convert("RGB")


def _sepia(image: Image.Image, _: Random) -> Image.Image:
    return ImageOps.colorize(ImageOps.grayscale(image), (40, 20, 0), (255, 240, 200))


def _blur(image: Image.Image, _: Random) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(min(image.size) / 200))


def _cropped(image: Image.Image, rng: Random, kept: float, *, corner: bool = False) -> Image.Image:
    """Keep a share of the area, at a random place or in a random corner."""
    side = kept**0.5
    width, height = round(image.width * side), round(image.height * side)
    free_x, free_y = image.width - width, image.height - height
    x = rng.choice((0, free_x)) if corner else rng.randint(0, free_x)
    y = rng.choice((0, free_y)) if corner else rng.randint(0, free_y)
    return image.crop((x, y, x + width, y + height))


def _crop(kept: float, *, corner: bool = False) -> Transform:
    return lambda image, rng: _cropped(image, rng, kept, corner=corner)


def _border(share: float) -> Transform:
    def apply(image: Image.Image, rng: Random) -> Image.Image:
        return ImageOps.expand(image, round(min(image.size) * share), rng.choice(("white", "black")))

    return apply


def _letterbox(image: Image.Image, _: Random) -> Image.Image:
    side = max(image.size)
    return ImageOps.pad(image, (side, side), color="black")


def _transpose(method: Image.Transpose) -> Transform:
    return lambda image, _: image.transpose(method)


def _straighten(image: Image.Image, rng: Random) -> Image.Image:
    """Turn by some degrees and cut the empty corners away, as an editor's straighten tool does."""
    turned = image.rotate(rng.choice((-5, -3, 3, 5)), Image.Resampling.BICUBIC)
    inset_x, inset_y = round(image.width * 0.07), round(image.height * 0.07)
    return turned.crop((inset_x, inset_y, image.width - inset_x, image.height - inset_y))


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=max(8, size))


def _captioned(image: Image.Image, _: Random) -> Image.Image:
    image = image.copy()
    bar = round(image.height * 0.12)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, image.height - bar, image.width, image.height), fill="black")
    draw.text((bar / 4, image.height - bar * 0.85), "summer 2021", fill="white", font=_font(bar * 0.6))
    return image


def _watermarked(image: Image.Image, _: Random) -> Image.Image:
    layer = Image.new("RGBA", image.size, (0, 0, 0, 0))
    draw = ImageDraw.Draw(layer)
    size = min(image.size) / 8
    for row in range(3):
        draw.text(
            (image.width * 0.05, image.height * (0.1 + row / 3)),
            "SAMPLE PHOTO",
            (255, 255, 255, 110),
            _font(size),
        )
    return Image.alpha_composite(image.convert("RGBA"), layer).convert("RGB")


def _with_logo(image: Image.Image, rng: Random) -> Image.Image:
    image = image.copy()
    size = round(min(image.size) * 0.2)
    x, y = rng.choice((0, image.width - size)), rng.choice((0, image.height - size))
    draw = ImageDraw.Draw(image)
    draw.ellipse((x, y, x + size, y + size), fill=(220, 40, 40))
    draw.text((x + size * 0.25, y + size * 0.25), "Aa", fill="white", font=_font(size * 0.45))
    return image


def _screenshot(image: Image.Image, _: Random) -> Image.Image:
    """Show the photo on a tall phone screen between a status bar and a row of buttons."""
    width = 720
    screen = Image.new("RGB", (width, 1280), (18, 18, 18))
    shown = ImageOps.contain(image, (width, 960))
    screen.paste(shown, ((width - shown.width) // 2, 110 + (960 - shown.height) // 2))
    draw = ImageDraw.Draw(screen)
    draw.text((24, 16), "12:47", fill="white", font=_font(32))
    draw.text((width - 130, 16), "87 %", fill="white", font=_font(32))
    draw.text((24, 64), "Photos", fill=(160, 200, 255), font=_font(30))
    for step in range(4):
        draw.ellipse((70 + step * 170, 1150, 140 + step * 170, 1220), outline="white", width=4)
    return screen


def _crop_and_shrink(image: Image.Image, rng: Random) -> Image.Image:
    return _resized(_cropped(image, rng, 0.7), 0.5)


def _mirror_and_crop(image: Image.Image, rng: Random) -> Image.Image:
    return _cropped(ImageOps.mirror(image), rng, 0.7)


def _turn_and_crop(image: Image.Image, rng: Random) -> Image.Image:
    return _cropped(image.transpose(Image.Transpose.ROTATE_90), rng, 0.8)


def _grey_caption_small(image: Image.Image, rng: Random) -> Image.Image:
    return _resized(_grey(_captioned(image, rng), rng), 0.5)


def _border_and_brighten(image: Image.Image, _: Random) -> Image.Image:
    bright = ImageEnhance.Brightness(image).enhance(1.3)
    return ImageOps.expand(bright, round(min(image.size) * 0.1), "white")


_T = Image.Transpose

EDITS: tuple[Edit, ...] = (
    Edit("jpeg-95", "codec", _unchanged, quality=95),
    Edit("jpeg-50", "codec", _unchanged, quality=50),
    Edit("jpeg-20", "codec", _unchanged, quality=20),
    Edit("webp", "codec", _unchanged, "WEBP"),
    Edit("png", "codec", _unchanged, "PNG"),
    Edit("exif-90", "codec", _unchanged, by_exif=True),
    Edit("resize-25%", "resize", _resize(0.25)),
    Edit("resize-50%", "resize", _resize(0.5)),
    Edit("resize-200%", "resize", _resize(2.0)),
    Edit("brighter", "light", _enhance(ImageEnhance.Brightness, 1.4)),
    Edit("darker", "light", _enhance(ImageEnhance.Brightness, 0.6)),
    Edit("contrast+", "light", _enhance(ImageEnhance.Contrast, 1.5)),
    Edit("contrast-", "light", _enhance(ImageEnhance.Contrast, 0.6)),
    Edit("grey", "light", _grey),
    Edit("sepia", "light", _sepia),
    Edit("blur", "light", _blur),
    Edit("logo", "overlay", _with_logo),
    Edit("caption", "overlay", _captioned),
    Edit("watermark", "overlay", _watermarked),
    Edit("crop-90%", "crop", _crop(0.9)),
    Edit("crop-70%", "crop", _crop(0.7)),
    Edit("crop-50%", "crop", _crop(0.5)),
    Edit("crop-40%-corner", "crop", _crop(0.4, corner=True)),
    Edit("crop-25%", "crop", _crop(0.25)),
    Edit("crop-10%", "crop", _crop(0.1)),
    Edit("border-5%", "border", _border(0.05)),
    Edit("border-20%", "border", _border(0.2)),
    Edit("letterbox", "border", _letterbox),
    Edit("rotate-90", "turn", _transpose(_T.ROTATE_90)),
    Edit("rotate-180", "turn", _transpose(_T.ROTATE_180)),
    Edit("rotate-270", "turn", _transpose(_T.ROTATE_270)),
    Edit("mirror", "turn", _transpose(_T.FLIP_LEFT_RIGHT)),
    Edit("straighten", "turn", _straighten),
    Edit("screenshot", "screenshot", _screenshot, "PNG"),
    Edit("crop+small+jpeg-40", "combined", _crop_and_shrink, quality=40),
    Edit("mirror+crop", "combined", _mirror_and_crop, quality=70),
    Edit("rotate+crop", "combined", _turn_and_crop),
    Edit("grey+caption+small", "combined", _grey_caption_small, quality=50),
    Edit("border+brighter", "combined", _border_and_brighten, quality=50),
)
"""All edits; the order is fixed, so that a seed gives the same copies."""
