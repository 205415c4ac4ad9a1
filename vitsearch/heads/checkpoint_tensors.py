"""Read individual tensors from a checkpoint's safetensors files, without loading the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.backbones.checkpoint import tensor_shapes, weight_files
from vitsearch.errors import WeightsUnavailable

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt


def read_tensors(folder: Path, names: Collection[str]) -> dict[str, npt.NDArray[np.float32]]:
    """Return those of the named tensors that the checkpoint has, as float32.

    Raises:
        WeightsUnavailable: the weights are missing or damaged.

    """
    from safetensors import SafetensorError, safe_open

    tensors = {}
    for path in weight_files(folder):
        wanted = [name for name in tensor_shapes(path) if name in names]
        if not wanted:
            continue
        try:
            # torch, because numpy has no bfloat16 and half of today's checkpoints do.
            with safe_open(path, framework="pt") as file:
                tensors.update({name: file.get_tensor(name).float().numpy() for name in wanted})
        except (OSError, SafetensorError) as error:
            raise WeightsUnavailable(f"{path} cannot be read ({error}): get the checkpoint again") from error
    return tensors
