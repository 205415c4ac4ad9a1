"""Photos over which words are drawn that differ in one digit are alike; what only one of them carries makes a copy."""

import io

import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify.another_digit import say_another_digit
from vitsearch.duplicates.verify.check import check_files
from vitsearch.duplicates.verify.geometric import look
from vitsearch.duplicates.verify.views import View
from vitsearch.library import Library

PHOTOS = ("travel/castle-2.jpg", "animals/cat-1.jpg", "nature/mountain-3.jpg")
OTHER_WORDS = "other words are drawn over each of them"
# Height in parts of the picture's, the place, the colour.
RACE_NUMBER, DATE, NAME = (
    (0.12, (0.4, 0.5), "white"),
    (0.05, (0.6, 0.9), "white"),
    (0.07, (0.1, 0.2), "black"),
)


def photo(name, *lines):
    with Image.open(SAMPLES / name) as opened:
        image = opened.convert("RGB").resize((1200, 900), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for words, (height, (across, down), fill) in lines:
        font = ImageFont.load_default(image.height * height)
        draw.text((image.width * across, image.height * down), words, fill=fill, font=font)
    return image


def saved(image, quality=90):
    with io.BytesIO() as file:
        image.save(file, "JPEG", quality=quality)
        with Image.open(file) as opened:
            return opened.convert("RGB")


def is_another(first, second):
    views = View.of(first), View.of(second)
    return say_another_digit(views, look(*views), lambda place: (first, second)[place])


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(
    ("words", "others", "style"),
    [
        ("103", "108", RACE_NUMBER),
        ("12.08.2019", "13.08.2019", DATE),
        ("24.11.2003", "24.11.2004", DATE),
        ("Team 47", "Team 41", NAME),
    ],
)
def test_another_digit_over_each_is_seen_whatever_they_were_saved_as(name, words, others, style):
    first, second = photo(name, (words, style)), photo(name, (others, style))
    assert is_another(saved(first), saved(second, 75))
    assert is_another(saved(second, 80), saved(first.resize((900, 675), Image.Resampling.LANCZOS)))
    assert is_another(saved(ImageOps.mirror(first)), saved(ImageOps.mirror(second)))


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("style", [RACE_NUMBER, DATE, NAME])
def test_words_over_one_of_them_or_the_same_over_both_make_a_copy(name, style):
    plain, lettered = photo(name), photo(name, ("12.08.2019", style))
    assert not is_another(saved(plain), saved(lettered, 80))
    assert not is_another(saved(lettered), saved(plain.resize((800, 600)), 70))
    for edit in (
        lambda image: image,
        lambda image: image.resize((600, 450), Image.Resampling.LANCZOS),
        lambda image: image.filter(ImageFilter.UnsharpMask(2, 120, 2)),
        lambda image: ImageEnhance.Brightness(image).enhance(1.3),
        lambda image: ImageOps.grayscale(image).convert("RGB"),
    ):
        assert not is_another(saved(lettered), saved(edit(lettered), 60))
    assert not is_another(
        saved(lettered), saved(photo(name, ("12.08.2019", style), ("© Anna", (0.03, (0.02, 0.95), "white"))))
    )


def test_two_race_numbers_are_alike_and_never_planned(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for words, quality in (("103", 92), ("108", 85)):
        photo(PHOTOS[0], (words, RACE_NUMBER)).save(folder / f"{words}.jpg", quality=quality)
    photo(PHOTOS[0], ("103", RACE_NUMBER)).reduce(2).save(folder / "103-small.jpg", quality=70)
    found = check_files(folder / "103.jpg", folder / "108.jpg")
    assert (found.tier, found.reason) == (None, OTHER_WORDS)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        report = find_duplicates(library)
    (group,) = report.groups
    assert {file.path.name for file in group.files} == {"103.jpg", "103-small.jpg"}
    assert OTHER_WORDS in {pair.reason for pair in report.alike}


@pytest.mark.parametrize("name", PHOTOS)
def test_an_eight_that_only_has_more_strokes_than_a_three_is_another_digit_despite_noise_elsewhere(name):
    first, second = photo(name, ("103", RACE_NUMBER)), photo(name, ("108", RACE_NUMBER))
    # A few pixels that a program lost say nothing.
    for place in ((40, 40), (900, 700)):
        second.paste("white", (*place, place[0] + 4, place[1] + 4))
    assert is_another(saved(first), saved(second, 85))
