"""The interface of all runtimes, and of the fakes in tests."""

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

    - `rows`: (n, d) float32 unit rows.
    - `norms`: (n,) float32, the length of each row before normalisation.
    """

    rows: npt.NDArray[np.float32]
    norms: npt.NDArray[np.float32]

    @classmethod
    def from_raw(cls, raw: npt.NDArray[np.float32]) -> Embeddings:
        """Split a model's raw output, (n, d) float32, into unit rows and their norms.

        Raises:
            ModelError: a value is not finite.

        """
        import numpy as np

        norms = np.linalg.norm(raw, axis=1)
        if not np.isfinite(norms).all():
            raise ModelError("the model returned values that are not finite: run it with --device cpu")
        rows = raw / np.maximum(norms, np.finfo(np.float32).tiny)[:, None]
        return cls(rows=rows, norms=norms)


class Backbone(ABC):
    """A frozen model that turns pixels into unit vectors of one space. Batches are the primitive."""

    space: Space
    device: str
    batch_size: int
    in_flight: int = 0
    """How many batches may be started before the result of the first is requested; 0 if that gains nothing."""

    @final
    def prepare(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """Resize and crop one upright RGB image: uint8 of the preprocessing's `shape`, (height, width, 3).

        This depends on the space's preprocessing only, so that decoding processes can do it without the model.
        """
        return prepare(image, self.space.preprocessing)

    @abstractmethod
    def embed_batch(self, pixels: npt.NDArray[np.uint8]) -> Embeddings:
        """Embed prepared pixels, (n, height, width, 3) uint8. n may be 0."""

    def start(self, images: Sequence[npt.NDArray[np.uint8]]) -> Callable[[], Embeddings]:
        """Start embedding prepared images, each (height, width, 3) uint8; returns a function that waits for the result.

        Both that function and this method may raise what `embed_batch` raises.
        """
        import numpy as np

        shape = self.space.preprocessing.shape
        embedded = self.embed_batch(np.stack(images) if images else np.empty((0, *shape), np.uint8))
        return lambda: embedded

    def expect(self, count: int) -> None:  # noqa: B027 - most have nothing to prepare
        """Announce about how many images will follow, so that preparations that pay off for many can be made now."""

    @property
    def reads_text(self) -> bool:
        """Whether the model has a text tower, so that `embed_texts` works."""
        return type(self).embed_texts is not Backbone.embed_texts

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts in the same space.

        Raises:
            NoTextTower: the model has no text tower.

        """
        del texts
        raise NoTextTower(
            f"{self.space.model} has no text tower: name a model that reads text with --model, such as siglip2-base"
        )
