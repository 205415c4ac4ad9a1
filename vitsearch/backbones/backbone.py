"""The one interface that every runtime implements and every fake in the tests too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from vitsearch.backbones.preprocessing import prepare
from vitsearch.errors import ModelError, NoTextTower

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt
    from PIL import Image

    from vitsearch.space import Space


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A batch of embeddings.

    `rows`: (n, d) float32, unit rows. `norms`: (n,) float32, the length of each row before it was normalised.
    """

    rows: npt.NDArray[np.float32]
    norms: npt.NDArray[np.float32]

    @classmethod
    def from_raw(cls, raw: npt.NDArray[np.float32]) -> Embeddings:
        """Split a model's raw rows, (n, d) float32, into unit rows and their norms.

        Raises:
            ModelError: a value is not finite, so that nothing useless is ever stored.

        """
        import numpy as np

        norms = np.linalg.norm(raw, axis=1)
        if not np.isfinite(norms).all():
            raise ModelError("the model returned values that are not finite: run it with --device cpu")
        rows = raw / np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
        return cls(rows=rows, norms=norms)


class Backbone(ABC):
    """A frozen model: pixels in, unit vectors of one space out. Batch is the primitive."""

    space: Space
    device: str
    batch_size: int

    @final
    def prepare(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Resize and crop one upright RGB image: (height, width, 3) uint8.

        The space's preprocessing says all about it, so that processes that decode do the same without the model.
        """
        return prepare(image, self.space.preprocessing)

    @abstractmethod
    def embed_batch(self, pixels: npt.NDArray[np.uint8]) -> Embeddings:
        """Embed prepared pixels, (n, height, width, 3) uint8. Any n, also 0."""

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the same space.

        Raises:
            NoTextTower: the model sees only images.

        """
        del texts
        raise NoTextTower(
            f"{self.space.model} has no text tower: index with --model clip-vit-base-patch16 or siglip2-base "
            "to search by text"
        )
