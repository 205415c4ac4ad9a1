"""On a CUDA card: vectors agree with float32 on the CPU, batches keep their order, full memory is survived."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tests.support.tiny_checkpoints import ARCHITECTURES, EDGE, make_checkpoint
from vitsearch.backbones import load_backbone
from vitsearch.backbones.accelerator import AcceleratorBackbone
from vitsearch.backbones.tuning import remembered
from vitsearch.library import Library

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA card here"),
]


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: make_checkpoint(name, root / name) for name in ARCHITECTURES}


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def pixels_of(count):
    return np.random.default_rng(3).integers(0, 256, (count, EDGE, EDGE, 3), dtype=np.uint8)


def photos_in(folder, count):
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (9, 12, 3), dtype=np.uint8)
        Image.fromarray(noise).resize((96, 72), Image.Resampling.BICUBIC).save(
            folder / f"{number:04}.jpg", quality=92
        )
    return folder


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_vectors_agree_with_float32_on_the_cpu(architecture, checkpoints, cache):
    folder = str(checkpoints[architecture])
    exact = load_backbone(folder, cache=cache, device="cpu", runtime="torch").embed_batch(pixels_of(29)).rows
    backbone = load_backbone(folder, cache=cache, device="cuda", batch_size=8)
    found = backbone.embed_batch(pixels_of(29)).rows
    cosines = (found * exact).sum(axis=1)
    assert cosines.mean() >= 0.999
    assert np.percentile(cosines, 1) >= 0.995
    # The last batch is smaller than a graph takes, and goes another way.
    few = backbone.embed_batch(pixels_of(2)).rows
    assert (few * exact[:2]).sum(axis=1).min() >= 0.995


def test_many_batches_in_flight_come_back_in_order_and_are_not_mixed_up(checkpoints, cache):
    backbone = load_backbone(str(checkpoints["vit"]), cache=cache, device="cuda", batch_size=16)
    images = list(pixels_of(400))
    waiting = [backbone.start(images[start : start + 16]) for start in range(0, 400, 16)]
    found = np.concatenate([wait().rows for wait in waiting])
    alone = np.concatenate([backbone.embed_batch(np.stack(images[i : i + 1])).rows for i in range(0, 400, 7)])
    others = (found[1:] * found[:-1]).sum(axis=1)
    assert (found[::7] * alone).sum(axis=1).min() >= 0.9995
    assert others.mean() < 0.99


def test_memory_that_is_full_halves_batches_and_says_so(checkpoints, cache):
    said: list[str] = []
    backbone = load_backbone(
        str(checkpoints["vit"]), cache=cache, device="cuda", batch_size=512, notice=said.append
    )
    expected = backbone.embed_batch(pixels_of(3)).rows

    def hungry(module, inputs):
        torch.empty(len(inputs[0]) << 31, dtype=torch.uint8, device="cuda")

    assert isinstance(backbone, AcceleratorBackbone)
    backbone.lane.tower.register_forward_pre_hook(hungry)
    found = backbone.embed_batch(pixels_of(512)).rows
    assert said[0] == "out of memory with 512 images at a time: going on with 256"
    assert backbone.batch_size < 128
    assert (found[:3] * expected).sum(axis=1).min() >= 0.9995


def test_a_recipe_is_measured_once_and_remembered(checkpoints, cache):
    backbone = load_backbone(str(checkpoints["dinov2"]), cache=cache, device="cuda")
    assert isinstance(backbone, AcceleratorBackbone)
    backbone.expect(100_000)
    chosen = backbone.recipe
    again = load_backbone(str(checkpoints["dinov2"]), cache=cache, device="cuda")
    assert isinstance(again, AcceleratorBackbone)
    assert remembered(again._note) == chosen == again.recipe
    assert np.allclose(
        again.embed_batch(pixels_of(5)).rows, backbone.embed_batch(pixels_of(5)).rows, atol=0.02
    )


def test_an_index_run_that_is_stopped_goes_on_to_the_same_vectors(checkpoints, cache, tmp_path):
    photos = photos_in(tmp_path / "photos", 150)
    folder = str(checkpoints["clip"])

    def run(name, on_progress=lambda _: None):
        with Library.open(tmp_path / name, cache=cache, device="cuda", batch_size=16) as library:
            report = library.index([photos], model=folder, on_progress=on_progress)
            matches = library.search(photos / "0007.jpg", k=20, include_self=True).results
            return report, [(match.path, round(match.score, 2)) for match in matches]

    def stop(step):
        if step.stage == "embed" and step.done >= 48:
            raise KeyboardInterrupt

    whole, wanted = run("whole")
    first, _ = run("stopped", stop)
    second, found = run("stopped")
    assert (whole.embedded, whole.interrupted) == (150, False)
    assert first.interrupted
    assert 0 < first.embedded < 150
    assert first.embedded + second.embedded == 150
    assert found[0][0] == photos / "0007.jpg"
    assert [path for path, _ in found[:5]] == [path for path, _ in wanted[:5]]
