"""Which bytes of a file are the photo: notes written into it leave the photo hash alone, what is seen does not."""

import io
import struct
import zlib

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo

from tests.support.photo_hash_parts import photo_hash_parts
from vitsearch.photos.photo import parse_photo

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
LAB = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
XMP = b"<x:xmpmeta xmlns:x='adobe:ns:meta/'><rdf:li>holiday</rdf:li></x:xmpmeta>"


def scene(shift=0):
    image = Image.new("RGB", (40, 30), (10 + shift, 80, 200))
    image.paste((240, 200, 30), (5, 5, 20, 20))
    return image


def encoded(kind, image=None, **options):
    if kind == "WEBP":
        options = {"lossless": True, **options}
    buffer = io.BytesIO()
    (image or scene()).save(buffer, kind, **options)
    return buffer.getvalue()


def photo_hash(data):
    return parse_photo(data, name="it").photo_hash


def exif(**tags):
    block = Image.Exif()
    for name, value in tags.items():
        block[{"rating": 0x4746, "artist": 0x013B, "orientation": 0x0112}[name]] = value
    return block


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segment(jpeg, marker, body):
    return jpeg[:2] + segment(marker, body) + jpeg[2:]


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def with_chunk(png, name, body):
    return png[:33] + chunk(name, body) + png[33:]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_ratings_keywords_and_captions_leave_the_photo_hash_alone(kind):
    plain = encoded(kind)
    tagged = [
        encoded(kind, exif=exif(rating=5)),
        encoded(kind, exif=exif(rating=3, artist="Ann")),
        encoded(kind, exif=exif(orientation=1)),
        encoded(kind, xmp=XMP)
        if kind != "PNG"
        else with_chunk(plain, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
        encoded(kind, exif=exif(rating=4), **({"xmp": XMP} if kind != "PNG" else {})),
    ]
    assert len({parse_photo(data, name="it").file_hash for data in [plain, *tagged]}) == 6
    assert {photo_hash(data) for data in tagged} == {photo_hash(plain)}


def test_comments_iptc_and_several_blocks_of_a_jpeg_leave_the_photo_hash_alone():
    plain = encoded("JPEG")
    for data in (
        encoded("JPEG", comment=b"a caption"),
        with_segment(plain, 0xED, b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x05\x1c\x02\x19\0\0"),
        with_segment(
            with_segment(plain, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + XMP), 0xE1, b"more" * 1000
        ),
        plain[:2] + b"\xff\xff" + segment(0xFE, b"after fill bytes") + plain[2:],
    ):
        assert photo_hash(data) == photo_hash(plain)


@pytest.mark.parametrize("name", [b"tEXt", b"zTXt", b"iTXt", b"tIME"])
def test_the_notes_of_a_png_leave_the_photo_hash_alone_wherever_they_stand(name):
    plain = encoded("PNG")
    body = {
        b"tEXt": b"Comment\0hello",
        b"zTXt": b"Comment\0\0" + zlib.compress(b"hello"),
        b"iTXt": b"Comment\0\0\0\0\0hello",
        b"tIME": struct.pack(">HBBBBB", 2024, 5, 17, 1, 2, 3),
    }[name]
    before_the_end = plain[:-12] + chunk(name, body) + plain[-12:]
    assert photo_hash(with_chunk(plain, name, body)) == photo_hash(before_the_end) == photo_hash(plain)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "AVIF"])
def test_other_pixels_are_another_photo(kind):
    assert photo_hash(encoded(kind)) != photo_hash(encoded(kind, scene(40)))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_another_orientation_is_another_photo(kind):
    photo_hashes = {photo_hash(encoded(kind, exif=exif(orientation=number))) for number in range(1, 9)}
    assert len(photo_hashes) == 8
    assert photo_hash(encoded(kind)) in photo_hashes


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_another_colour_profile_is_another_photo(kind):
    data = [encoded(kind), encoded(kind, icc_profile=SRGB), encoded(kind, icc_profile=LAB)]
    assert len({photo_hash(each) for each in data}) == 3


