"""Fit a head's gate: the library's own sample is the class "none", and cuts are earned on photos held out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.heads.gate import Gate, margins, nearest_similarity

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]
    Fitted = tuple[Floats, Floats]

# Chosen on photos of clothes and of groceries, with libraries of BSDS500; docs/benchmarks.md reports on others.
_RIDGE = 0.3
_SHARPNESS = 20.0
# What may be lost of the labels' own photos, held out, to the cut and to the guard.
_LOST = 0.03
_LOST_TO_GUARD = 0.01
# A guard that stands alone has to do the cut's work too.
_LOST_TO_LONE_GUARD = 0.025
# Photos of the sample that pass for a label as well as the least typical quarter of its own are not taken for "none".
_LOOKS_LABELLED = 0.25
# The part of the sample that looks most like a label, and the share of the weight of "none" that it has to itself.
_HARD = 0.05
_HARD_AT_LEAST = 100
_HARD_SHARE = 0.5
_SMALLEST_BACKGROUND = 20
_SMALLEST_GUARD = 10
_ENOUGH_FOR_A_QUANTILE = 100
_LARGEST_GUARD = 512
# A copy of a labelled photo is no example of "none".
_SAME_PHOTO = 0.97
_LABELS_LEFT_OUT = 20


@dataclass(frozen=True, slots=True, eq=False)
class FittedGate:
    """A gate, and what it does with photos that it was not fitted on.

    `passed`: (n,) bool, the rows that it lets through; `of_sample`: (m,) bool, the same of the sample, where it was
    learned from. `strangers`: for each label that was left out in turn, the share
    of its photos that still pass where the library's sample holds others of that kind; `newcomers`: where it holds
    none. Both are (labels,), empty where there is nothing to tell them from.
    """

    gate: Gate
    passed: Flags
    of_sample: Flags
    strangers: npt.NDArray[np.float64]
    newcomers: npt.NDArray[np.float64]


def fit_gate(rows: Floats, classes: Ids, folds: Ids, sample: Floats) -> FittedGate:
    """Fit a gate on unit rows (n, d) of `classes` (n,): labels from 0, or -1 where a person said that none fits.

    `folds` (n,) numbers the folds, which copies share. `sample` (m, d): other photos of the library, drawn at random.
    An open class learned from photos at large: Hendrycks et al., Deep Anomaly Detection with Outlier Exposure, 2019.
    They may show the labels too: what looks like one, held out, is dropped before the second fit, as in the first step
    of learning from positive and unlabelled examples (Liu et al., Partially Supervised Classification of Text
    Documents, 2002, section 3). Of the rest, what looks most like a label has half of the weight, or kinds that are
    rare in the library would count for nothing (hard negatives: Felzenszwalb et al., Object Detection with
    Discriminatively Trained Part-Based Models, 2010, section 4.4). Scores are a ridge regression on the classes, the
    least-squares form of a linear discriminant. The guard by the nearest example: Sun et al., Out-of-Distribution
    Detection with Deep Nearest Neighbors, 2022.
    """
    labelled = classes >= 0
    known = rows[labelled]
    guard = _Guard.of(known, classes[labelled], folds[labelled])
    sample = sample[nearest_similarity(sample, known) < _SAME_PHOTO]
    refused = int((~labelled).sum())
    passed = np.zeros(len(rows), np.bool_)
    if not refused and len(sample) < _SMALLEST_BACKGROUND:
        nearest = guard.threshold(_LOST_TO_LONE_GUARD)
        gate = Gate(np.empty((0, rows.shape[1]), np.float32), _NOTHING, 0.0, guard.examples, nearest, 0)
        passed[labelled] = guard.similar >= nearest
        return FittedGate(gate, passed, np.empty(0, np.bool_), np.empty(0), np.empty(0))
    fit = _Fit(rows, classes, folds)
    held_out, of_sample = fit.held_out(sample, np.ones(len(sample)))
    looks_labelled = float(np.quantile(held_out[labelled], _LOOKS_LABELLED))
    unlike = of_sample < looks_labelled
    if not refused and unlike.sum() < _SMALLEST_BACKGROUND:
        unlike[:] = True
    kept, weights = sample[unlike], _weights(of_sample[unlike])
    held_out, of_sample[unlike] = fit.held_out(kept, weights)
    background = fit.background(kept, weights)
    weight, bias = _solve(fit.everyone, background)
    cut = min(_lower_tail(held_out[labelled], _LOST), 0.0)
    nearest = guard.threshold(_LOST_TO_GUARD)
    gate = Gate(weight, bias, cut, guard.examples, nearest, len(kept) + refused)
    passed = held_out >= cut
    passed[labelled] &= guard.similar >= nearest
    sample_passed = (of_sample >= cut) & (nearest_similarity(sample, guard.examples) >= nearest)
    strangers, newcomers = _leave_labels_out(fit, sample, background, gate, looks_labelled)
    return FittedGate(gate, passed, sample_passed, strangers, newcomers)


_NOTHING = np.empty(0, np.float32)


def _weights(of_sample: Floats) -> npt.NDArray[np.float64]:
    """Return the weights (m,) of photos in the class "none", by how much they look like a label; their mean is 1."""
    count = len(of_sample)
    hard = min(count, max(int(_HARD * count), _HARD_AT_LEAST))
    weights = np.full(count, 1 - _HARD_SHARE)
    weights[np.argsort(-of_sample, kind="stable")[:hard]] += _HARD_SHARE * count / max(1, hard)
    return weights


def _lower_tail(values: Floats, share: float) -> float:
    """Return the value that a share of photos like these fall below.

    The lowest of few values is still too high for that; the tail of a normal distribution is not.
    """
    quantile = float(np.quantile(values, share))
    if len(values) >= _ENOUGH_FOR_A_QUANTILE:
        return quantile
    normal = float(values.mean() + NormalDist().inv_cdf(share) * values.std())
    return min(quantile, normal)


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Weighted sums over rows by class. They add and subtract, so that a fold costs no pass over the other rows."""

    weight: npt.NDArray[np.float64]
    total: npt.NDArray[np.float64]
    square: npt.NDArray[np.float64]

    @classmethod
    def of(cls, rows: Floats, classes: Ids, weights: npt.NDArray[np.float64], count: int) -> _Sums:
        weighted = rows * weights.astype(np.float32)[:, None]
        total = np.eye(count, dtype=np.float32)[classes].T @ weighted
        square = weighted.T @ rows
        weight = np.bincount(classes, weights, count).astype(np.float64)
        return cls(weight, total.astype(np.float64), square.astype(np.float64))

    def __add__(self, other: _Sums) -> _Sums:
        return _Sums(self.weight + other.weight, self.total + other.total, self.square + other.square)

    def __sub__(self, other: _Sums) -> _Sums:
        return _Sums(self.weight - other.weight, self.total - other.total, self.square - other.square)

    def scaled(self, factor: float) -> _Sums:
        return _Sums(self.weight * factor, self.total * factor, self.square * factor)


