"""The heads of a library: what they learn from, what they say of its photos, and what a person corrects."""

from __future__ import annotations

import csv
import errno
import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.classifiers import save_classifier
from tests.support.painted_labels import paint, paint_labels
from tests.support.sidecars import read_keywords
from vitsearch.errors import HeadError, LibraryMissing, SpaceMismatch, UnreadablePhoto
from vitsearch.heads.export_labels import write_label_csv, write_sidecars
from vitsearch.heads.files import save_head
from vitsearch.heads.head import Head
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.storage import atomic
from vitsearch.storage.backup import backups, restore
from vitsearch.storage.filters import Filter


@pytest.fixture
def head_store(library):
    return HeadStore(library)


def no_room(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def best(result) -> dict[str, str]:
    return {f"{item.path.parent.name}/{item.path.name}": item.labels[0].label for item in result.labels}


def of_own_folder(photos: Path) -> dict[str, str]:
    return {f"{path.parent.name}/{path.name}": path.parent.name for path in photos.glob("*/*.png")}


def test_a_head_trained_on_folders_labels_other_photos_right(head_store, labelled, photos):
    made = head_store.train("colours", folder=labelled)
    assert made.head.labels == ("blue", "green", "red")
    assert (made.photos, made.head.version, made.unreadable, made.left_out) == (24, 1, (), 0)
    assert made.report is not None
    assert made.report.accuracy == 1.0
    result = Labeller(head_store, "colours").label([photos])
    assert best(result) == of_own_folder(photos)
    assert (result.head, result.version, result.model) == ("colours", 1, "mean-colour")
    for item in result.labels:
        assert len(item.labels) == 3
        assert sum(each.probability for each in item.labels) == pytest.approx(1, abs=1e-5)


def test_photos_that_are_indexed_are_not_embedded_again(head_store, library, backbone, labelled, photos):
    library.index([labelled, photos])
    assert backbone.embedded == 39
    head_store.train("colours", folder=labelled)
    head_store.train("colours")
    Labeller(head_store, "colours").label([photos])
    Labeller(head_store, "colours").label()
    assert backbone.embedded == 39


def test_training_photos_outside_of_the_library_are_embedded_once_and_found_by_no_search(
    head_store, library, backbone, labelled, photos
):
    head_store.train("colours", folder=labelled)
    library.index([photos])
    assert backbone.embedded == 39
    head_store.train("colours", folder=labelled)
    assert backbone.embedded == 39
    found = library.search(photos / "red" / "100.png", k=100, include_self=True).results
    assert {match.path.parent.parent for match in found} == {photos}
    assert len(Labeller(head_store, "colours").label().labels) == 15


def test_a_csv_file_may_give_several_labels_or_none(head_store, labelled, tmp_path):
    lines = ["path,label"]
    for path in sorted(labelled.glob("*/*.png")):
        if path.parent.name == "green":
            lines.append(f"{path.relative_to(tmp_path)},")
        else:
            lines += [
                f"{path.relative_to(tmp_path)},{path.parent.name}",
                f"{path.relative_to(tmp_path)},warm or cool",
            ]
    table = tmp_path / "labels.csv"
    table.write_text("\n".join(lines))
    made = head_store.train("colours", csv=table)
    assert made.head.kind == "sigmoid"
    assert made.head.labels == ("blue", "red", "warm or cool")
    said = {item.path.name: item for item in Labeller(head_store, "colours").label([labelled / "red"]).labels}
    top = {label for item in said.values() for label in (item.labels[0].label, item.labels[1].label)}
    assert top == {"red", "warm or cool"}


def test_each_training_under_a_name_is_its_next_version_and_the_same_examples_give_the_same_head(
    head_store, labelled
):
    first = head_store.train("colours", folder=labelled).head
    again = head_store.train("colours").head
    assert (first.version, again.version, head_store.get("colours").version) == (1, 2, 2)
    np.testing.assert_array_equal(first.weight, again.weight)
    head_store.delete("colours")
    assert head_store.train("colours", folder=labelled).head.version == 3


def test_a_head_that_was_deleted_while_it_was_at_work_says_nothing_in_the_name_of_a_new_one(
    head_store, library, labelled, photos, tmp_path
):
    """`label` read the head in its first second; until it wrote what that says, another had taken its name."""
    library.index([photos])
    head_store.train("colours", folder=labelled)
    at_work = Labeller(head_store, "colours")
    head_store.delete("colours")
    others = tmp_path / "others"
    for name, label in (("red", "warm"), ("blue", "cool")):
        shutil.copytree(labelled / name, others / label)
    head_store.train("colours", folder=others)
    at_work.label()
    head = Labeller(head_store, "colours")
    assert head.photos_with("warm")
    assert head.photos_with("cool")


def test_a_correction_moves_a_photo_to_another_label_at_the_next_training(head_store, labelled, photos):
    head_store.train("colours", folder=labelled)
    for number in range(4):
        assert head_store.correct("colours", labelled / "red" / f"{number}.png", ["crimson"]) == ("crimson",)
    assert head_store.correct("colours", photos / "blue" / "100.png", ["blue"]) == ()
    made = head_store.train("colours")
    assert made.head.labels == ("blue", "crimson", "green", "red")
    assert made.photos == 25
    described = head_store.describe("colours")
    assert (described.examples, described.corrections, described.version) == (25, 5, 2)


def test_a_correction_that_is_taken_back_leaves_the_example_as_it_was_given_even_after_training(
    head_store, labelled
):
    head_store.train("colours", folder=labelled)
    given = head_store.tables.examples("colours")
    for right in ("blue", "red"):
        head_store.correct("colours", labelled / "red" / "0.png", [right])
        (photo,) = head_store.tables.examples("colours", only_corrected=True)
        assert head_store.tables.examples("colours") == given | {photo: (right,)}
        assert head_store.train("colours").photos == len(given)
        assert head_store.tables.take_back("colours", photo)
        assert head_store.tables.examples("colours") == given
        assert not head_store.tables.take_back("colours", photo)


def test_corrections_outlive_a_training_from_the_folder_that_was_wrong(head_store, labelled, photos):
    wrong = shutil.copy(photos / "blue" / "100.png", labelled / "red" / "wrong.png")
    head_store.train("colours", folder=labelled)
    head_store.correct("colours", Path(wrong), ["blue"])
    made = head_store.train("colours", folder=labelled)
    assert made.report is not None
    assert [(each.label, each.photos) for each in made.report.labels] == [
        ("blue", 9),
        ("green", 8),
        ("red", 8),
    ]


@pytest.mark.trust
@pytest.mark.parametrize("way", ["a new label", "one that loses its photos", "one of several"])
def test_a_correction_that_leaves_a_label_too_few_photos_costs_no_other_label_its_training(
    head_store, labelled, tmp_path, way
):
    """A label that was mistyped is one of which there is one photo."""
    table = tmp_path / "table.csv"
    lines = [f"{path},{path.parent.name}" for path in sorted(labelled.glob("*/*.png"))]
    lines += [f"{labelled / 'red' / '0.png'},warm", f"{labelled / 'red' / '1.png'},warm"] * (
        way == "one of several"
    )
    table.write_text("\n".join(["path,label", *lines]))
    head_store.library.index([labelled])
    head_store.train("colours", csv=table)
    if way == "one that loses its photos":
        wrong = {f"blue/{number}.png": "red" for number in range(7)}
    else:
        wrong = {"red/0.png": "rde"}
    for name, label in wrong.items():
        head_store.correct("colours", labelled / name, [label])
    made = head_store.train("colours")
    lost = "blue" if way == "one that loses its photos" else "rde"
    left = {"a new label": {"blue", "green", "red"}, "one of several": {"blue", "green", "red"}}
    assert set(made.head.labels) == left.get(way, {"green", "red"})
    expected = {lost: "blue/7.png"} if lost == "blue" else {"rde": "red/0.png"}
    if way == "one of several":
        expected["warm"] = "red/1.png"
    assert {each.label: [each.photos[0]] for each in made.waiting} == {
        label: [labelled / name] for label, name in expected.items()
    }
    assert made.photos == 24 - len(expected) + (way == "one of several")
    for name in wrong:
        head_store.correct("colours", labelled / name, [name.partition("/")[0]])
    mended = head_store.train("colours")
    assert (mended.waiting == ()) == (way != "one of several")
    assert set(mended.head.labels) == {"blue", "green", "red"}
    assert mended.photos == 24


def test_a_head_whose_labels_exclude_each_other_takes_one_at_most_as_correction(head_store, labelled):
    head_store.train("colours", folder=labelled)
    with pytest.raises(HeadError, match="give one, or none of them"):
        head_store.correct("colours", labelled / "red" / "0.png", ["red", "blue"])


@pytest.mark.parametrize("way", ["train", "from_examples"])
def test_a_head_learns_from_photos_of_which_a_person_said_none(head_store, labelled, tmp_path, way):
    make = getattr(head_store, way)
    make("colours", folder=labelled)
    greys = []
    for number in range(6):
        quarters = (
            np.random.default_rng(number).integers(110, 150, (2, 2, 1)).astype(np.uint8).repeat(3, axis=2)
        )
        path = tmp_path / f"grey {number}.png"
        Image.fromarray(quarters).resize((64, 48), Image.Resampling.NEAREST).save(path)
        greys.append(path)
    for path in greys[:4]:
        assert head_store.correct("colours", path, []) == ()
    head = make("colours").head
    assert (head.labels, head.kind) == (("blue", "green", "red"), "softmax")
    assert head.gate is not None
    assert head.gate.background == 4
    said = Labeller(head_store, "colours").label([*greys[4:], labelled])
    assert [item.path for item in said.labels if item.none] == greys[4:]
    assert not any(item.abstained is False for item in said.labels if item.none)
    assert "" not in {label for label, _ in head_store.tables.given("colours", head.version).items()}
    red = {item.path for item in said.labels if item.path.parent.name == "red"}
    assert len(head_store.tables.given("colours", head.version)["red"]) == len(red)


def test_no_table_and_no_sidecar_gets_a_label_for_none_of_these(head_store, labelled, tmp_path):
    head_store.train("colours", folder=labelled)
    grey = tmp_path / "grey.png"
    Image.new("RGB", (64, 48), (128, 128, 128)).save(grey)
    (said,) = Labeller(head_store, "colours").label([grey]).labels
    assert said.none
    write_label_csv([said], tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert line == {"path": str(grey), "label": "", "probability": "", "rank": "", "abstained": "1"}
    assert write_sidecars([said], head="colours").changed == 0
    assert not (tmp_path / "grey.png.xmp").exists()


def test_the_library_at_large_teaches_what_is_none_of_the_labels(head_store, library, tmp_path):
    paint_labels(tmp_path / "photos", count=30, start=100)
    library.index([tmp_path / "photos"])
    labelled = paint_labels(tmp_path / "labelled", count=10)
    shutil.rmtree(labelled / "blue")
    made = head_store.train("colours", folder=labelled)
    assert made.head.gate is not None
    assert made.head.gate.background >= 30, "blue photos are learned from, red and green ones dropped"
    assert made.report is not None
    assert made.report.gate is not None
    assert made.report.gate.passed.value > 0.8
    strangers = paint_labels(tmp_path / "new", count=20, start=300)
    none = {item.path: item.none for item in Labeller(head_store, "colours").label([strangers]).labels}
    assert np.mean([none[path] for path in (strangers / "blue").iterdir()]) >= 0.9
    assert np.mean([none[path] for path in (strangers / "red").iterdir()]) <= 0.2


def test_what_cannot_be_a_correction_is_refused(head_store, labelled, tmp_path):
    head_store.train("colours", folder=labelled)
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    with pytest.raises(UnreadablePhoto, match=r"broken\.jpg"):
        head_store.correct("colours", broken, ["red"])
    with pytest.raises(HeadError, match="not a label"):
        head_store.correct("colours", labelled / "red" / "0.png", ["a\nb"])


def test_examples_make_a_head_from_one_photo_a_label(head_store, tmp_path, photos):
    few = paint_labels(tmp_path / "few", count=1)
    made = head_store.from_examples("colours", folder=few)
    assert (made.photos, made.report, made.head.origin) == (3, None, "examples")
    assert best(Labeller(head_store, "colours").label([photos])) == of_own_folder(photos)


def test_the_whole_library_is_labelled_but_for_what_is_missing(head_store, library, labelled, photos):
    library.index([photos])
    head_store.train("colours", folder=labelled)
    copy = photos / "zz-copy.png"
    shutil.copy(photos / "red" / "100.png", copy)
    (photos / "blue" / "100.png").unlink()
    library.index([photos])
    result = Labeller(head_store, "colours").label()
    expected = sorted([*photos.glob("*/*.png"), copy])
    assert [item.path for item in result.labels] == expected
    assert (result.unreadable, result.offline) == ((), 0)


def test_photos_on_a_drive_that_is_not_mounted_are_counted_and_left_out(
    head_store, library, labelled, photos
):
    library.index([photos, labelled])
    head_store.train("colours", folder=labelled)
    photos.rename(photos.with_name("unmounted"))
    result = Labeller(head_store, "colours").label()
    assert (len(result.labels), result.offline) == (24, 15)
    assert Labeller(head_store, "colours").search("red", k=100).results[0].path.parent == labelled / "red"


def test_unreadable_photos_are_listed_and_cost_no_other(head_store, labelled, photos):
    broken = labelled / "red" / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    made = head_store.train("colours", folder=labelled)
    assert (made.photos, [item.path for item in made.unreadable]) == (24, [broken])
    (photos / "empty.jpg").touch()
    result = Labeller(head_store, "colours").label([photos, broken])
    assert len(result.labels) == 15
    assert [item.path for item in result.unreadable] == [photos / "empty.jpg", broken]


def test_a_label_finds_its_photos_most_probable_first(head_store, library, labelled, photos):
    library.index([photos])
    head_store.train("colours", folder=labelled)
    found = Labeller(head_store, "colours").search("red", k=100)
    assert (found.query, found.model) == (("red",), "mean-colour")
    assert {match.path for match in found.results} == set((photos / "red").glob("*.png"))
    scores = [match.score for match in found.results]
    assert scores == sorted(scores, reverse=True)
    said = Labeller(head_store, "colours").label([found.results[0].path]).labels[0]
    assert (said.labels[0].label, said.labels[0].probability) == ("red", scores[0])
    # The most probable of 15 photos scores above the other 14.
    assert found.results[0].percentile == pytest.approx(100 * 14 / 15, abs=0.01)


def test_filters_and_k_narrow_a_search_by_label(head_store, library, labelled, photos, tmp_path):
    other = paint(tmp_path / "other" / "1.png", "red", 500)
    library.index([photos, other.parent])
    head_store.train("colours", folder=labelled)
    labeller = Labeller(head_store, "colours")
    assert [m.path for m in labeller.search("red", criteria=Filter((other.parent,))).results] == [other]
    assert len(labeller.search("red", k=2).results) == 2
    with pytest.raises(HeadError, match=r"no label 'rde': did you mean 'red'\?"):
        labeller.search("rde")


def test_a_search_by_label_in_a_folder_names_the_copy_that_is_there(head_store, library, labelled, photos):
    first, copy = photos / "red/100.png", photos / "zz/copy.png"
    copy.parent.mkdir()
    shutil.copy(first, copy)
    library.index([photos])
    head_store.train("colours", folder=labelled)
    found = Labeller(head_store, "colours").search("red", criteria=Filter((copy.parent,))).results
    assert [(match.path, match.other_paths) for match in found] == [(copy, (first,))]


def test_a_search_by_label_believes_the_newest_head_and_a_persons_word_more(
    head_store, library, labelled, photos
):
    library.index([photos])
    head_store.train("colours", folder=labelled)
    odd = photos / "green" / "103.png"
    assert odd not in {match.path for match in Labeller(head_store, "colours").search("red", k=100).results}
    head_store.correct("colours", odd, ["red"])
    found = Labeller(head_store, "colours").search("red", k=100).results
    assert (found[0].path, found[0].score, len(found)) == (odd, 1.0, 6)
    assert odd not in {match.path for match in Labeller(head_store, "colours").search("green", k=100).results}

    # The same photos with red and blue exchanged: what was stored by the first version says nothing any more.
    (labelled / "red").rename(labelled / "x")
    (labelled / "blue").rename(labelled / "red")
    (labelled / "x").rename(labelled / "blue")
    assert head_store.train("colours", folder=labelled).head.version == 2
    found = Labeller(head_store, "colours").search("blue", k=100).results
    assert {match.path for match in found} == set((photos / "red").glob("*.png"))


def test_next_asks_for_photos_without_a_label_and_least_sure_first(head_store, library, labelled, photos):
    library.index([photos, labelled])
    head_store.train("colours", folder=labelled)
    asked = Labeller(head_store, "colours").next(100)
    assert {photo.path for photo in asked} == set(photos.glob("*/*.png"))
    four = Labeller(head_store, "colours").next(4)
    assert list(four) == sorted(four, key=lambda photo: photo.probability)
    head_store.correct("colours", four[0].path, ["red"])
    assert four[0].path not in {photo.path for photo in Labeller(head_store, "colours").next(100)}


def test_a_correction_is_in_a_backup_before_it_is_corrected(head_store, library, labelled, photos):
    head_store.train("colours", folder=labelled)
    photo = photos / "red" / "100.png"
    head_store.correct("colours", photo, ["blue"])
    for path in backups(library.layout):
        os.utime(path, (0, 0))
    head_store.correct("colours", photo, ["green"])
    with Library.open(library.folder.parent / "restored") as restored:
        restored.ensure_space(library.catalog.active_space().space)
        restore(restored.catalog.database, backups(library.layout)[-1])
        sql = "SELECT label FROM kept_head_examples WHERE corrected = 1"
        assert restored.catalog.database.rows(sql) == [("blue",)]


def test_examples_that_others_take_the_place_of_are_in_a_backup_before(
    head_store, library, labelled, tmp_path
):
    head_store.from_examples("first", folder=labelled)  # today's backup, which knows nothing of what follows
    head_store.train("colours", folder=labelled)
    given = head_store.tables.given_examples("colours")
    head_store.from_examples("colours", folder=paint_labels(tmp_path / "others", start=50))
    assert head_store.tables.given_examples("colours").keys().isdisjoint(given)
    with Library.open(tmp_path / "restored") as restored:
        restored.ensure_space(library.catalog.active_space().space)
        restore(restored.catalog.database, backups(library.layout)[-1])
        kept = restored.catalog.database.rows("SELECT label FROM kept_head_examples WHERE head = 'colours'")
    assert sorted(str(label) for (label,) in kept) == sorted(
        label for labels in given.values() for label in labels
    )


@pytest.mark.parametrize("way", ["full", "damaged"])
def test_a_head_that_cannot_be_saved_leaves_its_examples_as_they_are(
    head_store, library, labelled, tmp_path, monkeypatch, way
):
    head_store.train("colours", folder=labelled)
    given, path = head_store.tables.given_examples("colours"), library.layout.heads / "colours.safetensors"
    if way == "full":
        monkeypatch.setattr(atomic.Draft, "finish", no_room)
    else:
        path.write_bytes(b"of a bad disk")
    before = path.read_bytes()
    with pytest.raises(HeadError, match=r"colours\.safetensors"):
        head_store.from_examples("colours", folder=paint_labels(tmp_path / "others", start=50))
    assert head_store.tables.given_examples("colours") == given
    assert path.read_bytes() == before


def test_a_deleted_head_leaves_nothing_and_its_file_can_be_taken_in_again(
    head_store, library, labelled, photos, tmp_path
):
    library.index([photos])
    head = head_store.train("colours", folder=labelled).head
    Labeller(head_store, "colours").label()
    file = tmp_path / "away.safetensors"
    head_store.export("colours", file)
    with pytest.raises(HeadError, match="'colours' already"):
        head_store.load(file)
    head_store.delete("colours")
    assert head_store.names() == ()
    assert head_store.tables.examples("colours") == {}
    assert list(head_store.tables.labelled_ids("colours", 1)) == []
    assert head_store.load(file).version == head.version + 1  # of another one that had this name
    assert head_store.load(file, name="second").name == "second"
    assert head_store.names() == ("colours", "second")
    assert best(Labeller(head_store, "second").label([photos])) == of_own_folder(photos)


def test_an_export_without_examples_holds_none_of_their_vectors_and_still_tells_none_of_these(
    head_store, library, tmp_path
):
    library.index([paint_labels(tmp_path / "photos", count=30, start=100)])
    labelled = paint_labels(tmp_path / "labelled", count=10)
    shutil.rmtree(labelled / "blue")
    head = head_store.train("colours", folder=labelled).head
    assert head.gate is not None
    example = head.gate.examples[0].tobytes()
    head_store.export("colours", tmp_path / "whole.safetensors")
    head_store.export("colours", tmp_path / "lean.safetensors", examples=False)
    assert example in (tmp_path / "whole.safetensors").read_bytes()
    assert example not in (tmp_path / "lean.safetensors").read_bytes()
    head_store.load(tmp_path / "lean.safetensors", name="lean")
    said = {item.path: item.none for item in Labeller(head_store, "lean").label([tmp_path / "photos"]).labels}
    assert np.mean([none for path, none in said.items() if path.parent.name == "blue"]) >= 0.9
    assert np.mean([none for path, none in said.items() if path.parent.name != "blue"]) <= 0.2
    kept = head_store.get("colours").gate
    assert kept is not None
    assert kept.examples[0].tobytes() == example, "the library's own head keeps them"


def test_an_export_without_examples_of_a_head_that_knows_nothing_else_says_what_it_lacks(
    head_store, labelled, tmp_path
):
    head = head_store.train("colours", folder=labelled).head
    assert head.gate is not None
    assert not head.gate.knows_background
    lean = head_store.export("colours", tmp_path / "lean.safetensors", examples=False)
    assert lean.gate is None
    assert lean.lacks is not None
    assert "exported without its examples" in lean.lacks


def test_a_missing_head_or_example_is_named_with_what_to_do(head_store, labelled, tmp_path):
    head_store.train("colours", folder=labelled)
    with pytest.raises(HeadError, match=r"no head 'colour': did you mean 'colours'\?"):
        head_store.get("colour")
    with pytest.raises(HeadError, match="not a name for a head"):
        head_store.get("../colours")
    with pytest.raises(HeadError, match="no examples to learn from: give --from"):
        head_store.train("pets")
    with pytest.raises(HeadError, match=r"does not end in \.safetensors"):
        head_store.export("colours", labelled / "red" / "0.png")
    with pytest.raises(HeadError, match="no file or folder"):
        Labeller(head_store, "colours").label([tmp_path / "nowhere"])


def test_the_whole_of_an_empty_library_is_nothing_to_label(head_store, labelled):
    head_store.train("colours", folder=labelled)
    with pytest.raises(LibraryMissing, match="holds no photos yet"):
        Labeller(head_store, "colours").label()


def test_a_head_for_a_model_that_is_not_here_is_refused_by_name(head_store, labelled, tmp_path):
    head_store.train("colours", folder=labelled)
    with Library.open(
        tmp_path / "other",
        backbone=type(head_store.library.backbone(head_store.get("colours").space))(model="other"),
    ) as library:
        others = HeadStore(library)
        library.index([labelled])
        head_store.export("colours", tmp_path / "head.safetensors")
        others.load(tmp_path / "head.safetensors")
        with pytest.raises(SpaceMismatch, match="mean-colour, not other"):
            Labeller(others, "colours").label()


def test_a_head_that_brought_its_labels_takes_none_and_loses_no_label_by_training(
    head_store, library, photos, tmp_path
):
    library.index([photos])
    space = library.ensure_space().space
    weight = np.eye(3, space.dimension, dtype=np.float32)
    brought = Head(
        "things", ("blue", "green", "red"), weight, np.zeros(3, np.float32), space, "softmax", "imported"
    )
    save_head(brought, tmp_path / "things.safetensors")
    head_store.load(tmp_path / "things.safetensors")
    red = photos / "red" / "100.png"
    assert head_store.correct("things", red, []) == ()
    Labeller(head_store, "things").label()
    for label in brought.labels:
        found = Labeller(head_store, "things").search(label, k=100).results
        assert red not in {match.path for match in found}, "a person's word wins"
    head_store.correct("things", photos / "green" / "100.png", ["green"])
    head_store.correct("things", photos / "green" / "101.png", ["green"])
    with pytest.raises(HeadError, match=r"would lose 'blue', 'red': correct several photos of each first"):
        head_store.train("things")
    assert head_store.get("things").labels == brought.labels


def test_an_imported_classifier_labels_a_library_of_another_space_as_transformers_does(tmp_path, photos):
    import torch

    model = save_classifier("dinov2", tmp_path / "model")
    with Library.open(tmp_path / "library", cache=tmp_path / "cache", device="cpu") as library:
        library.index([photos], model=str(tmp_path / "model"))
        head_store = HeadStore(library)
        head = head_store.import_classifier("things", str(tmp_path / "model"))
        assert (head.space.readout, library.catalog.require_space().space.readout) == ("cls+mean", "cls")
        result = Labeller(head_store, "things").label(k=2)
        assert len(result.labels) == 15
        backbone = library.backbone(head.space)
        pixels = backbone.prepare(Image.open(result.labels[0].path).convert("RGB"))
        # Labelled once, all photos are in the head's space too, and searches still use the library's own.
        assert [(stored.active, stored.vectors) for stored in library.catalog.spaces()] == [
            (True, 15),
            (False, 15),
        ]
    pre = head.space.preprocessing
    values = torch.from_numpy((pixels / 255 - np.array(pre.mean)) / np.array(pre.std)).float()
    with torch.inference_mode():
        expected = model(values.permute(2, 0, 1)[None]).logits.softmax(dim=1)[0]
    chances, labels = expected.topk(2)
    assert [each.label for each in result.labels[0].labels] == [head.labels[i] for i in labels.tolist()]
    np.testing.assert_allclose([each.probability for each in result.labels[0].labels], chances, atol=2e-3)


def test_a_table_holds_each_label_with_its_rank(head_store, labelled, photos, tmp_path):
    head_store.train("colours", folder=labelled)
    result = Labeller(head_store, "colours").label([photos / "red" / "100.png"], k=2)
    write_label_csv(result.labels, tmp_path / "out.csv")
    with (tmp_path / "out.csv").open(newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    (said,) = result.labels
    assert lines == [
        {
            "path": str(photos / "red" / "100.png"),
            "label": each.label,
            "probability": f"{each.probability:.6f}",
            "rank": str(rank),
            "abstained": str(int(said.abstained)),
        }
        for rank, each in enumerate(said.labels, 1)
    ]


def test_sidecars_get_the_best_label_and_photos_stay_as_they_are(head_store, labelled, photos):
    before = {path: path.read_bytes() for path in photos.glob("*/*.png")}
    head_store.train("colours", folder=labelled)
    result = Labeller(head_store, "colours").label([photos])
    sure = [item for item in result.labels if not item.abstained]
    bad = photos / "red" / "100.png.xmp"
    bad.write_text("no sidecar")
    report = write_sidecars(result.labels, head="colours")
    assert [item.path.name for item in report.failed] == ["100.png"]
    assert report.changed == len(sure) - 1
    for item in sure:
        if item.path.parent.name != "red":
            assert read_keywords(item.path) == (item.path.parent.name,)
            ET.parse(item.path.with_name(item.path.name + ".xmp"))
    assert {path: path.read_bytes() for path in photos.glob("*/*.png")} == before
    others = [item for item in sure if item.path.name != "100.png"]
    assert write_sidecars(others, head="colours").changed == 0


def test_pruning_keeps_the_photos_that_a_head_was_trained_on(library, tmp_path, picture):
    for label, colours in (("warm", ("red", "orange", "gold")), ("cold", ("blue", "teal", "navy"))):
        for colour in colours:
            picture(tmp_path / "examples" / label / f"{colour}.png", colour)
    picture(tmp_path / "photos" / "a.png", "green")
    library.index([tmp_path / "photos"])
    HeadStore(library).from_examples("mood", folder=tmp_path / "examples")
    assert library.index(prune=True).pruned == 0
    assert HeadStore(library).from_examples("mood").head.version == 2


def test_an_exported_head_is_replaced_by_itself_and_by_no_other(head_store, labelled, tmp_path):
    """Its library may be gone: the file may be all that is left of it."""
    file = tmp_path / "head.safetensors"
    for name in ("colours", "others"):
        head_store.from_examples(name, folder=labelled)
    head_store.export("colours", file)
    head_store.export("colours", file, examples=False)
    before = file.read_bytes()
    with pytest.raises(HeadError, match="holds the head 'colours'"):
        head_store.export("others", file)
    assert file.read_bytes() == before
    head_store.export("others", file, force=True)
    assert head_store.load(file, name="third").name == "third"


@pytest.mark.trust
def test_nothing_is_said_of_a_photo_that_has_the_name_of_an_indexed_one_by_now(
    head_store, library, labelled, photos
):
    library.index([photos])
    head_store.train("colours", folder=labelled)
    one, other = photos / "red" / "100.png", photos / "blue" / "100.png"
    one.rename(photos / "once red.png")
    other.rename(one)
    (photos / "once red.png").rename(other)
    (photos / "green" / "100.png").unlink()
    result = Labeller(head_store, "colours").label()
    gone = {one, other, photos / "green" / "100.png"}
    assert {item.path for item in result.unreadable} == gone
    assert {item.path for item in result.labels} == {*photos.glob("*/*.png"), *gone} - gone
    assert write_sidecars(result.labels, head="colours").changed == 12
    assert not [path for path in gone if path.with_name(f"{path.name}.xmp").exists()]
    library.index()
    again = best(Labeller(head_store, "colours").label())
    assert (again["red/100.png"], again["blue/100.png"]) == ("blue", "red")
