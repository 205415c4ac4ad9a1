"""What tells one family of backbones from another: a record each, read wherever the architecture matters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import torch

    from vitsearch.space import Readout

    ReadOut = Callable[[Any, "torch.Tensor", Readout, int], torch.Tensor]

TOKENS: tuple[Readout, ...] = ("cls", "mean", "cls+mean")


@dataclass(frozen=True, slots=True)
class Shape:
    """What the image tower's configuration says, whatever the architecture calls it."""

    patch_size: int
    prefix_tokens: int
    width: int
    layers: int
    heads: int


@dataclass(frozen=True, slots=True)
class BlockNames:
    """What transformers calls the parts of a pre-norm block whose attention has no positions of its own."""

    norm: str
    attention: str
    output: str
    heads: str


@dataclass(frozen=True, slots=True)
class TextTower:
    """The text side: transformers' class, how texts are padded, and the field of its output that holds the rows."""

    model_class: str
    padding: Literal["longest", "max_length"]
    output: str


def plain_shape(family: Family, vision: Mapping[str, Any]) -> Shape:
    """Read the names that most configurations use."""
    return Shape(
        patch_size=edge(vision["patch_size"]),
        prefix_tokens=family.prefix_tokens + vision.get("num_register_tokens", 0),
        width=vision["hidden_size"],
        layers=vision["num_hidden_layers"],
        heads=vision["num_attention_heads"],
    )


def plain_read_out(model: Any, values: torch.Tensor, readout: Readout, prefix_tokens: int) -> torch.Tensor:  # noqa: ANN401
    """Read out normalised pixels (n, 3, h, w): (n, d)."""
    output = model(pixel_values=values)
    return of_tokens(output.last_hidden_state, output.pooler_output, readout, prefix_tokens)


def of_tokens(
    tokens: torch.Tensor, pooled: torch.Tensor, readout: Readout, prefix_tokens: int
) -> torch.Tensor:
    """Return what a readout takes of the last tokens (n, t, d) and what the model makes of them, (n, d)."""
    import torch

    if readout in ("pooled", "projection"):
        return pooled
    if readout == "cls":
        return tokens[:, 0]
    if readout == "cls+distillation":
        return tokens[:, :2].flatten(1)
    mean = tokens[:, prefix_tokens:].mean(dim=1)
    return mean if readout == "mean" else torch.cat([tokens[:, 0], mean], dim=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One `model_type` of transformers' configurations.

    `readouts`: the first is used when none is asked for, the class token where there is one. `defaults`: what
    transformers' configuration class takes where a config.json is silent. `processor`: the image processor where the
    checkpoint names none. `fixed_input`: the model takes images of one size only. `nested`: the image tower's
    configuration is `vision_config`. `block`: where the last block can be computed for the class token alone.
    `fusible`: its blocks can be replaced by `fused_blocks`. `no_attention_map`: why `explain` has nothing to show.
    """

    model_type: str
    readouts: tuple[Readout, ...]
    defaults: Mapping[str, Any]
    processor: str
    prefix_tokens: int = 1
    shape: Callable[[Family, Mapping[str, Any]], Shape] = plain_shape
    read_out: ReadOut = plain_read_out
    fixed_input: bool = False
    nested: bool = False
    model_class: str = "AutoModel"
    model_arguments: Mapping[str, Any] = field(default_factory=dict)
    chooses_attention: bool = True
    projection_dim: int | None = None
    text: TextTower | None = None
    class_token: bool = True
    block: BlockNames | None = None
    fusible: bool = False
    positions: Callable[[Any, int, int], torch.Tensor] | None = None
    no_attention_map: str = ""

    def dimension(self, readout: Readout, config: Mapping[str, Any], width: int) -> int:
        """Return the width of a readout's rows."""
        if readout in ("cls+mean", "cls+distillation"):
            return 2 * width
        if readout == "projection" and self.projection_dim is not None:
            return int(config.get("projection_dim", self.projection_dim))
        return width


def edge(size: int | list[int] | tuple[int, ...]) -> int:
    """Return the edge of a square that is written as one number or as two."""
    return size if isinstance(size, int) else size[0]


VIT_BASE: Mapping[str, Any] = {
    "hidden_size": 768,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "patch_size": 16,
    "image_size": 224,
}
