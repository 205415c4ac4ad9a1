"""Photos that carry other words are not copies of each other, and each is a copy of the photo without words."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify.check import check_files
from vitsearch.library import Library

PHOTO = SAMPLES / "travel/castle-2.jpg"


def with_words(path, words, fill="white", quality=90):
    with Image.open(PHOTO) as opened:
        image = opened.convert("RGB")
    if words:
        draw = ImageDraw.Draw(image)
        place = image.width // 2, image.height // 2
        draw.text(place, words, fill=fill, font=ImageFont.load_default(image.height // 6))
    image.save(path, quality=quality)
    return path


@pytest.mark.parametrize(
    ("words", "others", "fill"),
    [
        ("1", "2", "white"),
        ("3", "6", "white"),
        ("1", "2", "black"),
        ("3", "6", "black"),
        ("Anna", "Ben", "black"),
    ],
)
def test_photos_with_other_words_are_alike_and_not_the_same(tmp_path, words, others, fill):
    found = check_files(
        with_words(tmp_path / "a.jpg", words, fill), with_words(tmp_path / "b.jpg", others, fill, quality=70)
    )
    assert (found.tier, found.reason) == (None, "other words are drawn over each of them")


def test_a_photo_with_words_is_a_copy_of_the_one_without_and_of_the_same_words(tmp_path):
    plain, lettered = with_words(tmp_path / "plain.jpg", ""), with_words(tmp_path / "a.jpg", "Anna")
    saved_again = with_words(tmp_path / "b.jpg", "Anna", quality=60)
    assert check_files(plain, lettered).tier == "near"
    assert check_files(lettered, saved_again).tier == "near"


def test_photos_with_other_words_are_shown_and_never_planned(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(1, 4):
        with_words(photos / f"{number}.jpg", str(number))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        report = find_duplicates(library)
    assert not report.groups
    assert {pair.reason for pair in report.alike} == {"other words are drawn over each of them"}
