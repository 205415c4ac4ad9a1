"""What the runtimes share: a backbone that was loaded from a checkpoint, which may have a text tower."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.backbones.backbone import Backbone, Embeddings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.backbones.text_tower import TextTower
    from vitsearch.space import BackboneSpec


class CheckpointBackbone(Backbone):
    """A backbone from a checkpoint. Its text tower, if it has one, is loaded for the first text and runs in torch."""

    spec: BackboneSpec
    _texts: TextTower | None = None

    @property
    def reads_text(self) -> bool:
        """Whether the checkpoint has a text tower."""
        return self.spec.has_text

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the same space.

        Raises:
            NoTextTower: the checkpoint has no text tower.
            SpaceMismatch: the weights on this machine are no longer those of the space.

        """
        if not self.spec.has_text:
            return super().embed_texts(texts)
        if not texts:
            return self._no_embeddings()
        if self._texts is None:
            self._texts = self._load_texts()
        return Embeddings.from_raw(self._texts.embed(texts))

    @abstractmethod
    def _load_texts(self) -> TextTower:
        """Load the text tower."""

    def _no_embeddings(self) -> Embeddings:
        return Embeddings.from_raw(np.zeros((0, self.space.dimension), dtype=np.float32))
