"""Weights never change under a library: the commit that they came from is kept, and had again."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import load_file, save_file

from tests.support.fake_hub import Hub, serving
from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.library import Library
from vitsearch.space import Space

pytestmark = pytest.mark.trust

MODEL = "somebody/tiny"
FIRST, README, RETRAINED = ("1" * 40, "2" * 40, "3" * 40)


@pytest.fixture(scope="module")
def commits(tmp_path_factory):
    """A repository's history: a model, a commit that changes only its card, and one with other weights."""
    place = tmp_path_factory.mktemp("commits")
    first = make_checkpoint("vit", place / FIRST)
    shutil.copytree(first, place / README)
    (place / README / "README.md").write_text("now with a card")
    shutil.copytree(first, place / RETRAINED)
    weights = load_file(place / RETRAINED / "model.safetensors")
    others = {name: value + np.float32(0.5) for name, value in weights.items()}
    save_file(others, place / RETRAINED / "model.safetensors")
    return {commit: place / commit for commit in (FIRST, README, RETRAINED)}


@pytest.fixture
def run(tmp_path, programs):
    """Run the program with a hub, and a cache that stands for a machine."""
    (tmp_path / "photos").mkdir()
    for number, colour in enumerate(("red", "green", "blue", "white")):
        Image.new("RGB", (64, 48), colour).save(tmp_path / "photos" / f"{number}.png")

    def call(*words, machine="here", endpoint="", **options):
        environment = {
            **os.environ,
            "HF_HOME": str(tmp_path / machine),
            "HF_HUB_DISABLE_XET": "1",
            "VITSEARCH_LIBRARY": str(tmp_path / "library"),
            "VITSEARCH_CACHE": str(tmp_path / f"cache of {machine}"),
            **({"HF_ENDPOINT": endpoint} if endpoint else {"HF_HUB_OFFLINE": "1"}),
            **options,
        }
        if endpoint:
            environment.pop("HF_HUB_OFFLINE", None)
        return programs.run(*words, environment=environment)

    return call


def stored(folder):
    with Library.open(folder, backbone=MeanColour()) as library:
        return library.existing_space()


def new_photo(tmp_path, name):
    path = tmp_path / "photos" / name
    Image.new("RGB", (64, 48), "purple").save(path)
    return path


def test_a_library_goes_on_with_its_own_commit_after_the_hub_and_the_machine_have_changed(
    commits, run, tmp_path
):
    with serving(Hub(MODEL, {FIRST: commits[FIRST]}, gated=False)) as hub:
        done = run("index", tmp_path / "photos", "--model", MODEL, endpoint=hub.endpoint)
        assert done.returncode == 0, done.stderr
    before = stored(tmp_path / "library")
    assert (before.model, before.revision) == (MODEL, FIRST)
    new_photo(tmp_path, "new.png")
    with serving(Hub(MODEL, {FIRST: commits[FIRST], RETRAINED: commits[RETRAINED]}, gated=False)) as hub:
        # Another machine, which has none of it yet.
        done = run("index", machine="another", endpoint=hub.endpoint)
        assert done.returncode == 0, done.stderr
        assert f"as of commit {FIRST[:12]}" in done.stderr
        done = run("search", new_photo(tmp_path, "query.png"), machine="another", endpoint=hub.endpoint)
        assert done.returncode == 0, done.stderr
        # A machine that has the latest, because something else fetched it.
        assert run("models", "pull", MODEL, machine="latest", endpoint=hub.endpoint).returncode == 0
        new_photo(tmp_path, "newer.png")
        done = run("index", machine="latest", endpoint=hub.endpoint)
        assert done.returncode == 0, done.stderr
    assert stored(tmp_path / "library") == before
    assert stored(tmp_path / "library").revision == FIRST


@pytest.mark.slow
def test_a_commit_that_changed_no_weights_is_as_good_and_needs_no_network(commits, run, tmp_path):
    with serving(Hub(MODEL, {FIRST: commits[FIRST], README: commits[README]}, gated=False)) as hub:
        assert run("models", "pull", MODEL, machine="other", endpoint=hub.endpoint).returncode == 0
        del hub.commits[README]
        assert run("index", tmp_path / "photos", "--model", MODEL, endpoint=hub.endpoint).returncode == 0
    new_photo(tmp_path, "new.png")
    done = run("index", machine="other")
    assert done.returncode == 0, done.stderr
    assert stored(tmp_path / "library").revision == FIRST


@pytest.mark.slow
def test_other_weights_are_refused_where_the_commit_cannot_be_had(commits, run, tmp_path):
    with serving(Hub(MODEL, {FIRST: commits[FIRST]}, gated=False)) as hub:
        assert run("index", tmp_path / "photos", "--model", MODEL, endpoint=hub.endpoint).returncode == 0
    with serving(Hub(MODEL, {RETRAINED: commits[RETRAINED]}, gated=False)) as hub:
        assert run("models", "pull", MODEL, machine="latest", endpoint=hub.endpoint).returncode == 0
    new_photo(tmp_path, "new.png")
    done = run("index", machine="latest")
    assert done.returncode == 1
    assert f"{MODEL} as of commit {FIRST[:12]} is not in the Hugging Face cache" in done.stderr
    done = run("explain", tmp_path / "photos" / "new.png", "--out", tmp_path / "seen.png", machine="latest")
    assert done.returncode == 1
    assert not (tmp_path / "seen.png").exists()


def test_a_library_of_an_earlier_version_gets_the_commit_of_the_weights_that_it_has(commits, run, tmp_path):
    with serving(Hub(MODEL, {FIRST: commits[FIRST]}, gated=False)) as hub:
        assert run("index", tmp_path / "photos", "--model", MODEL, endpoint=hub.endpoint).returncode == 0
    with (
        Library.open(tmp_path / "library", backbone=MeanColour()) as library,
        library.catalog.database.write(),
    ):
        library.catalog.database.run("UPDATE spaces SET revision = ''")
    assert run("index").returncode == 0
    assert stored(tmp_path / "library").revision == FIRST


def test_the_revision_is_no_part_of_what_makes_vectors_comparable(backbone):
    pinned = replace(backbone.space, revision=FIRST)
    assert pinned == backbone.space
    assert hash(pinned) == hash(backbone.space)
    assert pinned.to_json() == backbone.space.to_json()
    assert Space.from_json(pinned.to_json()) == pinned
