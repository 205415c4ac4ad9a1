"""Attention maps as arithmetic: from a model's attention to how much each token counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]


def attention_rollout(attention: Floats, start: Floats) -> Floats:
    """Return how much each token of the input counts for what is read at `start`: (t,) float32, sum 1.

    `attention`: (layers, heads, t, t), rows sum to 1. `start`: (t,), sum 1: a one at the class token if that is read.
    The heads are averaged, the identity is added for the residual connection, rows are normalised, and the layers are
    multiplied (Abnar and Zuidema, Quantifying Attention Flow in Transformers, 2020, section 3).
    """
    reached = start.astype(np.float64)
    for layer in attention[::-1]:
        # Row by row from the top: a vector through each layer instead of the product of all of them.
        mixed = layer.mean(axis=0, dtype=np.float64) + np.eye(len(start))
        reached = reached @ (mixed / mixed.sum(axis=1, keepdims=True))
    return reached.astype(np.float32)


def weighted_rollout(attention: Floats, gradients: Floats, start: Floats) -> Floats:
    """Return how much each token speaks for a figure whose gradients are given: (t,) float32, at least 0.

    `attention` and `gradients`: (layers, heads, t, t), the second the figure's derivative by the first. Each layer adds
    the head mean of the positive part of their product (Chefer, Gur and Wolf, Generic Attention-model Explainability,
    2021, equations 5 and 6); the tokens' own identity is left out.
    """
    reached = start.astype(np.float64)
    for layer, gradient in zip(attention[::-1], gradients[::-1], strict=True):
        helps = np.maximum(layer.astype(np.float64) * gradient, 0).mean(axis=0)
        reached = reached + reached @ helps
    return (reached - start).astype(np.float32)
