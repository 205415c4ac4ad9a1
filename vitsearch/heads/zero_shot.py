"""Zero-shot heads: the text tower of CLIP or SigLIP turns label names into weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError, in_words
from vitsearch.heads.checkpoint_tensors import read_tensors
from vitsearch.heads.head import Head, check_labels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone

TEMPLATES = (
    "a photo of a {}.",
    "a photo of the {}.",
    "a photo of {}.",
    "a close-up photo of a {}.",
    "a blurry photo of a {}.",
)

_TEXTS_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class TextScale:
    """The logit of an image-text model: `scale * cosine + bias`.

    `bias` is None for CLIP models, whose labels exclude each other. SigLIP has a bias and decides on each label
    independently.
    """

    scale: float
    bias: float | None


def read_text_scale(folder: Path) -> TextScale:
    """Read the scale and bias of a checkpoint.

    CLIP: Radford et al. 2021, figure 3; SigLIP: Zhai et al. 2023, algorithm 1.

    Raises:
        HeadError: the checkpoint has no scale, so it was not trained on text.

    """
    tensors = read_tensors(folder, ("logit_scale", "logit_bias"))
    if "logit_scale" not in tensors:
        raise HeadError(
            f"{folder} has no logit_scale: it is not a CLIP or SigLIP checkpoint with a text tower"
        )
    bias = float(tensors["logit_bias"].item()) if "logit_bias" in tensors else None
    return TextScale(math.exp(tensors["logit_scale"].item()), bias)


def head_from_text(
    name: str, labels: Sequence[str], backbone: Backbone, *, cache: Path, templates: Sequence[str] = TEMPLATES
) -> Head:
    """Create a head from label names alone, with the text tower of the backbone's checkpoint.

    Raises:
        NoTextTower: the model has no text tower.
        HeadError: a label or template is not valid.

    """
    from vitsearch.backbones.weights import obtain_for_space

    rows = _text_rows(labels, backbone, templates)
    scale = read_text_scale(obtain_for_space(backbone.space, cache=cache, notice=_silent).folder)
    return Head(
        name,
        tuple(labels),
        np.float32(scale.scale) * rows,
        np.full(len(labels), scale.bias or 0, np.float32),
        backbone.space,
        "softmax" if scale.bias is None else "sigmoid",
        "text",
        details={"templates": list(templates)},
    )


def read_label_list(path: Path) -> tuple[str, ...]:
    """Read a text file with one label per line; blank lines are skipped.

    Raises:
        HeadError: the file cannot be used.

    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise HeadError(
            f"cannot read {path} ({in_words(error)}): it must be a UTF-8 text file, one label a line"
        ) from error
    labels = tuple(line.strip() for line in lines if line.strip())
    check_labels(labels)
    return labels


def _text_rows(
    labels: Sequence[str], backbone: Backbone, templates: Sequence[str]
) -> npt.NDArray[np.float32]:
    """Return (c, d) float32 unit rows: the mean over the templates (Radford et al. 2021, section 3.1.4)."""
    check_labels(labels)
    useless = next((template for template in templates if "{}" not in template), None)
    if useless is not None or not templates:
        raise HeadError(
            f"the template {useless!r} has no {{}} where the label goes: write one like {TEMPLATES[0]!r}"
        )
    prompts = [template.replace("{}", label) for label in labels for template in templates]
    parts = [
        backbone.embed_texts(prompts[start : start + _TEXTS_AT_ONCE]).rows
        for start in range(0, len(prompts), _TEXTS_AT_ONCE)
    ]
    means = np.concatenate(parts).reshape(len(labels), len(templates), -1).mean(axis=1)
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


def _silent(message: str) -> None:
    del message
