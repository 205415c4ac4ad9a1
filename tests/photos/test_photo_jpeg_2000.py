"""JPEG 2000 of more than 8 bits, and with a colour profile."""

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.photo import parse_photo

PROFILE = (Path(__file__).parents[1] / "data/swapped-primaries.icc").read_bytes()


def ramp(channels, *, full=255):
    """From black to white and back in the first channel, white to black in the others."""
    up = np.linspace(0, full, 64 * 48).reshape(48, 64)
    return np.stack([up, *[full - up] * (channels - 1)], axis=2)


def in_16_bits(channels):
    values = np.rint(ramp(channels, full=65535)).astype(np.uint16)
    blue_first = values[..., [2, 1, 0, 3][:channels]] if channels > 1 else values
    return cv2.imencode(".jp2", blue_first, [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000])[1].tobytes()


def bare(data):
    """The codestream of a file, without the boxes around it."""
    return data[data.index(b"\xff\x4f\xff\x51") :]


@pytest.mark.parametrize("form", [bytes, bare])
@pytest.mark.parametrize("channels", [1, 3])
def test_white_of_16_bits_is_white(channels, form, capfd):
    data = form(in_16_bits(channels))
    photo = parse_photo(data, name="a.jp2")
    seen = np.asarray(photo.pixels(), np.float64)
    expected = ramp(channels)[..., [0, 0, 0] if channels == 1 else [0, 1, 2]]
    assert np.abs(seen - expected).max() <= 1
    assert capfd.readouterr() == ("", "")


def test_transparency_beside_colours_of_16_bits_is_paper_white():
    seen = np.asarray(parse_photo(in_16_bits(4), name="a.jp2").pixels(), np.float64)
    colours, alpha = ramp(4)[..., :3], ramp(4)[..., 3:] / 255
    assert np.abs(seen - (colours * alpha + 255 * (1 - alpha))).max() <= 2


@pytest.mark.parametrize("bits", [9, 10, 12, 14])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_depth_has_its_own_white(bits, channels):
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.rint(ramp(channels, full=(1 << bits) - 1)).astype(np.uint16)
    data = imagecodecs.jpeg2k_encode(values.squeeze(), bitspersample=bits, reversible=True, codecformat="jp2")
    seen = np.asarray(parse_photo(data, name="a.jp2").pixels(), np.float64)
    assert np.abs(seen - ramp(channels)[..., [0, 0, 0] if channels == 1 else [0, 1, 2]]).max() <= 1.5


def test_channels_that_nobody_decodes_are_refused_and_not_black():
    imagecodecs = pytest.importorskip("imagecodecs")
    values = np.rint(ramp(2, full=4095)).astype(np.uint16)
    data = imagecodecs.jpeg2k_encode(values, bitspersample=12, colorspace="GRAY", codecformat="jp2")
    with pytest.raises(UnreadablePhoto, match="channels of a kind that is not supported"):
        parse_photo(data, name="a.jp2").pixels()


@pytest.mark.parametrize("kept", [0.4, 0.7, 0.95])
def test_a_deep_file_that_is_cut_is_called_truncated(kept):
    data = in_16_bits(3)
    with pytest.raises(UnreadablePhoto, match="truncated"):
        parse_photo(data[: int(kept * len(data))], name="a.jp2").pixels()


def with_profile(data):
    """The same file with a colour profile in place of the name of its colours (box `colr`)."""
    at = data.index(b"colr") - 4
    box = b"colr\2\0\0" + PROFILE
    box = (4 + len(box)).to_bytes(4, "big") + box
    head = data.index(b"jp2h") - 4
    size = int.from_bytes(data[head : head + 4], "big") + len(box) - 15
    return data[:head] + size.to_bytes(4, "big") + data[head + 4 : at] + box + data[at + 15 :]


@pytest.mark.parametrize("depth", [8, 16])
def test_a_profile_is_followed(depth):
    image = Image.fromarray(np.rint(ramp(3)).astype(np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG2000")
    data = buffer.getvalue() if depth == 8 else in_16_bits(3)
    other = io.BytesIO()
    image.save(other, "PNG", icc_profile=PROFILE)
    expected = np.asarray(parse_photo(other.getvalue(), name="a.png").pixels(), np.int16)
    seen = np.asarray(parse_photo(with_profile(data), name="a.jp2").pixels(), np.int16)
    assert np.abs(expected - np.asarray(image, np.int16)).max() > 100
    assert np.abs(seen - expected).max() <= 3
    assert parse_photo(with_profile(data), name="a").photo_hash != parse_photo(data, name="a").photo_hash