def test_another_palette_or_transparency_is_another_photo():
    image = scene().quantize(4)
    other = image.copy()
    other.putpalette([0, 0, 0, 255, 255, 255, 9, 9, 9, 80, 80, 80])
    data = [encoded("PNG", image), encoded("PNG", other), encoded("PNG", image, transparency=1)]
    assert len({photo_hash(each) for each in data}) == 3


def test_the_same_file_under_another_format_is_another_photo():
    assert len({photo_hash(encoded(kind)) for kind in ("PNG", "WEBP", "BMP", "TIFF")}) == 4


def test_a_format_without_notes_is_taken_whole():
    data = encoded("BMP")
    assert photo_hash_parts(data) == [data]


def test_the_parts_of_a_file_are_its_own_bytes_without_the_notes():
    jpeg = encoded("JPEG", exif=exif(rating=5), comment=b"hello")
    parts = [bytes(part) for part in photo_hash_parts(jpeg)]
    assert [part[:2] for part in parts] == [
        b"\xff\xe0",
        b"\xff\xdb",
        b"\xff\xdb",
        b"\xff\xc0",
        *[b"\xff\xc4"] * 4,
        b"\xff\xda",
    ]
    png = encoded("PNG", pnginfo=note("Comment", "hello"))
    assert [bytes(part)[4:8] for part in photo_hash_parts(png)] == [b"IHDR", b"IDAT", b"IEND"]
    webp = encoded("WEBP", exif=exif(rating=5), icc_profile=SRGB)
    assert [bytes(part)[:4] for part in photo_hash_parts(webp)] == [b"ICCP", b"VP8L"]


def note(key, value):
    info = PngInfo()
    info.add_text(key, value)
    return info


def test_a_thumbnail_inside_the_exif_block_is_a_note():
    plain = encoded("JPEG")
    thumbnail = encoded("JPEG", scene(90))
    assert photo_hash(
        with_segment(plain, 0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0" + thumbnail)
    ) == photo_hash(plain)


def test_what_stands_behind_the_end_of_a_jpeg_belongs_to_it():
    data = encoded("JPEG")
    assert photo_hash(data + b"a second frame") != photo_hash(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff",
        b"\xff\xd8\xff\xe1",
        b"\xff\xd8\xff\xe1\x00\x01",
        b"\xff\xd8\xff\xe1\xff\xff" + bytes(100),
        b"\xff\xd8" + b"\xff" * 500,
        b"\xff\xd8\x00\x00",
        b"\xff\xd8" + segment(0xE1, b"note") + b"\xff\xda\xff\xff",
        b"\x89PNG\r\n\x1a\n\xff\xff\xff\xff",
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 2**32 - 1) + b"tEXt" + bytes(50),
        b"\x89PNG\r\n\x1a\n" + b"\0\0",
        b"RIFF\0\0\0\0WEBPEXIF\xff\xff\xff\xff" + bytes(20),
        b"GIF89a" + bytes(10),
    ],
)
def test_files_whose_structure_is_damaged_are_taken_whole(data):
    assert photo_hash_parts(data) == [data]


SEEDS = [
    encoded("JPEG", exif=exif(rating=5), comment=b"hello"),
    encoded("PNG", pnginfo=note("Comment", "hello"), exif=exif(rating=5)),
    encoded("WEBP", exif=exif(rating=5), xmp=XMP),
]


def assert_parts_stand_in_the_file_in_order(data):
    position = 0
    for part in photo_hash_parts(data):
        position = data.index(bytes(part), position) + len(part)


@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP"]),
)
@example(b"", b"RIFF\0\0\0\0WEBP")
def test_any_bytes_have_parts_that_stand_in_them_in_order(data, start):
    assert_parts_stand_in_the_file_in_order(start + data)


@settings(max_examples=300)
@given(
    st.sampled_from(SEEDS),
    st.lists(
        st.tuples(st.integers(0, 2000), st.sampled_from([0, 1, 0x7F, 0xDA, 0xE1, 0xFE, 0xFF])), max_size=6
    ),
    st.integers(0, 2000),
)
def test_any_damaged_file_has_parts_that_stand_in_it_in_order(seed, changes, length):
    data = bytearray(seed)
    for place, value in changes:
        data[place % len(data)] = value
    assert_parts_stand_in_the_file_in_order(bytes(data[:length]))
