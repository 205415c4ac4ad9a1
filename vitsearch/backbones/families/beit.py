"""BEiT (Bao et al. 2022)."""

from __future__ import annotations

from vitsearch.backbones.families.family import TOKENS, VIT_BASE, Family

# Its attention has relative positions.
FAMILIES = (
    Family(
        model_type="beit",
        readouts=(*TOKENS, "pooled"),
        defaults=VIT_BASE,
        processor="beit",
        fixed_input=True,
    ),
)
