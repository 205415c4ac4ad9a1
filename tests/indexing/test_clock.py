"""A clock that jumps: files are compared by equality of their times, never by which is later."""

import os
import time

import pytest
from conftest import MeanColour, figures, places

from vitsearch.library import Library

YEAR = 365 * 24 * 3600


@pytest.fixture
def photos(tmp_path, picture):
    for colour in ("red", "lime", "blue"):
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.mark.parametrize("years", [-40, 40])
def test_a_clock_that_jumps_between_runs_changes_nothing(tmp_path, photos, picture, monkeypatch, years):
    now = time.time()
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    monkeypatch.setattr(time, "time", lambda: now + years * YEAR)
    picture(photos / "white.png", "white")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        assert figures(library.index()) == {"photos": 4, "files": 4, "embedded": 1, "unchanged": 3}
        assert places(library, photos / "red.png") == sorted(photos.iterdir())


def test_an_edited_file_with_an_older_time_is_noticed(tmp_path, photos, picture):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        picture(photos / "red.png", "orange")
        os.utime(photos / "red.png", (86_400, 86_400))
        report = library.index()
        assert (report.embedded, report.unchanged) == (1, 2)
