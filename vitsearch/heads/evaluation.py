"""How good a head is, told from predictions on photos that it was not fitted on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.estimates import Estimate, wilson_interval
from vitsearch.heads.head import to_probabilities

if TYPE_CHECKING:
    import numpy.typing as npt

    from vitsearch.heads.gate_fit import FittedGate
    from vitsearch.heads.head import Head, Kind

_BINS = 15
_KEPT_ACCURACY = 0.95
_RARELY_RIGHT = 0.01


@dataclass(frozen=True, slots=True)
class LabelReport:
    """One label: how many photos have it, and how well it was found (all 0 to 1)."""

    label: str
    photos: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class GateReport:
    """What a gate does with photos that it was not fitted on; shares are 0 to 1, with 95 % confidence intervals.

    `passed`: of the photos that have a label, those that it lets through; `accuracy`: of these, those whose best label
    is right. `strangers`: of photos of a kind that the library holds and no label names, those that would be let
    through, as told by each label in turn, left out of training; `newcomers`: the same of kinds that the library does
    not hold yet. `library`: of photos like the library's other ones, those let through, rightly or not; of those
    themselves, which it has learned "none" from, it takes `taken_for_none` of the `sampled` for it. `background`: how
    many photos the class "none" was learned from. What cannot be told is None.

    `strangers` is of kinds of which `held` photos each are among the `sampled` ones of the library that were looked at:
    of kinds with more photos there fewer are let through, of those with less more are.
    """

    background: int
    sampled: int
    held: int
    passed: Estimate
    accuracy: Estimate | None
    strangers: Estimate | None
    newcomers: Estimate | None
    library: Estimate | None
    taken_for_none: int = 0


@dataclass(frozen=True, slots=True)
class Report:
    """Cross-validated figures: every photo was judged by a head that had seen neither it nor a near duplicate.

    `accuracy`: share of photos whose labels were all right (of a sigmoid head: at probability 0.5), with its 95 %
    confidence `interval`. `calibration_error`: expected calibration error over 15 bins. `confusion`: row i,
    column j counts photos of label i that were given label j; empty for a sigmoid head. `kept`: share of photos
    not abstained from, and `kept_accuracy` the share of those whose best label is right. `gate`: of heads
    that have one.
    """

    photos: int
    groups: int
    folds: int
    c: float
    accuracy: float
    interval: tuple[float, float]
    macro_f1: float
    calibration_error: float
    labels: tuple[LabelReport, ...]
    confusion: tuple[tuple[int, ...], ...]
    kept: float
    kept_accuracy: float
    seconds: float
    gate: GateReport | None = None


def log_loss(
    logits: npt.NDArray[np.floating], members: npt.NDArray[np.bool_], kind: Kind, temperature: float
) -> float:
    """Return the mean negative log likelihood of the smoothed truth `members` (n, c) under `logits / temperature`.

    The truth is taken to be wrong once in n + 2 times (Platt 1999, section 2.2), so that predictions that are all
    right do not call for infinite confidence.
    """
    scaled = np.asarray(logits, np.float64) / temperature
    count, labels = members.shape
    doubt = 1 / (count + 2)
    if kind == "sigmoid":
        truth = np.where(members, 1 - doubt, doubt)
        return float(np.mean(np.logaddexp(0, scaled) - truth * scaled))
    others = doubt / max(1, labels - 1)
    peak = scaled.max(axis=1)
    normaliser = peak + np.log(np.exp(scaled - peak[:, None]).sum(axis=1))
    told = (1 - doubt - others) * scaled[members].sum() + others * scaled.sum()
    return float(normaliser.mean() - told / count)


def fit_temperature(
    logits: npt.NDArray[np.floating], members: npt.NDArray[np.bool_], kind: Kind
) -> tuple[float, float]:
    """Return the temperature that makes held-out `logits` (n, c) most probable, and the log loss that it leaves.

    Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log: log_loss(logits, members, kind, math.exp(log)), bounds=(-6, 6), method="bounded"
    )
    return math.exp(float(found.x)), float(found.fun)


