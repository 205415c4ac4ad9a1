"""The gate in front of a head's labels: whether a photo shows any of them at all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class Gate:
    """Lets a photo through to the labels only where it looks more like one of them than like the rest of a library.

    `weight` (r, d) and `bias` (r,), float32, score first each of the `labels` and then one or more kinds of "none",
    which were learned from photos of the library at large; without such photos both are empty, and `labels` is 0. A
    photo passes where the logsumexp of the labels' scores exceeds that of the kinds of "none" by `cut` or more.
    `examples` (m, d) float16 are unit rows that the labels were learned from: a photo also needs a cosine similarity
    of `nearest` to one of them. It may be empty. `background` counts the photos that "none" was learned from. Raises
    `HeadError` when the parts do not fit together.
    """

    weight: Floats
    bias: Floats
    labels: int
    cut: float
    examples: npt.NDArray[np.float16]
    nearest: float
    background: int

    def __post_init__(self) -> None:
        fits = (
            self.weight.ndim == 2
            and self.bias.shape == self.weight.shape[:1]
            and self.examples.ndim == 2
            and self.examples.shape[1:] == self.weight.shape[1:]
            and (0 < self.labels < len(self.bias) or self.labels == len(self.bias) == 0)
        )
        if not fits:
            raise HeadError(
                f"the gate does not fit together: weights of shape {self.weight.shape} and {self.bias.shape}, "
                f"examples of {self.examples.shape}; make the head anew"
            )
        if (
            self.weight.dtype != np.float32
            or self.bias.dtype != np.float32
            or self.examples.dtype != np.float16
        ):
            raise HeadError(
                "the gate's weights are not float32 or its examples not float16; make the head anew"
            )
        arrays = (self.weight, self.bias, self.examples, np.array([self.cut, self.nearest]))
        if not all(np.isfinite(array).all() for array in arrays):
            raise HeadError("the gate has figures that are not finite; make the head anew")

    @property
    def knows_background(self) -> bool:
        """Whether it learned from photos at large what shows none of the labels."""
        return len(self.bias) > 0

    def without_examples(self) -> Gate | None:
        """Return the gate without the vectors of its examples; None where it knows nothing but them."""
        if not self.knows_background:
            return None
        return replace(self, examples=self.examples[:0], nearest=-1.0)

    def lets_through(self, rows: Floats) -> npt.NDArray[np.bool_]:
        """Return which of the unit rows (n, d) may be labelled, (n,) bool."""
        through = np.ones(len(rows), np.bool_)
        examples = self.examples.astype(np.float32)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = rows[start : start + _ROWS_AT_ONCE]
            passed = through[start : start + _ROWS_AT_ONCE]
            if self.knows_background:
                passed &= margins(part, self.weight, self.bias, self.labels) >= self.cut
            # The nearest example is the dearer question: only photos that passed the first are asked it.
            left = np.flatnonzero(passed)
            if len(examples) and len(left):
                passed[left] = nearest_similarity(part[left], examples) >= self.nearest
        return through


def margins(rows: Floats, weight: Floats, bias: Floats, labels: int) -> Floats:
    """Return (n,) float32: by how much the scores of the first `labels` together exceed those of "none", the others."""
    scores = rows @ weight.T + bias
    return np.asarray(_together(scores[:, :labels]) - _together(scores[:, labels:]), np.float32)


def _together(scores: Floats) -> Floats:
    """Return the logsumexp of each row of scores (n, k)."""
    peak = scores.max(axis=1)
    return np.asarray(peak + np.log(np.exp(scores - peak[:, None]).sum(axis=1)), np.float32)


def nearest_similarity(rows: Floats, others: npt.NDArray[np.floating]) -> Floats:
    """Return the cosine similarity of each unit row (n, d) to the nearest of the others (m, d); -1 without any."""
    found = np.full(len(rows), -1.0, np.float32)
    if len(others):
        across = others.astype(np.float32, copy=False).T
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            found[part] = (rows[part] @ across).max(axis=1)
    return found
