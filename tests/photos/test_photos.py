"""One file: its upright pixels in every format, its facts, its hashes, and the reason where it cannot be read."""

import io
import os
import random
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.photo import MAX_FILE_BYTES, MAX_PIXELS, parse_photo, read_photo
from vitsearch.records import PhotoFacts

SAMPLES = Path(__file__).parents[2] / "sample_images"
WIDTH, HEIGHT = 96, 64

# How a camera stores a picture so that a viewer shows it upright: the inverse of each EXIF orientation.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
# Formats that carry an orientation, with settings that keep the pixels all but exact.
ORIENTED: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 98, "subsampling": 0},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4"},
}


def scene(width=WIDTH, height=HEIGHT):
    """A picture that looks different in each of the eight orientations."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[..., 0] = x * 255 // width
    pixels[..., 1] = y * 255 // height
    pixels[: height // 2, : width // 2, 2] = 200
    return Image.fromarray(pixels)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif_of_file(exif):
    """The same block as if read from a file: Pillow's TIFF writer looks into the inner blocks of no other."""
    read = Image.Exif()
    read.load(exif.tobytes())
    return read


def exif_with(orientation=None, **texts):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    for name, value in texts.items():
        exif[{"make": 0x010F, "model": 0x0110, "software": 0x0131, "changed": 0x0132}[name]] = value
    return exif


def with_original_date(exif, text):
    exif.get_ifd(0x8769)[0x9003] = text
    return exif


def at(exif, *, north, east):
    exif.get_ifd(0x8825).update({1: "N", 2: (north, 0.0, 0.0), 3: "E", 4: (east, 0.0, 0.0)})
    return exif


def difference(first, second):
    assert first.size == second.size
    return np.abs(np.asarray(first, np.int16) - np.asarray(second, np.int16)).mean()


def facts(data):
    return parse_photo(data, name="it").facts


def reason(data):
    with pytest.raises(UnreadablePhoto) as caught:
        parse_photo(data, name="it").pixels()
    assert str(caught.value) == f"cannot read it: {caught.value.reason}"
    return caught.value.reason


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ORIENTED)
def test_every_exif_orientation_gives_the_same_upright_picture(kind, orientation):
    method = STORED[orientation]
    stored = scene() if method is None else scene().transpose(method)
    photo = parse_photo(encoded(stored, kind, exif=exif_with(orientation), **ORIENTED[kind]), name="it")
    assert (photo.facts.width, photo.facts.height) == (WIDTH, HEIGHT)
    upright = photo.pixels()
    assert upright.mode == "RGB"
    assert difference(upright, scene()) < 2


@pytest.mark.parametrize("orientation", [0, 9, 300])
def test_an_orientation_outside_1_to_8_means_upright(orientation):
    photo = parse_photo(encoded(scene(), "PNG", exif=exif_with(orientation)), name="it")
    assert difference(photo.pixels(), scene()) == 0


@pytest.mark.parametrize(
    ("kind", "options", "tolerance"),
    [
        ("JPEG", {"quality": 95}, 3),
        ("JPEG", {"quality": 95, "progressive": True}, 3),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 90}, 4),
        ("TIFF", {"compression": "tiff_lzw"}, 0),
        ("TIFF", {"compression": "tiff_adobe_deflate"}, 0),
        ("BMP", {}, 0),
        ("AVIF", {"quality": 90}, 4),
        ("MPO", {"quality": 95, "save_all": True, "append_images": [Image.new("RGB", (96, 64))]}, 3),
        ("GIF", {}, 12),
    ],
)
def test_every_format_is_read_and_named(kind, options, tolerance):
    photo = parse_photo(encoded(scene(), kind, **options), name="it")
    assert photo.facts == PhotoFacts(kind, WIDTH, HEIGHT)
    assert difference(photo.pixels(), scene()) <= tolerance


