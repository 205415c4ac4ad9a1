"""The text tower of an image-text checkpoint: sentences in, raw rows of the image tower's space out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import transformers

from vitsearch.backbones.architectures import read_config
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
        self._architecture = str(read_config(folder)["model_type"])
        config = load_config(folder)
        text = config.text_config
        if self._architecture == "clip":
            text.projection_dim = config.projection_dim
        classes = {
            "clip": transformers.CLIPTextModelWithProjection,
            "siglip": transformers.SiglipTextModel,
            "siglip2": transformers.Siglip2TextModel,
        }
        try:
            self._tokenizer = transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise WeightsUnavailable(
                f"{folder} has no tokenizer, so that it cannot answer text queries: get the checkpoint again"
            ) from error
        self._model = load_pretrained(classes[self._architecture], folder, config=text).to(device)
        self._device = device
        self._length = text.max_position_embeddings

    def embed(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """Return one row per text, at least one: (n, d) float32, not normalised; long texts are cut."""
        # SigLIP was trained on texts padded to their full length.
        padding = True if self._architecture == "clip" else "max_length"
        tokens = self._tokenizer(
            list(texts), padding=padding, truncation=True, max_length=self._length, return_tensors="pt"
        ).to(self._device)
        with torch.inference_mode():
            output = self._model(**tokens)
        rows = output.text_embeds if self._architecture == "clip" else output.pooler_output
        return rows.float().cpu().numpy()  # type: ignore[no-any-return]
