"""Two shots of one scene are not a photo and its edited copy, however alike; a drawing over a copy is an edit."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify.check import check_files
from vitsearch.library import Library

SCENES = ("travel/bridge-1.jpg", "travel/castle-3.jpg")
PASSERS_BY = ("animals/bird-4.jpg", "animals/cat-3.jpg")
HIDES = "something that was not drawn hides a part of one of them"


def scene(name):
    with Image.open(SAMPLES / name) as opened:
        return opened.convert("RGB")


def shot(image, seed):
    """The picture as a sensor sees it: with noise of its own."""
    noise = np.random.default_rng(seed).normal(0, 3, (image.height, image.width, 3))
    return Image.fromarray(np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8))


def with_someone(image, name):
    """Put what another photo shows into the scene, with a soft edge."""
    size = image.width // 5, image.height // 3
    mask = Image.new("L", size, 0)
    ImageDraw.Draw(mask).ellipse((4, 4, size[0] - 4, size[1] - 4), fill=255)
    there = image.copy()
    place = image.width // 2, image.height // 3
    there.paste(scene(name).resize(size), place, mask.filter(ImageFilter.GaussianBlur(2)))
    return there


def moved_aside(image, pixels):
    """Move what is near, the lower part of the scene, further than what is far, as a step to the side does."""
    import cv2

    rows, columns = np.mgrid[: image.height, : image.width].astype(np.float32)
    near = 1 / (1 + np.exp(-(rows + image.height * 0.1 * np.sin(columns / 40) - image.height / 2) / 8))
    moved = cv2.remap(
        np.asarray(image), columns + pixels * near, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return Image.fromarray(moved)


def with_sticker(image):
    stuck = image.copy()
    draw = ImageDraw.Draw(stuck)
    left, top, side = image.width // 2, image.height // 3, image.height // 3
    draw.ellipse((left, top, left + side, top + side), fill=(250, 220, 40), outline="black", width=3)
    for eye in (0.3, 0.6):
        draw.ellipse(
            (left + eye * side, top + 0.3 * side, left + (eye + 0.1) * side, top + 0.4 * side), fill="black"
        )
    return stuck


def with_caption(image):
    lettered = image.copy()
    draw = ImageDraw.Draw(lettered)
    draw.rectangle((0, image.height * 7 // 8, image.width, image.height), fill="black")
    font = ImageFont.load_default(image.height // 12)
    draw.text((10, image.height * 7 // 8 + 4), "summer 2021", fill="white", font=font)
    return lettered


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("other", PASSERS_BY)
def test_a_scene_into_which_someone_walked_is_another_shot(tmp_path, name, other):
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    shot(scene(name), 1).save(first, quality=92)
    shot(with_someone(scene(name), other), 2).save(second, quality=92)
    found = check_files(first, second)
    assert (found.tier, found.reason) == (None, HIDES)
    assert check_files(second, first).reason == HIDES


@pytest.mark.parametrize("name", ["travel/bridge-1.jpg", "travel/castle-2.jpg"])
@pytest.mark.parametrize("change", [with_sticker, with_caption])
def test_a_copy_with_a_sticker_or_a_caption_is_a_copy(tmp_path, name, change):
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    scene(name).save(first, quality=92)
    change(scene(name)).save(second, quality=70)
    assert check_files(first, second).tier == "near"


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_from_a_step_aside_is_another_shot(tmp_path, name):
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    shot(scene(name), 1).save(first, quality=92)
    shot(moved_aside(scene(name), scene(name).height / 200), 2).save(second, quality=92)
    found = check_files(first, second)
    assert (found.tier, found.reason) == (None, "they were taken from slightly different places")


@pytest.mark.parametrize("name", SCENES)
def test_each_of_two_shots_shows_a_strip_that_the_other_one_lacks(tmp_path, name):
    whole = scene(name)
    across, down = whole.width * 24 // 25, whole.height * 24 // 25
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    shot(whole.crop((0, 0, across, down)), 1).save(first, quality=92)
    shot(whole.crop((whole.width - across, whole.height - down, *whole.size)), 2).save(second, quality=92)
    found = check_files(first, second)
    assert (found.tier, found.reason) == (
        None,
        "each shows a little of the scene that the other one lacks",
    )
    # A crop of one of them still is a copy.
    with Image.open(first) as opened:
        opened.crop((0, 0, across - 12, down - 9)).save(tmp_path / "c.jpg", quality=80)
    assert check_files(first, tmp_path / "c.jpg").tier == "near"


def test_what_hides_a_part_of_a_tiny_picture_is_not_told(tmp_path):
    small = scene(SCENES[0]).resize((128, 96))
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    small.save(first, quality=92)
    with_sticker(small).save(second, quality=92)
    found = check_files(first, second)
    assert (found.tier, "too small to tell" in found.reason) == (None, True)


def test_shots_of_a_scene_are_shown_and_never_planned(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    empty = scene(SCENES[0])
    shot(empty, 1).save(photos / "1.jpg", quality=92)
    shot(with_someone(empty, PASSERS_BY[0]), 2).save(photos / "2.jpg", quality=92)
    with_caption(empty).save(photos / "3.jpg", quality=92)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        report = find_duplicates(library)
    assert [{file.path.name for file in found.files} for found in report.groups] == [{"1.jpg", "3.jpg"}]
    assert HIDES in {pair.reason for pair in report.alike}