def test_a_heic_is_read_and_shows_what_its_original_shows():
    (original,) = [path for path in SAMPLES.rglob("bridge-1.*") if path.suffix == ".jpg"]
    heic, jpeg = read_photo(SAMPLES / "copies/bridge-1.heic"), read_photo(original)
    assert heic.facts.format == "HEIF"
    assert (heic.facts.width, heic.facts.height) == (jpeg.facts.width, jpeg.facts.height)
    small = [photo.pixels().resize((64, 64), Image.Resampling.BOX) for photo in (heic, jpeg)]
    assert difference(*small) < 4


def test_the_extension_of_a_file_says_nothing_about_its_format(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encoded(scene(), "PNG"))
    assert read_photo(tmp_path / "photo.jpg").facts.format == "PNG"


def test_the_first_frame_of_an_animation_is_the_photo():
    frames = [Image.new("RGB", (20, 10), "black")]
    for kind in ("GIF", "WEBP", "PNG"):
        data = encoded(scene(20, 10), kind, save_all=True, append_images=frames)
        assert difference(parse_photo(data, name="it").pixels(), scene(20, 10)) < 12


GREY = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (Image.fromarray(GREY), "PNG"),
        (Image.fromarray(GREY), "JPEG"),
        (Image.fromarray(GREY.astype(np.uint16) * 257), "PNG"),
        (Image.fromarray(GREY.astype(np.uint16) * 257), "TIFF"),
        (Image.fromarray(GREY.astype(np.int32)), "TIFF"),
        (Image.fromarray(GREY.astype(np.int32) * 1_000_000), "TIFF"),
        (Image.fromarray(GREY.astype(np.float32) / 255), "TIFF"),
        (Image.fromarray(GREY.astype(np.float32)), "TIFF"),
        (Image.fromarray(GREY.astype(np.float32) * 100 - 5000), "TIFF"),
    ],
    ids=["L PNG", "L JPEG", "16-bit PNG", "16-bit TIFF", "I", "wide I", "F 0..1", "F 0..255", "wide F"],
)
def test_grey_of_any_depth_keeps_its_tones(image, kind):
    pixels = np.asarray(parse_photo(encoded(image, kind), name="it").pixels(), np.int16)
    assert np.abs(pixels - GREY[..., None]).max() <= 2


@pytest.mark.parametrize("value", [-5.0, 0.0, 300.0, np.nan, np.inf])
def test_a_float_image_of_one_value_is_of_one_colour(value):
    data = encoded(Image.fromarray(np.full((8, 8), value, np.float32)), "TIFF")
    assert len(parse_photo(data, name="it").pixels().getcolors() or ()) == 1


def test_a_1_bit_image_is_black_and_white():
    image = scene().convert("1")
    pixels = parse_photo(encoded(image, "PNG"), name="it").pixels()
    assert difference(pixels, image.convert("RGB")) == 0


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_are_paper_white_whatever_colour_they_hide(mode):
    image = Image.new("RGBA", (8, 4), (255, 0, 0, 255))
    image.paste((0, 0, 0, 0), (0, 0, 4, 4))
    expected = {"RGBA": (255, 0, 0), "LA": (76, 76, 76), "P": (255, 0, 0)}[mode]
    pixels = parse_photo(encoded(image.convert(mode), "PNG"), name="it").pixels()
    assert pixels.getpixel((0, 0)) == (255, 255, 255)
    assert pixels.getpixel((7, 3)) == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "1"])
def test_a_colour_that_is_declared_transparent_is_paper_white(mode):
    image = Image.new("RGB", (8, 4), "white")
    image.paste("black", (0, 0, 4, 4))
    key: object = (0, 0, 0) if mode == "RGB" else 0
    if mode == "P":
        image = image.quantize(2)
        key = image.getpixel((0, 0))
    pixels = parse_photo(encoded(image.convert(mode), "PNG", transparency=key), name="it").pixels()
    assert pixels.getcolors() == [(32, (255, 255, 255))]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_comes_out_in_the_colours_that_went_in(kind):
    data = encoded(Image.new("RGB", (32, 32), (200, 40, 90)).convert("CMYK"), kind, quality=98)
    assert Image.open(io.BytesIO(data)).mode == "CMYK"
    assert np.abs(np.array(parse_photo(data, name="it").pixels().getpixel((9, 9))) - (200, 40, 90)).max() <= 3


