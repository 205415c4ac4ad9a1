"""`heads suggest`: groups that one name does for, and photos that teach a head most."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

from tests.support.labelled_clusters import make_clusters, unit
from tests.support.mean_colour import MeanColour
from tests.support.painted_labels import COLOURS, paint_labels
from vitsearch.cli import cli
from vitsearch.cli.session import Session
from vitsearch.errors import LibraryMissing
from vitsearch.heads.active_learning import alike_groups, typical_photos, typicality
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore
from vitsearch.heads.suggesting import suggest
from vitsearch.library import Library

NOTHING = np.empty((0, 16), np.float32)


def kinds_of(chosen, photos: int) -> list[int]:
    return [row // photos for row in chosen]


def test_the_first_questions_are_one_of_each_kind_and_typical_of_it():
    examples = make_clusters(tuple("abcdef"), photos=30, spread=0.5)
    chosen = typical_photos(examples.rows, NOTHING, count=6)
    assert sorted(kinds_of(chosen, 30)) == [0, 1, 2, 3, 4, 5]
    for row in chosen:
        kind = examples.rows[row // 30 * 30 :][:30]
        typical = (kind @ kind.mean(axis=0)).argsort()
        assert row % 30 in typical[10:], "none of the third that is least like its kind"


def test_kinds_that_have_a_label_are_not_asked_about_again_before_the_others():
    examples = make_clusters(tuple("abcdef"), photos=30, spread=0.5)
    known = examples.rows[[0, 31, 62]]
    chosen = typical_photos(examples.rows[90:], known, count=3)
    assert sorted(kinds_of(chosen, 30)) == [0, 1, 2]


def test_groups_hold_photos_of_one_kind_and_leave_out_kinds_that_are_known():
    examples = make_clusters(tuple("abcd"), photos=25, spread=0.3)
    groups = alike_groups(examples.rows[25:], examples.rows[:3], count=5)
    assert {row // 25 for group in groups for row in group} == {0, 1, 2}
    assert all(len({row // 25 for row in group}) == 1 for group in groups)
    assert [len(group) for group in groups] == sorted((len(group) for group in groups), reverse=True)


def test_a_photo_with_many_like_it_is_more_typical_than_one_apart():
    rows = np.concatenate([make_clusters(("a",), photos=40, spread=0.3).rows, -unit(np.ones((1, 16)))])
    assert typicality(rows).argmin() == 40
    assert typicality(rows[:1]).tolist() == [1]


@pytest.fixture
def head_store(library):
    return HeadStore(library)


def test_a_library_without_heads_is_told_what_to_label(head_store, library, tmp_path):
    library.index([paint_labels(tmp_path / "photos", count=10)])
    found = suggest(head_store, "colours", count=3, groups=3)
    assert {photo.path.parent.name for photo in found.photos} == set(COLOURS)
    assert {(photo.label, photo.probability) for photo in found.photos} == {(None, None)}
    for group in found.groups:
        assert len({photo.path.parent.name for photo in group.photos}) == 1


def test_what_has_a_label_is_not_suggested_and_the_heads_guess_is_named(head_store, library, tmp_path):
    photos = paint_labels(tmp_path / "photos", count=10, start=100)
    library.index([photos])
    head_store.train("colours", folder=paint_labels(tmp_path / "labelled"))
    asked = photos / "red" / "103.png"
    head_store.correct("colours", asked, [])
    found = suggest(head_store, "colours", count=100)
    paths = {photo.path for photo in found.photos}
    assert asked not in paths
    assert paths <= set(photos.glob("*/*.png"))
    labelled = Labeller(head_store, "colours").label([photos]).labels
    assert [item.path for item in labelled if not item.labels] == [asked]
    said = {item.path: item.labels[0].label for item in labelled if item.labels}
    assert {photo.path: photo.label for photo in found.photos} == {path: said[path] for path in paths}


def test_an_empty_library_has_nothing_to_suggest(head_store):
    with pytest.raises(LibraryMissing, match="make one with `vitsearch index"):
        suggest(head_store, "colours")


def test_the_command_names_groups_and_photos_and_a_group_is_named_at_once(tmp_path, monkeypatch):
    backbone = MeanColour()
    monkeypatch.setattr(
        Session, "open", lambda self, **_: Library.open(self.library_folder, backbone=backbone)
    )

    def call(*arguments: object) -> str:
        done = CliRunner().invoke(cli, ["--library", str(tmp_path / "library"), *map(str, arguments)])
        assert done.exit_code == 0, done.output
        return done.stdout

    photos = paint_labels(tmp_path / "photos", count=12, start=100)
    call("index", photos)
    few = paint_labels(tmp_path / "few")
    shutil.rmtree(few / "blue")
    call("heads", "train", "colours", "--from", few)
    text = call("heads", "suggest", "colours", "-n", 2)
    headings = [line for line in text.splitlines() if not line.startswith(" ")]
    assert headings == [
        "Groups of alike photos, each to be named at once if one name does for all:",
        "Single photos of which the head is least sure, no two alike; what the head says of them:",
    ]
    new = call("heads", "suggest", "shades", "-n", 2, "--groups", 0).splitlines()
    assert new[0] == "Single photos that each stand for many others; to be named one by one:"
    assert len(new) == 3
    document = json.loads(call("heads", "suggest", "colours", "-n", 2, "--json"))
    assert set(document) == {"head", "groups", "photos", "typical"}
    first, *others = [photo["path"] for photo in document["groups"][0]["photos"]]
    same = [part for path in others for part in ("--with", path)]
    name = first.split("/")[-2]
    corrected = json.loads(call("heads", "correct", "colours", first, name, *same, "--json"))
    assert corrected["corrections"] == 1 + len(others)
    again = json.loads(call("heads", "suggest", "colours", "-n", 50, "--json"))
    left = {photo["path"] for photo in again["photos"]}
    assert not left & {first, *others}
