"""Swin (Liu et al. 2021) and CvT (Wu et al. 2021): stages whose grid shrinks, without a class token to read."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from vitsearch.backbones.families.family import Family, Shape, edge

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from vitsearch.space import Readout

_NO_MAP = (
    "attends within windows of a shrinking grid, so that there is no attention from the whole photo to its patches: "
    "name a ViT, DeiT, DINO, BEiT, CLIP or SigLIP model with --model"
)


def _swin_shape(_: Family, vision: Mapping[str, Any]) -> Shape:
    stages = len(vision["depths"])
    # Each stage after the first merges patches two by two and doubles the width.
    patch, width = (edge(vision[name]) * 2 ** (stages - 1) for name in ("patch_size", "embed_dim"))
    return Shape(patch, 0, width, sum(vision["depths"]), vision["num_heads"][-1])


def _cvt_shape(_: Family, vision: Mapping[str, Any]) -> Shape:
    prefix = int(vision["cls_token"][-1])
    patch = math.prod(vision["patch_stride"])
    return Shape(patch, prefix, vision["embed_dim"][-1], sum(vision["depth"]), vision["num_heads"][-1])


def _read_out_cvt(model: Any, values: torch.Tensor, _: Readout, __: int) -> torch.Tensor:  # noqa: ANN401
    """Pool as `CvtForImageClassification` does before its classifier."""
    output = model.cvt(pixel_values=values)
    tokens = output.cls_token_value
    if tokens is None:
        tokens = output.last_hidden_state.flatten(2).transpose(1, 2)
    normed: torch.Tensor = model.layernorm(tokens)
    return normed.mean(dim=1)


FAMILIES = (
    Family(
        model_type="swin",
        readouts=("pooled",),
        defaults={"patch_size": 4, "embed_dim": 96, "depths": [2, 2, 6, 2], "num_heads": [3, 6, 12, 24]},
        processor="vit",
        shape=_swin_shape,
        no_attention_map=_NO_MAP,
    ),
    # The norm before CvT's classifier lives in the classification model; its classifier is not used.
    Family(
        model_type="cvt",
        readouts=("pooled",),
        defaults={
            "patch_stride": [4, 2, 2],
            "embed_dim": [64, 192, 384],
            "depth": [1, 2, 10],
            "num_heads": [1, 3, 6],
            "cls_token": [False, False, True],
        },
        processor="convnext",
        shape=_cvt_shape,
        read_out=_read_out_cvt,
        model_class="CvtForImageClassification",
        chooses_attention=False,
        no_attention_map=_NO_MAP,
    ),
)
