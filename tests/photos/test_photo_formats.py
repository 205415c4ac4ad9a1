"""Formats beyond the usual ones, colours by their profiles, and what is never handed to a decoder."""

import io
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support.mean_colour import MeanColour
from tests.support.written_files import dng, psd
from vitsearch.errors import UnreadablePhoto
from vitsearch.library import Library
from vitsearch.photos.exif import ExifTags
from vitsearch.photos.formats import EXTENSIONS, FORMATS, RAW_EXTENSIONS, format_of
from vitsearch.photos.photo import parse_photo, read_photo
from vitsearch.photos.raw import raw_tags
from vitsearch.space import Space

DATA = Path(__file__).parents[1] / "data"
SAMPLES = Path(__file__).parents[2] / "sample_images"


def scene(width=96, height=64):
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 // width, y * 255 // height, (x + y) % 200], axis=2)
    return Image.fromarray(pixels.astype(np.uint8))


def encoded(kind, image=None, **options):
    buffer = io.BytesIO()
    (image or scene()).save(buffer, kind, **options)
    return buffer.getvalue()


def likeness(first, second):
    """The cosine of two pictures, each as 32 x 32 colours around their mean."""
    rows = [
        np.asarray(image.convert("RGB").resize((32, 32)), np.float64).ravel() for image in (first, second)
    ]
    one, two = (row - row.mean() for row in rows)
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


