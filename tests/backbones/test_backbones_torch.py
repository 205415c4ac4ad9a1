"""The torch runtime gives what transformers' own forward gives, for every supported architecture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from tests.support.tiny_checkpoints import ARCHITECTURES, EDGE, make_checkpoint
from vitsearch.backbones import load_backbone
from vitsearch.backbones.torch_runtime import TorchBackbone
from vitsearch.errors import ModelError, NoTextTower

if TYPE_CHECKING:
    from vitsearch.backbones.backbone import Backbone


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: make_checkpoint(name, root / name) for name in ARCHITECTURES}


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def photos(sizes=((80, 60), (50, 90), (64, 64))) -> list[Image.Image]:
    images = []
    for seed, (width, height) in enumerate(sizes):
        noise = np.random.default_rng(seed).integers(
            0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8
        )
        images.append(Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC))
    return images


def processed(architecture, folder, images) -> dict[str, torch.Tensor]:
    """Run the checkpoint's own image processor; DINOv3's exists only for torchvision, so its steps are repeated."""
    if architecture != "dinov3_vit":
        return dict(transformers.AutoImageProcessor.from_pretrained(folder)(images, return_tensors="pt"))
    values = []
    for image in images:
        pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
        values.append(torch.nn.functional.interpolate(pixels, (EDGE, EDGE), mode="bilinear", antialias=True))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    return {"pixel_values": (torch.cat(values) - mean.view(3, 1, 1)) / std.view(3, 1, 1)}


def reference(architecture, folder, images, readout) -> np.ndarray:
    inputs = processed(architecture, folder, images)
    load = {
        "clip_vision_model": transformers.CLIPVisionModelWithProjection,
        "cvt": transformers.CvtForImageClassification,
    }.get(architecture, transformers.AutoModel)
    model = load.from_pretrained(folder).eval()
    with torch.inference_mode():
        if architecture == "cvt":
            rows = []
            model.classifier.register_forward_pre_hook(lambda module, arguments: rows.append(arguments[0]))
            model(**inputs)
            return rows[0].numpy()
        if architecture == "clip_vision_model":
            return model(**inputs).image_embeds.numpy()
        if readout == "projection" and architecture in ("clip", "siglip", "siglip2"):
            return model.get_image_features(**inputs).pooler_output.numpy()
        if architecture == "clip":
            output = model.vision_model(**inputs)
            return (
                output.pooler_output if readout == "cls" else output.last_hidden_state[:, 1:].mean(1)
            ).numpy()
        output = model(**inputs)
    if readout in ("pooled", "projection"):
        return output.pooler_output.numpy()
    tokens = output.last_hidden_state.numpy()
    first_patch = {"deit": 2, "dinov2_with_registers": 5, "dinov3_vit": 5}.get(architecture, 1)
    mean = tokens[:, first_patch:].mean(axis=1)
    return {"cls": tokens[:, 0], "mean": mean, "cls+mean": np.concatenate([tokens[:, 0], mean], axis=1)}[
        readout
    ]


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


DEFAULT_READOUTS = dict.fromkeys(ARCHITECTURES, "cls") | {
    "clip": "projection",
    "clip_vision_model": "projection",
    "siglip": "projection",
    "siglip_vision_model": "projection",
    "siglip2": "projection",
    "swin": "pooled",
    "cvt": "pooled",
}
OTHER_READOUTS = [
    ("vit", "mean"),
    ("deit", "mean"),
    ("beit", "pooled"),
    ("dinov2", "cls+mean"),
    ("dinov2_with_registers", "cls+mean"),
    ("dinov3_vit", "mean"),
    ("clip", "cls"),
    ("clip", "mean"),
]


@pytest.mark.parametrize(("architecture", "readout"), [*DEFAULT_READOUTS.items(), *OTHER_READOUTS])
def test_embeddings_agree_with_transformers_own_forward_and_processor(
    architecture, readout, checkpoints, cache
):
    folder = checkpoints[architecture]
    # A NaFlex processor keeps the proportions of a photo, which a fixed input cannot: square photos are comparable.
    images = photos(((80, 80), (64, 64), (40, 40))) if architecture == "siglip2" else photos()
    expected = reference(architecture, folder, images, readout)
    asked = None if readout == DEFAULT_READOUTS[architecture] else readout
    backbone = load_backbone(str(folder), cache=cache, runtime="torch", readout=asked)

    found = backbone.embed_batch(np.stack([backbone.prepare(image) for image in images]))

    assert cosines(expected[:1], expected[1:2])[0] < 0.99, (
        "the checkpoint must tell photos apart for this test to mean anything"
    )
    assert cosines(found.rows, expected).min() >= 0.9999
    assert np.allclose(np.linalg.norm(found.rows, axis=1), 1, atol=1e-5)
    assert np.allclose(found.norms, np.linalg.norm(expected, axis=1), rtol=0.01)
    assert backbone.space.readout == readout
    assert backbone.space.dimension == expected.shape[1] == found.rows.shape[1]


@pytest.mark.parametrize("architecture", ["vit", "dinov2", "clip"])
def test_the_last_block_computes_the_class_token_alone(architecture, checkpoints, cache):
    backbone = load_backbone(str(checkpoints[architecture]), cache=cache, runtime="torch")
    tokens = []
    for name, module in tower_of(backbone).named_modules():
        if name.endswith(".mlp"):
            module.register_forward_hook(lambda module, inputs, output: tokens.append(output.shape[1]))
    backbone.embed_batch(np.stack([backbone.prepare(image) for image in photos()]))
    assert tokens[-1] == 1
    assert set(tokens[:-1]) == {tokens[0]} != {1}


@pytest.mark.parametrize("architecture", ["dinov2", "clip", "cvt"])
def test_a_photo_alone_and_in_a_batch_gives_the_same_vector(architecture, checkpoints, cache):
    backbone = load_backbone(str(checkpoints[architecture]), cache=cache, runtime="torch", batch_size=2)
    pixels = np.stack([backbone.prepare(image) for image in photos()])
    together = backbone.embed_batch(pixels)
    alone = [backbone.embed_batch(pixels[i : i + 1]).rows[0] for i in range(len(pixels))]
    assert cosines(together.rows, np.stack(alone)).min() >= 0.99999


def test_no_photos_give_no_rows(checkpoints, cache):
    backbone = load_backbone(str(checkpoints["vit"]), cache=cache, runtime="torch")
    nothing = backbone.embed_batch(np.zeros((0, EDGE, EDGE, 3), dtype=np.uint8))
    assert nothing.rows.shape == (0, 32)
    assert nothing.norms.shape == (0,)


@pytest.mark.parametrize("architecture", ["clip", "siglip", "siglip2"])
def test_texts_are_embedded_into_the_images_space_as_transformers_does(architecture, checkpoints, cache):
    folder = checkpoints[architecture]
    texts = ["a photo of a red shoe", "green hat", " ".join(["dress"] * 40)]
    tokens = transformers.AutoTokenizer.from_pretrained(folder)(
        texts,
        padding=True if architecture == "clip" else "max_length",
        truncation=True,
        max_length=16,
        return_tensors="pt",
    )
    model = transformers.AutoModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        expected = model.get_text_features(**tokens).pooler_output.numpy()
    backbone = load_backbone(str(folder), cache=cache, runtime="torch")

    found = backbone.embed_texts(texts)

    assert cosines(found.rows, expected).min() >= 0.9999
    assert found.rows.shape == (3, backbone.space.dimension)
    assert backbone.embed_texts([]).rows.shape == (0, backbone.space.dimension)


def test_a_model_that_sees_only_images_says_which_model_reads_text(checkpoints, cache):
    backbone = load_backbone(str(checkpoints["dinov2"]), cache=cache, runtime="torch")
    with pytest.raises(NoTextTower, match="siglip2-base"):
        backbone.embed_texts(["a red shoe"])


def test_a_batch_that_does_not_fit_in_memory_is_halved_until_it_does(checkpoints, cache):
    said: list[str] = []
    backbone = load_backbone(
        str(checkpoints["vit"]), cache=cache, runtime="torch", batch_size=8, notice=said.append
    )
    pixels = np.stack([backbone.prepare(image) for image in photos(((40, 40),) * 9)])
    expected = backbone.embed_batch(pixels)
    tower = tower_of(backbone)

    def small_memory(module, arguments):
        if len(arguments[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    tower.register_forward_pre_hook(small_memory)
    found = backbone.embed_batch(pixels)

    assert np.allclose(found.rows, expected.rows, atol=1e-5)
    assert backbone.batch_size == 2
    assert said == [
        "out of memory with 8 images at a time: going on with 4",
        "out of memory with 4 images at a time: going on with 2",
    ]


def test_one_image_that_does_not_fit_is_an_error_and_other_failures_are_not_hidden(checkpoints, cache):
    backbone = load_backbone(str(checkpoints["vit"]), cache=cache, runtime="torch")
    pixels = np.zeros((1, EDGE, EDGE, 3), dtype=np.uint8)
    hook = tower_of(backbone).register_forward_pre_hook(_raise("can't allocate memory"))
    with pytest.raises(ModelError, match="not even one image"):
        backbone.embed_batch(pixels)
    hook.remove()
    tower_of(backbone).register_forward_pre_hook(_raise("shape mismatch"))
    with pytest.raises(RuntimeError, match="shape mismatch"):
        backbone.embed_batch(pixels)


def _raise(message):
    def hook(module, arguments):
        raise RuntimeError(message)

    return hook


def tower_of(backbone: Backbone) -> torch.nn.Module:
    assert isinstance(backbone, TorchBackbone)
    return backbone._tower


def test_values_that_are_not_finite_are_refused_instead_of_stored(checkpoints, cache):
    backbone = load_backbone(str(checkpoints["vit"]), cache=cache, runtime="torch")
    scale = tower_of(backbone).scale
    assert isinstance(scale, torch.Tensor)
    scale.fill_(float("nan"))
    with pytest.raises(ModelError, match="not finite"):
        backbone.embed_batch(np.zeros((1, EDGE, EDGE, 3), dtype=np.uint8))
