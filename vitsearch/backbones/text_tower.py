"""The text tower of an image-text checkpoint: sentences in, raw rows of the image tower's space out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import transformers

from vitsearch.backbones.architectures import read_config
from vitsearch.backbones.families import FAMILIES
from vitsearch.backbones.vision_tower import load_config, load_pretrained
from vitsearch.errors import WeightsUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


class TextTower:
    """The text side of a CLIP or SigLIP checkpoint, in float32 on one device."""

    def __init__(self, folder: Path, *, device: str) -> None:
        family = FAMILIES[read_config(folder)["model_type"]]
        assert family.text is not None
        self._family = family.text
        config = load_config(folder)
        text = config.text_config
        if family.projection_dim is not None:
            text.projection_dim = config.projection_dim
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsUnavailable(
                f"{folder} has no tokenizer, so that it cannot answer text queries: get the checkpoint again"
            ) from error
        self._model = load_pretrained(
            getattr(transformers, self._family.model_class), folder, config=text
        ).to(device)
        self._device = device
        self._length = text.max_position_embeddings

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return one row per text, at least one: (n, d) float32, not normalised; long texts are cut."""
        tokens = self._tokenizer(
            list(texts),
            padding=self._family.padding,
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
        ).to(self._device)
        with torch.inference_mode():
            output = self._model(**tokens)
        rows = getattr(output, self._family.output)
        return rows.float().cpu().numpy()  # type: ignore[no-any-return]
