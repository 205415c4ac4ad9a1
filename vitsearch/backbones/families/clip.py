"""CLIP (Radford et al. 2021): an image and a text tower that meet in one projection."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.families.family import VIT_BASE, BlockNames, Family, TextTower, of_tokens

if TYPE_CHECKING:
    import torch

    from vitsearch.space import Readout


def _read_out(model: Any, values: torch.Tensor, readout: Readout, prefix_tokens: int) -> torch.Tensor:  # noqa: ANN401
    if readout == "projection":
        projected: torch.Tensor = model(pixel_values=values).image_embeds
        return projected
    output = model.vision_model(pixel_values=values)
    # CLIP normalises only the class token of its last layer, and calls it pooled.
    taken: Readout = "pooled" if readout == "cls" else readout
    return of_tokens(output.last_hidden_state, output.pooler_output, taken, prefix_tokens)


_TOWER = Family(
    model_type="clip_vision_model",
    readouts=("projection", "cls", "mean"),
    defaults={**VIT_BASE, "patch_size": 32},
    processor="clip",
    read_out=_read_out,
    fixed_input=True,
    model_class="CLIPVisionModelWithProjection",
    projection_dim=512,
    block=BlockNames("layer_norm1", "self_attn", "out_proj", "num_heads"),
    fusible=True,
)
FAMILIES = (
    _TOWER,
    replace(
        _TOWER,
        model_type="clip",
        nested=True,
        text=TextTower("CLIPTextModelWithProjection", "longest", "text_embeds"),
    ),
)
