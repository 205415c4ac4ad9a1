"""Fit a head's gate: a sample of the library is the class "none", and thresholds are chosen on held-out photos."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.heads.gate import Gate, margins, nearest_similarity
from vitsearch.heads.gate_estimates import LabelsLeftOut, SharesLabelled
from vitsearch.heads.none_of_these import Discrimination, Separation

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Ids = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

# Chosen on photos of groceries and of dogs, with a library of BSDS500; docs/benchmarks.md reports on others.
# What may be lost of the labels' own photos, held out, to the cut and to the guard.
_LOST = 0.02
# Photos are held out from fits with fewer examples, where more of them fall below: so much more may be lost with one
# photo a label, and less in proportion with more.
_LOST_FOR_WANT_OF_ONE = 0.1
_LOST_TO_GUARD = 0.01
# A guard that stands alone has to do the cut's work too.
_LOST_TO_LONE_GUARD = 0.025
# Photos of the sample that pass for a label as well as the least typical quarter of its own are not taken for "none".
_LOOKS_LABELLED = 0.25
_SMALLEST_BACKGROUND = 20
# Where more of those that are taken for "none" than this share are the least typical of the labels' own photos, as far
# as the typical ones let that be told, they are looked at again, in so many rounds at most.
_STRAY = 0.03
_ROUNDS = 3
_SMALLEST_GUARD = 10
_LARGEST_GUARD = 512
# A copy of a labelled photo is no example of "none".
_SAME_PHOTO = 0.97


@dataclass(frozen=True, slots=True, eq=False)
class FittedGate:
    """A gate and its performance on held-out photos.

    - `passed`: (n,) bool, the rows that pass.
    - `of_sample`: (m,) bool, the photos of the sample that pass, if the gate was learned from it.
    - `taken_for_none`: how many photos of the sample the final gate, which was trained on them, keeps out.
    - `left_out`: what it would do with unknown labels, estimated by leaving out each label in turn; empty without a
      sample.
    """

    gate: Gate
    passed: Flags
    of_sample: Flags
    taken_for_none: int
    left_out: SharesLabelled


def fit_gate(rows: Floats, classes: Ids, folds: Ids, sample: Floats) -> FittedGate:
    """Fit a gate on unit rows (n, d) of `classes` (n,): label numbers from 0, or -1 if a person said that none applies.

    `folds` (n,) are the folds, which near copies share. `sample` (m, d) is a random sample of other photos of the
    library.

    1. The sample is an open class, "none" (Hendrycks et al., Deep Anomaly Detection with Outlier Exposure, 2019). 2.
    The sample may show the labels as well. Photos that look like a label in a held-out fit are dropped before the
    second fit, as in the first step of learning from positive and unlabelled examples (Liu et al., Partially
    Supervised Classification of Text Documents, 2002, section 3). If the library has many photos of the labels, those
    that pass the second fit, held out, are dropped as well, and the second fit is repeated. 3. The remaining photos
    that look most like a label get half of the weight, so that kinds that are rare in the library count (hard
    negatives: Felzenszwalb et al., Object Detection with Discriminatively Trained Part-Based Models, 2010, section
    4.4). 4. The second fit has many "none" classes, clusters of those photos: a discriminant with several means per
    class (Hastie and Tibshirani, Discriminant Analysis by Gaussian Mixtures, 1996). 5. The similarity to the nearest
    example is a second criterion (Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, 2022).
    """
    labelled = classes >= 0
    known = rows[labelled]
    guard = _Guard.of(known, classes[labelled], folds[labelled])
    sample = sample[nearest_similarity(sample, known) < _SAME_PHOTO]
    refused = int((~labelled).sum())
    if not refused and len(sample) < _SMALLEST_BACKGROUND:
        return _guard_alone(guard, labelled, sample)
    first = Separation(rows, classes, folds)
    held_out, of_sample = first.held_out(sample)
    looks_labelled = float(np.quantile(held_out[labelled], _LOOKS_LABELLED))
    unlike = of_sample < looks_labelled
    if not refused and unlike.sum() < _SMALLEST_BACKGROUND:
        return _guard_alone(guard, labelled, sample)
    lost = _LOST + _LOST_FOR_WANT_OF_ONE * (int(classes.max()) + 1) / len(known)
    strays = np.zeros(len(sample), np.bool_)
    rounds = _ROUNDS if _share_of_strays(unlike) > _STRAY else 1
    for turn in range(rounds):
        second = Discrimination.of(rows, classes, folds, sample[unlike], of_sample[unlike])
        held_out, of_sample[unlike] = second.held_out()
        cut = min(_lower_tail(held_out[labelled], lost), 0.0)
        found = unlike & (of_sample >= cut)
        if turn == rounds - 1 or not found.any():
            break
        strays |= found
        unlike &= ~found
        if not refused and unlike.sum() < _SMALLEST_BACKGROUND:
            return _guard_alone(guard, labelled, sample)
    weight, bias = second.fit()
    of_sample[~unlike] = margins(sample[~unlike], weight, bias, second.labels)
    nearest = guard.threshold(_LOST_TO_GUARD)
    gate = Gate(weight, bias, second.labels, cut, guard.examples, nearest, int(unlike.sum()) + refused)
    passed = held_out >= cut
    passed[labelled] &= guard.similar >= nearest
    sample_passed = (of_sample >= cut) & (nearest_similarity(sample, guard.examples) >= nearest)
    left_out = LabelsLeftOut.of(first, second, sample[~strays], unlike[~strays], looks_labelled).shares(gate)
    taken_for_none = int((~gate.lets_through(sample)).sum())
    return FittedGate(gate, passed, sample_passed, taken_for_none, left_out)


def _guard_alone(guard: _Guard, labelled: Flags, sample: Floats) -> FittedGate:
    """Return a gate without "none" classes, for a library that has too few other photos."""
    nearest = guard.threshold(_LOST_TO_LONE_GUARD)
    nothing = np.empty(0, np.float32)
    weights = np.empty((0, sample.shape[1]), np.float32)
    gate = Gate(weights, nothing, 0, 0.0, guard.examples, nearest, 0)
    passed = np.zeros(len(labelled), np.bool_)
    passed[labelled] = guard.similar >= nearest
    of_sample = gate.lets_through(sample)
    nobody = SharesLabelled(np.empty(0), np.empty(0), 0)
    return FittedGate(gate, passed, of_sample, int((~of_sample).sum()), nobody)


def _share_of_strays(unlike: Flags) -> float:
    """Estimate which share of the photos that are taken for "none" show a label.

    If all of the others (m,) show one, they are the more typical part of these, and `_LOOKS_LABELLED` of them look no
    better.
    """
    if not unlike.any():
        return 0.0
    taken = float(unlike.mean())
    labelled = min(1.0, (1 - taken) / (1 - _LOOKS_LABELLED))
    return _LOOKS_LABELLED * labelled / taken


def _lower_tail(values: Floats, share: float) -> float:
    """Return the value that a given share of photos like these fall below.

    If that share is less than one photo, the lowest value would be too high; the tail of a normal distribution is
    used.
    """
    quantile = float(np.quantile(values, share))
    if share * len(values) >= 1:
        return quantile
    normal = float(values.mean() + NormalDist().inv_cdf(share) * values.std())
    return min(quantile, normal)


@dataclass(frozen=True, slots=True, eq=False)
class _Guard:
    """Examples to compare photos with, and each labelled row's similarity to the nearest example of another fold."""

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
