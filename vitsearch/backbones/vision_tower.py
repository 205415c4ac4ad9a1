"""The image tower in torch: uint8 pixels in, one raw readout row per image out."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

import torch
import transformers
from transformers.utils import logging as transformers_logging

from vitsearch.backbones.architectures import read_config
from vitsearch.backbones.class_token import only_class_token
from vitsearch.backbones.fused_blocks import fuse
from vitsearch.errors import WeightsUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vitsearch.space import Preprocessing, Readout

Attention = Literal["sdpa", "eager"]


class VisionTower(torch.nn.Module):
    """A frozen image tower with its normalisation in front and its readout behind.

    `forward` takes (n, height, width, 3) uint8 and returns (n, d) float32, not normalised to unit length. The whole
    path from bytes to the readout is one module, so that it runs on the device and can be exported as one graph.
    """

    model: Any  # transformers' models share no type
    scale: torch.Tensor
    shift: torch.Tensor
    positions: torch.Tensor

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
        self.architecture = architecture
        self.readout = readout
        self.prefix_tokens = prefix
        mean, std = torch.tensor(preprocessing.mean), torch.tensor(preprocessing.std)
        self.register_buffer("scale", (1 / (255 * std)).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("shift", (-mean / std).view(1, 3, 1, 1), persistent=False)
        if architecture.startswith("siglip2"):
            self.register_buffer("positions", _naflex_positions(model, preprocessing), persistent=False)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return the readout of each image."""
        values = pixels.permute(0, 3, 1, 2)
        if not self.takes_levels:
            values = values.to(torch.float32) * self.scale + self.shift
        return self._read_out(values).float()

    def _read_out(self, values: torch.Tensor) -> torch.Tensor:
        if self.architecture == "cvt":
            return self._cvt(values)
        if self.architecture.startswith("siglip2"):
            tokens, pooled = self._naflex(values)
        elif self.architecture.startswith("clip"):
            if self.readout == "projection":
                projected: torch.Tensor = self.model(pixel_values=values).image_embeds
                return projected
            tokens, pooled = _outputs(self.model.vision_model, values)
            # CLIP normalises only the class token of its last layer, and calls it pooled.
            if self.readout == "cls":
                return pooled
        else:
            tokens, pooled = _outputs(self.model, values)
        if self.readout in ("pooled", "projection"):
            return pooled
        if self.readout == "cls":
            return tokens[:, 0]
        if self.readout == "cls+distillation":
            return tokens[:, :2].flatten(1)
        mean = tokens[:, self.prefix_tokens :].mean(dim=1)
        return mean if self.readout == "mean" else torch.cat([tokens[:, 0], mean], dim=1)

    def _cvt(self, values: torch.Tensor) -> torch.Tensor:
        """Pool as `CvtForImageClassification` does before its classifier."""
        output = self.model.cvt(pixel_values=values)
        tokens = output.cls_token_value
        if tokens is None:
            tokens = output.last_hidden_state.flatten(2).transpose(1, 2)
        normed: torch.Tensor = self.model.layernorm(tokens)
        return normed.mean(dim=1)

    def _naflex(self, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run a NaFlex tower on a square grid, with all patches real: (tokens, pooled).

        As `Siglip2VisionModel.forward`, whose position embeddings are resized image by image and cannot be exported.
        """
        patch = self.model.config.patch_size
        n, channels, height, width = values.shape
        grid = values.reshape(n, channels, height // patch, patch, width // patch, patch)
        patches = grid.permute(0, 2, 4, 3, 5, 1).flatten(3).flatten(1, 2)
        hidden = self.model.embeddings.patch_embedding(patches) + self.positions
        tokens = self.model.post_layernorm(self.model.encoder(inputs_embeds=hidden).last_hidden_state)
        return tokens, self.model.head(tokens)


def _outputs(model: Any, values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:  # noqa: ANN401
    output = model(pixel_values=values)
    return output.last_hidden_state, output.pooler_output


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
    architecture = str(read_config(folder)["model_type"])
    config = load_config(folder)
    arguments: dict[str, Any] = {}
    if architecture in ("vit", "deit"):
        arguments["add_pooling_layer"] = False  # many checkpoints have none, and its readout is not offered
    if architecture in ("clip", "siglip", "siglip2"):
        projection = getattr(config, "projection_dim", None)
        config = config.vision_config
        if architecture == "clip":
            config.projection_dim = projection
    if architecture != "cvt":
        arguments["attn_implementation"] = attention
    return load_pretrained(_model_class(architecture), folder, config=config, **arguments)


def load_config(folder: Path) -> Any:  # noqa: ANN401 - transformers carries no types
    """Return transformers' own configuration object of a checkpoint folder."""
    with quiet_transformers():
        return transformers.AutoConfig.from_pretrained(folder, local_files_only=True)


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
    except (OSError, RuntimeError, ValueError, KeyError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise WeightsUnavailable(
            f"the weights in {folder} cannot be loaded ({reason}): get the checkpoint again"
        ) from error
    missing = sorted(name for name in report["missing_keys"] if not name.startswith("classifier"))
    if missing:
        raise WeightsUnavailable(
            f"the weights in {folder} lack {missing[0]} and {len(missing) - 1} others: it is not a whole checkpoint"
        )
    return model.eval()  # type: ignore[no-any-return]


def _model_class(architecture: str) -> Any:  # noqa: ANN401 - transformers carries no types
    if architecture.startswith("clip"):
        return transformers.CLIPVisionModelWithProjection
    if architecture.startswith("siglip2"):
        return transformers.Siglip2VisionModel
    if architecture.startswith("siglip"):
        return transformers.SiglipVisionModel
    # The norm before CvT's classifier lives in the classification model; its classifier is not used.
    return transformers.CvtForImageClassification if architecture == "cvt" else transformers.AutoModel


def _naflex_positions(model: Any, preprocessing: Preprocessing) -> torch.Tensor:  # noqa: ANN401
    embeddings = model.embeddings
    side, patch = embeddings.position_embedding_size, model.config.patch_size
    rows, columns = preprocessing.height // patch, preprocessing.width // patch
    table = embeddings.position_embedding.weight.detach().reshape(side, side, -1)
    resized = embeddings.resize_positional_embeddings(table, torch.tensor([[rows, columns]]), rows * columns)
    return torch.as_tensor(resized)


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
