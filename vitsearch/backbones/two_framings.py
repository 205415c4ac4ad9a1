"""A backbone that embeds photos both centre-cropped and whole, and averages the two."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vitsearch.backbones.backbone import Backbone, Embeddings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from vitsearch.space import BackboneSpec, Space

    Pixels = npt.NDArray[np.uint8]


class TwoFramings(Backbone):
    """A backbone whose rows are the normalised mean of the unit rows of two framings; norms are averaged.

    Prepared photos hold both inputs, stacked vertically, so that all code that passes pixels on handles them as one.
    """

    def __init__(self, backbone: Backbone, space: Space) -> None:
        """Wrap a backbone of the first framing of `space`."""
        self.space = space
        self.device = backbone.device
        self._backbone = backbone
        self._follow()

    def embed_batch(self, pixels: Pixels) -> Embeddings:
        """Embed prepared pixels, (n, 2 * height, width, 3) uint8. Raises as the backbone does."""
        return _mean(
            self._backbone.embed_batch(pixels.reshape(-1, *self._backbone.space.preprocessing.shape))
        )

    def start(self, images: Sequence[Pixels]) -> Callable[[], Embeddings]:
        """Start to embed prepared images, each (2 * height, width, 3) uint8. Raises as the backbone does."""
        shape = self._backbone.space.preprocessing.shape
        wait = self._backbone.start([view for image in images for view in image.reshape(-1, *shape)])
        self._follow()
        return lambda: _mean(wait())

    def expect(self, count: int) -> None:
        """Announce about how many images will follow."""
        self._backbone.expect(2 * count)
        self._follow()

    @property
    def reads_text(self) -> bool:
        """Whether the backbone has a text tower."""
        return self._backbone.reads_text

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the same space. Raises as the backbone does."""
        return self._backbone.embed_texts(texts)

    def _follow(self) -> None:
        """Copy settings that the wrapped backbone changes while it runs."""
        self.batch_size = max(1, self._backbone.batch_size // 2)
        self.in_flight = self._backbone.in_flight


def first_framing(space: Space) -> Space:
    """Return the space of the first of two framings."""
    return replace(space, preprocessing=space.preprocessing.framings[0])


def spec_of_first(spec: BackboneSpec) -> BackboneSpec:
    """Return the spec of the first of two framings."""
    return replace(spec, space=first_framing(spec.space))


def _mean(embedded: Embeddings) -> Embeddings:
    rows = embedded.rows.reshape(len(embedded.rows) // 2, 2, embedded.rows.shape[1]).mean(axis=1)
    return Embeddings(Embeddings.from_raw(rows).rows, embedded.norms.reshape(-1, 2).mean(axis=1))
