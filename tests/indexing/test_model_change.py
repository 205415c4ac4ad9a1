"""A library changes its model safely: beside the old one, resumable, and visible only when it is complete."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.doctor import upkeep
from vitsearch.errors import LibraryError, SpaceMismatch
from vitsearch.library import Library

COLOURS = ["red", "green", "blue", "white", "black", "orange", "purple", "teal", "navy", "olive"]


class Stopping(MeanColour):
    """Is interrupted after so many batches."""

    def __init__(self, *, model: str, batches: int) -> None:
        super().__init__(batch_size=2, model=model)
        self.allowed = batches

    def embed_batch(self, pixels):
        if len(self.batches) >= self.allowed and len(pixels):
            raise KeyboardInterrupt
        return super().embed_batch(pixels)


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def indexed(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=MeanColour(model="old")) as library:
        library.index([photos])
    return tmp_path / "library"


def active_model(folder):
    with Library.open(folder) as library:
        return library.status().model


def test_another_model_is_refused_without_change_model(indexed, photos):
    with (
        Library.open(indexed, backbone=MeanColour(model="new")) as library,
        pytest.raises(SpaceMismatch, match="indexed with old, not new"),
    ):
        library.index([photos])
    assert active_model(indexed) == "old"


def test_a_change_embeds_every_photo_again_and_then_searches_use_the_new_model(indexed, photos):
    new = MeanColour(model="new")
    with Library.open(indexed, backbone=new) as library:
        report = library.index(model="new", change_model=True)
        assert (report.embedded, report.photos, report.model) == (10, 10, "new")
        assert library.search(photos / "red.png", k=1).model == "new"
    assert active_model(indexed) == "new"


def test_an_interrupted_change_leaves_the_old_model_searchable_and_goes_on_where_it_was(indexed, photos):
    with Library.open(indexed, backbone=Stopping(model="new", batches=3)) as library:
        report = library.index(model="new", change_model=True)
        assert (report.interrupted, report.model) == (True, "new")
    with Library.open(indexed, backbone=MeanColour(model="old")) as library:
        result = library.search(photos / "red.png", k=9)
        assert (result.model, len(result.results)) == ("old", 9)
    again = MeanColour(model="new")
    with Library.open(indexed, backbone=again) as library:
        assert library.index(model="new", change_model=True).embedded == 4
    assert active_model(indexed) == "new"


def test_photos_on_an_offline_drive_keep_the_old_model_in_use(indexed, tmp_path, photos):
    shutil.move(photos, tmp_path / "away")
    said: list[str] = []
    with Library.open(indexed, backbone=MeanColour(model="new"), notice=said.append) as library:
        library.index(model="new", change_model=True)
    assert active_model(indexed) == "old"
    assert said
    assert said[0].startswith("10 photos are not embedded with new yet")


def test_no_query_mixes_spaces(indexed, photos, tmp_path, picture):
    with Library.open(indexed, backbone=MeanColour(model="new")) as library:
        library.index(model="new", change_model=True)
    query = picture(tmp_path / "query.png", "crimson")
    with (
        Library.open(indexed, backbone=MeanColour(model="old")) as library,
        pytest.raises(SpaceMismatch, match="indexed with new, not old"),
    ):
        library.search(query)


def test_the_model_in_use_cannot_be_removed_and_an_old_one_can(indexed, photos):
    with Library.open(indexed, backbone=MeanColour(model="new")) as library:
        with pytest.raises(LibraryError, match="searches use old"):
            upkeep.remove_model(library, "old")
        library.index(model="new", change_model=True)
        old, new = library.catalog.spaces()
        assert (library.catalog.embedding_rate(old.id) or 0) > 0
        assert upkeep.remove_model(library, "old") == 10
        assert library.catalog.embedding_rate(old.id) is None
        assert (library.catalog.embedding_rate(new.id) or 0) > 0
        with pytest.raises(LibraryError, match="no vectors of old"):
            upkeep.remove_model(library, "old")
        assert library.search(photos / "red.png", k=9).model == "new"
        assert [(stored.space.model, stored.vectors) for stored in library.catalog.spaces()] == [("new", 10)]


SLOW_CHANGE = """
    import sys, time
    from tests.support.mean_colour import MeanColour
    from vitsearch.library import Library

    class Slow(MeanColour):
        def embed_batch(self, pixels):
            time.sleep(0.05 * len(pixels))
            return super().embed_batch(pixels)

    with Library.open(sys.argv[1], backbone=Slow(batch_size=1, model="new")) as library:
        print(library.index(model="new", change_model=True).embedded, flush=True)
"""


def test_a_change_that_is_killed_at_any_moment_goes_on_where_it_was(indexed, photos):
    total = 0
    for delay in (0.1, 0.2, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(SLOW_CHANGE), str(indexed)],
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
            text=True,
        )
        before = vectors_of(indexed, "new")
        deadline = time.monotonic() + 60
        while vectors_of(indexed, "new") == before and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(delay)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        kept = vectors_of(indexed, "new")
        assert kept > total
        total = kept
        if active_model(indexed) == "new":
            break
        with Library.open(indexed, backbone=MeanColour(model="old")) as library:
            assert library.search(photos / "red.png", k=9).model == "old"
    with Library.open(indexed, backbone=MeanColour(model="new")) as library:
        assert library.index(model="new", change_model=True).embedded == 10 - total
    assert active_model(indexed) == "new"


def vectors_of(folder, model):
    with Library.open(folder) as library:
        return sum(stored.vectors for stored in library.catalog.spaces() if stored.space.model == model)
