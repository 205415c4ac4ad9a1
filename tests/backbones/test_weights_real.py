"""The real weights of the model that needs no hub: what they are, and that every way to run them agrees."""

from __future__ import annotations

import numpy as np
import platformdirs
import pytest
from PIL import Image

from tests.support.samples import SAMPLES, WEIGHTS
from vitsearch.backbones import describe, load_backbone, load_for_space
from vitsearch.backbones.weights import wheel_folder

pytestmark = pytest.mark.weights
CACHE = platformdirs.user_cache_path("vitsearch", appauthor=False)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=1)


@pytest.fixture(scope="module")
def photos() -> list[Image.Image]:
    originals = [path for path in sorted(SAMPLES.glob("*/*-1.jpg")) if path.parent.name != "copies"]
    return [Image.open(path).convert("RGB") for path in originals[:8]]


@pytest.fixture(scope="module")
def reference(photos) -> np.ndarray:
    """What transformers makes of the photos, with its own image processor, in float32."""
    import torch
    from transformers import AutoImageProcessor, CLIPVisionModelWithProjection

    folder = wheel_folder(CACHE)
    model, report = CLIPVisionModelWithProjection.from_pretrained(folder, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    values = AutoImageProcessor.from_pretrained(folder)(photos, return_tensors="pt")
    with torch.inference_mode():
        rows = model.eval()(**values).image_embeds.numpy()
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_dequantising_gives_the_same_weights_on_every_machine():
    found = describe(WEIGHTS, cache=CACHE)
    assert found.spec.space.fingerprint == "77f9d843b35c95d4bbba1807a1808421518a78f854104d1cb0d7a8e225640f00"
    assert (found.spec.tokens, found.spec.parameters, found.spec.license) == ("196 + 1", 86_192_640, "MIT")
    assert "MIT License" in (wheel_folder(CACHE) / "LICENSE").read_text()


def test_torch_agrees_with_transformers_own_forward_and_processor(photos, reference):
    backbone = load_backbone(WEIGHTS, cache=CACHE, runtime="torch")
    found = backbone.embed_batch(np.stack([backbone.prepare(photo) for photo in photos]))
    assert cosines(found.rows, reference).min() >= 0.9999


def test_the_cpu_runtime_agrees_with_float32_torch_alone_and_in_a_batch(photos, reference):
    space = describe(WEIGHTS, cache=CACHE).spec.space
    backbone = load_for_space(space, cache=CACHE, runtime="openvino")
    pixels = np.stack([backbone.prepare(photo) for photo in photos])
    together = backbone.embed_batch(pixels).rows
    alone = np.concatenate([backbone.embed_batch(pixels[i : i + 1]).rows for i in range(len(pixels))])
    assert cosines(together, reference).min() >= 0.999
    assert cosines(together, alone).min() >= 0.999
