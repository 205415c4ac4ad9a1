"""The image tower in torch: uint8 pixels in, one raw readout row per image out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
import transformers
from transformers.utils import logging as transformers_logging

from vitsearch.backbones.architectures import read_config
from vitsearch.backbones.class_token import only_class_token
from vitsearch.backbones.families import FAMILIES
from vitsearch.backbones.fused_blocks import fuse
from vitsearch.errors import WeightsUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.space import Preprocessing, Readout

Attention = Literal["sdpa", "eager"]
# What transformers raises for a configuration or weights that make no model.
_UNUSABLE = (OSError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


class VisionTower(torch.nn.Module):
    """A frozen image tower with its normalisation in front and its readout behind.

    `forward` takes (n, height, width, 3) uint8 and returns (n, d) float32, not normalised to unit length. The whole
    path from bytes to the readout is one module, so that it runs on the device and can be exported as one graph.
    """

    model: Any  # transformers' models share no type
    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(
        self,
        model: torch.nn.Module,
        architecture: str,
        preprocessing: Preprocessing,
        readout: Readout,
        prefix: int,
        *,
        takes_levels: bool = False,
    ) -> None:
        super().__init__()
        self.model = model
        self.takes_levels = takes_levels
        self.family = FAMILIES[architecture]
        self.readout = readout
        self.prefix_tokens = prefix
        mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)
        if self.family.positions is not None:
            positions = self.family.positions(model, preprocessing.height, preprocessing.width)
            model.register_buffer("grid_positions", positions, persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the readout of each image."""
        values = pixels.permute(0, 3, 1, 2)
        if not self.takes_levels:
            values = values.to(torch.float32) * self.scale + self.shift
        rows: torch.Tensor = self.family.read_out(self.model, values, self.readout, self.prefix_tokens)
        return rows.float()


def load_tower(
    folder: Path,
    preprocessing: Preprocessing,
    readout: Readout,
    prefix_tokens: int,
    *,
    attention: Attention = "sdpa",
    fused: bool = False,
) -> VisionTower:
    """Load a checkpoint folder's image tower in float32, in evaluation mode, on the CPU.

    With `fused`, its blocks are replaced by those of `fused_blocks` where its architecture is known; then the tower
    `takes_levels` and can be turned to half precision as a whole.

    Raises:
        WeightsUnavailable: the weights do not fit the configuration.

    """
    model = load_vision_model(folder, attention=attention)
    architecture = str(read_config(folder)["model_type"])
    is_fused = fused and fuse(model, architecture, readout, preprocessing)
    if not is_fused:
        only_class_token(model, architecture, readout)
    tower = VisionTower(
        model, architecture, preprocessing, readout, prefix_tokens, takes_levels=is_fused
    ).eval()
    return tower.requires_grad_(requires_grad=False)


def load_vision_model(folder: Path, *, attention: Attention = "sdpa") -> torch.nn.Module:
    """Load a checkpoint folder's own image model; `attention="eager"` makes it return attention maps.

    Raises:
        WeightsUnavailable: the weights do not fit the configuration.

    """
    family = FAMILIES[read_config(folder)["model_type"]]
    config = load_config(folder)
    if family.nested:
        projection = getattr(config, "projection_dim", None)
        config = config.vision_config
        if family.projection_dim is not None:
            config.projection_dim = projection
    arguments = dict(family.model_arguments)
    if family.chooses_attention:
        arguments["attn_implementation"] = attention
    return load_pretrained(getattr(transformers, family.model_class), folder, config=config, **arguments)


def load_config(folder: Path) -> Any:  # noqa: ANN401 - transformers carries no types
    """Return transformers' own configuration object of a checkpoint folder.

    Raises:
        WeightsUnavailable: transformers does not know the architecture, or finds a value that makes no sense.
        ModelError: vitsearch does not know the architecture.

    """
    from huggingface_hub.errors import StrictDataclassError

    architecture = read_config(folder)["model_type"]
    if architecture not in transformers.CONFIG_MAPPING:
        raise WeightsUnavailable(
            f"transformers {transformers.__version__} does not know the architecture {architecture} of {folder}: "
            "install a version that does, or mend the model_type in its config.json"
        )
    try:
        with quiet_transformers():
            return transformers.AutoConfig.from_pretrained(folder, local_files_only=True)
    except (*_UNUSABLE, StrictDataclassError) as error:
        raise WeightsUnavailable(
            f"{folder / 'config.json'} makes no model ({_reason(error)}): mend it, or get the checkpoint again"
        ) from error


def _reason(error: Exception) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def load_pretrained(model_class: Any, folder: Path, **arguments: Any) -> torch.nn.Module:  # noqa: ANN401
    """Load a transformers model from safetensors in float32, complete or not at all.

    Raises:
        WeightsUnavailable: a file is damaged, or a weight is missing or has another shape.

    """
    try:
        with quiet_transformers():
            model, report = model_class.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                local_files_only=True,
                output_loading_info=True,
                **arguments,
            )
    except _UNUSABLE as error:
        raise WeightsUnavailable(
            f"the weights in {folder} cannot be loaded ({_reason(error)}): get the checkpoint again"
        ) from error
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("classifier"))
    if missing:
        raise WeightsUnavailable(
            f"the weights in {folder} lack {missing[0]} and {len(missing) - 1} others: it is not a whole checkpoint"
        )
    return model.eval()  # type: ignore[no-any-return]


@contextmanager
def quiet_transformers() -> Iterator[None]:
    """Keep transformers from printing while it loads or is traced: what matters is raised as an error."""
    level, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(level)
        if bars:
            transformers_logging.enable_progress_bar()
