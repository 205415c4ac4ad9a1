"""Photos to measure with, made from real ones: as small as web pictures, or as large as a phone's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from vitsearch.folders.scan import walk
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from pathlib import Path


def make_photos(source: Path, target: Path, *, count: int, megapixels: float) -> list[Path]:
    """Write `count` JPEGs of about so many megapixels, cut and enlarged from the photos below `source`.

    Film grain is added: an enlarged photo without it would compress, and so decode, faster than a camera's.
    """
    target.mkdir(parents=True, exist_ok=True)
    originals = [found.path for found in walk(source) if isinstance(found, FoundFile)]
    width = round((megapixels * 1e6 * 4 / 3) ** 0.5)
    height = width * 3 // 4
    random = np.random.default_rng(0)
    made = []
    for index in range(count):
        path = target / f"photo-{index:04}.jpg"
        made.append(path)
        if path.exists():
            continue
        with Image.open(originals[index % len(originals)]) as original:
            image = original.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(image, np.int16)
        grain = random.normal(0, 3, pixels.shape[:2]).astype(np.int16)
        Image.fromarray(np.clip(pixels + grain[..., None], 0, 255).astype(np.uint8)).save(path, quality=90)
    return made
