"""Facts as exiftool reads them, and pixels as ImageMagick shows them, on files that are written here."""

import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support.written_files import dng
from vitsearch.photos.photo import read_photo

SAMPLES = Path(__file__).parents[2] / "sample_images"
DATA = Path(__file__).parents[1] / "data"

needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not here: apt install libimage-exiftool-perl"
)


def has_magick() -> bool:
    """Whether `convert` is ImageMagick's: other programs have that name."""
    if shutil.which("convert") is None:
        return False
    told = subprocess.run(["convert", "-version"], capture_output=True, text=True, check=False)
    return told.stdout.startswith("Version: ImageMagick")


needs_magick = pytest.mark.skipif(not has_magick(), reason="ImageMagick is not here: apt install imagemagick")
KINDS = ("jpg", "png", "webp", "tif", "avif", "heic", "dng", "jxl", "jp2", "gif")


def scene():
    y, x = np.mgrid[0:96, 0:128]
    return Image.fromarray(np.stack([x * 2, y * 2, (x + y) % 250], axis=2).astype(np.uint8))


def written(folder, kind):
    path = folder / f"a.{kind}"
    if kind == "heic":
        shutil.copyfile(SAMPLES / "copies/bridge-1.heic", path)
    elif kind == "jxl":
        shutil.copyfile(DATA / "photo.jxl", path)
    elif kind == "dng":
        path.write_bytes(dng(scene()))
    else:
        scene().save(path)
    return path


TAGS = {
    "exif": [
        "-EXIF:DateTimeOriginal=2015:03:04 05:06:07",
        "-EXIF:OffsetTimeOriginal=+09:00",
        "-EXIF:Make=NIKON CORPORATION",
        "-EXIF:Model=NIKON D850",
        "-EXIF:GPSLatitude=33.8568",
        "-EXIF:GPSLatitudeRef=S",
        "-EXIF:GPSLongitude=70.5",
        "-EXIF:GPSLongitudeRef=W",
        "-EXIF:GPSAltitude=520.5",
        "-EXIF:GPSAltitudeRef=0",
    ],
    "xmp": [
        "-XMP-exif:DateTimeOriginal=2015:03:04 05:06:07+09:00",
        "-XMP-tiff:Make=NIKON CORPORATION",
        "-XMP-tiff:Model=NIKON D850",
        "-XMP-exif:GPSLatitude=-33.8568",
        "-XMP-exif:GPSLongitude=-70.5",
        "-XMP-exif:GPSAltitude=520.5",
        "-XMP-exif:GPSAltitudeRef=0",
    ],
}


@needs_exiftool
@pytest.mark.parametrize("notes", TAGS)
@pytest.mark.parametrize("kind", KINDS)
def test_date_position_and_camera_are_those_that_exiftool_wrote_and_reads(tmp_path, kind, notes):
    path = written(tmp_path, kind)
    subprocess.run(
        ["exiftool", "-q", "-overwrite_original", *TAGS[notes], str(path)], check=False, capture_output=True
    )
    asked = ["-DateTimeOriginal", "-GPSLatitude#", "-GPSLongitude#", "-GPSAltitude#", "-Model"]
    done = subprocess.run(["exiftool", "-j", *asked, str(path)], check=True, capture_output=True)
    told = json.loads(done.stdout)[0]
    if "DateTimeOriginal" not in told or (kind in ("dng", "heic") and notes == "xmp"):
        pytest.skip(f"exiftool writes no {notes} into {kind}, or the file says it in EXIF already")
    facts = read_photo(path).facts
    assert (
        facts.taken == told["DateTimeOriginal"][:10].replace(":", "-") + "T" + told["DateTimeOriginal"][11:19]
    )
    assert (facts.taken_from, facts.utc_offset) == (notes.upper(), "+09:00")
    assert facts.latitude == pytest.approx(-33.8568, abs=1e-5)
    assert facts.longitude == pytest.approx(-70.5, abs=1e-5)
    assert facts.altitude == pytest.approx(520.5)
    assert (facts.camera, told["Model"]) == ("Nikon D850", "NIKON D850")


@needs_magick
# ImageMagick 6 does not turn PNG and WebP by their EXIF chunks, as browsers do.
@pytest.mark.parametrize(
    ("kind", "orientation"),
    [
        *((kind, turn) for kind in ("jpg", "tif") for turn in (1, 3, 6, 8)),
        ("png", 1),
        ("webp", 1),
        ("jp2", 1),
        ("ppm", 1),
    ],
)
def test_pixels_are_those_that_imagemagick_shows_upright_in_srgb(tmp_path, kind, orientation):
    path = tmp_path / f"a.{kind}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    profile = (DATA / "swapped-primaries.icc").read_bytes()
    options = {} if kind == "ppm" else {"exif": exif, "icc_profile": profile} if kind != "jp2" else {}
    scene().save(path, **options)
    srgb = tmp_path / "srgb.icc"
    srgb.write_bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    convert = ["convert", str(path), "-auto-orient", *(["-profile", str(srgb)] if options else []), "ppm:-"]
    shown = Image.open(io.BytesIO(subprocess.run(convert, check=True, capture_output=True).stdout)).convert(
        "RGB"
    )
    seen = read_photo(path).pixels()
    assert seen.size == shown.size
    one, two = (np.asarray(image.resize((32, 32)), np.float64).ravel() for image in (seen, shown))
    assert one @ two / np.linalg.norm(one) / np.linalg.norm(two) > 0.995
