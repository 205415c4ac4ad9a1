"""What seeing photos whole would gain or lose, on the library's photos and on labelled ones."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from vitsearch.errors import LibraryError
from vitsearch.evaluation.framings import compare_framings, parts
from vitsearch.library import Library

COUNT = 24


def cutting():
    backbone = MeanColour()
    backbone.space = replace(backbone.space, preprocessing=replace(backbone.space.preprocessing, fit="crop"))
    return backbone


def hue(turn):
    """A colour on a circle around grey: those that are near each other there are alike, and none is brighter."""
    angle = 2 * np.pi * turn
    around = np.cos(angle) * np.array([1, -1, 0]) / 2**0.5 + np.sin(angle) * np.array([1, 1, -2]) / 6**0.5
    return tuple(np.rint(128 + 120 * around).astype(int).tolist())


@pytest.fixture
def photos(tmp_path):
    """Wide photos with the same centre: hues of their own fill both ends, and say which of two labels they have."""
    for number in range(COUNT):
        label = "warm" if number < COUNT // 2 else "cold"
        image = Image.new("RGB", (150, 50), hue(number / COUNT))
        image.paste((90, 90, 90), (50, 0, 100, 50))
        (tmp_path / "photos" / label).mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "photos" / label / f"{number}.png")
    return tmp_path / "photos"


@pytest.mark.parametrize("framing", ["model", "whole"])
def test_photos_that_differ_at_their_ends_are_found_by_them_where_they_are_seen_whole(
    tmp_path, photos, framing
):
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos], framing=framing)
        found = compare_framings(library)
        assert (found.photos, found.left_out, found.is_whole) == (COUNT, 0, framing == "whole")
        strip = found.found[0]
        assert strip.cut.value < 0.2
        assert strip.whole.value > 0.9
        assert strip.difference is not None
        assert strip.difference.value == pytest.approx(strip.whole.value - strip.cut.value)
        assert strip.difference.low > 0.5
        assert not found.labels


def test_labels_are_told_apart_in_both_framings(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos])
        nearest = compare_framings(library, source=photos).labels[0]
        assert nearest.name == "1-NN accuracy"
        assert nearest.whole.value > nearest.cut.value + 0.2
        assert compare_framings(library, source=photos, sample=10).photos == 10


def test_photos_that_are_gone_are_counted_and_too_few_are_refused(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=cutting()) as library:
        library.index([photos])
        files = sorted(photos.rglob("*.png"))
        for file in files[:20]:
            file.unlink()
        found = compare_framings(library)
        assert (found.photos, found.left_out) == (4, 20)
        for file in files[20:22]:
            file.unlink()
        with pytest.raises(LibraryError, match="only 2 of 24 photos can be read: mount their drive"):
            compare_framings(library)


def test_a_model_that_cuts_nothing_off_has_nothing_to_compare(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        with pytest.raises(LibraryError, match="mean-colour sees photos whole as it is"):
            compare_framings(library)


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (1, 1), (1, 900), (7, 5)])
def test_parts_lie_within_the_photo_and_have_the_size_that_they_should(size):
    width, height = size
    for seed in range(20):
        edge, part = parts(width, height, np.random.default_rng(seed))
        for left, top, right, bottom in (edge, part):
            assert 0 <= left < right <= size[0]
            assert 0 <= top < bottom <= size[1]
        if min(size) >= 100:
            longer = max(range(2), key=lambda axis: size[axis])
            assert edge[longer] == 0 or edge[longer + 2] == size[longer]
            assert edge[longer + 2] - edge[longer] == 0.3 * size[longer]
            assert edge[1 - longer] == 0
            area = (part[2] - part[0]) * (part[3] - part[1])
            assert area == pytest.approx(0.2 * size[0] * size[1], rel=0.02)
