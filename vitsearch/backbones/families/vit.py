"""ViT (Dosovitskiy et al. 2021) and DeiT, which adds a distillation token (Touvron et al. 2021)."""

from __future__ import annotations

from vitsearch.backbones.families.family import TOKENS, VIT_BASE, BlockNames, Family

_BLOCK = BlockNames("layernorm_before", "attention", "o_proj", "num_attention_heads")
# Many checkpoints have no pooling layer, and its readout is not offered.
_ARGUMENTS = {"add_pooling_layer": False}

VIT = Family(
    model_type="vit",
    readouts=TOKENS,
    defaults=VIT_BASE,
    processor="vit",
    fixed_input=True,
    model_arguments=_ARGUMENTS,
    block=_BLOCK,
    fusible=True,
)
DEIT = Family(
    model_type="deit",
    readouts=(*TOKENS, "cls+distillation"),
    defaults=VIT_BASE,
    processor="deit",
    prefix_tokens=2,
    fixed_input=True,
    model_arguments=_ARGUMENTS,
    block=_BLOCK,
    fusible=True,
)
FAMILIES = (VIT, DEIT)
