"""JPEG XL: depths, profiles, transparency and packed notes, as files of other programs have them."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from vitsearch.photos.photo import parse_photo

imagecodecs = pytest.importorskip("imagecodecs", reason="JPEG XL is an extra: pip install 'vitsearch[jxl]'")


def scene(width=96, height=64):
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([x * 255 / width, y * 255 / height, (x + y) * 255 / (width + height)], axis=2)
    return pixels.astype(np.uint8)


def shown(data, **how):
    return np.asarray(parse_photo(data, name="a.jxl").pixels(**how), dtype=int)


@pytest.mark.parametrize("bits", [9, 10, 12, 14, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_numbers_of_any_depth_have_their_tones(bits, channels):
    full = np.concatenate([scene(), np.full((64, 96, 1), 255, np.uint8)], axis=2)
    wanted = full[..., :channels]
    deep = np.rint(wanted.astype(float) * ((1 << bits) - 1) / 255).astype(np.uint16)
    data = imagecodecs.jpegxl_encode(deep, lossless=True, bitspersample=bits)
    expected = np.asarray(Image.fromarray(np.ascontiguousarray(wanted)).convert("RGB"), dtype=int)
    # imagecodecs says of deep numbers that they are linear; here they are looked at as they are.
    assert np.abs(shown(data, colours="stored") - expected).max() <= 1


def rotated_profile():
    """sRGB with its colorants in another order: what it calls green is red."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    for entry in range(128 + 4, 128 + 4 + 12 * struct.unpack(">I", profile[128:132])[0], 12):
        name = bytes(profile[entry : entry + 4])
        if name in (b"rXYZ", b"gXYZ", b"bXYZ"):
            profile[entry : entry + 4] = {b"rXYZ": b"gXYZ", b"gXYZ": b"bXYZ", b"bXYZ": b"rXYZ"}[name]
    return bytes(profile)


def test_the_profile_of_a_transcoded_jpeg_is_followed():
    stored = io.BytesIO()
    Image.fromarray(scene()).save(stored, "JPEG", quality=95, icc_profile=rotated_profile())
    jpeg = stored.getvalue()
    data = imagecodecs.jpegxl_encode_jpeg(jpeg)
    expected = np.asarray(parse_photo(jpeg, name="a.jpg").pixels(), dtype=int)
    plain = np.asarray(parse_photo(jpeg, name="a.jpg").pixels(colours="stored"), dtype=int)
    assert np.abs(expected - plain).mean() > 20
    assert np.abs(shown(data) - expected).mean() < 2


def box(name, body):
    return struct.pack(">I", len(body) + 8) + name + body


def container(stream, *boxes):
    start = b"\0\0\0\x0cJXL \r\n\x87\n" + box(b"ftyp", b"jxl \0\0\0\0jxl ")
    return start + b"".join(boxes) + box(b"jxlc", stream)


XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>'
)


def test_notes_that_the_encoder_has_packed_are_read():
    exif = Image.Exif()
    exif[272] = "X100V"
    exif.get_ifd(0x8769).update({36867: "2019:07:01 18:30:11"})
    stream = imagecodecs.jpegxl_encode(scene(), lossless=True)
    packed = [
        box(b"brob", b"Exif" + imagecodecs.brotli_encode(b"\0\0\0\0" + exif.tobytes()[6:])),
        box(b"brob", b"xml " + imagecodecs.brotli_encode(XMP)),
    ]
    photo = parse_photo(container(stream, *packed), name="a.jxl")
    assert (photo.facts.taken, photo.facts.camera, photo.facts.rating) == ("2019-07-01T18:30:11", "X100V", 4)
    assert photo.photo_hash == parse_photo(container(stream), name="a.jxl").photo_hash


@pytest.mark.parametrize(
    "body", [b"Exif", b"Exif garbage", b"xml ", b"", b"Exif" + imagecodecs.brotli_encode(bytes(64 << 20))]
)
def test_a_packed_note_that_is_damaged_or_unpacks_to_far_too_much_costs_itself(body):
    stream = imagecodecs.jpegxl_encode(scene(), lossless=True)
    photo = parse_photo(container(stream, box(b"brob", body)), name="a.jxl")
    assert photo.facts.taken is None
    assert np.array_equal(np.asarray(photo.pixels()), scene())
