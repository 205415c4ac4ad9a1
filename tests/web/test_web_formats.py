"""Raw files, JPEG XL and photos in other colours: found, paired with their JPEG, and shown on the page."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.web_client import web_client
from tests.support.written_files import dng
from vitsearch.duplicates.find import find_duplicates
from vitsearch.library import Library

DATA = Path(__file__).parents[1] / "data"
SAMPLES = Path(__file__).parents[2] / "sample_images"


def likeness(first, second):
    rows = [
        np.asarray(image.convert("RGB").resize((32, 32)), np.float64).ravel() for image in (first, second)
    ]
    one, two = (row - row.mean() for row in rows)
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


def opened(answer):
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), answer.text
    return Image.open(io.BytesIO(answer.content))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """One photo as JPEG, as JPEG XL, and as two raw files, one of them without a preview; and others."""
    imagecodecs = pytest.importorskip(
        "imagecodecs", reason="JPEG XL is an extra: pip install 'vitsearch[jxl]'"
    )
    place = tmp_path_factory.mktemp("formats")
    folders = {name: place / "photos" / name for name in ("jpeg", "jxl", "with preview", "without")}
    for folder in folders.values():
        folder.mkdir(parents=True)
    with Image.open(SAMPLES / "travel/castle-1.jpg") as opened:
        image = opened.convert("RGB").resize((480, 320))
    image.save(folders["jpeg"] / "castle.jpg", quality=95)
    (folders["jxl"] / "castle.jxl").write_bytes(imagecodecs.jpegxl_encode(np.asarray(image), level=90))
    (folders["with preview"] / "castle.dng").write_bytes(dng(image, preview=True))
    (folders["without"] / "castle.dng").write_bytes(dng(image, preview=False))
    for name in ("animals/cat-1", "nature/bee-1", "things/fruit-4"):
        path = SAMPLES / f"{name}.jpg"
        with Image.open(path) as other:
            other.convert("RGB").resize((480, 320)).save(place / "photos" / path.name)
    with Library.open(place / "library", backbone=MeanColour()) as library:
        report = library.index([place / "photos"])
        assert (report.photos, report.unreadable) == (7, ())
    return place


def test_a_search_by_any_of_them_finds_the_others_first(place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        for query in sorted((place / "photos").glob("*/castle.*")):
            found = library.search(query, k=3).results
            assert {match.path.stem for match in found} == {"castle"}
            assert min(match.score for match in found) > 0.99


def test_they_are_one_group_of_duplicates_and_the_raw_file_is_kept(place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        report = find_duplicates(library)
        (group,) = report.groups
        names = {
            path.relative_to(place / "photos").as_posix()
            for path in (group.keep, *(file.path for file in group.files))
        }
        assert {"jpeg/castle.jpg", "jxl/castle.jxl"} <= names
        assert any(name.endswith(".dng") for name in names)
        assert group.keep.suffix == ".dng"


def test_each_is_shown_on_the_page(place):
    with (
        Image.open(place / "photos/jpeg/castle.jpg") as jpeg,
        web_client(place / "library", MeanColour()) as client,
    ):
        jpeg.load()
        shown = 0
        for photo in client.get("/api/grid").json()["ids"]:
            facts = client.get(f"/api/photos/{photo}").json()
            if Path(facts["files"][0]["path"]).stem != "castle":
                continue
            assert (facts["width"], facts["height"]) == (480, 320)
            for name in ("thumbnail", "view"):
                picture = opened(client.get(f"/api/photos/{photo}/{name}"))
                assert likeness(picture, jpeg) > 0.97
            shown += 1
        assert shown == 4


def test_a_raw_file_is_taken_alone_when_its_jpeg_is_gone(tmp_path):
    image = Image.open(SAMPLES / "travel/castle-1.jpg").convert("RGB").resize((120, 80))
    (tmp_path / "photos").mkdir()
    image.save(tmp_path / "photos/a.jpg")
    (tmp_path / "photos/a.dng").write_bytes(dng(image))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([tmp_path / "photos"])
        assert (report.photos, [item.kind for item in report.left_out]) == (1, ["raw file beside its photo"])
        (tmp_path / "photos/a.jpg").unlink()
        report = library.index()
        assert (report.photos, report.missing, report.left_out) == (1, 1, ())
        (match,) = library.search(tmp_path / "photos/a.dng", include_self=True).results
        assert match.path.name == "a.dng"


def test_thumbnails_in_the_colours_of_an_earlier_version_are_made_again_by_an_upgrade(tmp_path):
    image = Image.open(SAMPLES / "travel/castle-1.jpg").convert("RGB").resize((450, 300))
    (tmp_path / "photos").mkdir()
    image.save(tmp_path / "photos/a.png", icc_profile=(DATA / "swapped-primaries.icc").read_bytes())
    before = MeanColour().space.with_colours("stored")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        with library.receiving(before, use=True):
            pass
        library.index([tmp_path / "photos"], thumbnails=True)
    with web_client(tmp_path / "library", MeanColour()) as client:
        (photo,) = client.get("/api/grid").json()["ids"]
        old = client.get(f"/api/photos/{photo}/thumbnail", params={"height": 320})
        # As an earlier version made it, when somebody asked for another height.
        kept = next((tmp_path / "library").rglob("*-320.jpg"))
        kept.with_name(kept.name.replace("-320", "-160")).write_bytes(old.content)
        assert client.get(f"/api/photos/{photo}/thumbnail", params={"height": 160}).content == old.content
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index(upgrade=True, thumbnails=True)
    with web_client(tmp_path / "library", MeanColour()) as client:
        view = opened(client.get(f"/api/photos/{photo}/view"))
        assert likeness(view, opened(old)) < 0.99
        for height in (160, 320, 640):
            new = client.get(
                f"/api/photos/{photo}/thumbnail",
                params={"height": height},
                headers={"if-none-match": old.headers["etag"]},
            )
            assert likeness(opened(new), view) > 0.995
