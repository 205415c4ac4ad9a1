"""`sample_images/`: what it holds, where it comes from, and that each copy is what its name says."""

import re
import runpy
from collections import Counter
from pathlib import Path

import numpy as np
import pi_heif
import pytest
from PIL import ExifTags, Image, ImageChops, ImageOps, ImageStat

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE_IMAGES = REPOSITORY / "sample_images"
FILES = {path.relative_to(SAMPLE_IMAGES).as_posix() for path in SAMPLE_IMAGES.rglob("*") if path.is_file()}
ORIGINALS = sorted(name for name in FILES if not name.startswith("copies/") and name != "SOURCES.md")
SCRIPT = runpy.run_path(str(REPOSITORY / "scripts" / "make_copies.py"))
EDITED = sorted(set(SCRIPT["COPIES"]) - {"copies/bridge-1.heic", "copies/pyramid-1-truncated.jpg"})


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table under a heading of SOURCES.md, without its two header lines."""
    section = (SAMPLE_IMAGES / "SOURCES.md").read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    lines = re.findall(r"^\| (.*) \|$", section.split("\n## ")[0], re.MULTILINE)
    return [line.split(" | ") for line in lines[1:]]


def difference(first: Image.Image, second: Image.Image) -> float:
    """Return the mean difference of two pictures in grey levels (0 to 255), seen at 64 by 64 pixels."""
    small = [image.convert("RGB").resize((64, 64), Image.Resampling.BOX) for image in (first, second)]
    return max(ImageStat.Stat(ImageChops.difference(*small)).mean)


def load(name: str) -> Image.Image:
    with Image.open(SAMPLE_IMAGES / name) as image:
        image.load()
    return image


def original_of(copy: str) -> Image.Image:
    return load(SCRIPT["COPIES"][copy][0])


def camera_and_date(exif: Image.Exif) -> tuple[str, str]:
    taken = exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal]
    return exif[ExifTags.Base.Model], taken


def test_every_file_stands_in_sources_and_every_source_is_there():
    named = [row[0] for heading in ("Originals", "Copies") for row in rows(heading)]
    assert sorted(named) == sorted(FILES - {"SOURCES.md"})


def test_every_original_has_an_author_and_a_licence_that_lets_it_be_passed_on():
    for _file, _package, _member, _view, author, licence in rows("Originals"):
        assert re.search(r"\w{3}", author)
        assert licence in {"public domain", "CC0 1.0", "CC BY 2.0", "CC BY 4.0"}


def test_sources_names_the_original_that_the_script_makes_each_copy_from():
    made_from = {copy: original for copy, (original, _make) in SCRIPT["COPIES"].items()}
    assert {row[0]: row[1] for row in rows("Copies")} == made_from


def test_all_of_it_fits_into_six_megabytes():
    assert sum((SAMPLE_IMAGES / name).stat().st_size for name in FILES) <= 6_000_000


def test_subjects_come_in_several_photos_each():
    subjects = Counter(re.sub(r"^\w+/(\w+)-\d\.jpg$", r"\1", name) for name in ORIGINALS)
    assert subjects == {
        "bee": 3, "bird": 4, "bridge": 4, "castle": 4, "cat": 3, "coffee": 1, "dandelion": 3, "dog": 3, "fish": 4,
        "flower": 1, "fruit": 4, "mountain": 4, "pyramid": 4, "rocket": 1, "solar": 4, "windmill": 5,
    }  # fmt: skip


@pytest.mark.parametrize("name", ORIGINALS)
def test_originals_are_small_upright_colour_jpegs(name):
    image = load(name)
    assert (image.format, image.mode) == ("JPEG", "RGB")
    assert 300 <= max(image.size) <= 800
    assert ExifTags.Base.Orientation not in image.getexif()


def test_camera_and_date_are_kept_where_the_source_has_them():
    facts = {name: camera_and_date(load(name).getexif()) for name in ORIGINALS if load(name).getexif()}
    assert facts == {
        "animals/fish-4.jpg": ("FinePixS2Pro", "2009:04:04 10:37:54"),
        "nature/bee-1.jpg": ("NIKON D50", "2006:10:01 12:00:46"),
        "nature/bee-2.jpg": ("NIKON D50", "2006:10:01 12:00:46"),
        "travel/bridge-1.jpg": ("X-2,C-50Z", "2002:01:01 02:05:06"),
        "travel/bridge-2.jpg": ("X-2,C-50Z", "2002:01:01 02:05:06"),
        "travel/pyramid-1.jpg": ("Canon PowerShot G3", "2003:10:07 13:45:18"),
    }


@pytest.mark.parametrize("name", EDITED)
def test_the_script_makes_the_copies_that_are_there(name, tmp_path):
    with Image.open(SCRIPT["make_copy"](name, tmp_path)) as made:
        there = load(name)
        assert (made.format, made.mode, made.size) == (there.format, there.mode, there.size)
        assert difference(made, there) < 1


def test_the_reencoded_copy_is_a_smaller_file_of_the_same_picture():
    name = "copies/bee-1-reencoded.jpg"
    copy, original = load(name), original_of(name)
    assert copy.size == original.size
    assert difference(copy, original) < 3
    sizes = [(SAMPLE_IMAGES / file).stat().st_size for file in (name, "nature/bee-1.jpg")]
    assert sizes[0] < 0.6 * sizes[1]
    assert camera_and_date(copy.getexif()) == camera_and_date(original.getexif())


def test_the_webp_copy_is_a_webp():
    copy = load("copies/fruit-4.webp")
    assert copy.format == "WEBP"
    assert difference(copy, original_of("copies/fruit-4.webp")) < 3


def test_the_resized_copy_has_half_the_size():
    copy, original = load("copies/castle-1-resized.jpg"), original_of("copies/castle-1-resized.jpg")
    assert copy.size == (original.width // 2, original.height // 2)
    assert difference(copy, original) < 3


def test_the_cropped_copy_lacks_a_tenth_at_each_side():
    copy, original = load("copies/mountain-3-cropped.jpg"), original_of("copies/mountain-3-cropped.jpg")
    kept = original.crop(
        (original.width // 10, original.height // 10, original.width * 9 // 10, original.height * 9 // 10)
    )
    assert copy.size == kept.size
    assert difference(copy, kept) < 3 < difference(copy, original)


def test_the_turned_copy_is_upright_only_by_its_exif_orientation():
    copy = load("copies/dog-1-orientation-6.jpg")
    original = original_of("copies/dog-1-orientation-6.jpg")
    assert copy.getexif()[ExifTags.Base.Orientation] == 6
    assert copy.size == (original.height, original.width)
    assert difference(ImageOps.exif_transpose(copy), original) < 3 < difference(copy, original)


def test_the_mirrored_copy_swaps_left_and_right():
    copy, original = load("copies/cat-1-mirrored.jpg"), original_of("copies/cat-1-mirrored.jpg")
    assert difference(ImageOps.mirror(copy), original) < 3 < difference(copy, original)


def test_the_grey_copy_has_no_colour():
    copy, original = load("copies/castle-3-grey.jpg"), original_of("copies/castle-3-grey.jpg")
    assert copy.mode == "L"
    assert difference(copy, ImageOps.grayscale(original)) < 3


def test_the_bordered_copy_is_the_photo_in_a_white_frame():
    copy, original = load("copies/bird-1-bordered.jpg"), original_of("copies/bird-1-bordered.jpg")
    assert copy.size == (original.width + 100, original.height + 100)
    assert difference(ImageOps.crop(copy, 50), original) < 3
    assert np.asarray(copy.crop((0, 0, copy.width, 40)).convert("L")).min() >= 250


def test_the_heic_copy_is_a_heic_with_camera_and_date():
    path, original = SAMPLE_IMAGES / "copies/bridge-1.heic", original_of("copies/bridge-1.heic")
    assert path.read_bytes()[4:12] == b"ftypheic"
    copy = pi_heif.open_heif(path)
    exif = Image.Exif()
    exif.load(copy.info["exif"])
    assert camera_and_date(exif) == camera_and_date(original.getexif())
    assert difference(copy.to_pillow(), original) < 3


def test_the_truncated_copy_opens_and_then_fails_to_load():
    path = SAMPLE_IMAGES / "copies/pyramid-1-truncated.jpg"
    content = (SAMPLE_IMAGES / "travel/pyramid-1.jpg").read_bytes()
    assert path.read_bytes() == content[: len(content) // 2]
    with Image.open(path) as image, pytest.raises(OSError, match="truncated"):
        image.load()


def test_the_misnamed_copy_is_a_png_of_the_same_pixels():
    copy = load("copies/windmill-1-really-a-png.jpg")
    assert copy.format == "PNG"
    assert copy.tobytes() == original_of("copies/windmill-1-really-a-png.jpg").tobytes()
