"""The torch runtime: the reference on the CPU, and MPS. CUDA has a runtime of its own."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import numpy as np
import torch

from vitsearch.backbones.accelerator import AcceleratorBackbone, is_out_of_memory
from vitsearch.backbones.backbone import Embeddings
from vitsearch.backbones.checkpoint_backbone import CheckpointBackbone
from vitsearch.backbones.vision_tower import load_tower
from vitsearch.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.backbones.text_tower import TextTower
    from vitsearch.backbones.vision_tower import VisionTower
    from vitsearch.space import BackboneSpec

_BATCH_SIZES = {"cpu": 8, "mps": 32}


class TorchBackbone(CheckpointBackbone):
    """A backbone that runs in torch: float32 on the CPU, autocast to half precision on MPS."""

    def __init__(
        self,
        tower: VisionTower,
        spec: BackboneSpec,
        folder: Path,
        *,
        device: str,
        batch_size: int | None,
        notice: Callable[[str], None],
    ) -> None:
        self.space = spec.space
        self.spec = spec
        self.device = device
        self.batch_size = batch_size or _BATCH_SIZES[device]
        self._tower = tower.to(device)
        self._folder = folder
        self._notice = notice

    def embed_batch(self, pixels: npt.NDArray[np.uint8]) -> Embeddings:
        """Embed prepared pixels, (n, height, width, 3) uint8; a batch that does not fit in memory is halved.

        Raises:
            ModelError: not even one image fits, or the model returned values that are not finite.

        """
        if not len(pixels):
            return self._no_embeddings()
        rows: list[torch.Tensor] = []
        start = 0
        while start < len(pixels):
            chunk = pixels[start : start + self.batch_size]
            try:
                rows.append(self._forward(chunk))
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                self._use_smaller_batches(len(chunk))
                continue
            start += len(chunk)
        # Results are fetched only here, so that copying and preparing a chunk overlap with computing the one before.
        return Embeddings.from_raw(torch.cat(rows).cpu().numpy())

    def _load_texts(self) -> TextTower:
        from vitsearch.backbones.text_tower import TextTower

        return TextTower(self._folder, device=self.device)

    def _forward(self, pixels: npt.NDArray[np.uint8]) -> torch.Tensor:
        batch = torch.from_numpy(np.require(pixels, requirements=["C", "W"]))
        with torch.inference_mode(), _autocast(self.device):
            return self._tower(batch.to(self.device))  # type: ignore[no-any-return]

    def _use_smaller_batches(self, tried: int) -> None:
        if tried == 1:
            raise ModelError(
                f"not even one image fits in the memory of {self.device}: use --device cpu or a smaller model"
            )
        self.batch_size = tried // 2
        self._notice(f"out of memory with {tried} images at a time: going on with {self.batch_size}")
        if self.device == "mps":
            torch.mps.empty_cache()


def open_torch(
    spec: BackboneSpec,
    folder: Path,
    *,
    device: str,
    cache: Path,
    batch_size: int | None,
    notice: Callable[[str], None],
) -> Backbone:
    """Load a checkpoint folder into torch on a device; on CUDA, on all devices visible to this process.

    Raises:
        WeightsUnavailable: the weights do not match the configuration.

    """
    space = spec.space
    tower = load_tower(folder, space.preprocessing, space.readout, spec.prefix_tokens, fused=device == "cuda")
    if device != "cuda":
        return TorchBackbone(tower, spec, folder, device=device, batch_size=batch_size, notice=notice)
    devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return AcceleratorBackbone(
        tower, spec, folder, devices=devices, cache=cache, batch_size=batch_size, notice=notice
    )


def _autocast(device: str) -> AbstractContextManager[object]:
    return nullcontext() if device == "cpu" else torch.autocast(device, dtype=torch.float16)
