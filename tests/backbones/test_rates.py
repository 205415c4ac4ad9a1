"""How long it takes to add words: from what was measured on this machine, or nothing is said."""

import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.backbones.rates import known_rate, note_rate, scaled_rate
from vitsearch.errors import NoTextTower
from vitsearch.library import Library


@pytest.fixture
def library(tmp_path, picture):
    for number in range(3):
        picture(tmp_path / "photos" / f"{number}.png", (number, 0, 0))
    backbone = MeanColour(model="dinov2-small")
    with Library.open(tmp_path / "library", backbone=backbone, cache=tmp_path / "cache") as opened:
        opened.index([tmp_path / "photos"])
        yield opened


def test_the_latest_run_that_was_long_enough_counts(tmp_path):
    assert known_rate("siglip2-base", cache=tmp_path) is None
    note_rate("siglip2-base", 99, 1.0, cache=tmp_path)
    assert known_rate("siglip2-base", cache=tmp_path) is None
    note_rate("siglip2-base", 1000, 100.0, cache=tmp_path)
    note_rate("dinov2-small", 500, 10.0, cache=tmp_path)
    assert (known_rate("siglip2-base", cache=tmp_path), known_rate("dinov2-small", cache=tmp_path)) == (
        10,
        50,
    )
    note_rate("siglip2-base", 200, 10.0, cache=tmp_path)
    note_rate("siglip2-base", 5, 10.0, cache=tmp_path)
    assert known_rate("siglip2-base", cache=tmp_path) == 20


def test_a_damaged_note_says_nothing(tmp_path):
    (tmp_path / "rates.json").write_text('{"siglip2-base": "fast"')
    assert known_rate("siglip2-base", cache=tmp_path) is None


def test_another_models_rate_follows_from_the_cost_of_its_image_tower():
    """22.06 million parameters and 257 tokens against 86.19 million and 197."""
    assert scaled_rate(30.0, "dinov2-small", "clip-vit-base-patch16") == pytest.approx(
        30.0 * (22.056576 * 257) / (86.19264 * 197)
    )
    assert scaled_rate(30.0, "dinov2-small", "/a/folder") is None


def test_where_too_little_was_measured_nothing_is_said_of_time(library):
    assert library.status().words_step.seconds is None
    with pytest.raises(NoTextTower) as refused:
        library.search(text="a red bicycle")
    assert "about" not in str(refused.value)


def test_a_measured_rate_gives_the_time_for_this_library(library, tmp_path):
    note_rate("siglip2-base", 1000, 10_000.0, cache=tmp_path / "cache")
    assert library.status().words_step.seconds == pytest.approx(30)
    with pytest.raises(NoTextTower, match="about 30 s for 3 photos, then search again"):
        library.search(text="a red bicycle")


def test_the_main_models_rate_gives_an_estimate_where_the_other_has_not_run(library, tmp_path):
    note_rate("dinov2-small", 1000, 1000.0, cache=tmp_path / "cache")
    rate = scaled_rate(1.0, "dinov2-small", "siglip2-base")
    assert rate is not None
    assert library.status().words_step.seconds == pytest.approx(3 / rate, abs=0.1)
