"""DINOv2 (Oquab et al. 2024), with registers (Darcet et al. 2024), and DINOv3 (Siméoni et al. 2025)."""

from __future__ import annotations

from vitsearch.backbones.families.family import TOKENS, VIT_BASE, BlockNames, Family

_BLOCK = BlockNames("norm1", "attention", "o_proj", "num_attention_heads")

FAMILIES = (
    Family(
        model_type="dinov2",
        readouts=TOKENS,
        defaults={**VIT_BASE, "patch_size": 14},
        processor="bit",
        block=_BLOCK,
        fusible=True,
    ),
    Family(
        model_type="dinov2_with_registers",
        readouts=TOKENS,
        defaults={**VIT_BASE, "num_register_tokens": 4},
        processor="bit",
        block=_BLOCK,
        fusible=True,
    ),
    # Its attention has rotary positions.
    Family(
        model_type="dinov3_vit",
        readouts=TOKENS,
        defaults={**VIT_BASE, "hidden_size": 384, "num_attention_heads": 6, "num_register_tokens": 0},
        processor="dinov3vit",
    ),
)
