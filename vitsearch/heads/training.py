"""Fit a linear head on labelled embeddings: L2-regularised logistic regression, cross-validated and calibrated."""

from __future__ import annotations

import time
import warnings
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import HeadError
from vitsearch.heads.evaluation import HeldOut, Report, abstention_threshold, fit_temperature, make_report
from vitsearch.heads.examples import listing
from vitsearch.heads.folds import assign_folds, near_duplicate_groups
from vitsearch.heads.gate_fit import fit_gate
from vitsearch.heads.head import Head, Kind, to_probabilities

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt
    from sklearn.linear_model import LogisticRegression

    from vitsearch.heads.examples import LabelledRows
    from vitsearch.space import Space

    Floats = npt.NDArray[np.float32]

_FOLDS = 5
_LEAST_PHOTOS = 2
_FOLDS_WHEN_LARGE = 3
# Photos x labels above which one fit takes seconds, so that there are fewer of them; and that x dimensions above
# which threads pay. On less they wait for each other: a fit on a busy machine was five times slower with them.
_MANY_LOGITS = 1_000_000
_LARGE_PRODUCT = 500_000_000

# Half decades of C for rows that are centred and have a mean squared length of 1. The search starts in the middle,
# where CLIP's and DINOv2's embeddings have their optimum, and walks downhill in log loss.
_CS = tuple(10 ** (step / 2) for step in range(-4, 9))
_FIRST_C = 6
# Where the log loss falls by less than this, the search ends: photos that are easily told apart want no bound on C.
_WORTHWHILE = 0.995


@dataclass(frozen=True, slots=True, eq=False)
class Training:
    """A fitted head and its cross-validation.

    `photos`: how many it was trained on; `waiting`: labels that were left out because they have too few photos.
    """

    head: Head
    report: Report
    photos: int
    waiting: tuple[str, ...] = ()


def train(
    name: str,
    examples: LabelledRows,
    *,
    space: Space,
    background: npt.NDArray[np.float32] | None = None,
    multi: bool = False,
    groups: npt.NDArray[np.int64] | None = None,
    may_wait: Collection[str] = (),
    seed: int = 0,
) -> Training:
    """Fit a head: softmax if no photo has two labels; otherwise, or with `multi`, an independent sigmoid per label.

    C, temperature and thresholds are chosen on out-of-fold predictions.

    - `background`: (m, d) unit rows of other photos of the library, a random sample, possibly small. If given, the
      head gets a gate that learns to recognise photos with none of its labels, also from examples without a label.
    - `groups`: (n,) numbers; photos with the same number share a cross-validation fold. By default, near duplicates by
      cosine similarity do.
    - `may_wait`: labels that are left out, with photos that have no other label, while they have too few photos.

    Raises:
        HeadError: there are too few examples.

    """
    from threadpoolctl import threadpool_limits

    started = time.perf_counter()
    examples.names()
    if groups is None:
        groups = near_duplicate_groups(examples.rows)
    examples, groups, waiting = _without_few(examples, groups, may_wait)
    if waiting and len({label for labels in examples.labels for label in labels}) < 2:
        raise HeadError(
            f"corrections have left one photo only of {listing(waiting)}, and without them no two labels are left to "
            "tell apart: correct those photos again, or add others"
        )
    names = examples.names()
    members = examples.membership(names)
    kind = _kind(examples, names, multi=multi, gated=background is not None)
    strata = _strata(members)
    large = members.size > _MANY_LOGITS
    count = _FOLDS_WHEN_LARGE if large else _FOLDS
    folds = assign_folds(strata, groups, count=count, seed=seed)
    # Labels that exclude each other have no place for a photo without one: only the gate learns from it.
    learned = (strata < len(names)) | (kind == "sigmoid")
    members, rows = members[learned], examples.rows[learned]
    _check_enough(names, members, groups[learned], kind)

    centre = rows.mean(axis=0)
    scale = np.float32(1 / max(1e-6, float(np.sqrt(((rows - centre) ** 2).sum(axis=1).mean()))))
    rows = (rows - centre) * scale
    with threadpool_limits(None if members.size * rows.shape[1] > _LARGE_PRODUCT else 1):
        c, logits, temperature = _choose_c(rows, members, folds[learned], kind, stride=2 if large else 1)
        weight, bias = _Solver(kind).fit(rows, members, c)
    confidence = to_probabilities(logits / temperature, kind)
    best = confidence.argmax(axis=1)
    everyone = np.arange(len(best))
    abstain_below = abstention_threshold(confidence[everyone, best], members[everyone, best])
    fitted = None
    if background is not None:
        classes = np.where(strata < len(names), strata, -1)
        fitted = fit_gate(examples.rows, classes, folds, background)
    weight *= scale
    head = Head(
        name,
        names,
        weight,
        bias - weight @ centre,
        space,
        kind,
        "trained",
        temperature=temperature,
        abstain_below=abstain_below,
        gate=None if fitted is None else fitted.gate,
    )
    held_out = HeldOut(logits, members, len(np.unique(groups[learned])), count, c)
    seconds = time.perf_counter() - started
    report = make_report(head, held_out, gate=fitted, learned=learned, seconds=seconds)
    return Training(replace(head, details=_summary(report)), report, len(examples.labels), waiting)


