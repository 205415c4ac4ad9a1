"""A small fake backbone with exact expectations."""

from __future__ import annotations

import numpy as np
from PIL import Image

from vitsearch.backbones.backbone import Backbone, Embeddings
from vitsearch.space import Preprocessing, Space


class MeanColour(Backbone):
    """A backbone whose vector is the mean colour of the four quarters: neighbours can be worked out by hand."""

    device = "cpu"

    def __init__(self, *, batch_size: int = 4, model: str = "mean-colour") -> None:
        self.batch_size = batch_size
        self.batches: list[int] = []
        self.space = Space(
            model=model,
            fingerprint="0" * 64,
            preprocessing=Preprocessing(
                8, 8, 8, "squeeze", Image.Resampling.BOX, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
            ),
            readout="pooled",
            dimension=13,
        )

    @property
    def embedded(self) -> int:
        return sum(self.batches)

    def embed_batch(self, pixels: np.ndarray) -> Embeddings:
        if len(pixels):
            self.batches.append(len(pixels))
        quarters = pixels.reshape(len(pixels), 2, 4, 2, 4, 3).mean(axis=(2, 4)).reshape(len(pixels), 12)
        rows = np.concatenate([quarters / 255, np.full((len(pixels), 1), 0.1)], axis=1).astype(np.float32)
        norms = np.linalg.norm(rows, axis=1)
        return Embeddings(rows / norms[:, None], norms)
