"""The runtime for CUDA, run on the CPU: what its blocks compute, how batches travel, what becomes of full memory."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from tests.support.tiny_checkpoints import ARCHITECTURES, EDGE, make_checkpoint
from vitsearch.backbones import load_backbone
from vitsearch.backbones.accelerator import AcceleratorBackbone
from vitsearch.backbones.families import FAMILIES
from vitsearch.backbones.fused_blocks import FusedBlock, fused_blocks, use_fast_gelu
from vitsearch.backbones.lanes import Lane, Recipe
from vitsearch.backbones.torch_runtime import TorchBackbone
from vitsearch.backbones.tuning import choose_recipe, remembered
from vitsearch.backbones.vision_tower import load_tower
from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from vitsearch.backbones.backbone import Backbone
    from vitsearch.space import BackboneSpec

FUSED = ("vit", "deit", "dinov2", "dinov2_with_registers", "clip", "siglip", "siglip_vision_model")


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: make_checkpoint(name, root / name) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def pixels_of(count):
    return np.random.default_rng(3).integers(0, 256, (count, EDGE, EDGE, 3), dtype=np.uint8)


def tower_of(spec, folder, *, fused):
    space = spec.space
    return load_tower(folder, space.preprocessing, space.readout, spec.prefix_tokens, fused=fused)


def spec_of(backbone: Backbone) -> BackboneSpec:
    assert isinstance(backbone, TorchBackbone)
    return backbone.spec


def opened(folder, cache, *, devices=("cpu",), batch_size=None, notice=lambda _: None, readout=None):
    spec = spec_of(load_backbone(str(folder), cache=cache, runtime="torch", readout=readout))
    return AcceleratorBackbone(
        tower_of(spec, folder, fused=True),
        spec,
        folder,
        devices=devices,
        cache=cache,
        batch_size=batch_size,
        notice=notice,
    )


def cosines(a, b):
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.mark.parametrize(
    ("architecture", "readout"), [(name, readout) for name in FUSED for readout in FAMILIES[name].readouts]
)
def test_fused_blocks_compute_what_transformers_blocks_do(architecture, readout, checkpoints, cache):
    folder = checkpoints[architecture]
    plain = load_backbone(str(folder), cache=cache, runtime="torch", readout=readout)
    backbone = opened(folder, cache, readout=readout)
    expected, found = plain.embed_batch(pixels_of(5)), backbone.embed_batch(pixels_of(5))
    assert backbone.lane.tower.takes_levels
    assert np.allclose(found.rows, expected.rows, atol=1e-5)
    assert np.allclose(found.norms, expected.norms, rtol=1e-4)


@pytest.mark.parametrize("architecture", ["beit", "swin", "siglip2", "cvt", "dinov3_vit"])
def test_architectures_that_are_not_fused_run_as_they_are(architecture, checkpoints, cache):
    plain = load_backbone(str(checkpoints[architecture]), cache=cache, runtime="torch")
    backbone = opened(checkpoints[architecture], cache)
    assert not backbone.lane.tower.takes_levels
    found, expected = backbone.embed_batch(pixels_of(3)), plain.embed_batch(pixels_of(3))
    assert np.allclose(found.rows, expected.rows, atol=1e-5)


@pytest.mark.parametrize("architecture", FUSED)
@pytest.mark.parametrize(("half", "least"), [(torch.float16, 0.9995), (torch.bfloat16, 0.998)])
def test_a_fused_tower_in_half_precision_agrees_with_float32(architecture, half, least, checkpoints, cache):
    folder = checkpoints[architecture]
    plain = load_backbone(str(folder), cache=cache, runtime="torch")
    tower = tower_of(spec_of(plain), folder, fused=True).to(half)
    with torch.inference_mode():
        found = tower(torch.from_numpy(pixels_of(8))).numpy()
        use_fast_gelu(tower, wanted=True)
        fast = tower(torch.from_numpy(pixels_of(8))).numpy()
    expected = plain.embed_batch(pixels_of(8)).rows
    assert cosines(found, expected).min() >= least
    assert cosines(fast, expected).min() >= least


def test_the_last_fused_block_computes_the_class_token_alone(checkpoints, cache):
    backbone = opened(checkpoints["dinov2"], cache)
    tokens = []
    for block in fused_blocks(backbone.lane.tower):
        block.fc2.register_forward_hook(lambda module, inputs, output: tokens.append(output.shape[1]))
    backbone.embed_batch(pixels_of(1))
    assert tokens == [17, 1]


def test_batches_come_back_in_their_order_whichever_device_they_went_to(checkpoints, cache):
    backbone = opened(checkpoints["vit"], cache, devices=("cpu", "cpu:0", "cpu:0"), batch_size=2)
    backbone.expect(1000)
    used = []
    for number, lane in enumerate(backbone._lanes):
        lane.tower.register_forward_pre_hook(lambda module, inputs, number=number: used.append(number))
    images = list(pixels_of(12))
    waiting = [backbone.start(images[start : start + 2]) for start in range(0, 12, 2)]
    found = np.concatenate([wait().rows for wait in waiting])
    assert used == [0, 1, 2, 0, 1, 2]
    assert backbone.in_flight == 6
    plain = load_backbone(str(checkpoints["vit"]), cache=cache, runtime="torch")
    assert np.allclose(found, plain.embed_batch(pixels_of(12)).rows, atol=1e-5)


def test_a_search_does_not_copy_the_weights_to_all_devices(checkpoints, cache):
    backbone = opened(checkpoints["vit"], cache, devices=("cpu", "cpu:0"))
    backbone.expect(1)
    backbone.embed_batch(pixels_of(1))
    assert len(backbone._lanes) == 1


def test_no_images_give_no_rows(checkpoints, cache):
    assert opened(checkpoints["vit"], cache).start([])().rows.shape == (0, 32)


def test_a_batch_that_does_not_fit_in_memory_is_halved_until_it_does(checkpoints, cache):
    said: list[str] = []
    backbone = opened(checkpoints["vit"], cache, batch_size=8, notice=said.append)
    expected = backbone.embed_batch(pixels_of(9))

    def small_memory(module, inputs):
        if len(inputs[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    backbone.lane.tower.register_forward_pre_hook(small_memory)
    found = backbone.embed_batch(pixels_of(9))

    assert np.allclose(found.rows, expected.rows, atol=1e-5)
    assert backbone.batch_size == 2
    assert said == [
        "out of memory with 8 images at a time: going on with 4",
        "out of memory with 4 images at a time: going on with 2",
    ]
    backbone.expect(100_000)
    assert backbone.batch_size == 2, "what does not fit is not tried again"


def test_one_image_that_does_not_fit_is_an_error_and_other_failures_are_not_hidden(checkpoints, cache):
    def fails(message):
        def hook(module, inputs):
            raise RuntimeError(message)

        return hook

    backbone = opened(checkpoints["vit"], cache)
    hook = backbone.lane.tower.register_forward_pre_hook(fails("CUDA error: out of memory"))
    with pytest.raises(ModelError, match="not even one image"):
        backbone.embed_batch(pixels_of(1))
    hook.remove()
    backbone.lane.tower.register_forward_pre_hook(fails("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        backbone.embed_batch(pixels_of(1))


def test_a_model_that_overflows_float16_goes_on_in_bfloat16(checkpoints, cache):
    said: list[str] = []
    backbone = opened(checkpoints["vit"], cache, notice=said.append)
    expected = backbone.embed_batch(pixels_of(4)).rows
    # The same function, with hidden values far beyond 65504.
    block = fused_blocks(backbone.lane.tower)[0]
    for values in (block.qkv.weight[64:], block.qkv.bias[64:]):
        values.mul_(2.0**15)
    block.out.weight.mul_(2.0**-15)
    backbone.lane.use_half(torch.float16)
    found = backbone.embed_batch(pixels_of(4)).rows
    assert cosines(found, expected).min() >= 0.998
    assert said == ["vit overflows float16: going on in bfloat16".replace("vit", backbone.space.model)]


def test_values_that_are_not_finite_are_refused_instead_of_stored(checkpoints, cache):
    backbone = opened(checkpoints["vit"], cache)
    fused_blocks(backbone.lane.tower)[0].out.bias.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        backbone.embed_batch(pixels_of(1))


class TimedLane(Lane):
    """Stands for a card on which a recipe takes as long as a table says; None does not fit in its memory."""

    def __init__(self, seconds):
        self.seconds = seconds
        self.recipe = Recipe(batch=0)
        self.tried = []

    def use(self, recipe):
        self.recipe = recipe

    def seconds_per_image(self, recipe, *, seconds):
        self.tried.append(recipe)
        taken = self.seconds(recipe)
        if taken is None:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return taken


def test_the_fastest_recipe_is_chosen_with_the_smallest_batch_that_is_about_as_fast(tmp_path):
    def seconds(recipe):
        per_batch = {64: 1.3, 128: 1.0, 256: 0.9, 512: 0.89}[recipe.batch]
        return per_batch * (0.8 if recipe.attention == "cudnn" else 1) * (0.9 if recipe.fast_gelu else 1)

    lane = TimedLane(seconds)
    chosen = choose_recipe(lane, tmp_path / "recipe.json")
    assert chosen == Recipe(batch=256, attention="cudnn", fast_gelu=True) == lane.recipe
    assert remembered(tmp_path / "recipe.json") == chosen


def test_a_recipe_that_does_not_fit_or_does_not_run_is_not_chosen(tmp_path):
    def seconds(recipe):
        return None if recipe.batch > 64 or recipe.attention == "cudnn" else 1.0

    lane = TimedLane(seconds)
    assert choose_recipe(lane, tmp_path / "recipe.json") == Recipe(batch=64)
    assert not any(recipe.batch == 512 for recipe in lane.tried)


def test_what_was_measured_is_remembered_and_a_damaged_note_is_measured_again(checkpoints, cache, tmp_path):
    backbone = opened(checkpoints["clip"], tmp_path)
    backbone.expect(10)
    assert remembered(backbone._note) is None
    backbone.expect(1000)
    chosen = remembered(backbone._note)
    assert chosen == backbone.recipe

    again = opened(checkpoints["clip"], tmp_path)
    assert again.recipe == chosen
    again.lane.seconds_per_image = None  # calling it would fail
    again.expect(1000)

    backbone._note.write_text('{"recipe": {"batch": 3, "colour": "red"}}')
    assert remembered(backbone._note) is None


def test_an_asked_for_batch_size_is_kept(checkpoints, cache):
    backbone = opened(checkpoints["vit"], cache, batch_size=5)
    backbone.expect(1000)
    assert backbone.batch_size == backbone.recipe.batch == 5
    assert replace(backbone.recipe, batch=1) != backbone.recipe


def test_blocks_of_another_shape_are_left_alone(checkpoints):
    tower = load_tower(
        checkpoints["beit"],
        load_backbone(
            str(checkpoints["beit"]), cache=checkpoints["beit"].parent, runtime="torch"
        ).space.preprocessing,
        "cls",
        1,
        fused=True,
    )
    assert not any(isinstance(module, FusedBlock) for module in tower.modules())
