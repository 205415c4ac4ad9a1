"""Pixels are prepared the way the checkpoint's own image processor prepares them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from vitsearch.backbones.preprocessing import prepare, read_preprocessing, with_fit
from vitsearch.backbones.registry import MODELS
from vitsearch.errors import WeightsUnavailable
from vitsearch.space import Preprocessing

IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
CHECKPOINTS = {
    "clip": {"image_processor_type": "CLIPImageProcessor"},
    "clip-legacy": {"feature_extractor_type": "CLIPFeatureExtractor", "size": 224, "crop_size": 224},
    "dinov2": {"image_processor_type": "BitImageProcessor", "size": {"shortest_edge": 256}, **IMAGENET},
    "vit": {"image_processor_type": "ViTImageProcessor"},
    "vit-legacy": {"feature_extractor_type": "ViTFeatureExtractor", "size": 224, "resample": 3, **IMAGENET},
    "vit-not-square": {"image_processor_type": "ViTImageProcessor", "size": {"height": 96, "width": 160}},
    "vit-other-scale": {"image_processor_type": "ViTImageProcessor", "rescale_factor": 1 / 127.5},
    "vit-not-normalised": {"image_processor_type": "ViTImageProcessor", "do_normalize": False},
    "deit": {"image_processor_type": "DeiTImageProcessor", **IMAGENET},
    "deit-legacy": {"feature_extractor_type": "DeiTFeatureExtractor", "size": 256, "crop_size": 224},
    "beit": {"image_processor_type": "BeitImageProcessor"},
    "siglip": {"image_processor_type": "SiglipImageProcessor", "resample": 2},
    "convnext": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 224}},
    "convnext-384": {"image_processor_type": "ConvNextImageProcessor", "size": {"shortest_edge": 384}},
}
SIZES = [
    (320, 240),
    (240, 320),
    (224, 224),
    (225, 224),
    (30, 31),
    (1, 300),
    (300, 1),
    (1000, 50),
    (50, 1000),
    (1, 1),
]


def photo(width: int, height: int) -> Image.Image:
    """Return smooth coloured noise, as detailed as a photograph."""
    noise = np.random.default_rng(width * height).integers(
        0, 256, (height // 8 + 2, width // 8 + 2, 3), dtype=np.uint8
    )
    return Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)


def normalised(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    return ((pixels / 255 - np.array(preprocessing.mean)) / np.array(preprocessing.std)).transpose(2, 0, 1)


@pytest.mark.parametrize("checkpoint", CHECKPOINTS)
def test_pixels_agree_with_the_checkpoints_own_image_processor(checkpoint, tmp_path):
    from transformers import AutoImageProcessor

    (tmp_path / "preprocessor_config.json").write_text(json.dumps(CHECKPOINTS[checkpoint]))
    preprocessing = read_preprocessing(tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    for size in SIZES:
        image = photo(*size)
        expected = processor(image, return_tensors="np")["pixel_values"][0]
        actual = normalised(prepare(image, preprocessing), preprocessing)
        assert actual.shape == expected.shape, size
        grey_levels = np.abs(actual - expected) * np.array(preprocessing.std)[:, None, None] * 255
        # Of a panorama only the visible part is resampled, which rounds differently.
        assert grey_levels.max() < (2.2 if max(size) > 4 * min(size) else 0.001), size


def test_a_processor_configuration_nested_in_processor_config_is_found(tmp_path):
    nested = {"image_processor": CHECKPOINTS["siglip"], "processor_class": "SiglipProcessor"}
    (tmp_path / "processor_config.json").write_text(json.dumps(nested))
    half = (0.5, 0.5, 0.5)
    assert read_preprocessing(tmp_path) == Preprocessing(224, 224, 224, "squeeze", 2, half, half)


def test_a_configuration_that_names_no_processor_is_read_by_the_models_type(tmp_path):
    (tmp_path / "preprocessor_config.json").write_text(
        json.dumps({"size": {"shortest_edge": 256}, **IMAGENET})
    )
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "dinov2"}))
    expected = Preprocessing(224, 224, 256, "crop", 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert read_preprocessing(tmp_path) == expected


@pytest.mark.parametrize("text", [None, "{not json", json.dumps({"size": {"longest_edge": 300}})])
def test_a_missing_or_unusable_configuration_is_refused_by_name(text, tmp_path):
    if text is not None:
        (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(WeightsUnavailable, match=str(tmp_path)):
        read_preprocessing(tmp_path)


@pytest.fixture
def clip() -> Preprocessing:
    return next(model for model in MODELS if model.name == "clip-vit-base-patch16").facts.preprocessing


def stripes(width: int, height: int) -> Image.Image:
    """Return an image whose left and right quarters are red and whose middle is green."""
    pixels = np.zeros((height, width, 3), dtype=np.uint8)
    pixels[:, :, 0] = 255
    pixels[:, width // 4 : -(width // 4)] = (0, 255, 0)
    return Image.fromarray(pixels)


def test_crop_drops_the_borders_that_squeeze_keeps(clip):
    image = stripes(896, 224)
    cropped = prepare(image, clip)
    squeezed = prepare(image, with_fit(clip, "squeeze"))
    assert (cropped == (0, 255, 0)).all()
    assert squeezed[:, 20].tolist() == [[255, 0, 0]] * 224
    assert squeezed[:, 112].tolist() == [[0, 255, 0]] * 224


def test_pad_keeps_the_frame_and_its_proportions_on_the_mean_colour(clip):
    padded = prepare(stripes(896, 224), with_fit(clip, "pad"))
    mean = [round(255 * value) for value in clip.mean]
    assert padded[:84].tolist() == [[mean] * 224] * 84
    assert padded[140:].tolist() == [[mean] * 224] * 84
    assert padded[112, 20].tolist() == [255, 0, 0]
    assert padded[112, 112].tolist() == [0, 255, 0]


def test_squeeze_keeps_the_whole_frame_also_where_the_checkpoint_resizes_larger_than_it_crops():
    dinov2 = next(model for model in MODELS if model.name == "dinov2-small").facts.preprocessing
    squeezed = prepare(stripes(1000, 500), with_fit(dinov2, "squeeze"))
    assert squeezed.shape == (224, 224, 3)
    assert squeezed[112, 0].tolist() == [255, 0, 0]
    assert squeezed[112, 223].tolist() == [255, 0, 0]


@pytest.mark.parametrize("fit", ["crop", "squeeze", "pad"])
@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (4000, 1), (20_000, 1000), (3, 2)])
def test_every_shape_of_image_gives_a_full_input(fit, size, clip):
    grey = Image.new("L", size, 200)
    pixels = prepare(grey, with_fit(clip, fit))
    assert (pixels.shape, pixels.dtype) == ((224, 224, 3), np.dtype(np.uint8))
    assert pixels[111, 111].tolist() == [200, 200, 200]
