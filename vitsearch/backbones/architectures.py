"""What a checkpoint's configuration says about it: token layout, width, and which readouts its architecture has."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.checkpoint import fingerprint, tensor_shapes, weight_files
from vitsearch.backbones.preprocessing import read_preprocessing, with_fit
from vitsearch.backbones.registry import Facts
from vitsearch.errors import ModelError, WeightsUnavailable
from vitsearch.space import BackboneSpec, Space

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vitsearch.backbones.checkpoint import Checkpoint
    from vitsearch.space import Fit, Preprocessing, Readout

_TOKENS: tuple[Readout, ...] = ("cls", "mean", "cls+mean")

# The first readout is the one that is used when none is asked for: the class token where there is one.
READOUTS: dict[str, tuple[Readout, ...]] = {
    "vit": _TOKENS,
    "deit": (*_TOKENS, "cls+distillation"),
    "dinov2": _TOKENS,
    "dinov2_with_registers": _TOKENS,
    "dinov3_vit": _TOKENS,
    "beit": (*_TOKENS, "pooled"),
    "clip": ("projection", "cls", "mean"),
    "clip_vision_model": ("projection", "cls", "mean"),
    "siglip": ("projection", "mean"),
    "siglip_vision_model": ("projection", "mean"),
    "siglip2": ("projection", "mean"),
    "siglip2_vision_model": ("projection", "mean"),
    "swin": ("pooled",),
    "cvt": ("pooled",),
}
# What transformers' configuration classes take where a config.json is silent.
_VIT = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 16,
    "image_size": 224,
}
_CLIP = _VIT | {"patch_size": 32}
_CLIP_PROJECTION = 512
_DEFAULTS: dict[str, dict[str, Any]] = {
    "vit": _VIT,
    "deit": _VIT,
    "beit": _VIT,
    "dinov2": _VIT | {"patch_size": 14},
    "dinov2_with_registers": _VIT | {"num_register_tokens": 4},
    "dinov3_vit": _VIT | {"hidden_size": 384, "num_attention_heads": 6, "num_register_tokens": 0},
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "siglip": _VIT,
    "siglip_vision_model": _VIT,
    "siglip2": _VIT,
    "siglip2_vision_model": _VIT,
    "swin": {"patch_size": 4, "embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
    "cvt": {
        "patch_stride": [4, 2, 2],
        "embed_dim": [64, 192, 384],
        "depth": [1, 2, 10],
        "num_heads": [1, 3, 6],
        "cls_token": [False, False, True],
    },
}
_WITH_TEXT = ("clip", "siglip", "siglip2")
_FIXED_INPUT = ("vit", "deit", "beit", "clip", "clip_vision_model", "siglip", "siglip_vision_model")
_NOT_THE_TOWER = (
    "text_model",
    "text_projection",
    "logit_",
    "classifier",
    "cls_classifier",
    "distillation_classifier",
)
_BUFFERS = ("position_ids", "relative_position_index", "num_batches_tracked", "running_mean", "running_var")


@dataclass(frozen=True, slots=True)
class _Shape:
    """What the image tower's configuration says, whatever the architecture calls it."""

    patch_size: int
    prefix_tokens: int
    width: int
    layers: int
    heads: int


def read_config(folder: Path) -> dict[str, Any]:
    """Return a checkpoint's config.json, whose "model_type" is an architecture that vitsearch knows.

    It is read without transformers, so that looking at a model, or opening an exported graph, need not import it.

    Raises:
        WeightsUnavailable: there is no readable config.json.
        ModelError: the architecture is none that vitsearch can read out.

    """
    try:
        config: dict[str, Any] = json.loads((folder / "config.json").read_text("utf-8"))
        architecture = config["model_type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsUnavailable(
            f"{folder} has no usable config.json: it is not a transformers checkpoint"
        ) from error
    if architecture not in READOUTS:
        raise ModelError(
            f"{folder}: architecture {architecture} is not supported; use one of {', '.join(READOUTS)}"
        )
    return config


