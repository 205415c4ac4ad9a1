"""The gate in front of a head's labels, which decides whether a photo shows any of them."""

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
    """Lets a photo through to the labels only if it looks more like one of them than like the rest of the library.

    - `weight`: (r, d), `bias`: (r,), float32: a linear classifier of the `labels` followed by one or more "none"
      classes, which were learned from other photos of the library. Both are empty, and `labels` is 0, if there were no
      such photos.
    - `cut`: a photo passes if the logsumexp of its label scores exceeds that of its "none" scores by at least this
      much.
    - `examples`: (m, d) float16 unit rows of training examples, possibly empty. A photo also needs a cosine similarity
      of at least `nearest` to one of them.
    - `background`: the number of photos that the "none" classes were learned from.

    Raises:
        HeadError: the parts do not fit together.

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
        """Whether it has "none" classes, learned from other photos of the library."""
        return len(self.bias) > 0

    def without_examples(self) -> Gate | None:
        """Return the gate without the embeddings of its examples, or None if it has nothing else."""
        if not self.knows_background:
            return None
        return replace(self, examples=self.examples[:0], nearest=-1.0)

    def lets_through(self, rows: Floats) -> npt.NDArray[np.bool_]:
        """Return which of the unit rows (n, d) pass, (n,) bool."""
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
    """Return (n,) float32: the logsumexp of the scores of the first `labels` minus that of the other, "none" scores."""
    scores = rows @ weight.T + bias
    return np.asarray(_together(scores[:, :labels]) - _together(scores[:, labels:]), np.float32)


def _together(scores: Floats) -> Floats:
    """Return the logsumexp of each row of scores (n, k)."""
    peak = scores.max(axis=1)
    return np.asarray(peak + np.log(np.exp(scores - peak[:, None]).sum(axis=1)), np.float32)


def nearest_similarity(rows: Floats, others: npt.NDArray[np.floating]) -> Floats:
    """Return the cosine similarity of each unit row (n, d) to the nearest other one (m, d); -1 if there is none."""
    found = np.full(len(rows), -1.0, np.float32)
    if len(others):
        across = others.astype(np.float32, copy=False).T
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            part = slice(start, start + _ROWS_AT_ONCE)
            found[part] = (rows[part] @ across).max(axis=1)
    return found
