"""A second search looks only at what is new, and at all that may have another answer now."""

import os
import shutil

import pytest
from PIL import Image, ImageEnhance

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.decoding.decoders import ProtectedPhoto
from vitsearch.doctor.upkeep import erase
from vitsearch.duplicates import find
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.tables import dismiss
from vitsearch.duplicates.verify import geometric
from vitsearch.duplicates.verify.evidence import Thresholds
from vitsearch.duplicates.verify.rules import rules_digest
from vitsearch.library import Library
from vitsearch.storage.layout import Layout

SOURCES = ("animals/cat-1.jpg", "travel/castle-2.jpg", "nature/mountain-3.jpg", "travel/bridge-1.jpg")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Four photos and three edited copies of each."""
    folder = tmp_path_factory.mktemp("made")
    for name in SOURCES:
        stem = (SAMPLES / name).stem
        shutil.copy(SAMPLES / name, folder / f"{stem}.jpg")
        with Image.open(SAMPLES / name) as image:
            image.resize((image.width // 2, image.height // 2)).save(folder / f"{stem}-small.jpg")
            image.save(folder / f"{stem}-again.png")
            ImageEnhance.Brightness(image).enhance(1.3).save(folder / f"{stem}-bright.jpg")
    return folder


@pytest.fixture
def new_photos(tmp_path, made):
    """The same photos in a folder of the test's own."""
    return shutil.copytree(made, tmp_path / "photos")


@pytest.fixture
def new_library(tmp_path, new_photos):
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([new_photos])
        yield library


@pytest.fixture
def looks(monkeypatch):
    """The pairs that were looked at, and the files that were decoded."""
    seen = {"pairs": 0, "decoded": 0}
    look, pixels = geometric.look, ProtectedPhoto.pixels

    def counted_look(*arguments, **options):
        seen["pairs"] += 1
        return look(*arguments, **options)

    def counted_pixels(*arguments, **options):
        seen["decoded"] += 1
        return pixels(*arguments, **options)

    monkeypatch.setattr(geometric, "look", counted_look)
    monkeypatch.setattr(ProtectedPhoto, "pixels", counted_pixels)
    return seen


@pytest.fixture(scope="module")
def searched(made, tmp_path_factory):
    """The photos and a library that has searched them once, aside, and the place where it knows them."""
    place = tmp_path_factory.mktemp("searched")
    photos = shutil.copytree(made, place / "photos")
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([photos])
        find_duplicates(library)
    return place.rename(place.with_name("searched-aside")), place


@pytest.fixture
def photos(searched):
    """Those photos where the library knows them, with that beside."""
    aside, place = searched
    shutil.copytree(aside, place)
    yield place / "photos"
    shutil.rmtree(place)


@pytest.fixture
def library(photos):
    with Library.open(photos.with_name("library"), backbone=MeanColour()) as library:
        yield library


def again(looks, library, **options):
    looks.update(pairs=0, decoded=0)
    return find_duplicates(library, **options)


def test_a_library_that_did_not_change_is_not_looked_at_again(new_library, looks):
    first = again(looks, new_library)
    assert len(first.groups) == len(SOURCES)
    assert looks["pairs"] > 0
    second = again(looks, new_library)
    assert second == first
    assert looks == {"pairs": 0, "decoded": 0}


def test_only_what_is_new_is_looked_at(new_library, new_photos, looks):
    again(looks, new_library)
    before = dict(looks)
    with Image.open(SAMPLES / "animals" / "cat-1.jpg") as image:
        image.rotate(180).save(new_photos / "upside-down.jpg")
    new_library.index([new_photos])
    found = again(looks, new_library)
    (cats,) = (group for group in found.groups if group.keep.name.startswith("cat"))
    assert "upside-down.jpg" in {file.path.name for file in cats.files}
    # The library is so small that each photo is a neighbour of most others.
    assert 0 < looks["pairs"] <= len(SOURCES) * 4
    assert looks["pairs"] < before["pairs"]
    assert looks["decoded"] < before["decoded"]


