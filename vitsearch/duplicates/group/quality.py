"""The quality that a JPEG was saved at, read from its header."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.photo import open_regular

if TYPE_CHECKING:
    from pathlib import Path

# The sum of ITU-T T.81's example table for luminance (annex K.1), which nearly all encoders scale.
_STANDARD_SUM = 3688


def jpeg_quality(path: Path) -> int | None:
    """Estimate on libjpeg's scale of 1 to 100 from the quantisation table; None for what is not a JPEG."""
    from PIL import Image

    try:
        with open_regular(path) as file, Image.open(file, formats=("JPEG",)) as image:
            tables = getattr(image, "quantization", None)
    except (UnreadablePhoto, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    if not tables or 0 not in tables:
        return None
    scale = 100 * float(np.sum(tables[0])) / _STANDARD_SUM
    # libjpeg's jpeg_quality_scaling, the other way round.
    quality = (200 - scale) / 2 if scale <= 100 else 5000 / scale
    return round(min(100.0, max(1.0, quality)))
