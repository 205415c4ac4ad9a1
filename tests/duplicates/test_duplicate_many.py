"""Judging many pairs: what comes up again soon is kept, and answers do not depend on how much is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vitsearch import Library
from vitsearch.duplicates.propose.pairs import Pairs
from vitsearch.duplicates.verify.many import _Uses
from vitsearch.storage.layout import Layout

SAMPLES = Path(__file__).parents[2] / "sample_images"


def test_the_next_pair_of_a_photo_is_known():
    rng = np.random.default_rng(0)
    first = rng.integers(0, 50, 300)
    pairs = Pairs(first, first + rng.integers(1, 20, 300), np.zeros(300, np.float32))
    photos = np.unique(np.concatenate([pairs.first, pairs.second]))
    for place in (0, 5, 150, 299, 300, 512):
        found = _Uses(pairs).next_after(place, photos)
        for photo, next_place in zip(photos.tolist(), found.tolist(), strict=True):
            coming = [at for at in range(place, 300) if photo in (pairs.first[at], pairs.second[at])]
            assert next_place == (coming[0] if coming else 300)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A library, and the groups that are found in it where there is room for all."""
    folder = tmp_path_factory.mktemp("searched") / "library"
    with Library.open(folder) as library:
        library.index([SAMPLES / "animals", SAMPLES / "copies"])
        expected = library.duplicates().groups
    assert len(expected) == 3
    return folder, expected


@pytest.mark.parametrize("room", [1, 5])
def test_the_same_is_found_where_hardly_anything_is_kept(searched, monkeypatch, room):
    folder, expected = searched
    Layout.of(folder).answers.unlink()  # so that it is looked for again
    monkeypatch.setattr("vitsearch.duplicates.verify.geometric._CACHED_VIEWS", room)
    monkeypatch.setattr("vitsearch.duplicates.verify.geometric._CACHED_PLANES", room)
    monkeypatch.setattr("vitsearch.duplicates.verify.many._STEP", 2)
    with Library.open(folder) as library:
        assert library.duplicates().groups == expected