def test_every_extension_belongs_to_one_format():
    names = [extension for format_ in FORMATS for extension in format_.extensions]
    assert len(names) == len(set(names)) == len(EXTENSIONS)
    assert {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"} <= RAW_EXTENSIONS


@pytest.mark.parametrize(
    ("kind", "name", "options"),
    [
        ("JPEG2000", "a.jp2", {}),
        ("JPEG2000", "a.j2k", {"no_jp2": True}),
        ("PPM", "a.ppm", {}),
        ("TGA", "a.tga", {}),
        ("TGA", "a.tga", {"compression": "tga_rle"}),
        ("TIFF", "a.tif", {"big_tiff": True}),
    ],
)
def test_a_new_format_is_read_without_loss(kind, name, options):
    photo = parse_photo(encoded(kind, **options), name=name)
    assert photo.facts.format == kind
    assert np.array_equal(np.asarray(photo.pixels()), np.asarray(scene()))


@pytest.mark.parametrize("full", [255, 1023, 65535])
def test_a_grey_map_of_any_depth_keeps_its_tones(full):
    wide = 2 if full > 255 else 1
    ramp = np.linspace(0, full, 64).round().astype(">u2" if wide == 2 else np.uint8)
    data = b"P5 64 1 %d\n" % full + ramp.tobytes()
    grey = np.asarray(parse_photo(data, name="a.pgm").pixels())[0, :, 0]
    assert np.abs(grey.astype(int) - np.linspace(0, 255, 64)).max() <= 1


def test_the_flattened_picture_of_a_photoshop_file_is_the_photo():
    photo = parse_photo(psd(scene()), name="a.psd")
    assert photo.facts.format == "PSD"
    assert np.array_equal(np.asarray(photo.pixels()), np.asarray(scene()))


def test_a_jpeg_xl_is_read():
    pytest.importorskip("imagecodecs", reason="JPEG XL is an extra: pip install 'vitsearch[jxl]'")
    photo = read_photo(DATA / "photo.jxl")
    assert (photo.facts.format, photo.facts.width, photo.facts.height) == ("JXL", 451, 300)
    assert photo.pixels().size == (451, 300)


def test_a_jpeg_xl_shows_what_went_in_and_its_header_is_read_without_the_decoder():
    imagecodecs = pytest.importorskip(
        "imagecodecs", reason="JPEG XL is an extra: pip install 'vitsearch[jxl]'"
    )
    for size in ((96, 64), (64, 96), (200, 200), (512, 256), (1000, 7)):
        image = scene(*size)
        for pixels, lossless in ((np.asarray(image), True), (np.asarray(image.convert("L")), True)):
            photo = parse_photo(imagecodecs.jpegxl_encode(pixels, lossless=lossless), name="a.jxl")
            assert (photo.facts.width, photo.facts.height) == size
            expected = np.asarray(Image.fromarray(pixels).convert("RGB"))
            assert np.array_equal(np.asarray(photo.pixels()), expected)


def test_without_its_decoder_a_jpeg_xl_says_what_to_install():
    code = (
        "import sys; sys.modules['imagecodecs'] = None\n"
        "from pathlib import Path\nfrom vitsearch.photos.photo import read_photo\n"
        f"try:\n    read_photo(Path({str(DATA / 'photo.jxl')!r})).pixels()\n"
        "except Exception as error: print(error.reason)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'vitsearch[jxl]'" in done.stdout


STORED = {1: None, 3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270}


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("preview", [True, False])
def test_a_raw_file_is_upright_and_has_its_facts(preview, orientation):
    upright = scene(240, 160)
    stored = upright if STORED[orientation] is None else upright.transpose(STORED[orientation])
    data = dng(stored, preview=preview, orientation=orientation)
    photo = parse_photo(data, name="a.dng")
    facts = photo.facts
    assert (facts.format, facts.width, facts.height) == ("DNG", 240, 160)
    assert (facts.taken, facts.taken_from, facts.camera) == ("2021-06-05T04:03:02", "EXIF", "Testcam One")
    assert facts.software is None
    assert likeness(photo.pixels(), upright) > 0.98
    small = parse_photo(data, name="a.dng").pixels(min_side=40)
    assert min(small.size) >= 40
    assert likeness(small, upright) > 0.98


def test_a_preview_smaller_than_the_sensor_is_not_taken_for_the_photo():
    image = scene(240, 160)
    data = bytearray(dng(image, preview=True))
    small = encoded("JPEG", Image.new("RGB", (60, 40), "red"))
    at = data.index(b"\xff\xd8\xff")
    length = data.index(b"\xff\xd9", at) + 2 - at
    assert len(small) <= length
    data[at : at + length] = small.ljust(length, b"\0")
    assert likeness(parse_photo(bytes(data), name="a.dng").pixels(), image) > 0.98


def test_a_dng_is_known_by_what_is_in_it():
    data = dng(scene(64, 48), preview=False)
    assert parse_photo(data, name="renamed.tif").facts.format == "DNG"


@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_raw_file_whose_sensor_data_ends_early_is_truncated_and_not_black(kept, capfd):
    # The directories first, as cameras write them: all but the end of the sensor's data is there.
    data = dng(scene(240, 160), preview=False, data_last=True)
    assert likeness(parse_photo(data, name="a.dng").pixels(), scene(240, 160)) > 0.98
    with pytest.raises(UnreadablePhoto, match="truncated"):
        parse_photo(data[: len(data) - int(240 * 160 * 2 * (1 - kept))], name="a.dng").pixels()
    assert capfd.readouterr().err == ""


def test_a_damaged_raw_file_has_a_reason():
    data = dng(scene(240, 160), preview=False)
    for part in (data[: len(data) // 2], data[:12] + bytes(len(data) - 12)):
        with pytest.raises(UnreadablePhoto) as caught:
            parse_photo(part, name="a.dng").pixels()
        assert caught.value.reason


def test_a_profile_is_followed():
    original = Image.open(SAMPLES / "travel/castle-1.jpg").convert("RGB")
    red, green, blue = original.split()
    swapped = Image.merge("RGB", (green, blue, red))
    profile = (DATA / "swapped-primaries.icc").read_bytes()
    candidates = {
        order: Image.merge("RGB", [original.getchannel(band) for band in order]) for order in ("GBR", "BRG")
    }
    best = max(
        likeness(parse_photo(encoded("PNG", image, icc_profile=profile), name="it").pixels(), original)
        for image in (swapped, *candidates.values())
    )
    assert best > 0.98
    assert likeness(swapped, original) < 0.98


def wide_gamut_pixels(image, profile):
    transform = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), profile, "RGB", "RGB")
    return ImageCms.applyTransform(image, transform)


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG", "WEBP", "AVIF"])
def test_colours_stored_by_another_profile_come_back_and_are_reduced_first(kind):
    profile = ImageCms.ImageCmsProfile(str(DATA / "swapped-primaries.icc"))
    muted = Image.blend(scene(400, 300), Image.new("RGB", (400, 300), "grey"), 0.5)
    options: dict[str, dict[str, Any]] = {
        "WEBP": {"lossless": True},
        "JPEG": {"quality": 98, "subsampling": 0},
        "AVIF": {"quality": 100},
    }
    data = encoded(
        kind, wide_gamut_pixels(muted, profile), icc_profile=profile.tobytes(), **options.get(kind, {})
    )
    for min_side in (None, 60):
        seen = parse_photo(data, name="it").pixels(min_side=min_side)
        assert min(seen.size) >= (min_side or 300)
        assert (
            np.abs(np.asarray(seen.resize((40, 30)), int) - np.asarray(muted.resize((40, 30)), int)).mean()
            < 4
        )
    stored = parse_photo(data, name="it").pixels(colours="stored")
    assert likeness(stored, muted) < 0.9


def test_an_srgb_profile_changes_no_pixel_and_a_damaged_one_costs_nothing():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    without_colours = bytearray(srgb)
    at = int.from_bytes(srgb[srgb.index(b"rXYZ") + 4 :][:4], "big")
    without_colours[at + 8 : at + 20] = struct.pack(">3i", -(1 << 31), 0, 0)
    for profile in (srgb, b"no profile", srgb[:200], bytes(without_colours)):
        seen = parse_photo(encoded("PNG", icc_profile=profile), name="it").pixels()
        assert np.array_equal(np.asarray(seen), np.asarray(scene()))


def test_lab_becomes_rgb():
    to_lab = ImageCms.buildTransform(
        ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB"
    )
    lab = ImageCms.applyTransform(scene(), to_lab)
    seen = parse_photo(encoded("TIFF", lab), name="it").pixels()
    assert np.abs(np.asarray(seen, int) - np.asarray(scene(), int)).mean() < 3


def test_12_bits_in_16_are_scaled_by_their_own_range():
    ramp = np.tile(np.linspace(0, 4095, 96).astype(np.uint16), (8, 1))
    grey = np.asarray(parse_photo(encoded("TIFF", Image.fromarray(ramp)), name="it").pixels())[0, :, 0]
    assert np.abs(grey.astype(int) - np.linspace(0, 255, 96)).max() <= 1


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_an_animation_that_begins_blank_is_seen_by_its_first_frame_that_shows_something(kind):
    frames = [Image.new("RGB", (96, 64), "white"), scene()]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(kind, frames[0], save_all=True, append_images=[frames[1]], **options)
    assert likeness(parse_photo(data, name="it").pixels(), scene()) > 0.95


@pytest.mark.parametrize(
    "head",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
        b"\xc5\xd0\xd3\xc6",
        b"id=ImageMagick",
        b"push graphic",
    ],
)
def test_postscript_and_its_like_have_no_decoder_whatever_they_are_called(head):
    for extension in sorted(EXTENSIONS):
        assert format_of(head + bytes(300), f"a{extension}") is None


def test_no_decoder_outside_the_table_is_even_imported():
    code = (
        "import io, sys\nfrom vitsearch.photos.photo import parse_photo\n"
        "for data in (b'%!PS-Adobe-3.0', b'GIF89a', b'\\xff\\xd8\\xff', b'BM' + bytes(60), b'8BPS\\0\\1'):\n"
        "    try: parse_photo(data, name='a.eps')\n    except Exception: pass\n"
        "print(sorted(name for name in sys.modules if name.startswith('PIL.') and name.endswith('ImagePlugin')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "Eps" not in done.stdout
    assert "Pdf" not in done.stdout
    assert "Fpx" not in done.stdout


def test_a_raw_file_is_indexed_found_and_paired_with_its_jpeg(tmp_path):
    image = scene(320, 240)
    (tmp_path / "photos/jpeg").mkdir(parents=True)
    (tmp_path / "photos/raw").mkdir()
    image.save(tmp_path / "photos/jpeg/a.jpg", quality=95)
    (tmp_path / "photos/raw/full.dng").write_bytes(dng(image, preview=True))
    (tmp_path / "photos/raw/none.dng").write_bytes(dng(image, preview=False))
    Image.new("RGB", (320, 240), "blue").save(tmp_path / "photos/other.png")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([tmp_path / "photos"])
        assert (report.photos, report.unreadable) == (4, ())
        best = library.search(tmp_path / "photos/jpeg/a.jpg", k=2).results
        assert {match.path.name for match in best} == {"full.dng", "none.dng"}
        assert min(match.score for match in best) > 0.99


def test_raw_and_jpeg_of_one_shot_are_one_item(tmp_path):
    image = scene(320, 240)
    (tmp_path / "photos").mkdir()
    image.save(tmp_path / "photos/IMG_1.JPG", quality=95)
    (tmp_path / "photos/IMG_1.DNG").write_bytes(dng(image))
    (tmp_path / "photos/IMG_2.DNG").write_bytes(dng(Image.new("RGB", (64, 48), "red")))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([tmp_path / "photos"])
        assert (report.photos, report.files) == (2, 2)
        found = {
            match.path.name
            for match in library.search(tmp_path / "photos/IMG_1.JPG", include_self=True).results
        }
    assert found == {"IMG_1.JPG", "IMG_2.DNG"}


def test_a_library_made_before_keeps_its_way_with_colours_until_it_is_upgraded(tmp_path):
    backbone = MeanColour()
    before = backbone.space.with_colours("stored")
    assert '"colours"' not in before.to_json()
    assert Space.from_json(before.to_json()) == before
    profile = (DATA / "swapped-primaries.icc").read_bytes()
    folder = tmp_path / "photos"
    folder.mkdir()
    image = scene(200, 150)
    image.save(folder / "a.png", icc_profile=profile)
    image.save(folder / "plain.png")
    with Library.open(tmp_path / "library", backbone=backbone) as library:
        with library.receiving(before, use=True):
            pass
        library.index([folder])
        assert library.existing_space() == before
        # As stored, the two look alike.
        assert library.search(folder / "a.png").results[0].score > 0.9999
        report = library.index(upgrade=True)
        assert report.embedded == 2
        assert library.existing_space() == backbone.space
        assert library.search(folder / "a.png").results[0].score < 0.999


@pytest.mark.parametrize("depth", [8, 16, 32])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("masks", [0, 2])
def test_a_photoshop_file_shows_its_flattened_picture(depth, large, packed, masks):
    image = scene(90, 60)
    for mode in ("RGB", "L"):
        data = psd(image, depth=depth, mode=mode, large=large, packed=packed, masks=masks)
        photo = parse_photo(data, name="a.psd")
        assert (photo.facts.format, photo.facts.width, photo.facts.height) == ("PSD", 90, 60)
        expected = np.asarray(image.convert(mode).convert("RGB"), dtype=int)
        assert np.abs(np.asarray(photo.pixels(), dtype=int) - expected).max() <= 1


def test_a_photoshop_file_in_inks_is_the_right_way_round():
    image = scene(90, 60)
    expected = np.asarray(image.convert("CMYK").convert("RGB"), dtype=int)
    for depth in (8, 16):
        shown = parse_photo(psd(image, depth=depth, mode="CMYK"), name="a.psd").pixels()
        assert np.abs(np.asarray(shown, dtype=int) - expected).mean() < 40


@pytest.mark.parametrize("packed", [False, True])
def test_a_photoshop_file_that_is_cut_is_called_truncated(packed):
    data = psd(scene(90, 60), depth=16, packed=packed)
    for size in (27, 38, len(data) // 2, len(data) - 1):
        with pytest.raises(UnreadablePhoto, match="truncated"):
            parse_photo(data[:size], name="a.psd").pixels()


def test_raw_files_of_minolta_and_fujifilm_have_the_facts_of_their_own_exif():
    exif = Image.Exif()
    exif[271], exif[272] = "FUJIFILM", "FinePix S5Pro"
    exif.get_ifd(0x8769).update({36867: "2007:05:22 13:58:30"})
    block = exif.tobytes()[6:]
    buffer = io.BytesIO()
    scene(32, 32).save(buffer, "JPEG", exif=exif)
    jpeg = buffer.getvalue()
    fuji = b"FUJIFILMCCD-RAW ".ljust(84, b"\0") + struct.pack(">II", 100, len(jpeg)) + bytes(8) + jpeg
    parts = b"\0PRD\0\0\0\x04abcd\0TTW" + struct.pack(">I", len(block)) + block
    minolta = b"\0MRM" + struct.pack(">I", len(parts)) + parts
    for data in (fuji, minolta):
        tags = raw_tags(data, None)
        assert (tags.text(272), tags.text(36867)) == ("FinePix S5Pro", "2007:05:22 13:58:30")
    for damaged in (fuji[:90], minolta[:20], minolta[:9] + bytes(40)):
        assert raw_tags(damaged, None) == ExifTags()
