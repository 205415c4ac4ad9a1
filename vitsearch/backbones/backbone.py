"""The one interface that every runtime implements and every fake in the tests too."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from vitsearch.backbones.preprocessing import prepare
from vitsearch.errors import ModelError, NoTextTower

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    in_flight: int = 0
    """How many batches may be started before the first one's result is asked for; 0 where that gains nothing."""

    @final
    def prepare(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Resize and crop one upright RGB image: uint8 of the preprocessing's `shape`, (height, width, 3).

        The space's preprocessing says all about it, so that processes that decode do the same without the model.
        """
        return prepare(image, self.space.preprocessing)

    @abstractmethod
    def embed_batch(self, pixels: npt.NDArray[np.uint8]) -> Embeddings:
        """Embed prepared pixels, (n, height, width, 3) uint8. Any n, also 0."""

    def start(self, images: Sequence[npt.NDArray[np.uint8]]) -> Callable[[], Embeddings]:
        """Start to embed prepared images, each (height, width, 3) uint8, and return what waits for the result.

        What waits raises what `embed_batch` raises, as may the start.
        """
        import numpy as np

        shape = self.space.preprocessing.shape
        embedded = self.embed_batch(np.stack(images) if images else np.empty((0, *shape), np.uint8))
        return lambda: embedded

    def expect(self, count: int) -> None:  # noqa: B027 - most have nothing to prepare
        """Be told that about so many images are coming: what pays only for many may be prepared now."""

    @property
    def reads_text(self) -> bool:
        """Whether `embed_texts` has a text tower to ask."""
        return type(self).embed_texts is not Backbone.embed_texts

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the same space.

        Raises:
            NoTextTower: the model sees only images.

        """
        del texts
        raise NoTextTower(
            f"{self.space.model} has no text tower: name a model that reads text with --model, such as siglip2-base"
        )
