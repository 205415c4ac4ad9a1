"""The small grey picture that a perceptual hash is made of: without NumPy, so that what decodes photos starts fast."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

GRID = 64
"""Its width and height."""


def grey_grid(image: Image) -> Image:
    """Shrink an upright RGB image of any size to 64 x 64 grey levels.

    An image of 128 pixels or more on its shorter side, decoded at any scale, gives nearly the same ones.
    """
    from PIL.Image import Resampling

    # Averaging leaves nothing out; a tiny image has fewer pixels than the grid and is interpolated.
    enough = min(image.size) >= 2 * GRID
    return image.convert("L").resize((GRID, GRID), Resampling.BOX if enough else Resampling.BILINEAR)
