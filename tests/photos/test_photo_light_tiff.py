"""TIFF files of colours in floats: light as it is."""

import tracemalloc

import cv2
import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from tests.support.mean_colour import MeanColour
from vitsearch.errors import UnreadablePhoto
from vitsearch.library import Library
from vitsearch.photos.light_tiff import light_tiff
from vitsearch.photos.photo import parse_photo


def light(channels=3):
    """From black to white and a little above, white to black, and a middle grey."""
    up = np.linspace(0, 1.2, 64 * 48, dtype=np.float32).reshape(48, 64)
    return np.stack([up, np.maximum(1 - up, 0), np.full_like(up, 0.214), up.clip(0, 1)], axis=2)[
        ..., :channels
    ]


def written(channels=3):
    blue_first = light(channels)[..., [2, 1, 0, 3][:channels]]
    return cv2.imencode(".tif", blue_first, [cv2.IMWRITE_TIFF_COMPRESSION, 1])[1].tobytes()


def as_srgb(value):
    value = value.clip(0, 1)
    return 255 * np.where(value <= 0.0031308, 12.92 * value, 1.055 * value ** (1 / 2.4) - 0.055)


def test_light_is_shown_as_srgb(capfd):
    photo = parse_photo(written(), name="a.tif")
    assert (photo.facts.format, photo.facts.width, photo.facts.height) == ("TIFF", 64, 48)
    assert np.abs(np.asarray(photo.pixels(), np.float64) - as_srgb(light())).max() <= 1
    assert capfd.readouterr() == ("", "")


def test_transparency_beside_light_is_paper_white():
    seen = np.asarray(parse_photo(written(4), name="a.tif").pixels(), np.float64)
    colours, alpha = as_srgb(light(4)[..., :3]), light(4)[..., 3:]
    assert np.abs(seen - (colours * alpha + 255 * (1 - alpha))).max() <= 2


@pytest.mark.parametrize("kept", [0.3, 0.7, 0.95])
def test_one_that_is_cut_is_refused(kept):
    data = written()
    with pytest.raises(UnreadablePhoto, match=r"damaged|truncated"):
        parse_photo(data[: int(len(data) * kept)], name="a.tif").pixels()


def test_it_is_indexed_and_compared(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.tif").write_bytes(written())
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert library.index([tmp_path / "photos"]).unreadable == ()
        assert len(library.search(tmp_path / "photos/a.tif", include_self=True).results) == 1
    assert parse_photo(written(), name="a.tif").details(with_pixels=True).pixels


def test_a_large_tag_of_an_editor_is_left_where_it_is(tmp_path):
    image = Image.new("RGB", (32, 24), "red")
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[37724] = bytes(8_000_000)
    tags.tagtype[37724] = 7
    image.save(tmp_path / "layers.tif", tiffinfo=tags)
    data = (tmp_path / "layers.tif").read_bytes()
    assert len(data) > 8_000_000
    tracemalloc.start()
    assert light_tiff(data) is None
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000