def _solve(labelled: _Sums, background: _Sums) -> Fitted:
    """Return (c + 1, d) weights and (c + 1,) biases; the background weighs as much as all labels together."""
    size = float(background.weight.sum())
    sums = labelled + background.scaled(float(labelled.weight[:-1].sum()) / size) if size else labelled
    everything = sums.weight.sum()
    shares = sums.weight / everything
    centre = sums.total.sum(axis=0) / everything
    spread = sums.square / everything - np.outer(centre, centre)
    spread[np.diag_indices(len(spread))] += _RIDGE * np.trace(spread) / len(spread) + 1e-9
    targets = sums.total / everything - shares[:, None] * centre
    weight = np.linalg.solve(spread, targets.T).T
    bias = shares - weight @ centre
    # A label that a fold did not see must be nobody's answer.
    bias[sums.weight < 1e-9] = -2.0
    return (_SHARPNESS * weight).astype(np.float32), (_SHARPNESS * bias).astype(np.float32)


class _Fit:
    """The rows that a person spoke of, summed up for fits on parts of them."""

    def __init__(self, rows: Floats, classes: Ids, folds: Ids) -> None:
        labelled = classes >= 0
        self.rows, self.classes, self.folds = rows, classes, folds
        self.labels = int(classes.max()) + 1
        sizes = np.bincount(classes[labelled], minlength=self.labels)
        balanced = labelled.sum() / (self.labels * np.maximum(1, sizes))
        # A photo of which a person said "none" weighs as much as one with a label.
        self._weights = np.where(labelled, balanced[np.maximum(classes, 0)], 1.0)
        self.everyone = self.sums(np.ones(len(rows), np.bool_))

    def sums(self, chosen: Flags) -> _Sums:
        classes = np.where(self.classes < 0, self.labels, self.classes)[chosen]
        return _Sums.of(self.rows[chosen], classes, self._weights[chosen], self.labels + 1)

    def background(self, rows: Floats, weights: npt.NDArray[np.float64]) -> _Sums:
        return _Sums.of(rows, np.full(len(rows), self.labels), weights, self.labels + 1)

    def held_out(self, sample: Floats, weights: npt.NDArray[np.float64]) -> tuple[Floats, Floats]:
        """Return the margins of rows and sample, each under a fit that saw nothing of its fold."""
        background = self.background(sample, weights)
        numbers = np.unique(self.folds)
        sample_folds = np.random.default_rng(0).choice(numbers, len(sample))
        of_rows, of_sample = np.empty(len(self.rows), np.float32), np.empty(len(sample), np.float32)
        for fold in numbers:
            out, sample_out = self.folds == fold, sample_folds == fold
            left_out = self.background(sample[sample_out], weights[sample_out])
            fitted = _solve(self.everyone - self.sums(out), background - left_out)
            of_rows[out] = margins(self.rows[out], *fitted)
            of_sample[sample_out] = margins(sample[sample_out], *fitted)
        return of_rows, of_sample


