"""One thing on a plain ground, taken twice, is two shots, whichever of the files is named first."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify.check import check_files
from vitsearch.library import Library

LIT = "the ground behind what they show was lit in another way"
MORE = "each shows a little of the scene that the other one lacks"
THINGS = ("animals/cat-3.jpg", "travel/castle-2.jpg")


def ground(width, height, *, lit_from=0.0):
    """A plain table, lighter towards the side that the light comes from."""
    rows, columns = np.mgrid[:height, :width] / max(width, height) - 0.5
    along = columns * np.cos(np.radians(lit_from)) + rows * np.sin(np.radians(lit_from))
    noise = np.random.default_rng(int(lit_from)).normal(0, 1, (height, width))
    return Image.fromarray(np.clip(150 + 90 * along + noise, 0, 255).astype(np.uint8)).convert("RGB")


def with_thing(table, name, *, turned=0.0):
    """Lay what a photo shows on the table, as a disc."""
    with Image.open(SAMPLES / name) as opened:
        disc = ImageOps.fit(opened.convert("RGB"), (240, 240))
    mask = Image.new("L", disc.size, 0)
    ImageDraw.Draw(mask).ellipse((4, 4, 236, 236), fill=255)
    disc, mask = (part.rotate(turned, Image.Resampling.BICUBIC) for part in (disc, mask))
    table = table.copy()
    table.paste(disc, (table.width // 2 - 120, table.height // 2 - 120), mask)
    return table


def checked(first, second):
    """What both orders of two files give, which has to be one."""
    there, back = check_files(first, second), check_files(second, first)
    assert (there.tier, there.reason if there.tier is None else "") == (
        back.tier,
        back.reason if back.tier is None else "",
    )
    return there


@pytest.mark.parametrize("name", THINGS)
@pytest.mark.parametrize("turned", [0, 20, 65])
def test_a_thing_under_another_light_is_another_shot(tmp_path, name, turned):
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    with_thing(ground(800, 600), name).save(first, quality=92)
    with_thing(ground(800, 600, lit_from=90), name, turned=turned).save(second, quality=92)
    assert checked(first, second).tier is None


@pytest.mark.parametrize("name", THINGS)
def test_a_camera_that_was_turned_shows_more_of_the_table_at_another_side(tmp_path, name):
    table = with_thing(ground(1400, 1400), name)
    first, second = tmp_path / "a.jpg", tmp_path / "b.jpg"
    table.crop((300, 400, 1100, 1000)).save(first, quality=92)
    table.rotate(25, Image.Resampling.BICUBIC).crop((300, 400, 1100, 1000)).save(second, quality=92)
    found = checked(first, second)
    assert (found.tier, found.reason) == (None, MORE)


CHANGES = {
    "straightened": lambda image: image.rotate(5, Image.Resampling.BICUBIC).crop((80, 60, 720, 540)),
    "cropped": lambda image: image.crop((90, 40, 760, 580)),
    "framed": lambda image: ImageOps.expand(image.crop((90, 40, 760, 580)), 60, "white"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": ImageOps.grayscale,
    "turned": lambda image: image.transpose(Image.Transpose.ROTATE_90).resize((300, 400)),
    "mirrored": ImageOps.mirror,
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", THINGS)
def test_a_copy_of_a_thing_on_a_table_is_a_copy(tmp_path, name, change):
    image = with_thing(ground(800, 600, lit_from=30), name)
    image.save(tmp_path / "a.jpg", quality=92)
    CHANGES[change](image).save(tmp_path / "b.jpg", quality=80)
    found = checked(tmp_path / "a.jpg", tmp_path / "b.jpg")
    assert found.tier == "near", found.reason


def test_a_thing_that_was_taken_twice_is_shown_and_never_planned(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, lit_from in enumerate((0, 90, 180)):
        with_thing(ground(800, 600, lit_from=lit_from), THINGS[0]).save(photos / f"{number}.jpg", quality=92)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        report = find_duplicates(library)
    assert report.groups == ()
    assert LIT in {pair.reason for pair in report.alike}