def abstention_threshold(confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> float:
    """Return the confidence below which a best label is not worth showing.

    It is the lowest threshold at which 95 % of the photos kept have a right best label, and never so low that only
    1 % of the right answers were less sure: a photo of something else altogether is that unsure too. Where even the
    surest fall short, calibrated confidence says it: 0.95. Selective classification: Geifman and El-Yaniv 2017.
    """
    order = np.argsort(-confidence, kind="stable")
    kept_accuracy = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    # Photos of equal confidence are kept or left together.
    ends = np.append(np.diff(confidence[order]) != 0, True)
    enough = np.flatnonzero((kept_accuracy >= _KEPT_ACCURACY) & ends)
    if not len(enough):
        return _KEPT_ACCURACY
    lowest = float(confidence[order][enough[-1]])
    return max(lowest, float(np.quantile(confidence[right], _RARELY_RIGHT)))


def calibration_error(probabilities: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> float:
    """Return the expected calibration error of (n,) confidences over 15 equal bins (Naeini et al. 2015)."""
    bins = np.minimum((probabilities * _BINS).astype(np.int64), _BINS - 1)
    sizes = np.bincount(bins, minlength=_BINS)
    gaps = np.bincount(bins, weights=right - probabilities, minlength=_BINS)
    return float(np.abs(gaps).sum() / max(1, sizes.sum()))


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a head says of photos that it did not learn from: `logits` (n, c), and the truth `members` (n, c).

    `groups`: of how many shots they are. The folds and the C are those that they were made with.
    """

    logits: npt.NDArray[np.floating]
    members: npt.NDArray[np.bool_]
    groups: int
    folds: int
    c: float


def make_report(
    head: Head,
    held_out: HeldOut,
    *,
    gate: FittedGate | None,
    learned: npt.NDArray[np.bool_],
    seconds: float,
) -> Report:
    """Measure what a head says of photos that were held out; `learned` says which of the gate's rows those are."""
    labels, members = head.labels, held_out.members
    probabilities = to_probabilities(held_out.logits / head.temperature, head.kind)
    best = probabilities.argmax(axis=1)
    confidence = probabilities[np.arange(len(best)), best]
    best_right = members[np.arange(len(best)), best]
    if head.kind == "softmax":
        given = np.arange(len(labels)) == best[:, None]
        error = calibration_error(confidence, best_right)
        confusion = tuple(
            tuple(np.bincount(best[members[:, label]], minlength=len(labels)).tolist())
            for label in range(len(labels))
        )
    else:
        given = probabilities >= 0.5
        error = calibration_error(probabilities.ravel(), members.ravel())
        confusion = ()
    right = (given & members).sum(axis=0)
    precision = right / np.maximum(1, given.sum(axis=0))
    recall = right / np.maximum(1, members.sum(axis=0))
    f1 = 2 * right / np.maximum(1, given.sum(axis=0) + members.sum(axis=0))
    figures = zip(
        labels, members.sum(axis=0).tolist(), precision.tolist(), recall.tolist(), f1.tolist(), strict=True
    )
    accuracy = float((given == members).all(axis=1).mean())
    passed = np.ones(len(best), np.bool_) if gate is None else gate.passed[learned]
    kept = passed & (confidence >= head.abstain_below)
    return Report(
        photos=len(members),
        groups=held_out.groups,
        folds=held_out.folds,
        c=held_out.c,
        accuracy=accuracy,
        interval=wilson_interval(accuracy, held_out.groups),
        macro_f1=float(f1.mean()),
        calibration_error=error,
        labels=tuple(LabelReport(*row) for row in figures),
        confusion=confusion,
        kept=float(kept.mean()),
        kept_accuracy=float(best_right[kept].mean()) if kept.any() else 0.0,
        gate=None
        if gate is None
        else _gate_report(gate, passed, best_right, np.asarray(members.any(axis=1), np.bool_)),
        seconds=seconds,
    )


def _gate_report(
    gate: FittedGate,
    passed: npt.NDArray[np.bool_],
    right: npt.NDArray[np.bool_],
    labelled: npt.NDArray[np.bool_],
) -> GateReport:
    through = passed & labelled
    return GateReport(
        gate.gate.background,
        len(gate.of_sample),
        gate.left_out.held,
        Estimate.of_share(passed[labelled]),
        Estimate.of_share(right[through]) if through.any() else None,
        Estimate.of_mean(gate.left_out.strangers) if len(gate.left_out.strangers) else None,
        Estimate.of_mean(gate.left_out.newcomers) if len(gate.left_out.newcomers) else None,
        Estimate.of_share(gate.of_sample) if len(gate.of_sample) else None,
        gate.taken_for_none,
    )
