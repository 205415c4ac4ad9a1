"""What is said of a model before and after its weights are here, and how a model is named, opened and refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import torch
import transformers
from PIL import Image

from tests.support.tiny_checkpoints import ARCHITECTURES, make_checkpoint
from vitsearch.backbones import (
    Preprocessing,
    Space,
    describe,
    devices,
    list_models,
    load_backbone,
    load_for_space,
    load_vision_model,
    pull,
    remove,
)
from vitsearch.backbones.architectures import read_facts
from vitsearch.backbones.devices import choose_device
from vitsearch.backbones.families import FAMILIES
from vitsearch.backbones.graphs import graph_folder
from vitsearch.backbones.weights import wheel_folder
from vitsearch.errors import DeviceUnavailable, ModelError, SpaceMismatch, UnknownModel, WeightsUnavailable

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def vit(tmp_path_factory) -> Path:
    return make_checkpoint("vit", tmp_path_factory.mktemp("models") / "vit")


def test_registered_names_are_unique_and_every_one_can_be_described_without_its_weights(tmp_path):
    names = [model.name for model in list_models()]
    assert len(set(names)) == len(names)
    for model in list_models():
        spec = model.facts
        assert spec.architecture in FAMILIES
        assert spec.readout in FAMILIES[spec.architecture].readouts
        assert spec.patches == (spec.preprocessing.height // spec.patch_size) ** 2


def test_a_registered_model_is_found_by_its_hub_id(tmp_path):
    found = describe("google/vit-base-patch16-224", cache=tmp_path).spec
    assert (found.space.model, found.source) == ("vit-base", "google/vit-base-patch16-224")


def test_a_registered_model_is_described_before_it_is_here(tmp_path):
    found = describe("dinov2-with-registers-base", cache=tmp_path)
    assert not found.cached
    assert found.spec.source == "facebook/dinov2-with-registers-base"
    assert (found.spec.license, found.spec.tokens) == ("Apache-2.0", "256 + 5")
    assert (found.spec.width, found.spec.layers, found.spec.heads) == (768, 12, 12)
    assert found.spec.space == Space(
        model="dinov2-with-registers-base",
        fingerprint="",
        preprocessing=Preprocessing(224, 224, 256, "crop", 3, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        readout="cls",
        dimension=768,
    )


def test_an_unregistered_model_that_is_not_here_says_how_to_get_it(tmp_path):
    with pytest.raises(WeightsUnavailable, match="vitsearch models pull someone/model"):
        describe("someone/model", cache=tmp_path)


TALL, PATCHES_OF_14 = {"image_size": 518}, {"patch_size": 14}
CONFIGURATIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "dinov2-small": ("Dinov2Model", "Dinov2Config", {"width": 384, "heads": 6, **PATCHES_OF_14, **TALL}),
    "dinov2-giant": (
        "Dinov2Model",
        "Dinov2Config",
        {"width": 1536, "layers": 40, "heads": 24, "use_swiglu_ffn": True, **PATCHES_OF_14, **TALL},
    ),
    "dinov2-with-registers-large": (
        "Dinov2WithRegistersModel",
        "Dinov2WithRegistersConfig",
        {"width": 1024, "layers": 24, "heads": 16, **PATCHES_OF_14, **TALL},
    ),
    "dinov3-vits16": ("DINOv3ViTModel", "DINOv3ViTConfig", {"num_register_tokens": 4}),
    "clip-vit-base-patch16": ("CLIPVisionModelWithProjection", "CLIPVisionConfig", {"patch_size": 16}),
    "siglip2-base": ("SiglipVisionModel", "SiglipVisionConfig", {}),
    "beit-base": ("BeitModel", "BeitConfig", {"use_relative_position_bias": True}),
    "swin-tiny": ("SwinModel", "SwinConfig", {}),
    "cvt-13": ("CvtForImageClassification", "CvtConfig", {"num_labels": 0}),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_registrys_figures_are_those_of_the_architecture(name):
    model_class, config_class, settings = CONFIGURATIONS[name]
    words = {"width": "hidden_size", "layers": "num_hidden_layers", "heads": "num_attention_heads"}
    config = getattr(transformers, config_class)(
        **{words.get(key, key): value for key, value in settings.items()}
    )
    with torch.device("meta"):
        model = getattr(transformers, model_class)(config)
    facts = next(model.facts for model in list_models() if model.name == name)
    assert facts.parameters == sum(parameter.numel() for parameter in model.parameters())
    if name not in ("swin-tiny", "cvt-13"):
        assert facts.width == config.hidden_size
        assert facts.layers == config.num_hidden_layers
        assert facts.heads == config.num_attention_heads
        assert facts.patch_size == config.patch_size


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_configuration_that_says_nothing_means_transformers_own_defaults(architecture, tmp_path):
    from safetensors.numpy import save_file

    (tmp_path / "config.json").write_text(json.dumps({"model_type": architecture}))
    config = transformers.AutoConfig.from_pretrained(tmp_path)
    vision = getattr(config, "vision_config", config)
    edge = getattr(vision, "image_size", 224)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": edge, "width": edge}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    save_file({"weight": torch.zeros(2, 3).numpy()}, tmp_path / "model.safetensors")

    facts = read_facts(tmp_path)

    if architecture == "swin":
        assert (facts.width, facts.layers, facts.heads, facts.patch_size) == (768, 12, 24, 32)
    elif architecture == "cvt":
        assert (facts.width, facts.layers, facts.heads, facts.patch_size) == (384, 13, 6, 16)
    else:
        assert facts.width == vision.hidden_size
        assert facts.layers == vision.num_hidden_layers
        assert facts.heads == vision.num_attention_heads
        assert facts.patch_size == vision.patch_size
        registers = getattr(vision, "num_register_tokens", 0)
        special = {"deit": 2, "siglip": 0, "siglip_vision_model": 0, "siglip2": 0, "siglip2_vision_model": 0}
        assert facts.prefix_tokens == special.get(architecture, 1) + registers
    if architecture.startswith("clip"):
        assert facts.dimension == config.projection_dim
    assert facts.parameters == 6
    assert facts.has_text == (architecture in ("clip", "siglip", "siglip2"))


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_checkpoint_is_described_by_the_model_that_it_loads(architecture, tmp_path):
    folder = make_checkpoint(architecture, tmp_path / "model")
    found = describe(str(folder), cache=tmp_path / "cache")
    assert found.cached
    assert found.spec.space.model == found.spec.source == str(folder)
    assert found == pull(str(folder), cache=tmp_path / "cache")

    model, spec = load_vision_model(found.spec.space, cache=tmp_path / "cache")
    loaded = sum(
        parameter.numel() for name, parameter in model.named_parameters() if "classifier" not in name
    )
    assert found.spec.parameters == loaded
    assert spec == found.spec


@pytest.mark.parametrize("architecture", ["vit", "dinov2_with_registers", "clip"])
def test_the_vision_model_for_explanations_returns_attention_over_the_described_tokens(
    architecture, tmp_path
):
    folder = make_checkpoint(architecture, tmp_path / "model")
    space = describe(str(folder), cache=tmp_path).spec.space
    model, spec = load_vision_model(space, cache=tmp_path)
    vision: Any = model.vision_model if architecture == "clip" else model
    output = vision(pixel_values=torch.zeros(1, 3, 32, 32), output_attentions=True)
    tokens = spec.patches + spec.prefix_tokens
    assert [tuple(attention.shape) for attention in output.attentions] == [
        (1, spec.heads, tokens, tokens)
    ] * spec.layers


def test_a_space_opens_exactly_the_backbone_that_made_it(vit, tmp_path):
    made = load_backbone(str(vit), cache=tmp_path, runtime="torch", fit="pad", readout="mean")
    opened = load_for_space(Space.from_json(made.space.to_json()), cache=tmp_path, runtime="torch")
    image = Image.linear_gradient("L").convert("RGB").resize((90, 40))
    pixels = made.prepare(image)[None]
    assert opened.space == made.space
    assert (opened.prepare(image) == pixels[0]).all()
    assert (opened.embed_batch(pixels).rows == made.embed_batch(pixels).rows).all()


def test_other_weights_or_other_preprocessing_than_the_spaces_are_refused(vit, tmp_path):
    space = describe(str(vit), cache=tmp_path).spec.space
    with pytest.raises(SpaceMismatch, match="its fingerprint is"):
        load_for_space(replace(space, fingerprint="0" * 64), cache=tmp_path, runtime="torch")
    larger = replace(space, preprocessing=replace(space.preprocessing, resize=40))
    with pytest.raises(SpaceMismatch, match="its preprocessing is"):
        load_for_space(larger, cache=tmp_path, runtime="torch")


def test_a_readout_that_an_architecture_does_not_have_names_those_it_has(vit, tmp_path):
    with pytest.raises(
        ModelError, match=r"vit models have no readout projection: use one of cls, mean, cls\+mean"
    ):
        load_backbone(str(vit), cache=tmp_path, readout="projection")


@pytest.mark.parametrize(
    ("config", "error"),
    [
        (None, "no usable config.json"),
        ("{", "no usable config.json"),
        ('{"model_type": "llama"}', "llama is not supported"),
    ],
)
def test_a_folder_that_is_no_image_checkpoint_is_refused_by_what_is_wrong(config, error, tmp_path):
    folder = make_checkpoint("vit", tmp_path / "model")
    (folder / "config.json").unlink()
    if config is not None:
        (folder / "config.json").write_text(config)
    with pytest.raises(ModelError, match=error):
        load_backbone(str(folder), cache=tmp_path)


def test_weights_that_do_not_fit_their_configuration_are_refused(tmp_path):
    folder = make_checkpoint("vit", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 3}))
    with pytest.raises(WeightsUnavailable, match="lack "):
        load_backbone(str(folder), cache=tmp_path, runtime="torch")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"intermediate_size": "wide"}, r"config\.json makes no model \(.*intermediate_size"),
        ({"num_attention_heads": 0}, "cannot be loaded"),
        ({"hidden_act": "nonsense"}, r"cannot be loaded \(.*nonsense"),
        ({"layer_norm_eps": None}, "makes no model"),
    ],
)
def test_a_configuration_that_makes_no_model_is_refused_in_one_line(changes, said, tmp_path):
    folder = make_checkpoint("vit", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changes))
    with pytest.raises(WeightsUnavailable, match=said) as refused:
        load_backbone(str(folder), cache=tmp_path)
    assert "\n" not in str(refused.value)


def test_an_architecture_that_transformers_does_not_know_is_refused_by_its_name(tmp_path, monkeypatch):
    monkeypatch.setitem(FAMILIES, "vit2030", replace(FAMILIES["vit"], model_type="vit2030"))
    folder = make_checkpoint("vit", tmp_path / "model")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "vit2030"}))
    with pytest.raises(WeightsUnavailable) as refused:
        load_backbone(str(folder), cache=tmp_path)
    assert str(refused.value) == (
        f"transformers {transformers.__version__} does not know the architecture vit2030 of {folder}: install a "
        "version that does, or mend the model_type in its config.json"
    )


def test_an_input_size_that_the_model_does_not_take_is_refused(tmp_path):
    folder = make_checkpoint("vit", tmp_path / "model")
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 64, "width": 64}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    with pytest.raises(WeightsUnavailable, match=r"32 x 32 pixels but .* 64 x 64"):
        load_backbone(str(folder), cache=tmp_path)


def test_an_unknown_name_is_refused_with_the_nearest_ones(tmp_path):
    with pytest.raises(UnknownModel, match="did you mean siglip2-base"):
        load_backbone("siglip-base", cache=tmp_path)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_gpu_that_was_asked_for_and_is_not_there_is_an_error(device, vit, tmp_path, monkeypatch):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(DeviceUnavailable, match=f"no {device} device"):
        load_backbone(str(vit), cache=tmp_path, device=device)


def test_a_gpu_that_is_there_and_cannot_be_used_is_said(tmp_path, monkeypatch):
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this machine has a GPU")
    driver = tmp_path / "version"
    driver.write_text("a driver")
    monkeypatch.setattr(devices, "_DRIVERS", (driver,))
    said: list[str] = []
    assert choose_device("auto", notice=said.append) == "cpu"
    assert said == [
        f"running on the CPU: there are signs of a GPU ({driver}), but the installed torch cannot use it"
    ]


@pytest.mark.parametrize("usable", ["cuda", "mps"])
def test_a_usable_gpu_is_used_unless_the_user_says_otherwise_and_then_that_is_said(
    usable, tmp_path, monkeypatch
):
    monkeypatch.setattr(devices, "_DRIVERS", (tmp_path,))
    monkeypatch.setattr(devices, "_usable", lambda device: device == usable)
    said: list[str] = []
    assert choose_device("auto", notice=said.append) == usable
    assert said == []
    assert choose_device("cpu", notice=said.append) == "cpu"
    assert said == [
        f"running on the CPU as asked, though {usable} could be used: leave out --device cpu to use it"
    ]


def test_removing_a_model_takes_only_what_vitsearch_keeps_of_it(vit, tmp_path):
    cache = tmp_path / "cache"
    space = describe(str(vit), cache=cache).spec.space
    graph, other = (
        graph_folder(space, cache=cache),
        graph_folder(replace(space, fingerprint="0" * 64), cache=cache),
    )
    graph.mkdir(parents=True)
    other.mkdir()
    assert remove(str(vit), cache=cache) == (graph,)
    assert (graph.exists(), other.exists(), (vit / "model.safetensors").exists()) == (False, True, True)

    kept = make_checkpoint("clip_vision_model", wheel_folder(cache))
    assert remove("clip-vit-base-patch16-int8", cache=cache) == (kept,)
    assert not kept.exists()
    with pytest.raises(WeightsUnavailable, match="nothing to remove"):
        remove("clip-vit-base-patch16-int8", cache=cache)
