"""The quality that a JPEG was saved at, read from its quantisation table."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

# The sum of ITU-T T.81's example table for luminance (annex K.1), which nearly all encoders scale.
_STANDARD_SUM = 3688


def quality_of(table: Sequence[int]) -> int | None:
    """Estimate on libjpeg's scale of 1 to 100 from the 64 steps for luminance; None where there are none."""
    if not table:
        return None
    scale = 100 * float(sum(table)) / _STANDARD_SUM
    # libjpeg's jpeg_quality_scaling, the other way round.
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return round(min(100.0, max(1.0, quality)))
