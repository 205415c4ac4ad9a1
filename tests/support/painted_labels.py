"""Folders of pictures whose label is their colour."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path

COLOURS = {"red": (230, 40, 40), "green": (40, 200, 60), "blue": (50, 60, 220)}


def paint(path: Path, colour: str, number: int) -> Path:
    """A picture of a colour whose four quarters differ a little, so that no two are the same photo."""
    path.parent.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng([number, *COLOURS[colour]])
    quarters = np.clip(COLOURS[colour] + random.integers(-70, 70, (2, 2, 3)), 0, 255).astype(np.uint8)
    Image.fromarray(quarters).resize((64, 48), Image.Resampling.NEAREST).save(path)
    return path


def paint_labels(folder: Path, *, count: int = 8, start: int = 0) -> Path:
    for colour in COLOURS:
        for number in range(start, start + count):
            paint(folder / colour / f"{number}.png", colour, number)
    return folder
