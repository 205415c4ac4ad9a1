"""What people said of photos outlives the rows of a photo, and no picture is shown for another one."""

from __future__ import annotations

import shutil

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.web_client import web_client
from vitsearch.decoding.decoders import Decoders
from vitsearch.duplicates.tables import dismiss, dismissed_pairs
from vitsearch.errors import LibraryError, UnreadablePhoto
from vitsearch.heads.tables import HeadTables
from vitsearch.library import Library
from vitsearch.storage.listing import Listing

pytestmark = pytest.mark.trust

COLOURS = ("red", "lime", "blue", "yellow")


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / f"photos/{colour}.png", colour)
    return tmp_path / "photos"


def photo_of(library, path):
    match = library.search(path, include_self=True, k=1).results[0]
    assert match.path == path
    return match.photo


def dismissed_names(library):
    """The pairs that were told apart, by the names of their files."""
    pairs = dismissed_pairs(library.catalog)
    rows = library.catalog.photos(sorted({photo for pair in pairs for photo in pair}))
    return {tuple(sorted(rows[photo].paths[0].name for photo in pair)) for pair in pairs}


@pytest.mark.parametrize(
    "how", ["pruned", "its folder is forgotten", "both are pruned, one comes back first"]
)
def test_decisions_are_kept_when_a_photo_goes_and_come_back_with_it(library, photos, tmp_path, how):
    library.index([photos])
    red, lime, blue = (photo_of(library, photos / f"{name}.png") for name in COLOURS[:3])
    dismiss(library.catalog, [red, lime])
    dismiss(library.catalog, [blue])
    expected = {("lime.png", "red.png"), ("blue.png", "blue.png")}
    away = tmp_path / "away"
    if how == "its folder is forgotten":
        library.forget_root(photos)
    else:
        away.mkdir()
        for name in ("red", "lime", "blue") if how.startswith("both") else ("red", "blue"):
            shutil.move(photos / f"{name}.png", away)
        library.index(prune=True)
        assert dismissed_pairs(library.catalog) == frozenset()
        if how.startswith("both"):
            shutil.move(away / "lime.png", photos)
            library.index()
            assert dismissed_pairs(library.catalog) == frozenset()
        for path in away.iterdir():
            shutil.move(path, photos / f"renamed {path.name}")
        for path in photos.glob("renamed *"):
            path.rename(photos / path.name.removeprefix("renamed "))
    library.index([photos])
    assert dismissed_names(library) == expected


def test_labels_and_corrections_are_kept_when_a_photo_is_pruned_and_come_back_with_it(
    library, photos, tmp_path
):
    library.index([photos])
    red = photo_of(library, photos / "red.png")
    tables = HeadTables(library.catalog.database)
    tables.replace_examples("warmth", {red: ("warm",)})
    tables.correct("warmth", red, ("hot",))
    shutil.move(photos / "red.png", tmp_path)
    library.index(prune=True)
    shutil.move(tmp_path / "red.png", photos / "named anew.png")
    library.index()
    back = photo_of(library, photos / "named anew.png")
    assert tables.examples("warmth") == {back: ("hot",)}
    assert tables.given_examples("warmth") == {back: ("warm",)}


def test_a_folder_is_not_said_to_be_one_that_does_not_hold_its_photos(
    library, photos, tmp_path, picture, run
):
    library.index([photos])
    library.close()
    other = tmp_path / "other"
    picture(other / "red.png", "red", size=(90, 90))
    for name in ("a", "b"):
        picture(other / f"{name}.png", "black")
    done = run("roots", "relocate", photos, other)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"vitsearch: {other} does not hold the photos of {photos}: of 4 that were looked for, 0 are there with their "
        "sizes; name the right folder, or use --force\n"
    )
    shutil.copytree(photos, tmp_path / "moved")
    (tmp_path / "moved/blue.png").unlink()
    assert run("roots", "relocate", photos, tmp_path / "moved").returncode == 0
    assert run("roots", "relocate", tmp_path / "moved", other, "--force").returncode == 0
    with Library.open(tmp_path / "library", backbone=MeanColour()) as again:
        assert [root.path for root in again.roots()] == [other]
        with pytest.raises(LibraryError, match="of 4 that were looked for, 1 are there"):
            again.relocate_root(other, picture(tmp_path / "one/red.png", "red").parent)


@pytest.mark.parametrize("asked", ["thumbnail", "view"])
def test_a_picture_of_a_file_that_was_replaced_for_a_moment_is_neither_kept_nor_served(
    library, photos, picture, asked
):
    library.index([photos])
    photo = photo_of(library, photos / "red.png")
    library.close()
    kept = (photos / "red.png").read_bytes()
    with web_client(library.folder, MeanColour()) as client:
        picture(photos / "red.png", "blue", size=(80, 80))
        answer = client.get(f"/api/photos/{photo}/{asked}")
        assert answer.status_code >= 400
        assert "another picture than when it was indexed" in answer.json()["error"]
        (photos / "red.png").write_bytes(kept)
        answer = client.get(f"/api/photos/{photo}/{asked}")
        assert answer.status_code == 200
        red, _, blue = colour_of(answer.content)
        assert red > 200
        assert blue < 60


def colour_of(jpeg):
    import io

    from PIL import Image

    with Image.open(io.BytesIO(jpeg)) as image:
        return image.resize((1, 1)).getpixel((0, 0))


def test_pixels_of_a_file_that_is_replaced_between_two_looks_are_not_taken_for_the_photo(photos):
    with Decoders(1) as decoders, decoders.open(photos / "red.png") as photo:
        assert photo.pixels().getpixel((0, 0)) == (255, 0, 0)
        shutil.copy(photos / "blue.png", photos / "red.png")
        with pytest.raises(UnreadablePhoto, match="changed while it was read") as caught:
            photo.pixels()
    assert caught.value.passing


def test_a_heat_map_is_drawn_for_the_photo_that_was_asked_for_and_no_other(library, photos, picture):
    from vitsearch.web.services.heatmaps import HeatMaps

    library.index([photos])
    photo_hash = Listing(library.catalog).photo_hash(photo_of(library, photos / "red.png"))
    assert photo_hash is not None
    with Decoders(1) as decoders:
        maps = HeatMaps(decoders)
        maps._model = maps._space = (
            library.existing_space()
        )  # nothing is asked of the model before the file is
        picture(photos / "red.png", "blue", size=(80, 80))
        with pytest.raises(UnreadablePhoto, match="another picture than when it was indexed"):
            maps.draw(
                photos / "red.png",
                library.existing_space(),
                photo_hash=photo_hash,
                cache=library.cache_folder,
                gradient=None,
            )
