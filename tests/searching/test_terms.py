"""What a person types to search for: files, URLs and words, each with a weight."""

import pytest

from vitsearch.errors import BadQuery
from vitsearch.searching.terms import Weighted, Words, parse_term


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("cat.jpg", "beach", "2:cat.jpg", "a photo"):
        (tmp_path / name).touch()
    (tmp_path / "holiday").mkdir()


@pytest.mark.parametrize("typed", ["cat.jpg", "beach", "2:cat.jpg", "a photo", "./cat.jpg"])
def test_a_file_that_is_there_is_that_file_whatever_it_is_called(typed):
    assert parse_term(typed) == Weighted(typed)


@pytest.mark.parametrize(
    "typed",
    ["missing.jpg", "red car.jpeg", "./beech", "photos/dog", "~/cat", "IMG_1234.HEIC", "notes.txt", "-"],
)
def test_what_looks_like_a_file_is_one_so_that_a_slip_is_told(typed):
    assert parse_term(typed) == Weighted(typed)


@pytest.mark.parametrize(
    "typed",
    ["a red bicycle", "bicycle", "holiday", "St. Moritz", "Mr. Smith at the beach", "sunset, 2024", "e.g. dogs",
     "vélo rouge", "-5 degrees", "2024", "a:b", "what?", "x" * 5000],
)  # fmt: skip
def test_the_rest_is_words(typed):
    assert parse_term(typed) == Weighted(Words(typed))


@pytest.mark.parametrize(
    "typed", ["https://example.org/cat.jpg", "https://example.org/", "http://example.org"]
)
def test_a_url_begins_as_one(typed):
    assert parse_term(typed) == Weighted(typed)


def test_a_number_before_a_query_weighs_it():
    assert parse_term("2:golden retriever") == Weighted(Words("golden retriever"), 2.0)
    assert parse_term("0.5: beach") == Weighted("beach", 0.5)
    assert parse_term("3:cat.jpg") == Weighted("cat.jpg", 3.0)
    assert parse_term("1.5:https://example.org/a.png") == Weighted("https://example.org/a.png", 1.5)
    assert parse_term("12:30") == Weighted(Words("30"), 12.0)


@pytest.mark.parametrize("typed", ["", "  ", "2:", "2:  ", "0:cat.jpg", "0.0:words", "caf\udce9"])
def test_what_says_nothing_is_refused(typed):
    with pytest.raises(BadQuery):
        parse_term(typed)
