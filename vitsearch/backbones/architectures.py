"""What a checkpoint's configuration says about it: token layout, width, and which readouts its architecture has."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.checkpoint import fingerprint, tensor_shapes, weight_files
from vitsearch.backbones.families import FAMILIES
from vitsearch.backbones.preprocessing import read_preprocessing, with_fit
from vitsearch.backbones.registry import Facts
from vitsearch.errors import ModelError, WeightsUnavailable
from vitsearch.space import BackboneSpec, Space

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from vitsearch.backbones.checkpoint import Checkpoint
    from vitsearch.space import Fit, Preprocessing, Readout

_NOT_THE_TOWER = (
    "text_model",
    "text_projection",
    "logit_",
    "classifier",
    "cls_classifier",
    "distillation_classifier",
)
_BUFFERS = ("position_ids", "relative_position_index", "num_batches_tracked", "running_mean", "running_var")


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
    if architecture not in FAMILIES:
        raise ModelError(
            f"{folder}: architecture {architecture} is not supported; use one of {', '.join(FAMILIES)}"
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
    family = FAMILIES[architecture]
    preprocessing = with_fit(read_preprocessing(folder), fit)
    vision = {**family.defaults, **(config.get("vision_config", {}) if family.nested else config)}
    if family.fixed_input:
        _check_input(vision, preprocessing, folder)
    if readout is not None and readout not in family.readouts:
        raise ModelError(
            f"{architecture} models have no readout {readout}: use one of {', '.join(family.readouts)}"
        )
    shape = family.shape(family, vision)
    readout = readout or family.readouts[0]
    return Facts(
        architecture=architecture,
        preprocessing=preprocessing,
        readout=readout,
        dimension=family.dimension(readout, config, shape.width),
        patch_size=shape.patch_size,
        prefix_tokens=shape.prefix_tokens,
        patches=(preprocessing.height // shape.patch_size) * (preprocessing.width // shape.patch_size),
        width=shape.width,
        layers=shape.layers,
        heads=shape.heads,
        parameters=_tower_parameters(folder),
        has_text=family.text is not None,
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


def _check_input(vision: Mapping[str, Any], preprocessing: Preprocessing, folder: Path) -> None:
    size = vision["image_size"]
    expected = (size, size) if isinstance(size, int) else tuple(size)
    if expected != (preprocessing.height, preprocessing.width):
        raise WeightsUnavailable(
            f"{folder}: the model takes {expected[0]} x {expected[1]} pixels but its preprocessor configuration gives "
            f"{preprocessing.height} x {preprocessing.width}: mend one of the two files"
        )


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