def _kind(examples: LabelledRows, names: tuple[str, ...], *, multi: bool, gated: bool) -> Kind:
    most = max(len(labels) for labels in examples.labels)
    alone = len(names) == 1 and not examples.single_label()
    without = any(not labels for labels in examples.labels) and not gated
    return "sigmoid" if multi or most > 1 or alone or without else "softmax"


def _summary(report: Report) -> dict[str, object]:
    """Return the report's figures without those that grow with the number of labels."""
    return {name: value for name, value in asdict(report).items() if name not in ("labels", "confusion")}


def _without_few(
    examples: LabelledRows, groups: npt.NDArray[np.int64], may_wait: Collection[str]
) -> tuple[LabelledRows, npt.NDArray[np.int64], tuple[str, ...]]:
    """Leave out labels with too few photos if they may wait; return these labels, too."""
    having: dict[str, set[int]] = {}
    for labels, group in zip(examples.labels, groups.tolist(), strict=True):
        for label in labels:
            having.setdefault(label, set()).add(group)
    waiting = {label for label in may_wait if label in having and len(having[label]) < _LEAST_PHOTOS}
    if not waiting:
        return examples, groups, ()
    kept = [row for row, labels in enumerate(examples.labels) if not labels or set(labels) - waiting]
    left = tuple(tuple(each for each in examples.labels[row] if each not in waiting) for row in kept)
    return replace(examples, rows=examples.rows[kept], labels=left), groups[kept], tuple(sorted(waiting))


def _check_enough(
    names: tuple[str, ...], members: npt.NDArray[np.bool_], groups: npt.NDArray[np.int64], kind: Kind
) -> None:
    if kind == "softmax" and len(names) == 1:
        raise HeadError(
            f"all photos have the one label {listing(names)}: add photos of something else under another label"
        )
    having = [len(np.unique(groups[members[:, label]])) for label in range(len(names))]
    few = [name for name, count in zip(names, having, strict=True) if count < _LEAST_PHOTOS]
    if few:
        raise HeadError(
            f"training needs two photos a label that are no near duplicates, and there is only one of "
            f"{listing(few)}: add photos, or use `heads from-examples`"
        )
    lacking = [len(np.unique(groups[~members[:, label]])) for label in range(len(names))]
    everywhere = [name for name, count in zip(names, lacking, strict=True) if count < 2]
    if everywhere:
        raise HeadError(
            f"nearly every photo has {listing(everywhere)}: add photos without it, or leave it out"
        )


