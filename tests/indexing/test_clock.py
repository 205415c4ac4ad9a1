"""A clock that jumps: files are compared by equality of their times, never by which is later."""

import os
import shutil
import tempfile
import time
from pathlib import Path

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


@pytest.fixture
def in_memory():
    """A folder in memory, where a file may have any time; most file systems on disks have none before 1901."""
    if not Path("/dev/shm").is_dir():
        pytest.skip("this system keeps no files in memory")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        yield Path(name)


@pytest.mark.parametrize("start", [10 * 10**9, -(10 * 10**9)], ids=["the future", "the past"])
@pytest.mark.parametrize("beside", [None, "notes.txt"], ids=["photos alone", "other files too"])
def test_a_photo_of_the_distant_future_or_past_is_indexed_once_and_found(
    library, tmp_path, picture, in_memory, beside, start
):
    """Damaged disks and clocks leave such times behind: more nanoseconds than SQLite's integers hold."""
    photos = in_memory / "photos"
    first = picture(photos / "1.png", "red")
    second = photos / "2.png"
    second.write_bytes(first.read_bytes())
    if beside is not None:
        (photos / beside).write_text("of the holidays")
    for seconds, path in enumerate((first, second), start):
        os.utime(path, (seconds, seconds))
    assert abs(first.stat().st_mtime_ns) > 1 << 63
    assert library.index([photos]).embedded == 1
    assert library.index([photos]).unchanged == 2
    (group,) = find_duplicates(library).groups
    assert [file.path for file in group.files] == [first, second]
    (in_memory / "card").mkdir()
    shutil.copy2(first, in_memory / "card")
    assert [file.tier for file in compare_folder(library, in_memory / "card").files] == ["exact"]
