"""`duplicates have`: what a card has that the library lacks, or has only as a copy that is worth less."""

import json
import os
import shutil

import pytest
from click.testing import CliRunner
from PIL import Image, ImageEnhance

from tests.support.mean_colour import MeanColour
from tests.support.mounts import Mounts
from tests.support.samples import SAMPLES
from vitsearch.cli import cli
from vitsearch.cli.session import Session
from vitsearch.duplicates.have import compare_folder
from vitsearch.library import Library

CAT = SAMPLES / "animals" / "cat-1.jpg"


@pytest.fixture
def card(tmp_path):
    (tmp_path / "card").mkdir()
    shutil.copy(CAT, tmp_path / "card" / "cat.jpg")
    return tmp_path / "card"


@pytest.fixture
def photos(tmp_path):
    (tmp_path / "photos").mkdir()
    shutil.copy(SAMPLES / "travel" / "castle-2.jpg", tmp_path / "photos" / "castle.jpg")
    return tmp_path / "photos"


@pytest.fixture
def mounts():
    made = Mounts()
    yield made
    made.close()


@pytest.fixture
def call(library, monkeypatch):
    monkeypatch.setattr(
        Session, "open", lambda self, **_: Library.open(self.library_folder, backbone=MeanColour())
    )

    def run(*arguments, status=0):
        options = ["--library", library.folder, "duplicates", "have", *arguments]
        done = CliRunner().invoke(cli, [str(part) for part in options])
        assert done.exit_code == status, done.output
        return done

    return run