def test_the_answer_is_the_same_as_without_what_was_kept(library, photos, looks):
    (photos / "cat-1.jpg").unlink()
    shutil.copy(SAMPLES / "copies" / "cat-1-mirrored.jpg", photos / "mirrored.jpg")
    library.index([photos])
    with_memory = again(looks, library)
    Layout.of(library.folder).answers.unlink()
    assert again(looks, library) == with_memory


def test_a_file_with_other_content_under_the_same_name_is_looked_at(library, photos, looks):
    shutil.copy(SAMPLES / "things" / "fruit-1.jpg", photos / "cat-1-small.jpg")
    os.utime(photos / "cat-1-small.jpg", (1, 1))
    library.index([photos])
    found = again(looks, library)
    grouped = {file.path.name for group in found.groups for file in group.files}
    assert "cat-1-small.jpg" not in grouped
    assert looks["decoded"] > 0


def test_notes_that_were_written_beside_a_photo_since_are_read(library, photos, looks):
    for name in ("twin-1.jpg", "twin-2.jpg"):
        shutil.copy2(SAMPLES / "animals" / "dog-1.jpg", photos / name)
    library.index([photos])
    (before,) = (group for group in again(looks, library).groups if group.keep.name.startswith("twin"))
    noted = next(file.path for file in before.files if file.path != before.keep)
    noted.with_suffix(".jpg.xmp").write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:DateTimeOriginal="2020-05-06T07:08:09"/>'
        "</rdf:RDF></x:xmpmeta>"
    )
    Layout.of(library.folder).answers.rename(photos.parent / "kept.db")
    afresh = again(looks, library)
    (photos.parent / "kept.db").replace(Layout.of(library.folder).answers)
    assert again(looks, library) == afresh


def test_other_thresholds_are_other_questions(library, looks, monkeypatch):
    first = again(looks, library)
    strict = Thresholds(share=0.999, closeness=0.9999)
    monkeypatch.setattr(find, "Thresholds", lambda: strict)
    assert again(looks, library) != first
    assert looks["pairs"] > 0


def test_what_other_code_saw_is_not_taken_up(library, looks, monkeypatch):
    monkeypatch.setattr(find, "rules_digest", lambda: b"another version")
    again(looks, library)
    assert looks["pairs"] > 0
    assert len(rules_digest()) == 16


def test_a_dismissed_pair_stays_apart_whatever_was_seen_of_it(library, looks):
    found = again(looks, library)
    dismiss(library.catalog, {file.photo for file in found.groups[0].files})
    assert len(again(looks, library).groups) == len(found.groups) - 1


def test_a_file_that_has_gone_is_left_out_although_its_pair_is_known(library, photos, looks):
    (photos / "castle-2-small.jpg").unlink()
    found = again(looks, library)
    assert [file.path.name for file in found.skipped] == ["castle-2-small.jpg"]
    assert "castle-2-small.jpg" not in {file.path.name for group in found.groups for file in group.files}


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read_any_more_is_left_out(library, photos, looks):
    (photos / "castle-2-small.jpg").chmod(0)
    assert [file.path.name for file in again(looks, library).skipped] == ["castle-2-small.jpg"]


def test_removing_a_photo_removes_what_was_seen_of_it(library, photos, looks):
    assert Layout.of(library.folder).answers.is_file()
    erase(library, [photos / "cat-1.jpg"])
    assert not Layout.of(library.folder).answers.exists()


def test_progress_moves_through_every_stage_and_never_goes_back(new_library, looks):
    stages: dict[str, list[int]] = {}
    again(looks, new_library, on_progress=lambda step: stages.setdefault(step.stage, []).append(step.done))
    assert {"propose", "look", "measure"} <= set(stages)
    for done in (stages["propose"], stages["look"], stages["measure"]):
        assert done[-1] == max(done)
    assert stages["propose"] == sorted(stages["propose"])
    assert stages["propose"][-1] == len(SOURCES) * 4
