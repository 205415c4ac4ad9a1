"""One thing in two colours is not one photo edited, while all edits of a whole picture are."""

from random import Random

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify.check import check_files
from vitsearch.duplicates.verify.geometric import look
from vitsearch.duplicates.verify.recoloured import was_recoloured
from vitsearch.duplicates.verify.views import View
from vitsearch.library import Library
from vitsearch.photos.perceptual_hash import perceptual_hash

PHOTOS = ("things/fruit-4.jpg", "travel/castle-1.jpg", "animals/bird-1.jpg", "nature/mountain-3.jpg")


def in_another_colour(image: Image.Image, turn: int) -> Image.Image:
    """The same shot with another hue on what is saturated; its light stays."""
    hsv = np.asarray(image.convert("HSV")).copy()
    chosen = hsv[..., 1] > 90
    hsv[..., 0][chosen] = (hsv[..., 0][chosen].astype(int) + turn) % 256
    bands = (Image.fromarray(np.ascontiguousarray(hsv[..., band])) for band in range(3))
    _, *chroma = Image.merge("HSV", list(bands)).convert("RGB").convert("YCbCr").split()
    return Image.merge("YCbCr", [image.convert("L"), *chroma]).convert("RGB")


def opened(name: str) -> Image.Image:
    with Image.open(SAMPLES / name) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


@pytest.mark.parametrize("turn", [64, 128])
def test_one_shot_in_two_colours_is_alike_and_no_copy(tmp_path, turn):
    folder = tmp_path / "photos"
    folder.mkdir()
    image = opened("things/fruit-4.jpg")
    image.save(folder / "red.jpg", quality=92)
    in_another_colour(image, turn).save(folder / "other.jpg", quality=92)
    image.reduce(2).save(folder / "small.jpg", quality=85)
    checked = check_files(folder / "red.jpg", folder / "other.jpg")
    assert (checked.tier, checked.reason) == (None, "a part of the picture has another colour")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        report = find_duplicates(library)
    (found,) = report.groups
    assert {file.path.name for file in found.files} == {"red.jpg", "small.jpg"}
    assert {pair.reason for pair in report.alike} == {"a part of the picture has another colour"}
    assert all("other.jpg" in (pair.first.name, pair.second.name) for pair in report.alike)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.name)
def test_no_edit_of_a_whole_picture_is_another_colour(edit):
    for number, name in enumerate(PHOTOS):
        image = opened(name)
        copy = edit.apply(image, Random(number))
        assert not recoloured(image, copy), name


def test_a_cast_a_tone_and_more_colour_are_no_other_colour():
    for name in PHOTOS:
        image = opened(name)
        warm = Image.merge(
            "RGB",
            [band.point(lambda v, k=k: v * k) for band, k in zip(image.split(), (1.1, 1, 0.85), strict=True)],
        )
        for copy in (warm, ImageEnhance.Color(image).enhance(1.6), ImageEnhance.Color(image).enhance(0.4)):
            assert not recoloured(image, copy), name


def recoloured(image: Image.Image, copy: Image.Image) -> bool:
    views = View.of(image), View.of(copy)
    seen = look(*views, hashes=(perceptual_hash(image), perceptual_hash(copy)))
    return was_recoloured(*views, seen)