@dataclass(frozen=True, slots=True, eq=False)
class _Guard:
    """Examples to compare photos with, and how similar each labelled row is to the nearest of another fold."""

    examples: npt.NDArray[np.float16]
    similar: Floats

    @classmethod
    def of(cls, known: Floats, classes: Ids, folds: Ids) -> _Guard:
        if len(known) < _SMALLEST_GUARD or len(np.unique(folds)) < 2:
            return cls(np.empty((0, known.shape[1]), np.float16), np.ones(len(known), np.float32))
        # Of many, the same number of each label, so that rare ones have their examples.
        order = np.random.default_rng(0).permutation(len(known))
        turns = np.empty(len(known), np.int64)
        for label in np.unique(classes):
            its = order[classes[order] == label]
            turns[its] = np.arange(len(its))
        chosen = np.sort(np.lexsort((order, turns))[:_LARGEST_GUARD])
        similar = np.empty(len(known), np.float32)
        for fold in np.unique(folds):
            similar[folds == fold] = nearest_similarity(
                known[folds == fold], known[chosen[folds[chosen] != fold]]
            )
        return cls(known[chosen].astype(np.float16), similar)

    def threshold(self, lost: float) -> float:
        return _lower_tail(self.similar, lost) if len(self.examples) else -1.0


def _leave_labels_out(
    fit: _Fit, sample: Floats, background: _Sums, gate: Gate, looks_labelled: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Let each label in turn be a stranger, and return which shares of its photos still pass."""
    strangers, newcomers = [], []
    if fit.labels >= 3:
        chosen = np.random.default_rng(0).permutation(fit.labels)[:_LABELS_LEFT_OUT]
        for label in np.sort(chosen):
            its = fit.classes == label
            rows, rest = fit.rows[its], fit.everyone - fit.sums(its)
            guarded = (
                nearest_similarity(rows, fit.rows[(fit.classes >= 0) & ~its]) >= gate.nearest
                if len(gate.examples)
                else np.ones(len(rows), np.bool_)
            )
            alone = margins(rows, *_solve(rest, background))
            newcomers.append(float(((alone >= gate.cut) & guarded).mean()))
            half = fit.folds[its] % 2 == 0
            if half.any() and not half.all():
                margin = _in_the_sample(fit, rest, rows, half, sample, looks_labelled)
                strangers.append(float(((margin >= gate.cut) & guarded).mean()))
    return np.array(strangers), np.array(newcomers)


def _in_the_sample(
    fit: _Fit, rest: _Sums, rows: Floats, half: Flags, sample: Floats, looks_labelled: float
) -> Floats:
    """Return the margins of a left-out label's rows (n,) where the `half` that is not judged lies in the sample.

    The whole sample is sorted anew into what looks like a label and what does not: among what was dropped for its
    looks are the label's own photos, which are now strangers.
    """
    margin, of_sample = np.empty(len(rows), np.float32), np.empty(len(sample), np.float32)
    side = np.random.default_rng(1).random(len(sample)) < 0.5
    for mine, its in ((side, half), (~side, ~half)):
        joined = np.concatenate([sample[mine], rows[its]])
        fitted = _solve(rest, fit.background(joined, np.ones(len(joined))))
        of_sample[~mine], margin[~its] = margins(sample[~mine], *fitted), margins(rows[~its], *fitted)
    unlike = of_sample < looks_labelled
    left, of_left = sample[unlike], of_sample[unlike]
    judged = margin.copy()
    for its in (half, ~half):
        joins = its & (margin < looks_labelled)
        weights = _weights(np.concatenate([of_left, margin[joins]]))
        background = fit.background(np.concatenate([left, rows[joins]]), weights)
        judged[~its] = margins(rows[~its], *_solve(rest, background))
    return judged
