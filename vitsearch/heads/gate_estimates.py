"""Estimate what a gate does with unknown kinds of photos, by leaving out each label in turn."""

from __future__ import annotations

import functools
import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.heads.class_sums import ClassSums, discriminate
from vitsearch.heads.gate import margins, nearest_similarity
from vitsearch.heads.none_of_these import clusters, sample_folds, together

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from vitsearch.heads.gate import Gate
    from vitsearch.heads.none_of_these import Discrimination, Separation

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Ids = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

_LABELS_LEFT_OUT = 20
# Photos of one label that are judged; each fold of them costs a fit.
_ENOUGH_JUDGED = 20


@dataclass(frozen=True, slots=True, eq=False)
class SharesLabelled:
    """The shares of each left-out label's photos that would get another label.

    - `strangers`: (labels,) if the library holds `held` other photos of that kind, on average.
    - `newcomers`: (labels,) if it holds none.

    Both are empty with fewer than three labels.
    """

    strangers: Doubles
    newcomers: Doubles
    held: int


@dataclass(frozen=True, slots=True, eq=False)
class LabelsLeftOut:
    """The two fits of a gate, prepared for repeating them without a label.

    - `sample`: (m, d) photos of the library.
    - `unlike`: (m,) bool, those taken for "none", in the order of the second fit.
    - `looks_labelled`: the margin in the first fit from which on photos were dropped.
    - `sample_folds`: (m,) folds of the sample.
    - `parts`: the sums of the first fit over the sample, by fold; `whole`: over all folds.
    """

    first: Separation
    second: Discrimination
    sample: Floats
    unlike: Flags
    looks_labelled: float
    sample_folds: Ids
    parts: Mapping[int, ClassSums]
    whole: ClassSums

    @classmethod
    def of(
        cls, first: Separation, second: Discrimination, sample: Floats, unlike: Flags, looks_labelled: float
    ) -> LabelsLeftOut:
        """Sum up the sample by fold, once for all labels."""
        folds = sample_folds(first.folds, len(sample))
        parts = {int(fold): first.background(sample[folds == fold]) for fold in np.unique(first.folds)}
        whole = functools.reduce(operator.add, parts.values())
        return cls(first, second, sample, unlike, looks_labelled, folds, parts, whole)

    def shares(self, gate: Gate) -> SharesLabelled:
        """Return the shares of each label's photos that pass a gate trained without that label."""
        strangers, newcomers, others_held = [], [], []
        labels = self.first.labels
        if labels >= 3:
            chosen = np.random.default_rng(0).permutation(labels)[:_LABELS_LEFT_OUT]
            for label in np.sort(chosen):
                its = self.first.classes == label
                rows = self.first.rows[its]
                others = self.first.rows[(self.first.classes < labels) & ~its]
                guarded = (
                    nearest_similarity(rows, others) >= gate.nearest
                    if len(gate.examples)
                    else np.ones(len(rows), np.bool_)
                )
                alone = self._new_to_the_library(its)
                newcomers.append(float(((alone >= gate.cut) & guarded).mean()))
                if len(np.unique(self.first.folds[its])) > 1:
                    judged, margin, held = self._in_the_library(its)
                    others_held.append(held)
                    strangers.append(float(((margin >= gate.cut) & guarded[judged]).mean()))
        held = round(float(np.mean(others_held))) if others_held else 0
        return SharesLabelled(np.array(strangers), np.array(newcomers), held)

    def _new_to_the_library(self, its: Flags) -> Floats:
        second = self.second
        rest = second.everyone - second.sums(its)
        fitted = discriminate(together(rest, second.background, second.labels))
        return margins(second.rows[its], *fitted, second.labels)

    def _in_the_library(self, its: Flags) -> tuple[Flags, Floats, float]:
        """Evaluate the rows (n,) of a left-out label while its rows of other folds are in the library.

        Returns which rows were evaluated, (n,) bool (a few folds suffice for large labels), their margins (j,), and
        the mean number of the label's photos in the library. The whole sample is split again into photos that look
        like a label and others, because the label's own photos, which had been dropped, now belong to an unknown kind.
        """
        first, rows, folds = self.first, self.first.rows[its], self.first.folds[its]
        rest = first.everyone - first.sums(its)
        background = self.whole + first.background(rows)
        margin, of_sample = np.empty(len(rows), np.float32), np.empty(len(self.sample), np.float32)
        for fold, part in self.parts.items():
            out, sample_out = folds == fold, self.sample_folds == fold
            others = background - part - first.background(rows[out])
            margin[out] = first.margins(rows[out], rest, others)
            of_sample[sample_out] = first.margins(self.sample[sample_out], rest, others)
        of_second = np.empty(len(rows), np.float32)
        judged, left = np.zeros(len(rows), np.bool_), of_sample < self.looks_labelled
        for fold in np.unique(folds):
            if judged.sum() < _ENOUGH_JUDGED:
                out = folds == fold
                joins = ~out & (margin < self.looks_labelled)
                of_second[out] = self._judge(rows[out], its, rows[joins], left)
                judged |= out
        held = float(np.mean([(folds != fold).sum() for fold in folds[judged]]))
        return judged, of_second[judged], held

    def _judge(self, rows: Floats, its: Flags, joining: Floats, left: Flags) -> Floats:
        """Return the margins of rows in a second fit without a label, while some of its photos are in the library.

        `left` (m,): the photos of the sample now taken for "none". Those that are new there, and the label's own, are
        assigned to kinds along with those that looked like a label before.
        """
        second, stays = self.second, left[self.unlike]
        hard = second.weights > second.weights.min(initial=1.0)
        new = np.concatenate([second.sample[stays & hard], self.sample[left & ~self.unlike], joining])
        extra = clusters(new) if len(new) else np.empty(0, np.int64)
        more = int(extra.max(initial=-1)) + 1
        weights = np.full(len(new), float(second.weights.max(initial=1.0)))
        added = ClassSums.of(new, second.count + extra, weights, second.count + more)
        background = (second.background - second.sample_sums(~stays | hard)).before(more) + added
        rest = (second.everyone - second.sums(its)).before(more)
        return margins(rows, *discriminate(together(rest, background, second.labels)), second.labels)
