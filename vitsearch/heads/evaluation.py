"""The accuracy of a head, measured on held-out predictions."""

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
    """A label: its number of photos, and how well it was recognised (all shares 0 to 1)."""

    label: str
    photos: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class GateReport:
    """The performance of a gate on held-out photos. Shares are 0 to 1, with 95 % confidence intervals; None if unknown.

    - `passed`: the share of labelled photos that pass, and `accuracy`: the share of these whose best label is right.
    - `strangers`: the share of photos of unknown kinds in the library that would pass, estimated by leaving out each
      label in turn. There are `held` photos of each kind among the `sampled` photos of the library: of kinds with more
      photos, fewer pass, and of kinds with fewer photos, more.
    - `newcomers`: the same for kinds that are not in the library yet.
    - `library`: the share of photos like those in the library that pass, rightly or not.
    - `taken_for_none`: how many of the `sampled` photos themselves, which the gate was trained on, do not pass.
    - `background`: the number of photos that the "none" classes were learned from.
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
    """Cross-validated figures: every photo was predicted by a head trained without it and its near duplicates.

    - `accuracy`: the share of photos with all labels right (sigmoid heads: at probability 0.5), and `interval`: its 95
      % confidence interval.
    - `calibration_error`: the expected calibration error over 15 bins.
    - `confusion`: row i, column j counts photos of label i that were predicted as j; empty for a sigmoid head.
    - `kept`: the share of photos that the head did not abstain from, and `kept_accuracy`: the share of these whose
      best label is right.
    - `gate`: the gate's figures, if the head has one.
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

    The truth is assumed to be wrong once in n + 2 times (Platt 1999, section 2.2), so that all-correct predictions do
    not lead to infinite confidence.
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
    """Return the temperature that maximises the likelihood of held-out `logits` (n, c), and the log loss at it.

    Temperature scaling: Guo et al., On Calibration of Modern Neural Networks, 2017, section 4.2.
    """
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(
        lambda log: log_loss(logits, members, kind, math.exp(log)), bounds=(-6, 6), method="bounded"
    )
    return math.exp(float(found.x)), float(found.fun)


def abstention_threshold(confidence: npt.NDArray[np.floating], right: npt.NDArray[np.bool_]) -> float:
    """Return the confidence below which the head abstains.

    It is the lowest threshold at which 95 % of the remaining photos have a right best label, but high enough that 1 %
    of the right predictions fall below it, because photos of unrelated things are that uncertain, too. If no threshold
    reaches 95 %, the calibrated confidence itself is used: 0.95. Selective classification: Geifman and El-Yaniv 2017.
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
    """Held-out predictions: `logits` (n, c), and the truth `members` (n, c).

    `groups`: the number of distinct shots. The folds and C are those used for the predictions.
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
    """Measure held-out predictions; `learned` says which rows of the gate these are."""
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
