"""Counting a large library takes long, so the answer is kept; it is never that of another state of the database."""

import json
import os
import shutil
import time

import pytest

from vitsearch.storage.counts import LibraryCounts, library_counts
from vitsearch.storage.rows import Counts

ALWAYS = 0.0


@pytest.fixture
def counted(library, picture):
    """A library of two photos, of which one is there twice, that was last changed some time ago."""
    folder = library.folder.parent / "photos"
    for name, colour in (("a.png", "red"), ("b.png", "blue")):
        picture(folder / name, colour)
    shutil.copy(folder / "a.png", folder / "again.png")
    library.index([folder])
    long_ago(library)
    return library


def long_ago(library):
    moment = time.time() - 60
    os.utime(library.catalog.database.path, (moment, moment))


def kept(library):
    return library.layout.counts


EXPECTED = LibraryCounts({1: Counts(3, 0, 0)}, photos=2, vectors=2, in_spaces={1: 2})


def test_what_took_long_is_read_from_the_file_next_time(counted, monkeypatch):
    assert library_counts(counted.catalog, worth_keeping=ALWAYS) == EXPECTED
    monkeypatch.setattr(counted.catalog, "counts", lambda *_: pytest.fail("counted again"))
    assert library_counts(counted.catalog) == EXPECTED
    state = counted.status()
    assert (state.photos, state.files, state.vectors) == (2, 3, 2)


def test_a_change_is_counted(counted, picture):
    library_counts(counted.catalog, worth_keeping=ALWAYS)
    folder = counted.roots()[0].path
    (folder / "a.png").unlink()
    counted.index([folder])
    expected = LibraryCounts({1: Counts(2, 1, 0)}, photos=2, vectors=2, in_spaces={1: 2})
    assert library_counts(counted.catalog, worth_keeping=ALWAYS) == expected
    long_ago(counted)
    assert library_counts(counted.catalog, worth_keeping=ALWAYS) == expected


def test_nothing_is_kept_of_a_database_that_has_just_changed(counted):
    os.utime(counted.catalog.database.path)
    assert library_counts(counted.catalog, worth_keeping=ALWAYS) == EXPECTED
    assert not kept(counted).exists()


def test_a_small_library_gets_no_file(counted):
    counted.status()
    assert not kept(counted).exists()


@pytest.mark.parametrize("damage", ["[]", "{", '{"sum": 1}', "digit"])
def test_a_damaged_file_is_not_believed(counted, damage):
    library_counts(counted.catalog, worth_keeping=ALWAYS)
    text = kept(counted).read_text()
    assert json.loads(text)["photos"] == 2
    kept(counted).write_text(text.replace('"photos": 2', '"photos": 3') if damage == "digit" else damage)
    assert library_counts(counted.catalog) == EXPECTED
