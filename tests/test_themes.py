"""Themes: photos of one kind are one theme, and themes stay what they are from day to day."""

import colorsys

import numpy as np
import pytest

from tests.support.mean_colour import MeanColour
from tests.support.web_client import wait, web_client
from vitsearch.doctor import upkeep
from vitsearch.errors import LibraryMissing
from vitsearch.library import Library
from vitsearch.themes import find_themes, known_themes

HUES = {"red": 0.0, "yellow": 0.16, "green": 0.33, "blue": 0.66}


def paint(picture, folder, kind, numbers):
    for number in numbers:
        hue = HUES[kind] + 0.004 * (number % 7)
        colour = colorsys.hsv_to_rgb(hue, 1 - 0.01 * (number % 5), 0.9 - 0.01 * (number % 11))
        picture(folder / f"{kind}-{number}.png", tuple(int(255 * part) for part in colour))


@pytest.fixture
def photos(tmp_path, picture):
    for kind in HUES:
        paint(picture, tmp_path / "photos", kind, range(20))
    return tmp_path / "photos"


@pytest.fixture
def library(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        yield library


def kinds(library, themes):
    """Which kinds of photos each theme holds, by its id."""
    return {
        theme.id: {
            library.catalog.photos([photo])[photo].paths[0].name.split("-")[0]
            for photo in theme.photos.tolist()
        }
        for theme in themes.themes
    }


def test_a_theme_holds_photos_of_one_kind_and_every_photo_is_in_one_at_most(library):
    found = find_themes(library)
    held = np.concatenate([theme.photos for theme in found.themes])
    assert len(np.unique(held)) == len(held)
    assert len(held) + found.rest == 80
    assert len(held) >= 60
    assert all(len(kind) == 1 for kind in kinds(library, found).values())
    assert set.union(*kinds(library, found).values()) == set(HUES)
    assert all(len(theme.photos) >= 5 for theme in found.themes)
    sizes = [len(theme.photos) for theme in found.themes]
    assert sizes == sorted(sizes, reverse=True)


def test_the_same_library_has_the_same_themes_also_when_they_are_read_again(library):
    found, again = find_themes(library), find_themes(library)
    known = known_themes(library)
    assert known is not None
    for themes in (again, known):
        assert [theme.id for theme in themes.themes] == [theme.id for theme in found.themes]
    for theme, read in zip(again.themes, known.themes, strict=True):
        assert theme.photos.tolist() == read.photos.tolist()
    assert (known.rest, known.contents) == (again.rest, again.contents)


def test_nothing_of_a_photo_stays_in_the_themes_once_it_is_erased(library, photos):
    find_themes(library)
    upkeep.erase(library, [photos / "red-1.png"])
    assert not library.layout.themes.exists()
    assert known_themes(library) is None


def test_photos_that_come_join_the_themes_that_are_there_and_a_new_kind_is_a_new_one(
    library, photos, picture
):
    before = find_themes(library)
    theme_of = {int(photo): theme.id for theme in before.themes for photo in theme.photos}
    for kind in HUES:
        paint(picture, photos, kind, range(20, 22))
    for number in range(12):
        picture(photos / f"grey-{number}.png", (120 + number, 120 + number, 120 + number))
    library.index([photos])
    after = find_themes(library)
    assert after.contents != before.contents
    now = {int(photo): theme.id for theme in after.themes for photo in theme.photos}
    same = [now.get(photo) == theme for photo, theme in theme_of.items()]
    assert np.mean(same) >= 0.9
    fresh = {theme for theme, held in kinds(library, after).items() if held == {"grey"}}
    assert fresh
    assert not fresh & set(theme_of.values())


def test_photos_that_went_are_in_no_theme(library, photos):
    find_themes(library)
    for path in photos.glob("red-*.png"):
        path.unlink()
    library.index([photos])
    known = known_themes(library)
    assert "red" not in set.union(*kinds(library, known).values())


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"PK\x03\x04"])
def test_a_file_of_themes_that_cannot_be_read_is_made_again(library, damage):
    find_themes(library)
    library.layout.themes.write_bytes(damage)
    assert known_themes(library) is None
    assert find_themes(library).themes
    assert known_themes(library) is not None


def test_an_empty_library_has_no_themes_and_a_photo_alone_is_none(tmp_path, picture):
    picture(tmp_path / "photos/one.png")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        with pytest.raises(LibraryMissing):
            find_themes(library)
        library.index([tmp_path / "photos"])
        assert (find_themes(library).themes, find_themes(library).rest) == ((), 1)


def test_the_page_has_the_themes_with_their_typical_photos_and_says_when_they_are_old(
    tmp_path, library, photos, picture
):
    with web_client(tmp_path / "library", MeanColour()) as client:
        assert client.get("/api/themes").json()["state"] == "none"
        assert client.post("/api/themes/find").status_code == 202
        found = wait(client, "/api/themes")
        assert (found["state"], found["stale"]) == ("done", False), found
        for theme in found["themes"]:
            whole = client.get(f"/api/themes/{theme['id']}").json()["photos"]
            assert len(whole) == theme["count"]
            assert whole[:5] == theme["typical"]
            assert whole[0]["width"] == 64
        assert client.get("/api/themes/999999").status_code == 404
        picture(photos / "another.png", (1, 2, 3))
        library.index([photos])
        assert client.get("/api/themes").json()["stale"] is True
    with web_client(tmp_path / "library", MeanColour()) as client:  # of the last time, at once
        assert [one["id"] for one in client.get("/api/themes").json()["themes"]] == [
            one["id"] for one in found["themes"]
        ]
