"""Checkpoints in the layouts that their authors publish, outside of transformers: what a record of such a family is."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import torch

    Tensors = Mapping[str, torch.Tensor]
    Rules = Sequence[tuple[str, str]]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
BILINEAR, BICUBIC = 2, 3
# Where a head is not 64 wide: the larger towers of all these families have sixteen.
_SIXTEEN_HEADS = (1152, 1280, 1408, 1664)
_LINEAR = ("weight", "bias")


class UnfitCheckpoint(ModelError):
    """The tensors are not those of the family, or do not agree with its configuration; the message ends a sentence."""


@dataclass(frozen=True, slots=True)
class Source:
    """A checkpoint as it was published.

    `name` is its file's, `configs` holds the JSON files beside it by name, `sha256` computes the file's hash.
    """

    name: str
    tensors: Tensors
    configs: Mapping[str, Mapping[str, Any]]
    sha256: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Translated:
    """The same checkpoint as transformers stores it: two configurations, and tensors under its names.

    `beside` names the files that are copied as they are.
    """

    config: dict[str, Any]
    preprocessor: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    origin: str
    license: str = "not stated"
    beside: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One family of published checkpoints.

    `recognises` says whether tensors are of the family, by their names; `translate` raises `UnfitCheckpoint` for one
    that is not whole, or of a variant whose vectors transformers' modules would not reproduce.
    """

    name: str
    recognises: Callable[[Source], bool]
    translate: Callable[[Source], Translated]


def renamed(tensors: Tensors, rules: Rules, qkv: tuple[str, str, str]) -> dict[str, torch.Tensor]:
    """Return the tensors under the names that `rules` give, pairs of a whole name's pattern and a template.

    Where the template says {qkv}, queries, keys and values lie in one tensor, which is cut in three.

    Raises:
        UnfitCheckpoint: a tensor fits no rule.

    """
    compiled = [(re.compile(pattern), template) for pattern, template in rules]
    result: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        target = next((match.expand(to) for rule, to in compiled if (match := rule.fullmatch(name))), None)
        if target is None:
            raise UnfitCheckpoint(f"has {name}, which its family's published models do not have")
        if "{qkv}" in target:
            parts = tensor.chunk(3)
            result |= {target.format(qkv=part): rows for part, rows in zip(qkv, parts, strict=True)}
        else:
            result[target] = tensor
    _check_blocks(result)
    return result


def _check_blocks(tensors: Tensors) -> None:
    """Raise `UnfitCheckpoint` unless every block of a tower has the same parts."""
    parts: dict[str, set[str]] = {}
    for name in tensors:
        tower, number, part = re.fullmatch(r"(.*?)(?:\.(\d+)\.(.*))?", name).groups()  # type: ignore[union-attr]
        if number is not None:
            parts.setdefault(f"{tower}.{{}}.{part}", set()).add(number)
    for tower in {name.split("{}")[0] for name in parts}:
        of_tower = {name: numbers for name, numbers in parts.items() if name.startswith(tower)}
        every = set().union(*of_tower.values())
        for name, numbers in of_tower.items():
            if numbers != every:
                raise UnfitCheckpoint(f"lacks what transformers calls {name.format(min(every - numbers))}")


def need(tensors: Tensors, names: Iterable[str]) -> None:
    """Raise `UnfitCheckpoint` unless all of these tensors are there."""
    for name in names:
        if name not in tensors:
            raise UnfitCheckpoint(f"lacks {name}")


def depth(tensors: Tensors, pattern: str) -> int:
    """Return how many blocks there are, whose numbers are the pattern's first group.

    Raises:
        UnfitCheckpoint: there is none, or one is missing.

    """
    numbers = {int(match[1]) for name in tensors if (match := re.match(pattern, name))}
    if not numbers or numbers != set(range(len(numbers))):
        raise UnfitCheckpoint("lacks some of its blocks")
    return len(numbers)


def heads_of(width: int) -> int:
    """Return the number of attention heads, which no tensor tells: 64 wide, or sixteen in the largest towers."""
    if width in _SIXTEEN_HEADS:
        return 16
    if width % 64:
        raise UnfitCheckpoint(f"is {width} wide, which no published model of its family is")
    return width // 64


def patch_edge(convolution: torch.Tensor) -> int:
    """Return the edge in pixels of the patches that a convolution, (d, 3, edge, edge), embeds."""
    if convolution.ndim != 4 or convolution.shape[1] != 3 or convolution.shape[2] != convolution.shape[3]:
        raise UnfitCheckpoint(f"embeds patches by a tensor of the shape {tuple(convolution.shape)}")
    return int(convolution.shape[2])


def grid_edge(count: int) -> int:
    """Return the edge of the square grid with this number of patches."""
    edge = math.isqrt(count)
    if count < 1 or edge * edge != count:
        raise UnfitCheckpoint(f"has positions for {count} patches, which make no square")
    return edge


def cropped(
    edge: int,
    *,
    resize: int,
    resample: int,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
) -> dict[str, Any]:
    """Return the preprocessor of a checkpoint that resizes the shortest edge and cuts out the centre."""
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": resize},
        "do_center_crop": True,
        "crop_size": {"height": edge, "width": edge},
        **_values(resample, mean, std),
    }


def squashed(
    edge: int, *, resize: int, resample: int, mean: Sequence[float], std: Sequence[float]
) -> dict[str, Any]:
    """Return the preprocessor of a checkpoint that brings the whole frame to a square, and cuts a margin off."""
    return {
        "image_processor_type": "DeiTImageProcessor",
        "do_resize": True,
        "size": {"height": resize, "width": resize},
        "do_center_crop": True,
        "crop_size": {"height": edge, "width": edge},
        **_values(resample, mean, std),
    }


def _values(resample: int, mean: Sequence[float], std: Sequence[float]) -> dict[str, Any]:
    return {
        "resample": resample,
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": [float(value) for value in mean],
        "image_std": [float(value) for value in std],
    }


def linear(tensors: Tensors, name: str) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Return the weight and bias of a linear layer, or None if there is none of this name."""
    if f"{name}.weight" not in tensors:
        return None
    need(tensors, [f"{name}.{part}" for part in _LINEAR])
    return tensors[f"{name}.weight"], tensors[f"{name}.bias"]


def id2label(count: int, names: Sequence[str] | None = None) -> dict[str, str] | None:
    """Return the labels of a classifier: its own names, those of ImageNet-1k where it has 1,000 of them, or None."""
    if names is None and count == 1000:
        from importlib.resources import files

        listed = files("vitsearch.backbones.families").joinpath("imagenet_labels.txt").read_text("utf-8")
        names = [line for line in listed.splitlines() if not line.startswith("#")]
    if names is None or len(names) != count:
        return None
    return {str(row): name for row, name in enumerate(names)}
