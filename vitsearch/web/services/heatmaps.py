"""Heat maps, drawn in this process; the first one loads PyTorch."""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.decoding.decoders import Decoders
    from vitsearch.explain.attention import AttentionModel, Gradient
    from vitsearch.space import Space

_QUALITY = 88
_SIDE = 1200
# What a photo of any shape is scaled down to in the process that decodes it: 70 MB at most.
_BOX = (4 * _SIDE, 4 * _SIDE)


class HeatMaps:
    """Draws one heat map at a time; the model is loaded for the first one."""

    def __init__(self, decoders: Decoders) -> None:
        self._decoders = decoders
        self._turn = threading.Lock()
        self._model: AttentionModel | None = None
        self._space: Space | None = None

    def draw(
        self, photo: Path, space: Space, *, photo_hash: str, cache: Path, gradient: Gradient | None
    ) -> bytes:
        """Return a photo with its heat map as JPEG: what raises a figure, given its gradient, or the attention rollout.

        Raises:
            ModelError: the model has no attention over the whole photo.
            UnreadablePhoto: the file cannot be decoded, or does not hold this photo (any more).

        """
        from vitsearch.explain.attention import AttentionModel
        from vitsearch.explain.explanation import draw_rollout, draw_towards

        with self._turn:
            if self._model is None or self._space != space:
                self._model, self._space = AttentionModel(space, cache=cache), space
            with self._decoders.open(photo, photo_hash=photo_hash) as opened:
                pixels = opened.pixels(min_side=_SIDE, box=_BOX)
            if gradient is None:
                picture = draw_rollout(pixels, self._model)
            else:
                picture = draw_towards(pixels, self._model, gradient)
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=_QUALITY)
        return buffer.getvalue()
