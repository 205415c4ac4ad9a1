"""Colours that files name by code points instead of a profile: wide primaries, and high dynamic range."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from vitsearch.library import Library
from vitsearch.photos.photo import parse_photo

SRGB, PQ, HLG, LINEAR = 13, 16, 18, 8
BT709, BT2020, P3 = 1, 9, 12
# From light in sRGB's primaries (BT.2087, and Display P3 by the same way).
TO_2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
TO_P3 = np.array([[0.8225, 0.1774, 0.0], [0.0332, 0.9669, 0.0], [0.0171, 0.0724, 0.9108]])


def scene(width=96, height=64):
    """No brighter than what is shown as it is."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([30 + x * 160 // width, 30 + y * 160 // height, 40 + (x + y) % 150], axis=2).astype(
        np.uint8
    )


def light(pixels):
    value = pixels / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def pq(parts_of_white):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (parts_of_white * 203 / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg(parts_of_white):
    nits = parts_of_white * 203
    luminance = nits @ [0.2126, 0.7152, 0.0722]
    shown = nits / 1000
    scene_light = shown * ((luminance / 1000) ** ((1 - 1.2) / 1.2))[..., None]
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(
        scene_light <= 1 / 12,
        np.sqrt(3 * scene_light),
        a * np.log(np.maximum(12 * scene_light - b, 1e-9)) + c,
    )


def numbers(value):
    return np.rint(np.clip(value, 0, 1) * 255).astype(np.uint8)


def png(pixels, primaries, transfer):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    body = b"cICP" + bytes((primaries, transfer, 0, 1))
    chunk = struct.pack(">I", 4) + body + struct.pack(">I", zlib.crc32(body))
    data = buffer.getvalue()
    return data[:33] + chunk + data[33:]


def avif(pixels, primaries, transfer):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", quality=100, subsampling="4:4:4")
    data = bytearray(buffer.getvalue())
    at = data.index(b"nclx") + 4
    data[at : at + 4] = struct.pack(">HH", primaries, transfer)
    return bytes(data)


def difference(first, second):
    return np.abs(np.asarray(first, int) - np.asarray(second, int))


@pytest.mark.parametrize("file", [png, avif])
def test_a_picture_in_pq_looks_like_the_ordinary_one(file):
    data = file(numbers(pq(light(scene()) @ TO_2020.T)), BT2020, PQ)
    photo = parse_photo(data, name="a")
    assert "PQ" in " ".join(photo.remarks)
    assert difference(photo.pixels(), scene()).mean() < 4
    small = parse_photo(data, name="a").pixels(min_side=32)
    assert min(small.size) >= 32
    assert difference(small.resize((12, 8)), Image.fromarray(scene()).resize((12, 8))).mean() < 4
    assert difference(parse_photo(data, name="a").pixels(colours="stored"), scene()).mean() > 20


def test_a_picture_in_hlg_looks_like_the_ordinary_one():
    photo = parse_photo(png(numbers(hlg(light(scene()))), BT709, HLG), name="a")
    assert "HLG" in " ".join(photo.remarks)
    assert difference(photo.pixels(), scene()).mean() < 4


def test_light_above_white_paper_is_told_apart_and_keeps_its_hue():
    steps = np.array([0.5, 1.0, 2.0, 4.0, 20.0])[None, :, None] * np.array([1.0, 0.5, 0.25])
    seen = np.asarray(parse_photo(png(numbers(pq(steps)), BT709, PQ), name="a").pixels(), int)[0]
    assert (np.diff(seen[:, 0]) > 0).all()
    assert seen[1, 0] > 220
    assert (seen[:, 0] > seen[:, 1]).all()
    assert (seen[:, 1] > seen[:, 2]).all()


@pytest.mark.parametrize("file", [png, avif])
def test_wide_primaries_without_a_profile_are_followed(file):
    value = light(scene()) @ TO_P3.T
    stored = numbers(np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055))
    photo = parse_photo(file(stored, P3, SRGB), name="a")
    assert not photo.remarks
    assert difference(photo.pixels(), scene()).mean() < 2.5


def test_linear_numbers_are_read_as_light():
    photo = parse_photo(png(numbers(light(scene())), BT709, LINEAR), name="a")
    assert difference(photo.pixels(), scene()).mean() < 3


