"""A clock that jumps: files are compared by equality of their times, never by which is later."""

import os
import shutil
import time

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.have import compare_folder
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


@pytest.mark.parametrize("beside", [None, "notes.txt"], ids=["photos alone", "other files too"])
def test_a_photo_of_the_distant_future_is_indexed_once_and_found(library, tmp_path, picture, beside):
    """Damaged disks and clocks leave such times behind: more nanoseconds than SQLite's integers hold."""
    photos = tmp_path / "photos"
    first = picture(photos / "1.png", "red")
    second = photos / "2.png"
    second.write_bytes(first.read_bytes())
    if beside is not None:
        (photos / beside).write_text("of the holidays")
    for seconds, path in enumerate((first, second), 10 * 10**9):
        os.utime(path, (seconds, seconds))
    if first.stat().st_mtime_ns < 1 << 63:
        pytest.skip("this file system has no such times")
    assert library.index([photos]).embedded == 1
    assert library.index([photos]).unchanged == 2
    (group,) = find_duplicates(library).groups
    assert [file.path for file in group.files] == [first, second]
    (tmp_path / "card").mkdir()
    shutil.copy2(first, tmp_path / "card")
    assert [file.tier for file in compare_folder(library, tmp_path / "card").files] == ["exact"]
