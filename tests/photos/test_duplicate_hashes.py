"""Perceptual hashes: one stored hash stands for all eight orientations, and copies stay near where others are far."""

from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image

from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.verify.verifier import SAME_PIXELS_DISTANCE
from vitsearch.photos.perceptual_hash import (
    ORIENTATIONS,
    as_unit_rows,
    distances,
    in_all_orientations,
    perceptual_hash,
    unpacked,
)
from vitsearch.photos.photo import read_photo

SAMPLES = Path(__file__).parents[2] / "sample_images"
PHOTOS = [
    SAMPLES / name
    for name in ("animals/cat-1.jpg", "nature/mountain-3.jpg", "travel/castle-2.jpg", "things/fruit-1.jpg")
]
TURNS = {
    "mirrored": Image.Transpose.FLIP_LEFT_RIGHT,
    "upside down and mirrored": Image.Transpose.FLIP_TOP_BOTTOM,
    "upside down": Image.Transpose.ROTATE_180,
    "turned left and mirrored": Image.Transpose.TRANSPOSE,
    "turned left": Image.Transpose.ROTATE_90,
    "turned right": Image.Transpose.ROTATE_270,
    "turned right and mirrored": Image.Transpose.TRANSVERSE,
}


def photo(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def compared(first: Image.Image, second: Image.Image) -> tuple[int, str]:
    distance, orientation = distances(*(unpacked([perceptual_hash(image)]) for image in (first, second)))
    return int(distance[0]), ORIENTATIONS[orientation[0]]


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
def test_a_turned_copy_is_found_with_its_orientation(path):
    image = photo(path)
    assert compared(image, image) == (0, "upright")
    for name, method in TURNS.items():
        distance, orientation = compared(image, image.transpose(method))
        assert (orientation, distance < 8) == (name, True)


@pytest.mark.parametrize("path", PHOTOS, ids=lambda path: path.stem)
@pytest.mark.parametrize("edit", [edit for edit in EDITS if edit.light], ids=lambda edit: edit.name)
def test_a_light_edit_stays_nearer_than_any_other_photo(path, edit):
    image = photo(path)
    copy = edit.apply(image, Random(0))
    others = [compared(copy, photo(other))[0] for other in PHOTOS if other != path]
    distance, orientation = compared(copy, image)
    assert (orientation, distance <= 70) == ("upright", True)
    assert min(others) > 80


def test_the_scale_of_the_decode_changes_a_hash_by_less_than_same_pixels_are_allowed_to_differ():
    """Frequencies that are close to zero change sign: 13 bits at the most over all sample photos and scales."""
    apart = [
        compared(photo(path), read_photo(path).pixels(min_side=side))[0]
        for path in sorted((SAMPLES / "travel").glob("*.jpg"))
        for side in (128, 288)
    ]
    assert 0 < max(apart) <= 2 / 3 * SAME_PIXELS_DISTANCE


def test_a_picture_without_structure_has_no_hash():
    assert perceptual_hash(Image.new("RGB", (300, 200), "navy")) == b""
    noise = Image.effect_noise((300, 200), 1).convert("RGB")
    assert perceptual_hash(noise) == b""


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (900, 1), (40, 30)])
def test_any_size_can_be_hashed(size):
    gradient = Image.linear_gradient("L").resize(size).convert("RGB")
    assert len(perceptual_hash(gradient)) in (0, 32)


def test_turning_hashes_twice_in_a_mirror_gives_them_back():
    words = unpacked([perceptual_hash(photo(path)) for path in PHOTOS])
    turned = in_all_orientations(words)
    assert turned.shape == (4, 8, 4)
    for orientation in (0, 1, 2, 3, 4, 7):
        again = in_all_orientations(turned[:, orientation])[:, orientation]
        np.testing.assert_array_equal(again, words)
    np.testing.assert_array_equal(in_all_orientations(turned[:, 5])[:, 6], words)


def test_unit_rows_have_the_cosine_of_the_hamming_distance():
    words = unpacked([perceptual_hash(photo(path)) for path in PHOTOS])
    rows = as_unit_rows(words)
    counted = np.bitwise_count(words[:, None] ^ words[None]).sum(axis=2)
    np.testing.assert_allclose(rows @ rows.T, 1 - counted / 128, atol=1e-6)


def test_a_hash_of_another_length_is_refused():
    with pytest.raises(ValueError, match="32 bytes"):
        unpacked([b"\0" * 8])