@pytest.mark.parametrize("min_side", [1, 20, 56, 100, 448])
def test_a_reduced_decode_is_never_smaller_than_asked_and_looks_like_the_full_one(min_side):
    full = read_photo(SAMPLES / "animals/cat-2.jpg").pixels()
    reduced = read_photo(SAMPLES / "animals/cat-2.jpg").pixels(min_side=min_side)
    assert min(reduced.size) >= min(min_side, *full.size)
    assert reduced.width / full.width in {1, 1 / 2, 1 / 4, 1 / 8}
    side = max(1, min_side // 2)
    small = [image.resize((side, side), Image.Resampling.BICUBIC) for image in (full, reduced)]
    assert difference(*small) < 1


def test_a_reduced_decode_really_is_reduced():
    data = encoded(scene(800, 600), "JPEG", exif=exif_with(6))
    assert parse_photo(data, name="it").pixels(min_side=100).size == (150, 200)
    assert parse_photo(data, name="it").pixels(min_side=151).size == (300, 400)


def test_facts_are_the_date_the_camera_the_place_and_the_software():
    exif = exif_with(
        6, make="Canon", model="Canon EOS R5", software="GIMP 2.10", changed="2025:12:31 23:59:59"
    )
    with_original_date(exif, "2024:05:17 18:30:05")
    exif.get_ifd(0x8825).update({1: "S", 2: (33.0, 51.0, 36.0), 3: "W", 4: (70.0, 30.0, 0.0)})
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        stored = scene().transpose(Image.Transpose.ROTATE_90)
        assert facts(encoded(stored, kind, exif=exif_of_file(exif))) == PhotoFacts(
            kind,
            WIDTH,
            HEIGHT,
            taken="2024-05-17T18:30:05",
            camera="Canon EOS R5",
            latitude=-33.86,
            longitude=-70.5,
            software="GIMP 2.10",
            taken_from="EXIF",
        )


def test_the_date_of_change_stands_in_for_a_missing_date():
    exif = exif_with(changed="2020:02:03 04:05:06")
    assert facts(encoded(scene(), "JPEG", exif=exif)).taken == "2020-02-03T04:05:06"


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON", "Z 6", "Nikon Z 6"),
        ("Canon", "Canon EOS", "Canon EOS"),
        ("canon", "CANON EOS", "Canon EOS"),
        ("", "PowerShot", "PowerShot"),
        ("Leica", "", "Leica"),
        ("  ", " ", None),
    ],
)
def test_a_camera_is_named_as_people_do(make, model, camera):
    assert facts(encoded(scene(), "JPEG", exif=exif_with(make=make, model=model))).camera == camera


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("2024:05:17 18:30:05", "2024-05-17T18:30:05"),
        ("2024-05-17T18:30:05+02:00", "2024-05-17T18:30:05"),
        ("2016:12:31 23:59:60", "2016-12-31T23:59:60"),
        ("0000:00:00 00:00:00", None),
        ("2024:13:17 18:30:05", None),
        ("2024:05:17", None),
        ("    :  :     :  :  ", None),
        ("2024:05:17 24:30:05", None),
        ("'; DROP TABLE photos; --", None),
        (12345, None),
    ],
)
def test_a_date_is_taken_only_if_it_is_one(text, taken):
    exif = with_original_date(exif_with(), text)
    assert facts(encoded(scene(), "JPEG", exif=exif)).taken == taken


@pytest.mark.parametrize(
    ("north", "east"), [(91.0, 10.0), (10.0, 181.0), (0.0, 0.0), (float("nan"), 10.0), (1e30, 1e30)]
)
def test_a_place_that_is_not_on_earth_is_no_place(north, east):
    gps = {1: "N", 2: (north, 0.0, 0.0), 3: "E", 4: (east, 0.0, 0.0)}
    if north == north and north < 1e9:
        exif = exif_with()
        exif.get_ifd(0x8825).update(gps)
        data = encoded(scene(), "JPEG", exif=exif)
    else:
        numbers = [(0, 0) if north != north else (2**32 - 1, 1), (0, 1), (0, 1)]
        data = encoded(scene(), "JPEG", exif=raw_gps(numbers, reference=b"N\0\0\0"))
    assert (facts(data).latitude, facts(data).longitude) == (None, None)


