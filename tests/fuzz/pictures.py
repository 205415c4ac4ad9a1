"""Small good files of every format that is read, in the variants that decoders treat differently."""

from __future__ import annotations

import io
from functools import cache

import cv2
import numpy as np
from PIL import Image

from tests.support.raw_files import raf, tiff_raw
from tests.support.samples import SAMPLES
from tests.support.written_files import dng, psd

DATA = SAMPLES.parent / "tests/data"


def _saved(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def pictures() -> dict[str, bytes]:
    """A name and the bytes of each, made from a sample photo."""
    with Image.open(SAMPLES / "animals/cat-2.jpg") as photo:
        image = photo.convert("RGB").resize((96, 64))
    exif = Image.Exif()
    exif[0x0112], exif[0x0110] = 6, "Camera"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:17 18:30:05"
    exif.get_ifd(0x8825).update({1: "N", 2: (33.0, 51.0, 36.0), 3: "E", 4: (70.0, 30.0, 0.0)})
    block = exif.tobytes()
    frames = [image.rotate(angle) for angle in (90, 180)]
    grey, palette, cmyk = image.convert("L"), image.quantize(64), image.convert("CMYK")
    clear = image.convert("RGBA")
    clear.putalpha(grey)
    deep = grey.convert("I").point(lambda value: value * 257).convert("I;16")
    return {
        "baseline.jpg": _saved(image, "JPEG", quality=80, exif=block),
        "progressive.jpg": _saved(image, "JPEG", quality=80, progressive=True),
        "grey.jpg": _saved(grey, "JPEG"),
        "cmyk.jpg": _saved(cmyk, "JPEG"),
        "mpo.jpg": _saved(image, "MPO", save_all=True, append_images=frames),
        "rgb.png": _saved(image, "PNG", exif=block),
        "palette.png": _saved(palette, "PNG"),
        "deep.png": _saved(deep, "PNG"),
        "clear.png": _saved(clear, "PNG"),
        "animated.png": _saved(image, "PNG", save_all=True, append_images=frames),
        "lossy.webp": _saved(image, "WEBP", exif=block),
        "lossless.webp": _saved(clear, "WEBP", lossless=True),
        "animated.webp": _saved(image, "WEBP", save_all=True, append_images=frames),
        "still.gif": _saved(palette, "GIF"),
        "animated.gif": _saved(image, "GIF", save_all=True, append_images=frames),
        "plain.tif": _saved(image, "TIFF", exif=block),
        "lzw.tif": _saved(image, "TIFF", compression="tiff_lzw"),
        "deflate.tif": _saved(clear, "TIFF", compression="tiff_adobe_deflate"),
        "jpeg.tif": _saved(image, "TIFF", compression="jpeg"),
        "fax.tif": _saved(grey.convert("1"), "TIFF", compression="group4"),
        "deep.tif": _saved(deep, "TIFF"),
        "float.tif": _saved(grey.convert("F"), "TIFF"),
        "light.tif": cv2.imencode(".tif", np.asarray(image, np.float32) / 255)[1].tobytes(),
        "rgb.bmp": _saved(image, "BMP"),
        "palette.bmp": _saved(palette, "BMP"),
        "photo.avif": _saved(image, "AVIF", exif=block),
        "clear.avif": _saved(clear, "AVIF"),
        "photo.jp2": _saved(image, "JPEG2000"),
        "bare.j2k": _saved(image, "JPEG2000", no_jp2=True, quality_layers=[20]),
        "deep.jp2": cv2.imencode(".jp2", np.asarray(image).astype(np.uint16) * 257)[1].tobytes(),
        "rgb.ppm": _saved(image, "PPM"),
        "deep.pgm": _saved(deep, "PPM"),
        "rle.tga": _saved(image, "TGA", compression="tga_rle"),
        "flat.psd": psd(image),
        "deep.psd": psd(image, depth=16, packed=True, masks=1),
        "large.psb": psd(image, depth=32, large=True),
        "profile.jpg": _saved(image, "JPEG", icc_profile=(DATA / "swapped-primaries.icc").read_bytes()),
        "profile.png": _saved(image, "PNG", icc_profile=(DATA / "swapped-primaries.icc").read_bytes()),
        "photo.jxl": (DATA / "photo.jxl").read_bytes(),
        "preview.dng": dng(image),
        "sensor.dng": dng(image, preview=False),
        "preview.arw": tiff_raw(image, "SONY", "ILCE-7M3"),
        "sensor.arw": tiff_raw(image, "SONY", "ILCE-7M3", preview=False),
        "sensor.cr2": tiff_raw(image, "Canon", "Canon EOS 5D Mark II", preview=False),
        "sensor.nef": tiff_raw(image, "NIKON CORPORATION", "NIKON D800", preview=False),
        "sensor.pef": tiff_raw(image, "PENTAX", "PENTAX K-x", preview=False),
        "preview.orf": tiff_raw(image, "OLYMPUS IMAGING CORP.", "E-M1", magic=b"IIRO"),
        "preview.rw2": tiff_raw(image, "Panasonic", "DMC-GH4", magic=b"IIU\0"),
        "preview.raf": raf(image, "FUJIFILM", "FinePix X100"),
        "sensor.raf": raf(image, "FUJIFILM", "FinePix X100", preview=False),
        "two.heic": (DATA / "two-images.heic").read_bytes(),
        "photo.heic": (SAMPLES / "copies/bridge-1.heic").read_bytes(),
    }
