"""The text tower that the model from the package index takes from the hub's checkpoint, with small checkpoints."""

import json
import os

import numpy as np
import pytest
from PIL import Image

from tests.support.fake_hub import fake_hub
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.backbones import load_backbone
from vitsearch.backbones.borrowed_text import LENDER, borrow, borrowed_tower, tower_fingerprint, tower_folder
from vitsearch.backbones.registry import HUB_FREE_MODEL, find_model
from vitsearch.backbones.weights import wheel_folder
from vitsearch.errors import WeightsUnavailable

ASKED = "a red shoe"
_registered = find_model(LENDER)
assert _registered is not None
assert _registered.hub_id is not None
HUB_ID = _registered.hub_id


@pytest.fixture
def lender(tmp_path):
    return make_checkpoint("clip", tmp_path / "lender")


@pytest.fixture
def cache(tmp_path, lender):
    """A cache in which the image tower of the lender stands for the one from the package index."""
    import transformers

    folder = wheel_folder(tmp_path / "cache")
    folder.mkdir(parents=True)
    full = transformers.CLIPModel.from_pretrained(lender)
    config = transformers.CLIPVisionConfig(**full.config.vision_config.to_dict())
    config.projection_dim = full.config.projection_dim
    image = transformers.CLIPVisionModelWithProjection(config)
    image.vision_model.load_state_dict(full.vision_model.state_dict())
    image.visual_projection.load_state_dict(full.visual_projection.state_dict())
    image.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_bytes((lender / "preprocessor_config.json").read_bytes())
    return tmp_path / "cache"


@pytest.fixture
def program(tmp_path, cache, programs):
    """The real program on this cache, with a hub of its own or none."""
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (4, 4, 3), np.uint8)
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(noise).resize((48, 40)).save(tmp_path / "photos" / f"{number}.png")

    def call(*words, endpoint=None):
        environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
        environment |= (
            {"HF_ENDPOINT": endpoint, "HF_HUB_OFFLINE": "0"} if endpoint else {"HF_HUB_OFFLINE": "1"}
        )
        return programs.run(
            "--library", tmp_path / "library", "--cache", cache, *words, environment=environment
        )

    return call


def test_words_work_after_one_step_and_no_photo_is_embedded_again(program, tmp_path, lender, cache):
    done = program("index", tmp_path / "photos", "--model", HUB_FREE_MODEL)
    assert done.returncode == 0, done.stderr
    step = f"vitsearch index --also {HUB_FREE_MODEL}"
    assert step in done.stderr
    refused = program("search", ASKED)
    assert (refused.returncode, len(refused.stderr.splitlines()), step in refused.stderr) == (1, 1, True)

    with fake_hub(HUB_ID, lender) as (endpoint, _):
        done = program(*step.split()[1:], "--json", endpoint=endpoint)
    assert (done.returncode, json.loads(done.stdout)["embedded"]) == (0, 0), done.stderr
    assert "how well the two fit was not measured" in done.stderr

    found = program("search", ASKED, "--json")
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert (answer["model"], len(answer["results"])) == (HUB_FREE_MODEL, 3)
    # The whole checkpoint, image and text, says the same.
    backbone = load_backbone(str(lender), cache=tmp_path / "other", device="cpu", runtime="torch")
    words = backbone.embed_texts([ASKED]).rows[0]
    for match in answer["results"]:
        pixels = backbone.prepare(Image.open(match["path"]).convert("RGB"))
        assert match["score"] == pytest.approx(
            float(backbone.embed_batch(pixels[None]).rows[0] @ words), abs=1e-2
        )

    said = program("models", "show", HUB_FREE_MODEL).stdout
    assert f"fingerprint {tower_fingerprint(cache=cache)[:16]}" in said
    assert "not measured" in said


def test_a_checkpoint_in_the_hubs_cache_is_enough(program, tmp_path, lender):
    with fake_hub(HUB_ID, lender) as (endpoint, _):
        assert program("models", "pull", LENDER, endpoint=endpoint).returncode == 0
    done = program("index", tmp_path / "photos", "--model", HUB_FREE_MODEL)
    assert "Words work too" in done.stderr
    assert len(json.loads(program("search", ASKED, "--json").stdout)["results"]) == 3


def test_the_tower_of_another_checkpoint_is_not_taken(program, tmp_path, cache):
    stranger = make_checkpoint("clip", tmp_path / "stranger", seed=1)
    program("index", tmp_path / "photos", "--model", HUB_FREE_MODEL)
    with fake_hub(HUB_ID, stranger) as (endpoint, _):
        refused = program("index", "--also", HUB_FREE_MODEL, endpoint=endpoint)
    assert refused.returncode == 1
    assert "is not the checkpoint that" in refused.stderr.splitlines()[-1]
    assert not tower_folder(cache).exists()


def test_a_tower_that_was_changed_is_not_used(program, tmp_path, lender, cache):
    with fake_hub(HUB_ID, lender) as (endpoint, _):
        program("index", tmp_path / "photos", "--model", HUB_FREE_MODEL)
        program("index", "--also", HUB_FREE_MODEL, endpoint=endpoint)
    weights = tower_folder(cache) / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    refused = program("search", ASKED)
    assert (refused.returncode, "delete that folder" in refused.stderr) == (1, True)
    with pytest.raises(WeightsUnavailable, match="not what was copied"):
        borrowed_tower(cache=cache, notice=lambda _: None)


def test_what_a_killed_copy_left_is_made_again(program, tmp_path, lender, cache):
    tower_folder(cache).mkdir()
    (tower_folder(cache) / "model.safetensors").write_bytes(b"half")
    with fake_hub(HUB_ID, lender) as (endpoint, _):
        assert program("index", tmp_path / "photos", "--model", HUB_FREE_MODEL).returncode == 0
        assert program("index", "--also", HUB_FREE_MODEL, endpoint=endpoint).returncode == 0
    assert borrow(cache=cache, notice=lambda _: None) == tower_folder(cache)
    assert json.loads(program("search", ASKED, "--json").stdout)["results"]
