"""Run a model on one photo and keep what it attended to."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from vitsearch.backbones import load_vision_model
from vitsearch.backbones.families import FAMILIES
from vitsearch.backbones.vision_tower import VisionTower
from vitsearch.errors import ModelError, SpaceMismatch
from vitsearch.explain.rollout import attention_rollout, weighted_rollout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.backbones import BackboneSpec, Space

    Floats = npt.NDArray[np.float32]
    Pixels = npt.NDArray[np.uint8]
    Gradient = Callable[[Floats, float], Floats]


@dataclass(frozen=True, slots=True)
class _Run:
    """One forward pass: `layers` hold (1, heads, t, t) each; `pool` (heads, t) is a pooling head's attention."""

    layers: tuple[torch.Tensor, ...]
    raw: torch.Tensor
    pool: torch.Tensor | None


class AttentionModel:
    """A model in float32 on the CPU that says which patches of a photo it attended to.

    Maps are (rows, columns) float32 over the model's patch grid, not negative; class, distillation and register tokens
    are left out. What counts is where the embedding is read: the class token; the mean patch for that readout; the
    probe of the pooling head for SigLIP, which has no class token.
    """

    def __init__(self, space: Space, *, cache: Path) -> None:
        """Load the model of a space.

        Raises:
            ModelError: it attends within windows only, or to a varying grid, so that there is no map over the photo.
            SpaceMismatch: the weights or settings on this machine are not those of the space.
            WeightsUnavailable: as `load_backbone`.

        """
        model, self.spec = load_vision_model(space, cache=cache)
        _check(space, self.spec)
        # Of a photo that is seen cut and whole, the whole is shown.
        pre, patch = space.preprocessing.framings[-1], self.spec.patch_size
        self.spec = replace(self.spec, space=replace(space, preprocessing=pre))
        self._tower = VisionTower(
            model, self.spec.architecture, pre, space.readout, self.spec.prefix_tokens
        ).eval()
        self.grid = pre.height // patch, pre.width // patch

    def rollout(self, pixels: Pixels) -> Floats:
        """Return the attention rollout of one photo's prepared pixels (height, width, 3) over all layers."""
        with torch.no_grad():  # BEiT keeps tensors for the next call, which may need gradients
            run = self._run(pixels)
        return self._on_grid(attention_rollout(_stacked(run.layers), self._start(run)))

    def last_layer(self, pixels: Pixels) -> Floats:
        """Return the attention of the last layer, one map a head: (heads, rows, columns)."""
        with torch.no_grad():
            run = self._run(pixels)
        if run.pool is not None:
            return self._on_grid(run.pool.numpy())
        last = run.layers[-1][0].numpy()
        return self._on_grid(np.asarray(self._start(run) @ last, np.float32))

    def rollout_towards(self, pixels: Pixels, gradient: Gradient) -> Floats:
        """Return what in a photo raises a figure of its embedding: rollout weighted by the figure's gradient.

        `gradient` is told the photo's unit row (d,) and its norm, and returns the gradient of the figure by the
        embedding before it is brought to unit length, (d,) float32. A pooling head's own attention is taken as it is.
        """
        _forget_kept_tensors(self._tower)
        with torch.enable_grad():
            run = self._run(pixels)
            read = run.raw.detach()
            norm = float(read.norm())
            towards = gradient((read / norm).numpy(), norm)
            figure = run.raw @ torch.from_numpy(towards)
            gradients = torch.autograd.grad(figure, run.layers)
        weighted = weighted_rollout(_stacked(run.layers), _stacked(gradients), self._start(run))
        return self._on_grid(weighted)

    def _run(self, pixels: Pixels) -> _Run:
        layers: list[torch.Tensor] = []
        pools: list[torch.Tensor] = []
        poolers = [
            module for module in self._tower.modules() if isinstance(module, torch.nn.MultiheadAttention)
        ]
        hooks = _watch_layers(self._tower.model, layers)
        hooks += [hook for module in poolers for hook in _watch_pooler(module, pools)]
        try:
            raw = self._tower(torch.from_numpy(np.array(pixels))[None])[0]
        finally:
            for hook in hooks:
                hook.remove()
        pool = pools[0].detach() if pools and self.spec.space.readout == "projection" else None
        return _Run(tuple(layers), raw, pool)

    def _start(self, run: _Run) -> Floats:
        """The share of each token in what is read: (t,) float32, sum 1."""
        if run.pool is not None:
            return np.asarray(run.pool.mean(dim=0).numpy(), np.float32)
        prefix, count = self.spec.prefix_tokens, run.layers[0].shape[-1]
        first, mean = np.zeros(count, np.float32), np.zeros(count, np.float32)
        first[0] = 1
        mean[prefix:] = 1 / (count - prefix)
        readout = self.spec.space.readout
        if readout == "cls+mean":
            return np.float32(0.5) * (first + mean)
        if readout == "cls+distillation":
            first[:2] = 0.5
        of_patches = readout == "mean" or (readout == "pooled" and self._tower.model.config.use_mean_pooling)
        return mean if of_patches else first

    def _on_grid(self, tokens: Floats) -> Floats:
        """Cut the patches out of (..., t) and give them their places: (..., rows, columns)."""
        return tokens[..., self.spec.prefix_tokens :].reshape(*tokens.shape[:-1], *self.grid)


def _check(space: Space, spec: BackboneSpec) -> None:
    if spec.space != space:
        raise SpaceMismatch(
            f"the weights of {space.model} on this machine are not those that its vectors were made with: bring the "
            "same weights back, or name a model with --model"
        )
    if reason := FAMILIES[spec.architecture].no_attention_map:
        raise ModelError(f"{space.model} {reason}")


def _watch_layers(model: Any, found: list[torch.Tensor]) -> list[Any]:  # noqa: ANN401 - see VisionTower
    """Make an image model keep each layer's attention, (1, heads, t, t), in `found`."""

    def ask(_: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return arguments, {**named, "output_attentions": True}

    def keep(_: object, arguments: object, output: Any) -> None:  # noqa: ANN401 - transformers' outputs share no type
        del arguments
        found.extend(output.attentions)

    # CLIP's projection is read from the outer model and its class token from the inner one.
    inner = getattr(model, "vision_model", model)
    return [inner.register_forward_pre_hook(ask, with_kwargs=True), inner.register_forward_hook(keep)]


def _watch_pooler(module: torch.nn.Module, found: list[torch.Tensor]) -> list[Any]:
    """Make a pooling head keep its attention, (heads, t), in `found`."""

    def ask(_: object, arguments: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return arguments, {**named, "average_attn_weights": False}

    def keep(_: object, arguments: object, output: tuple[torch.Tensor, torch.Tensor]) -> None:
        del arguments
        found.append(output[1][0, :, 0])

    return [module.register_forward_pre_hook(ask, with_kwargs=True), module.register_forward_hook(keep)]


def _stacked(layers: tuple[torch.Tensor, ...]) -> Floats:
    return torch.stack([layer[0].detach() for layer in layers]).numpy()


def _forget_kept_tensors(tower: torch.nn.Module) -> None:
    """Empty transformers' process-wide cache of BEiT's position indices.

    What an embedding run left there was made in inference mode, and autograd refuses to save such tensors.
    """
    for module in tower.modules():
        method = getattr(type(module), "generate_relative_position_index", None)
        for cell in getattr(method, "__closure__", None) or ():
            if hasattr(cell.cell_contents, "cache_clear"):
                cell.cell_contents.cache_clear()
