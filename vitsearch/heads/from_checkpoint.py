"""Heads from classification checkpoints: ViT, DeiT, BEiT, DINOv2, Swin or CvT."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from vitsearch.backbones.architectures import make_spec, read_config, read_facts
from vitsearch.backbones.weights import obtain
from vitsearch.errors import HeadError
from vitsearch.heads.checkpoint_tensors import read_tensors
from vitsearch.heads.head import Head, Kind

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.space import Readout

    Floats = npt.NDArray[np.float32]

# What each of transformers' classes feeds to its `classifier`.
_READOUTS: dict[str, Readout] = {
    "ViTForImageClassification": "cls",
    "DeiTForImageClassification": "cls",
    "DeiTForImageClassificationWithTeacher": "cls+distillation",
    "BeitForImageClassification": "pooled",
    "Dinov2ForImageClassification": "cls+mean",
    "Dinov2WithRegistersForImageClassification": "cls+mean",
    "SwinForImageClassification": "pooled",
    "CvtForImageClassification": "pooled",
}


def classifier_readout(config: dict[str, Any], *, model: str) -> Readout:
    """Return the readout that the classifier of a checkpoint was trained on.

    Raises:
        HeadError: the checkpoint has no linear classifier on a single readout.

    """
    named = config.get("architectures") or ["none"]
    readout = _READOUTS.get(named[0])
    if readout is None:
        raise HeadError(
            f"{model} has no classifier that can be imported (it is a {named[0]}): use a checkpoint of "
            f"{', '.join(_READOUTS)}"
        )
    return readout


def import_head(
    name: str, model: str, *, cache: Path, notice: Callable[[str], None] = lambda _: None
) -> Head:
    """Create a head from the classifier of `model`: a registered name, Hugging Face id or folder.

    Its space is the model's own with the classifier's readout, and the head uses the norms of the rows. The
    probabilities equal those of transformers' image-classification pipeline.

    Raises:
        HeadError: the checkpoint has no classifier.
        UnknownModel: no model has this name.
        WeightsUnavailable: the weights cannot be downloaded, or fail verification.

    """
    checkpoint = obtain(model, cache=cache, notice=notice)
    config = read_config(checkpoint.folder)
    readout = classifier_readout(config, model=model)
    space = make_spec(checkpoint, read_facts(checkpoint.folder, readout=readout), cache=cache).space
    weight, bias = _classifier(checkpoint.folder, readout, model=model)
    return Head(
        name,
        _labels(config, len(bias)),
        weight,
        bias,
        space,
        _kind(config, len(bias)),
        "imported",
        uses_norms=True,
        details={"model": space.model, "architecture": config["architectures"][0]},
    )


def _classifier(folder: Path, readout: Readout, *, model: str) -> tuple[Floats, Floats]:
    """Return the weight (labels, d) and bias (labels,) of a checkpoint's classifier, both float32.

    A distilled DeiT has one for each of its two tokens and averages their logits (Touvron et al., Training
    data-efficient image transformers & distillation through attention, 2021, section 4).
    """
    names = (
        ("cls_classifier", "distillation_classifier") if readout == "cls+distillation" else ("classifier",)
    )
    tensors = read_tensors(folder, [f"{name}.{part}" for name in names for part in ("weight", "bias")])
    if len(tensors) < 2 * len(names):
        raise HeadError(
            f"{model} has no classifier weights: choose a checkpoint that was trained to classify"
        )
    weights = [tensors[f"{name}.weight"] for name in names]
    bias = np.mean([tensors[f"{name}.bias"] for name in names], axis=0)
    return np.concatenate(weights, axis=1) / np.float32(len(names)), np.asarray(bias, np.float32)


def _kind(config: dict[str, Any], count: int) -> Kind:
    several = config.get("problem_type") == "multi_label_classification"
    return "sigmoid" if several or count == 1 else "softmax"


def _labels(config: dict[str, Any], count: int) -> tuple[str, ...]:
    """Return one unique name per row: ImageNet has two labels "crane", and the second gets its number appended."""
    names = config.get("id2label") or {}
    labels = [" ".join(str(names.get(str(row), f"LABEL_{row}")).split()) for row in range(count)]
    seen: Counter[str] = Counter()
    for row, label in enumerate(labels):
        seen[label] += 1
        if seen[label] > 1:
            labels[row] = f"{label} ({row})"
    return tuple(labels)