@pytest.mark.parametrize("transfer", [1, 2, 6, SRGB, 14, 99])
def test_code_points_of_srgb_and_television_and_unknown_ones_change_no_pixel(transfer):
    for primaries in (BT709, 2, 5, 6, 77):
        assert np.array_equal(
            np.asarray(parse_photo(png(scene(), primaries, transfer), name="a").pixels()), scene()
        )


def test_the_same_numbers_in_other_colours_are_no_copy(tmp_path):
    plain = parse_photo(png(scene(), BT709, SRGB), name="a").details(with_pixels=True)
    wide = parse_photo(png(scene(), P3, SRGB), name="a").details(with_pixels=True)
    assert (plain.profile, bool(wide.profile)) == ("", True)
    assert plain.pixels != wide.pixels


def test_an_index_run_says_that_a_high_dynamic_range_is_not_kept(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "a.png").write_bytes(png(numbers(pq(light(scene()))), BT709, PQ))
    (folder / "b.png").write_bytes(png(scene(), BT709, SRGB))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        (remark,) = library.index([folder]).remarks
        assert (remark.path.name, "PQ" in remark.reason) == ("a.png", True)
        assert library.search(folder / "a.png").results[0].score > 0.999


class Bits:
    """The bits of a JPEG XL header, the lowest of each byte first."""

    def __init__(self, data):
        self.all = [byte >> place & 1 for byte in data for place in range(8)]
        self.at = 0

    def take(self, count):
        self.at += count
        return sum(bit << place for place, bit in enumerate(self.all[self.at - count : self.at]))


def with_colours(stream, primaries, transfer):
    """Rewrite the header of a small lossless RGB picture from imagecodecs, which says that its colours are sRGB."""
    bits = Bits(stream[2:])
    assert bits.take(1)  # sides are multiples of 8
    bits.take(5)
    if not bits.take(3):
        bits.take(5)
    assert bits.take(1) == 0  # not all as usual
    assert bits.take(1) == 0  # no extra fields
    assert bits.take(1) == 0  # whole numbers
    assert bits.take(2) == 0  # of 8 bits
    bits.take(1)
    assert bits.take(2) == 0  # no channel beside the colours
    assert bits.take(1) == 0  # not XYB
    start = bits.at
    if not bits.take(1):  # sRGB in full
        bits.take(1)
        for _ in range(3):
            bits.take((0, 0, 4, 6)[bits.take(2)])
        assert not bits.take(1)
        for _ in range(2):
            bits.take((0, 0, 4, 6)[bits.take(2)])
    end = bits.at

    def enum(value):
        choice, count, offset = (0, 0, 0) if value == 0 else (1, 0, 1) if value == 1 else (2, 4, 2)
        choice, count, offset = (3, 6, 18) if value >= 18 else (choice, count, offset)
        number = [choice & 1, choice >> 1]
        return number + [value - offset >> place & 1 for place in range(count)]

    said = [0, 0, *enum(0), *enum(1), *enum(primaries), 0, *enum(transfer), *enum(1)]
    assert bits.take(3) == 0b100  # no extensions; the usual transforms
    head = bits.all[:start] + said + bits.all[end : bits.at]
    head += [0] * (-len(head) % 8)
    packed = bytes(
        sum(bit << place for place, bit in enumerate(head[at : at + 8])) for at in range(0, len(head), 8)
    )
    return stream[:2] + packed + stream[2 + (bits.at + 7) // 8 :]


@pytest.mark.parametrize("coded", ["PQ", "P3"])
def test_colours_named_in_a_jpeg_xl_are_followed(coded):
    imagecodecs = pytest.importorskip(
        "imagecodecs", reason="JPEG XL is an extra: pip install 'vitsearch[jxl]'"
    )
    value = light(scene()) @ TO_P3.T
    if coded == "PQ":
        pixels, named = numbers(pq(light(scene()) @ TO_2020.T)), (BT2020, PQ)
    else:
        pixels = numbers(np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055))
        named = (11, SRGB)
    plain = imagecodecs.jpegxl_encode(pixels, lossless=True)
    data = with_colours(plain, *named)
    assert np.array_equal(np.asarray(parse_photo(data, name="a").pixels(colours="stored")), pixels)
    photo = parse_photo(data, name="a")
    assert bool(photo.remarks) == (coded == "PQ")
    assert difference(photo.pixels(), scene()).mean() < 4