@pytest.mark.parametrize("kind", [2, 1, 7], ids=["ASCII", "BYTE", "UNDEFINED"])
def test_the_southern_and_western_hemispheres_are_known_by_any_type_of_letter(kind):
    data = encoded(scene(), "JPEG", exif=raw_gps([(33, 1), (30, 1), (0, 1)], reference=b"S\0\0\0", kind=kind))
    assert (facts(data).latitude, facts(data).longitude) == (-33.5, 33.5)


def raw_gps(numbers, *, reference, kind=2):
    """An EXIF block made byte by byte, with the same numbers as latitude and as longitude (always East)."""
    rationals = b"".join(struct.pack("<II", *number) for number in numbers)
    at = 8 + 2 + 12 + 4 + 2 + 4 * 12 + 4
    gps = struct.pack("<H", 4)
    gps += struct.pack("<HHI", 1, kind, 2 if kind == 2 else 1) + reference
    gps += struct.pack("<HHII", 2, 5, 3, at)
    gps += struct.pack("<HHI", 3, 2, 2) + b"E\0\0\0"
    gps += struct.pack("<HHII", 4, 5, 3, at) + struct.pack("<I", 0)
    first = struct.pack("<H", 1) + struct.pack("<HHII", 0x8825, 4, 1, 26) + struct.pack("<I", 0)
    return b"Exif\0\0II*\0" + struct.pack("<I", 8) + first + gps + rationals


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mRED\x1b[0m", "[31mRED[0m"),
        ("two\nlines\r\t", "twolines"),
        ("seen\0hidden", "seen"),
        ("x" * 5000, "x" * 200),
    ],
)
def test_hostile_text_in_exif_becomes_short_and_printable(hostile, shown):
    exif = exif_with(model=hostile.encode() if "\0" not in hostile else hostile)
    assert facts(encoded(scene(), "JPEG", exif=exif)).camera == shown


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_every_damaged_exif_block_costs_at_most_its_facts():
    random_source = random.Random(7)
    png = encoded(scene(8, 8), "PNG")
    for _ in range(1500):
        block = damaged_exif(random_source)
        chunk = b"eXIf" + block
        data = (
            png[:33] + struct.pack(">I", len(block)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
        )
        photo = parse_photo(data, name="it")
        assert photo.pixels().size == (8, 8)
        assert photo.facts.camera is None or photo.facts.camera.isprintable()


def damaged_exif(source):
    order = source.choice("<>")

    def entry(tag):
        kind, count = (
            source.choice([0, 1, 2, 3, 4, 5, 7, 10, 13, 99]),
            source.choice([0, 1, 3, 100, 2**32 - 1]),
        )
        return struct.pack(f"{order}HHI", tag, kind, count) + source.randbytes(4)

    tags = [0x010F, 0x0110, 0x0112, 0x0131, 0x0132, 0x8769, 0x8825, 1, 2, 3, 4, 0x9003]
    body = struct.pack(f"{order}H", len(tags)) + b"".join(map(entry, tags)) + source.randbytes(120)
    return (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", 8) + body


def test_an_empty_file_says_so():
    assert reason(b"") == "the file is empty"


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"hello" * 100,
        b"\xff\xd8\xff",
        b"<svg/>",
        b"PK\x03\x04" + bytes(100),
        b"%PDF-1.7",
        bytes(10_000),
    ],
)
def test_what_is_no_image_says_so(data):
    assert reason(data) == "it is not an image in a format that is read here"


def test_the_reason_is_the_same_for_the_first_file_of_a_process():
    code = """
from vitsearch.photos.photo import parse_photo
try:
    parse_photo(b"hello", name="it")
except Exception as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cannot read it: it is not an image in a format that is read here\n"


@pytest.mark.parametrize("kind", ["EPS", "ICO", "PCX", "TGA", "DDS", "SGI", "PDF"])
def test_formats_that_are_not_on_the_list_are_not_even_tried(kind):
    assert reason(encoded(scene(), kind)) == "it is not an image in a format that is read here"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "BMP"])
def test_a_file_cut_in_half_is_called_truncated(kind):
    data = encoded(scene(300, 200), kind)
    assert reason(data[: len(data) // 2]).startswith("it is truncated (")


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
def test_a_file_cut_in_half_gives_no_half_picture(kind):
    data = encoded(scene(300, 200), kind)
    assert reason(data[: len(data) // 2])


def test_the_truncated_sample_is_unreadable():
    with pytest.raises(UnreadablePhoto, match="truncated"):
        read_photo(SAMPLES / "copies/pyramid-1-truncated.jpg").pixels()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF"])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_mutated_files_are_read_or_refused_with_a_reason_and_never_end_otherwise(kind):
    source = random.Random(kind)
    seed = encoded(scene(), kind, **({} if kind in ("GIF", "BMP") else {"exif": exif_with(6, model="X")}))
    reasons = []
    for _ in range(150):
        data = bytearray(seed)
        reach = source.choice([40, 200, len(data)])
        for _ in range(source.choice([1, 2, 8])):
            place = source.randrange(min(reach, len(data)))
            if source.random() < 0.7:
                data[place] = source.choice([0, 1, 127, 128, 255])
            else:
                del data[place : place + source.randrange(1, 9)]
        try:
            assert parse_photo(bytes(data), name="it").pixels(min_side=8).mode == "RGB"
        except UnreadablePhoto as error:
            reasons.append(error.reason)
    assert 0 < len(reasons) < 150
    assert all(text.isprintable() for text in reasons)


def png_that_declares(width, height):
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 2) * 2000))
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", rows), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return data


def test_a_decompression_bomb_is_refused_by_its_header_alone():
    data = png_that_declares(60_000, 60_000)
    started = time.process_time()
    assert reason(data) == f"it declares 60000 x 60000 pixels, more than the limit of {MAX_PIXELS}"
    assert time.process_time() - started < 0.2


def test_a_png_whose_notes_unpack_without_end_costs_neither_the_picture_nor_time():
    body = b"note\0\0" + zlib.compress(bytes(200_000_000), 9)
    chunk = b"zTXt" + body
    png = encoded(scene(8, 8), "PNG")
    data = png[:33] + struct.pack(">I", len(body)) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]
    started = time.process_time()
    assert difference(parse_photo(data, name="it").pixels(), scene(8, 8)) == 0
    assert time.process_time() - started < 0.2


def test_a_file_larger_than_the_limit_is_refused_unread(tmp_path):
    file = tmp_path / "huge.jpg"
    with file.open("wb") as stream:
        stream.truncate(MAX_FILE_BYTES + 1)
    with pytest.raises(UnreadablePhoto) as caught:
        read_photo(file)
    assert (
        caught.value.reason == f"it has {MAX_FILE_BYTES + 1} bytes, more than the limit of {MAX_FILE_BYTES}"
    )


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="only Linux has files that are never as long as they say"
)
def test_a_file_that_is_not_as_long_as_it_says_has_changed_while_it_was_read():
    with pytest.raises(UnreadablePhoto) as caught:
        read_photo(Path("/proc/self/status"))
    assert caught.value.reason == "it changed while it was read"


def test_what_is_not_a_regular_file_is_refused_at_once_and_leaves_nothing_open(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    before = sorted(Path("/dev/fd").iterdir())
    reasons = {
        "pipe.jpg": "it is not a regular file",
        "zero.jpg": "it is not a regular file",
        "folder.jpg": "it is a folder; name one image in it",
    }
    for name, reason in reasons.items():
        with pytest.raises(UnreadablePhoto) as caught:
            read_photo(tmp_path / name)
        assert caught.value.reason == reason
    assert sorted(Path("/dev/fd").iterdir()) == before


def test_a_file_that_is_not_there_says_so_with_its_path(tmp_path):
    with pytest.raises(UnreadablePhoto) as caught:
        read_photo(tmp_path / "none.jpg")
    assert str(caught.value) == f"cannot read {tmp_path / 'none.jpg'}: No such file or directory"
