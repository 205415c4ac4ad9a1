"""Heads from one or a few examples per label: nearest prototypes in closed form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError
from vitsearch.heads.evaluation import abstention_threshold, fit_temperature
from vitsearch.heads.folds import assign_folds, near_duplicate_groups
from vitsearch.heads.gate_fit import fit_gate
from vitsearch.heads.head import Head, to_probabilities

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.heads.examples import LabelledRows
    from vitsearch.space import Space

    Floats = npt.NDArray[np.float64]

# How far the covariance within labels is drawn towards a sphere. On ten labels, 0.5 to 0.95 differ by one point.
_SHRINKAGE = 0.8
_FOLDS = 5
# Below this many held-out predictions a fitted temperature is noise.
_ENOUGH_TO_CALIBRATE = 20
# The temperature that suits one photo a label, in units where a prototype has a logit of 1 with itself (measured).
_TEMPERATURE_OF_ONE = 0.1


def from_examples(
    name: str,
    examples: LabelledRows,
    *,
    space: Space,
    background: npt.NDArray[np.float32] | None = None,
) -> Head:
    """Create a softmax head whose prototypes are the mean embeddings of one or more examples per label.

    Rows and prototypes are centred, and prototypes get equal length (SimpleShot, Wang et al. 2019, section 3.2). From
    the second example on, directions of variation within a label count less (linear discriminant with a shrunk
    covariance, Friedman 1989). Temperature and abstention threshold are chosen on held-out examples if there are
    enough. `background` (m, d), other photos of the library, gives the head a gate, as in `train`; it also learns from
    examples without a label.

    Raises:
        HeadError: there is a single label, or a photo has several.

    """
    gated = background is not None
    names = examples.names()
    if len(names) == 1:
        raise HeadError(
            f"a single label {names[0][:40]!r} has nothing to be told from: add examples of another"
        )
    if any(len(labels) > 1 or not (labels or gated) for labels in examples.labels):
        raise HeadError(
            "examples need exactly one label a photo: use `heads train` for photos with several or none"
        )
    members = examples.membership(names)
    labelled = members.any(axis=1)
    groups = near_duplicate_groups(examples.rows)
    rows = examples.rows[labelled].astype(np.float64)
    truth = members[labelled].argmax(axis=1)
    weight, bias = _fit(rows, truth, len(names))
    temperature, abstain_below = _calibrate(rows, truth, len(names), groups[labelled])
    gate = None
    if background is not None:
        classes = np.where(labelled, members.argmax(axis=1), -1)
        folds = assign_folds(np.where(labelled, classes, len(names)), groups, count=_FOLDS, seed=0)
        gate = fit_gate(examples.rows, classes, folds, background).gate
    return Head(
        name,
        names,
        weight.astype(np.float32),
        bias.astype(np.float32),
        space,
        "softmax",
        "examples",
        temperature=temperature,
        abstain_below=abstain_below,
        gate=gate,
        details={"photos": len(rows), "fewest": int(np.bincount(truth).min())},
    )


def _fit(rows: Floats, truth: npt.NDArray[np.int64], labels: int) -> tuple[Floats, Floats]:
    """Return weights (labels, d) and biases (labels,); a label without rows gets zeros."""
    present = np.unique(truth)
    means = np.stack([rows[truth == label].mean(axis=0) for label in present])
    centre = means.mean(axis=0)
    directions = means - centre
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= lengths.mean() / np.maximum(lengths, 1e-9)
    within = rows - means[np.searchsorted(present, truth)]
    solved = _solve_within(within, len(rows) - len(present), directions)
    # In units of a prototype's own squared length, so that a temperature means the same for every model.
    solved /= max(1e-12, float(np.einsum("cd,cd->c", directions, solved).mean()))
    weight, bias = np.zeros((labels, rows.shape[1])), np.zeros(labels)
    weight[present] = solved
    bias[present] = -0.5 * np.einsum("cd,cd->c", directions, solved) - solved @ centre
    return weight, bias


def _solve_within(within: Floats, freedom: int, directions: Floats) -> Floats:
    """Return the directions (c, d), shortened along the variation within labels."""
    width = within.shape[1]
    variance = float((within**2).sum()) / max(1, freedom) / width
    if freedom < 1 or variance <= 1e-12:
        return directions.copy()
    covariance = (1 - _SHRINKAGE) / freedom * (within.T @ within)
    covariance[np.diag_indices(width)] += _SHRINKAGE * variance
    return np.asarray(np.linalg.solve(covariance, directions.T).T, np.float64)


def _calibrate(
    rows: Floats, truth: npt.NDArray[np.int64], labels: int, groups: npt.NDArray[np.int64]
) -> tuple[float, float]:
    """Choose a temperature and an abstention threshold."""
    folds = assign_folds(truth, groups, count=_FOLDS, seed=0)
    logits = np.zeros((len(rows), labels))
    judged = np.zeros(len(rows), np.bool_)
    for fold in np.unique(folds):
        held_out = folds == fold
        if len(np.unique(truth[~held_out])) < labels:
            continue
        weight, bias = _fit(rows[~held_out], truth[~held_out], labels)
        logits[held_out] = rows[held_out] @ weight.T + bias
        judged |= held_out
    if judged.sum() < _ENOUGH_TO_CALIBRATE:
        return _TEMPERATURE_OF_ONE, 0.0
    logits, truth = logits[judged], truth[judged]
    temperature, _ = fit_temperature(logits, truth[:, None] == np.arange(labels), "softmax")
    probabilities = to_probabilities(logits / temperature, "softmax")
    right = probabilities.argmax(axis=1) == truth
    return temperature, abstention_threshold(probabilities.max(axis=1), right)