@pytest.mark.parametrize(
    ("done", "why"),
    [
        (lambda image: image.resize((image.width // 4, image.height // 4)), "far more detail"),
        (lambda image: image.convert("L").convert("RGB"), "colour"),
        (lambda image: image.crop((0, 0, image.width * 3 // 5, image.height * 3 // 5)), "shows more"),
    ],
    ids=["smaller", "grey", "cropped"],
)
def test_a_photo_of_which_the_library_has_a_poorer_copy_only_is_to_be_taken(
    library, photos, card, call, done, why
):
    poorer = photos / "poorer.jpg"
    with Image.open(CAT) as image:
        done(image.convert("RGB")).save(poorer, quality=88)
    library.index([photos])
    (cat,) = compare_folder(library, card).files
    assert (cat.tier, cat.other) == ("near", poorer)
    assert why in cat.better
    assert call(card).stdout == f"{cat.path}\n"
    assert call(card).stderr.splitlines()[-1] == (
        "0 of 1 photo not in the library yet; 1 better than its copy there"
    )
    assert call(card, "--all").stdout == f"better: {cat.path} than {poorer} ({cat.better})\n"
    assert json.loads(call(card, "--json").stdout)["files"][0]["better"] == cat.better
    # Beside it a copy that is worth as much: nothing is to be taken.
    shutil.copy(CAT, photos / "cat.jpg")
    library.index([photos])
    assert not compare_folder(library, card).better


def test_an_edit_on_the_card_is_to_be_taken_and_a_copy_of_the_librarys_own_edit_is_not(
    library, photos, tmp_path
):
    edits, exif = tmp_path / "edits", Image.Exif()
    edits.mkdir()
    exif[0x0131] = "Adobe Photoshop Lightroom Classic 12.0"
    with Image.open(CAT) as image:
        image.convert("RGB").save(photos / "cat.jpg", quality=92)
        edited = ImageEnhance.Color(image.convert("RGB")).enhance(1.6)
    edited.save(edits / "cat-Edit.jpg", quality=92, exif=exif)
    library.index([photos])
    (cat,) = compare_folder(library, edits).files
    assert (cat.tier, cat.better) == ("near", "an edit: saved by Adobe Photoshop Lightroom Classic 12.0")
    edited.save(photos / "cat-Edit.jpg", quality=90, exif=exif)
    library.index([photos])
    assert not compare_folder(library, edits).better


def test_a_poorer_file_on_the_card_is_not_to_be_taken(library, photos, card):
    shutil.copy(CAT, photos / "cat.jpg")
    with Image.open(CAT) as image:
        image.reduce(2).save(card / "cat.jpg", quality=70)
    library.index([photos])
    found = compare_folder(library, card)
    assert (found.files[0].tier, found.files[0].other) == ("near", photos / "cat.jpg")
    assert not found.better


@pytest.mark.parametrize("copy", ["identical", "same picture", "edited copy"])
@pytest.mark.parametrize("change", ["deleted", "overwritten"])
def test_a_file_that_is_not_there_any_more_counts_for_nothing(library, photos, card, call, copy, change):
    held = photos / ("cat.png" if copy == "same picture" else "cat.jpg")
    if copy == "identical":
        shutil.copy(CAT, held)
    else:
        with Image.open(CAT) as image:
            (image if copy == "same picture" else image.rotate(90, expand=True)).save(held, quality=95)
    library.index([photos])
    assert not compare_folder(library, card).new
    if change == "deleted":
        held.unlink()
    else:
        held.write_bytes((photos / "castle.jpg").read_bytes())
    found = compare_folder(library, card)
    assert found.new == (card / "cat.jpg",)
    if copy != "identical":  # what is not there cannot be told to be a copy
        return
    assert found.gone == (held,)
    assert f"1 file of the library that would be a copy is not there: {held}" in call(card).stderr


def test_what_is_no_photo_is_counted(library, photos, card, call):
    library.index([photos])
    (card / "clip.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42")
    (card / "clip2.mov").write_bytes(b"\x00\x00\x00\x18ftypqt  ")
    (card / "notes.txt").write_text("hello")
    assert [(item.kind, item.count) for item in compare_folder(library, card).left_out] == [
        ("video", 2),
        ("file that is no image", 1),
    ]
    assert "no photos, and not compared: 2 videos, 1 file that is no image" in call(card).stderr
    assert json.loads(call(card, "--json").stdout)["left_out"][0]["count"] == 2


@pytest.mark.parametrize("name", ["linked folder", "linked file", "second mount"])
@pytest.mark.parametrize("copy", ["identical", "edited copy"])
def test_a_file_of_the_card_is_no_copy_of_itself_by_another_name(library, photos, card, mounts, name, copy):
    if copy == "edited copy":
        with Image.open(CAT) as image:
            image.reduce(2).save(card / "smaller.jpg", quality=90)
    inbox = photos / "inbox"
    if name == "linked file":
        inbox.mkdir()
        for file in card.iterdir():
            (inbox / file.name).symlink_to(file)
    elif name == "linked folder":
        inbox.symlink_to(card)
    else:
        inbox.mkdir()
        mounts.bind(card, inbox)
    library.index([photos])
    assert set(compare_folder(library, card).new) == set(card.iterdir())


def test_a_hard_link_outside_of_the_folder_keeps_its_photo(library, photos, card):
    (photos / "cat.jpg").hardlink_to(card / "cat.jpg")
    library.index([photos])
    (cat,) = compare_folder(library, card).files
    assert (cat.tier, cat.other) == ("exact", photos / "cat.jpg")


def test_names_that_are_no_text_come_out_as_the_bytes_that_they_are(library, photos, card, call):
    library.index([photos])
    names = (b"caf\xe9.jpg", b"line\nend.jpg")
    for number, name in enumerate(names):
        Image.open(CAT).crop((0, 0, 100 + number, 100)).save(card / os.fsdecode(name))
    (card / "cat.jpg").unlink()
    paths = [os.fsencode(card / os.fsdecode(name)) for name in names]
    assert call(card, "-0").stdout_bytes == b"".join(path + b"\0" for path in paths)
    assert call(card).stdout_bytes == b"".join(path + b"\n" for path in paths)


def test_a_card_with_files_that_cannot_be_read_is_not_said_to_be_known(library, photos, card, call):
    library.index([photos])
    (card / "broken.jpg").write_bytes(CAT.read_bytes()[:200])
    done = call(card, "-0", status=1)
    assert done.stdout == f"{card / 'cat.jpg'}\0"
    assert "1 file could not be read:" in done.stderr