def _strata(members: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return each row's label for stratified folds: its rarest; rows without labels form a stratum of their own."""
    rarity = np.where(members, members.sum(axis=0), len(members) + 1)
    rarest: npt.NDArray[np.int64] = rarity.argmin(axis=1)
    rarest[~members.any(axis=1)] = members.shape[1]
    return rarest


def _choose_c(
    rows: Floats, members: npt.NDArray[np.bool_], folds: npt.NDArray[np.int64], kind: Kind, *, stride: int
) -> tuple[float, Floats, float]:
    """Return the C with the lowest calibrated out-of-fold log loss, its logits and their temperature."""
    solvers = {fold: _Solver(kind) for fold in np.unique(folds).tolist()}
    tried: dict[int, tuple[float, Floats, float]] = {}

    def loss(place: int) -> float:
        if place not in tried:
            logits = np.empty(members.shape, np.float32)
            for fold, solver in solvers.items():
                held_out = folds == fold
                weight, bias = solver.fit(rows[~held_out], members[~held_out], _CS[place])
                logits[held_out] = rows[held_out] @ weight.T + bias
            temperature, left = fit_temperature(logits, members, kind)
            tried[place] = left, logits, temperature
        return tried[place][0]

    best = _FIRST_C
    for step in (stride, -stride):
        while 0 <= best + step < len(_CS) and loss(best + step) < _WORTHWHILE * loss(best):
            best += step
    _, logits, temperature = tried[best]
    return _CS[best], logits, temperature


class _Solver:
    """Logistic regression with warm starts."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._models: dict[int, LogisticRegression] = {}

    def fit(self, rows: Floats, members: npt.NDArray[np.bool_], c: float) -> tuple[Floats, Floats]:
        """Return (labels, d) weights and (labels,) biases, float32."""
        if self._kind == "softmax":
            return self._fit_softmax(rows, members, c)
        return self._fit_sigmoids(rows, members, c)

    def _fit_softmax(self, rows: Floats, members: npt.NDArray[np.bool_], c: float) -> tuple[Floats, Floats]:
        truth = members.argmax(axis=1)
        model = self._model(0, c, weights="balanced")
        _fit_quietly(model, rows, truth)
        weight = np.zeros((members.shape[1], rows.shape[1]), np.float32)
        # A label that a fold did not see gets the smallest bias: it is finite, and it is never the answer.
        bias = np.full(members.shape[1], model.intercept_.min() - 20, np.float32)
        if len(model.classes_) == 2:
            # Two labels share one weight vector: half of it for each side gives the same probabilities.
            weight[model.classes_] = np.outer([-0.5, 0.5], model.coef_[0])
            bias[model.classes_] = np.outer([-0.5, 0.5], model.intercept_)[:, 0]
        else:
            weight[model.classes_] = model.coef_
            bias[model.classes_] = model.intercept_
        return weight, bias

    def _fit_sigmoids(self, rows: Floats, members: npt.NDArray[np.bool_], c: float) -> tuple[Floats, Floats]:
        weight = np.zeros((members.shape[1], rows.shape[1]), np.float32)
        bias = np.zeros(members.shape[1], np.float32)
        for label in range(members.shape[1]):
            truth = members[:, label]
            if truth.all() or not truth.any():
                bias[label] = 20 if truth.all() else -20
                continue
            # Unweighted: the share of photos that have a label is part of its probability.
            model = self._model(label, c, weights=None)
            _fit_quietly(model, rows, truth)
            weight[label], bias[label] = model.coef_[0], model.intercept_[0]
        return weight, bias

    def _model(self, number: int, c: float, *, weights: str | None) -> LogisticRegression:
        from sklearn.linear_model import LogisticRegression

        if number not in self._models:
            # Measured on 800 x 512 x 10 and 5,000 x 512 x 1,000: lbfgs in float32 is fastest of all solvers on the
            # large one and level with newton-cg on the small; saga needs five times as long, newton-cholesky fifty.
            self._models[number] = LogisticRegression(
                solver="lbfgs", tol=1e-5, max_iter=300, warm_start=True, class_weight=weights
            )
        return self._models[number].set_params(C=c)


def _fit_quietly(model: LogisticRegression, rows: Floats, truth: npt.NDArray[np.generic]) -> None:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # A fit that stops early is judged like any other: by its predictions on the fold held out.
        warnings.simplefilter("ignore", ConvergenceWarning)
        # Two photos a label are few, and labels all the same.
        warnings.filterwarnings("ignore", message="The number of unique classes")
        model.fit(rows, truth)
