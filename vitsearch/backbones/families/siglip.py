"""SigLIP (Zhai et al. 2023) and SigLIP 2 (Tschannen et al. 2025): a pooling head instead of a class token."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.families.family import VIT_BASE, Family, TextTower, of_tokens

if TYPE_CHECKING:
    import torch

    from vitsearch.space import Readout


def _naflex_positions(model: Any, height: int, width: int) -> torch.Tensor:  # noqa: ANN401
    """Return the position embeddings of a grid for images of this size in pixels: (1, patches, d)."""
    import torch

    embeddings = model.embeddings
    side, patch = embeddings.position_embedding_size, model.config.patch_size
    rows, columns = height // patch, width // patch
    table = embeddings.position_embedding.weight.detach().reshape(side, side, -1)
    resized = embeddings.resize_positional_embeddings(table, torch.tensor([[rows, columns]]), rows * columns)
    return torch.as_tensor(resized)


def _read_out_naflex(model: Any, values: torch.Tensor, readout: Readout, prefix_tokens: int) -> torch.Tensor:  # noqa: ANN401
    """Run a NaFlex tower on a square grid, with all patches real.

    As `Siglip2VisionModel.forward`, whose position embeddings are resized image by image and cannot be exported.
    """
    patch = model.config.patch_size
    n, channels, height, width = values.shape
    grid = values.reshape(n, channels, height // patch, patch, width // patch, patch)
    patches = grid.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
    hidden = model.embeddings.patch_embedding(patches) + model.grid_positions
    tokens = model.post_layernorm(model.encoder(inputs_embeds=hidden).last_hidden_state)
    return of_tokens(tokens, model.head(tokens), readout, prefix_tokens)


_TOWER = Family(
    model_type="siglip_vision_model",
    readouts=("projection", "mean"),
    defaults=VIT_BASE,
    processor="siglip",
    prefix_tokens=0,
    class_token=False,
    fixed_input=True,
    model_class="SiglipVisionModel",
    fusible=True,
)
_NAFLEX = replace(
    _TOWER,
    model_type="siglip2_vision_model",
    processor="siglip2",
    fixed_input=False,
    model_class="Siglip2VisionModel",
    read_out=_read_out_naflex,
    positions=_naflex_positions,
    fusible=False,
    no_attention_map=(
        "is of the NaFlex kind, whose patch grid has no fixed shape here: name a checkpoint with a fixed input size, "
        "such as siglip2-base, with --model"
    ),
)
# SigLIP was trained on texts padded to their full length.
FAMILIES = (
    _TOWER,
    replace(
        _TOWER,
        model_type="siglip",
        nested=True,
        text=TextTower("SiglipTextModel", "max_length", "pooler_output"),
    ),
    _NAFLEX,
    replace(
        _NAFLEX,
        model_type="siglip2",
        nested=True,
        text=TextTower("Siglip2TextModel", "max_length", "pooler_output"),
    ),
)