def read_facts(folder: Path, *, fit: Fit | None = None, readout: Readout | None = None) -> Facts:
    """Return the facts of a checkpoint folder, read out and fitted as asked or else as the checkpoint is meant.

    Raises:
        WeightsUnavailable: a file is missing or they contradict each other.
        ModelError: the architecture is not supported or has no such readout.

    """
    config = read_config(folder)
    architecture = str(config["model_type"])
    preprocessing = with_fit(read_preprocessing(folder), fit)
    vision = _DEFAULTS[architecture] | (
        config.get("vision_config", {}) if architecture in _WITH_TEXT else config
    )
    if architecture in _FIXED_INPUT:
        _check_input(vision, preprocessing, folder)
    if readout is not None and readout not in READOUTS[architecture]:
        raise ModelError(
            f"{architecture} models have no readout {readout}: use one of {', '.join(READOUTS[architecture])}"
        )
    shape = _shape(architecture, vision)
    readout = readout or READOUTS[architecture][0]
    return Facts(
        architecture=architecture,
        preprocessing=preprocessing,
        readout=readout,
        dimension=_dimension(readout, config, shape.width),
        patch_size=shape.patch_size,
        prefix_tokens=shape.prefix_tokens,
        patches=(preprocessing.height // shape.patch_size) * (preprocessing.width // shape.patch_size),
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        parameters=_tower_parameters(folder),
        has_text=architecture in _WITH_TEXT,
    )


def make_spec(checkpoint: Checkpoint, facts: Facts, *, cache: Path) -> BackboneSpec:
    """Return the spec of a checkpoint: its facts and the space that its vectors live in."""
    space = Space(
        model=checkpoint.model,
        fingerprint=fingerprint(checkpoint.folder, cache=cache),
        preprocessing=facts.preprocessing,
        readout=facts.readout,
        dimension=facts.dimension,
        revision=checkpoint.revision,
    )
    return spec_in_space(space, facts, source=str(checkpoint.folder), license=checkpoint.license)


def spec_in_space(space: Space, facts: Facts, *, source: str, license: str) -> BackboneSpec:  # noqa: A002 - the field's name
    """Join the facts of an architecture with a space and the place that the weights come from."""
    return BackboneSpec(
        space=space,
        architecture=facts.architecture,
        source=source,
        license=license,
        patch_size=facts.patch_size,
        prefix_tokens=facts.prefix_tokens,
        patches=facts.patches,
        width=facts.width,
        layers=facts.layers,
        heads=facts.heads,
        parameters=facts.parameters,
        has_text=facts.has_text,
    )


def _shape(architecture: str, vision: Mapping[str, Any]) -> _Shape:
    if architecture == "swin":
        stages = len(vision["depths"])
        # Each stage after the first merges patches two by two and doubles the width.
        patch, width = (_edge(vision[name]) * 2 ** (stages - 1) for name in ("patch_size", "embed_dim"))
        return _Shape(patch, 0, width, sum(vision["depths"]), vision["num_heads"][-1])
    if architecture == "cvt":
        prefix = int(vision["cls_token"][-1])
        patch = math.prod(vision["patch_stride"])
        return _Shape(patch, prefix, vision["embed_dim"][-1], sum(vision["depth"]), vision["num_heads"][-1])
    prefix = 0 if architecture.startswith("siglip") else 1 + (architecture == "deit")
    return _Shape(
        patch_size=_edge(vision["patch_size"]),
        prefix_tokens=prefix + vision.get("num_register_tokens", 0),
        width=vision["hidden_size"],
        layers=vision["num_hidden_layers"],
        heads=vision["num_attention_heads"],
    )


def _dimension(readout: Readout, config: Mapping[str, Any], width: int) -> int:
    if readout in ("cls+mean", "cls+distillation"):
        return 2 * width
    if readout == "projection" and config["model_type"].startswith("clip"):
        return int(config.get("projection_dim", _CLIP_PROJECTION))
    return width


def _check_input(vision: Mapping[str, Any], preprocessing: Preprocessing, folder: Path) -> None:
    size = vision["image_size"]
    expected = (size, size) if isinstance(size, int) else tuple(size)
    if expected != (preprocessing.height, preprocessing.width):
        raise WeightsUnavailable(
            f"{folder}: the model takes {expected[0]} x {expected[1]} pixels but its preprocessor configuration gives "
            f"{preprocessing.height} x {preprocessing.width}: mend one of the two files"
        )


def _edge(size: int | list[int] | tuple[int, ...]) -> int:
    return size if isinstance(size, int) else size[0]


def _tower_parameters(folder: Path) -> int:
    """Count the numbers of the image tower from the headers of the weight files, without loading them."""
    total = 0
    for path in weight_files(folder):
        for name, shape in tensor_shapes(path).items():
            if not (
                name.startswith(_NOT_THE_TOWER) or name.endswith(_BUFFERS) or ".pooler.dense." in f".{name}"
            ):
                total += math.prod(shape)
    return total
