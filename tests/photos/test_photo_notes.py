"""Notes beside a picture: damaged ones cost nothing but themselves, sound ones are read however they are written."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, UnidentifiedImageError

from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.facts import date_in_name
from vitsearch.photos.iso_media import with_one_association_box
from vitsearch.photos.photo import parse_photo, read_photo
from vitsearch.space import Preprocessing

DATA = Path(__file__).parents[1] / "data"
SAMPLES = Path(__file__).parents[2] / "sample_images"
XMP_HEAD = b"http://ns.adobe.com/xap/1.0/\0"


def scene():
    y, x = np.mgrid[0:64, 0:96]
    return Image.fromarray(np.stack([x * 2, y * 3, (x + y) % 200], axis=2).astype(np.uint8))


def encoded(kind, image=None, **options):
    buffer = io.BytesIO()
    (image or scene()).save(buffer, kind, **options)
    return buffer.getvalue()


def with_segment(jpeg, marker, body):
    return jpeg[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def with_chunk(png, name, body, *, checksum=None):
    checksum = zlib.crc32(name + body) if checksum is None else checksum
    return png[:33] + struct.pack(">I", len(body)) + name + body + struct.pack(">I", checksum) + png[33:]


def with_riff(webp, name, body):
    """The same WebP with a chunk behind its image, and a header that says so."""
    flags = bytes([{b"EXIF": 8, b"XMP ": 4}[name], 0, 0, 0])
    header = b"VP8X" + struct.pack("<I", 10) + flags + (95).to_bytes(3, "little") + (63).to_bytes(3, "little")
    rest = header + webp[12:] + name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)
    return b"RIFF" + struct.pack("<I", len(rest) + 4) + b"WEBP" + rest


def exif(base=(), shot=(), gps=()):
    block = Image.Exif()
    block.update(dict(base))
    if shot:
        block.get_ifd(0x8769).update(dict(shot))
    if gps:
        block.get_ifd(0x8825).update(dict(gps))
    return block


def facts(data, name="it"):
    return parse_photo(data, name=name).facts


GARBAGE = [b"garbage garbage", bytes(40), b"II\x00\x13\x08\0\0\0", b"MM\0*", b""]


XMP_KEYWORD = b"XML:com.adobe.xmp\0"
RATED = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)


def test_xmp_that_says_nothing_of_interest_is_not_called_damaged_and_half_of_one_is():
    other = RATED.replace(b"xmp:Rating", b"xmp:Nickname") + b" " * 2000
    for packet, remarks in ((other, ()), (other + b"<junk/>", ()), (RATED[:-20], ("damaged",))):
        photo = parse_photo(
            with_chunk(encoded("PNG"), b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + packet), name="it"
        )
        assert len(photo.remarks) == len(remarks)
        assert all(word in remark for word, remark in zip(remarks, photo.remarks, strict=True))
    assert photo.facts.rating == 4


def profile(name, block, behind=b""):
    return b"\n%s\n%8d\n%s\n%s" % (name, len(block), block.hex().encode(), behind)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"iTXt", XMP_KEYWORD + b"\0\0\0\0" + RATED),
        (b"iTXt", XMP_KEYWORD + b"\1\0\0\0" + zlib.compress(RATED)),
        (b"tEXt", XMP_KEYWORD + RATED),  # as Qt writes it
        (b"zTXt", XMP_KEYWORD + b"\0" + zlib.compress(RATED)),
        (b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(profile(b"xmp", RATED))),
        (b"zTXt", b"Raw profile type xmp\0\0" + zlib.compress(profile(b"XMP", RATED, b'}}}\xd1"'))),
        (b"tEXt", b"Raw profile type xmp\0" + profile(b"xmp", RATED)),
    ],
)
def test_xmp_in_a_png_is_read_wherever_programs_put_it(name, body):
    assert facts(with_chunk(encoded("PNG"), name, body)).rating == 4


def test_keywords_in_a_profile_whose_name_has_two_words_are_read():
    iptc = b"8BIM\x04\x04\0\0\0\0\0\x0b\x1c\x02\x19\0\x06autumn\0"
    body = b"Raw profile type iptc\0\0" + zlib.compress(profile(b"IPTC profile", iptc))
    assert facts(with_chunk(encoded("PNG"), b"zTXt", body)).keywords == ("autumn",)


@pytest.mark.parametrize("block", GARBAGE)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "raw profile"])
def test_a_damaged_exif_block_costs_its_facts_and_is_remarked(kind, block):
    plain = encoded(
        "PNG" if kind == "raw profile" else kind, **({"lossless": True} if kind == "WEBP" else {})
    )
    data = {
        "JPEG": lambda: with_segment(plain, 0xE1, b"Exif\0\0" + block),
        "PNG": lambda: with_chunk(plain, b"eXIf", block),
        "WEBP": lambda: with_riff(plain, b"EXIF", block),
        "raw profile": lambda: with_chunk(
            plain,
            b"zTXt",
            b"Raw profile type exif\0\0"
            + zlib.compress(b"\nexif\n%8d\n%s\n" % (len(block), block.hex().encode())),
        ),
    }[kind]()
    photo = parse_photo(data, name="it")
    assert np.array_equal(np.asarray(photo.pixels()), np.asarray(parse_photo(plain, name="it").pixels()))
    assert (photo.facts.taken, photo.facts.camera) == (None, None)
    assert photo.photo_hash == parse_photo(plain, name="it").photo_hash
    if block:
        assert photo.remarks == ("its EXIF block is damaged and was left out",)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        (b"eXIf", b"II*\0\x08\0\0\0\0\0"),
        (b"tEXt", b"Comment\0hello"),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0<x/>"),
        (b"tIME", b"\x07\xe8\x05\x11\x01\x02\x03"),
        (b"pHYs", bytes(9)),
        (b"iCCP", b"name\0\0not zlib"),
    ],
)
def test_a_descriptive_chunk_with_a_wrong_checksum_costs_no_photo(name, body):
    plain = encoded("PNG")
    for checksum in (0, None):
        data = with_chunk(plain, name, body, checksum=checksum)
        behind = plain[:-12] + with_chunk(bytes(33), name, body, checksum=checksum)[33:] + plain[-12:]
        for each in (data, behind):
            assert np.array_equal(np.asarray(parse_photo(each, name="it").pixels()), np.asarray(scene()))


def test_a_large_packed_text_costs_no_photo():
    body = b"Comment\0\0" + zlib.compress(b"word " * 300_000)
    data = with_chunk(encoded("PNG"), b"zTXt", body)
    assert np.array_equal(np.asarray(parse_photo(data, name="it").pixels()), np.asarray(scene()))


@pytest.mark.parametrize("marker", [0xE1, 0xE2, 0xED, 0xEE, 0xEF])
def test_an_application_segment_of_a_jpeg_may_hold_anything(marker):
    for body in (
        b"",
        b"Exif\0\0",
        b"ICC_PROFILE\0\x01\x01garbage",
        b"MPF\0garbage",
        b"Photoshop 3.0\x008BIM",
        b"Adobe",
    ):
        photo = parse_photo(with_segment(encoded("JPEG", quality=95), marker, body), name="it")
        assert photo.pixels().size == (96, 64)


def test_a_jpeg_without_its_last_two_bytes_is_whole_and_one_that_lacks_pixels_is_not():
    data = (SAMPLES / "animals/cat-1.jpg").read_bytes()
    whole = parse_photo(data, name="it").pixels()
    for min_side in (None, 100):
        photo = parse_photo(data[:-2], name="it")
        assert photo.pixels(min_side=min_side).tobytes() == (
            whole.tobytes()
            if min_side is None
            else parse_photo(data, name="it").pixels(min_side=100).tobytes()
        )
    for missing in (40, 400, len(data) // 2):
        with pytest.raises(UnreadablePhoto, match="truncated"):
            parse_photo(data[:-missing], name="it").pixels()


def test_the_primary_image_of_a_heic_with_several_is_the_photo():
    photo = read_photo(DATA / "two-images.heic")
    assert (photo.facts.width, photo.facts.height) == photo.pixels().size == (800, 450)


def test_a_heic_with_several_images_is_prepared_with_a_thumbnail_in_a_decoding_process():
    square = Preprocessing(224, 224, 224, "crop", 3, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    with Decoders(1) as decoders, decoders.open(DATA / "two-images.heic") as photo:
        _, pixels, small = photo.prepared_with_thumbnail(square, (1920, 320))
    assert pixels.shape == (224, 224, 3)
    assert small is not None
    assert small.size == (569, 320)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_heif_or_avif_that_is_cut_is_called_truncated(share):
    avif = encoded("AVIF", Image.effect_noise((300, 200), 90).convert("RGB"))
    heic = (SAMPLES / "copies/bridge-1.heic").read_bytes()
    for data in (avif, heic):
        with pytest.raises(UnreadablePhoto) as caught:
            parse_photo(data[: int(share * len(data))], name="it").pixels()
        assert caught.value.reason.startswith("it is truncated")
    with pytest.raises(UnreadablePhoto, match="it is truncated"):
        read_photo(DATA / "cut-in-half.avif")


def test_a_damaged_exif_block_of_an_avif_costs_no_photo_and_no_rotation():
    turned = exif([(0x0112, 6), (0x010F, "Canon")])
    data = encoded("AVIF", quality=95, exif=turned)
    broken = data.replace(b"II*\0\x08", b"xx*\0\x08").replace(b"MM\0*\0", b"xx\0*\0")
    assert broken != data
    assert parse_photo(data, name="it").pixels().size == (64, 96)
    assert parse_photo(broken, name="it").pixels().size == (64, 96)


GOOD, OTHER = "2003:09:10 20:59:18", "2024:05:17 10:11:12"


@pytest.mark.parametrize(
    ("base", "shot", "taken"),
    [
        ({0x0132: OTHER}, {0x9003: "0000:00:00 00:00:00"}, "2024-05-17T10:11:12"),
        ({0x0132: OTHER}, {0x9003: "    :  :     :  :  ", 0x9004: GOOD}, "2003-09-10T20:59:18"),
        ({0x0132: OTHER}, {0x9004: GOOD}, "2003-09-10T20:59:18"),
        ({}, {0x9003: "2003/09/10 20:59:18"}, "2003-09-10T20:59:18"),
        ({}, {0x9003: "2003:02:30 20:59:18"}, None),
    ],
)
def test_the_date_is_the_best_one_that_is_one(base, shot, taken):
    found = facts(encoded("JPEG", exif=exif(base, shot)))
    assert (found.taken, found.taken_from) == (taken, "EXIF" if taken else None)


def test_a_date_has_the_offset_that_stands_beside_it():
    assert facts(encoded("JPEG", exif=exif((), {0x9003: GOOD, 0x9011: "+02:00"}))).utc_offset == "+02:00"
    assert facts(encoded("JPEG", exif=exif((), {0x9003: GOOD, 0x9011: "nonsense"}))).utc_offset is None


def packet(inner, attributes=""):
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        f'<rdf:Description rdf:about="" {attributes}>{inner}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


RICH = packet(
    "<dc:subject><rdf:Bag><rdf:li>Holiday</rdf:li><rdf:li>Käse</rdf:li></rdf:Bag></dc:subject>"
    '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">At the sea</rdf:li></rdf:Alt></dc:description>'
    "<exif:GPSLatitude>48,51.5N</exif:GPSLatitude><exif:GPSLongitude>2,17,42W</exif:GPSLongitude>"
    "<exif:GPSAltitude>357/10</exif:GPSAltitude>",
    'exif:DateTimeOriginal="1988-12-01T18:53:44+01:00" tiff:Make="Leica" tiff:Model="M11" xmp:Rating="4"',
)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "AVIF", "TIFF", "GIF"])
def test_all_that_xmp_says_is_read(kind):
    plain = encoded(kind)
    data = {
        "JPEG": lambda: with_segment(plain, 0xE1, XMP_HEAD + RICH),
        "PNG": lambda: with_chunk(plain, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + RICH),
        "WEBP": lambda: with_riff(plain, b"XMP ", RICH),
        "AVIF": lambda: encoded("AVIF", xmp=RICH),
        "TIFF": lambda: encoded("TIFF", tiffinfo={700: RICH}),
        "GIF": lambda: gif_with_xmp(plain),
    }[kind]()
    found = facts(data)
    assert (found.taken, found.taken_from, found.utc_offset) == ("1988-12-01T18:53:44", "XMP", "+01:00")
    assert (found.camera, found.rating, found.keywords) == ("Leica M11", 4, ("Holiday", "Käse"))
    assert (found.latitude, found.longitude, found.altitude) == (48.8583333, -2.295, 35.7)
    assert found.caption == "At the sea"


def gif_with_xmp(plain):
    trailer = b"\x01" + bytes(range(255, -1, -1)) + b"\0"
    return plain[:-1] + b"\x21\xff\x0bXMP DataXMP" + RICH + trailer + b";"


def test_xmp_with_a_document_type_is_not_read():
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa">]>' + RICH
    assert facts(with_segment(encoded("JPEG"), 0xE1, XMP_HEAD + bomb)).camera is None


def test_iptc_says_keywords_caption_and_date():
    def dataset(number, text):
        return bytes([0x1C, 2, number]) + struct.pack(">H", len(text)) + text

    block = (
        dataset(25, b"sea")
        + dataset(25, "Köln".encode("latin-1"))
        + dataset(55, b"19991231")
        + dataset(60, b"235958+0100")
        + dataset(120, b"Fireworks")
    )
    body = (
        b"Photoshop 3.0\x008BIM\x04\x04\0\0"
        + struct.pack(">I", len(block))
        + block
        + b"\0" * (len(block) % 2)
    )
    found = facts(with_segment(encoded("JPEG"), 0xED, body))
    assert (found.taken, found.taken_from, found.utc_offset) == ("1999-12-31T23:59:58", "IPTC", "+01:00")
    assert (found.keywords, found.caption) == (("sea", "Köln"), "Fireworks")


@pytest.mark.parametrize(
    ("north", "east", "place"),
    [
        ("s", "E", (-33.85, 151.2833333)),
        ("South", "West", (-33.85, -151.2833333)),
        ("N", "w", (33.85, -151.2833333)),
    ],
)
def test_a_hemisphere_may_be_spelt_in_any_way(north, east, place):
    gps = {1: north, 2: (33.0, 51.0, 0.0), 3: east, 4: (151.0, 17.0, 0.0)}
    found = facts(encoded("JPEG", exif=exif((), (), gps)))
    assert (found.latitude, found.longitude) == place


def test_a_position_of_degrees_and_minutes_alone_is_read_and_a_depth_below_the_sea():
    gps = {1: "N", 2: (33.0, 51.0), 3: "E", 4: (151.0, 17.0), 5: b"\x01", 6: 12.5}
    found = facts(encoded("JPEG", exif=exif((), (), gps)))
    assert (found.latitude, found.longitude, found.altitude) == (33.85, 151.2833333, -12.5)


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D850", "Nikon D850"),
        ("OLYMPUS IMAGING CORP.", "E-M1", "Olympus E-M1"),
        ("SONY", "ILCE-7M3", "Sony ILCE-7M3"),
        ("EASTMAN KODAK COMPANY", "KODAK DX7590 ZOOM", "Kodak DX7590 ZOOM"),
        ("LEICA CAMERA AG", "LEICA M10", "Leica M10"),
        ("CASIO COMPUTER CO.,LTD.", "EX-Z750", "Casio EX-Z750"),
        ("Apple", "iPhone 12", "Apple iPhone 12"),
        ("DJI", "FC220", "DJI FC220"),
        ("", "Käse-Kamera 📷", "Käse-Kamera 📷"),
    ],
)
def test_a_camera_is_called_what_people_call_it(make, model, camera):
    block = exif({0x010F: make.encode(), 0x0110: model.encode()})
    assert facts(encoded("JPEG", exif=block)).camera == camera


@pytest.mark.parametrize(
    ("name", "taken"),
    [
        ("IMG_20190701_183011.jpg", "2019-07-01T18:30:11"),
        ("PXL_20210203_101112345.jpg", "2021-02-03T10:11:12"),
        ("2019-07-01 18.30.11.jpg", "2019-07-01T18:30:11"),
        ("IMG-20190701-WA0001.jpg", "2019-07-01T00:00:00"),
        ("Screenshot_2019-07-01-18-30-11.png", "2019-07-01T18:30:11"),
        ("Screenshot 2021-03-04 at 05.06.07.png", "2021-03-04T05:06:07"),
        ("signal-2022-08-09-101112.jpg", "2022-08-09T10:11:12"),
        ("20190701_183011.jpg", "2019-07-01T18:30:11"),
        ("20190701.jpg", None),
        ("IMG_20191301_183011.jpg", None),
        ("IMG_20190231_183011.jpg", None),
        ("DSC_1234.jpg", None),
        ("12345678901234567890.jpg", None),
        ("2019/07/photo.jpg", None),
    ],
)
def test_a_date_in_a_name_is_read_where_it_is_one(name, taken):
    assert date_in_name(name) == taken


def test_the_name_is_asked_last(tmp_path):
    (tmp_path / "IMG_20190701_183011.jpg").write_bytes(encoded("JPEG"))
    found = read_photo(tmp_path / "IMG_20190701_183011.jpg").facts
    assert (found.taken, found.taken_from) == ("2019-07-01T18:30:11", "name")
    (tmp_path / "IMG_20190701_183011.jpg").write_bytes(encoded("JPEG", exif=exif({0x0132: OTHER})))
    assert read_photo(tmp_path / "IMG_20190701_183011.jpg").facts.taken == "2024-05-17T10:11:12"


def test_a_search_for_a_closed_standard_input_says_so():
    done = subprocess.run(
        f"exec {sys.executable} -m vitsearch search - <&-",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "standard input, and that is closed" in done.stderr


def with_an_association_box_for_each_item(data):
    """An AVIF as early encoders wrote it: the box that gives properties to items comes once for each item."""
    at = data.index(b"ipma") - 4
    size, count = int.from_bytes(data[at : at + 4], "big"), int.from_bytes(data[at + 12 : at + 16], "big")
    split, entry = b"", at + 16
    for _ in range(count):
        stop = entry + 3 + data[entry + 2]
        split += (
            (16 + stop - entry).to_bytes(4, "big") + data[at + 4 : at + 12] + b"\0\0\0\1" + data[entry:stop]
        )
        entry = stop
    more = len(split) - size
    changed = bytearray(data[:at] + split + data[at + size :])
    for name in (b"meta", b"iprp"):
        place = changed.index(name) - 4
        grown = int.from_bytes(changed[place : place + 4], "big") + more
        changed[place : place + 4] = grown.to_bytes(4, "big")
    place = changed.index(b"iloc") + 4
    assert changed[place : place + 6] == b"\0\0\0\0\x44\0"
    for item in range(int.from_bytes(changed[place + 6 : place + 8], "big")):
        offset = place + 8 + 14 * item + 6
        moved = int.from_bytes(changed[offset : offset + 4], "big") + more
        changed[offset : offset + 4] = moved.to_bytes(4, "big")
    return bytes(changed)


def test_an_avif_of_an_early_encoder_is_read_with_its_transparency():
    drawing = Image.new("RGBA", (64, 48), (200, 30, 30, 255))
    drawing.paste((0, 0, 0, 0), (0, 0, 32, 48))
    data = encoded("AVIF", drawing, quality=90)
    early = with_an_association_box_for_each_item(data)
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(early))
    left, right = (parse_photo(one, name="it").pixels() for one in (early, data))
    assert left.tobytes() == right.tobytes()
    assert left.getpixel((5, 5)) == (255, 255, 255)
    # A file that is right is not touched.
    assert with_one_association_box(data) is data
