"""The class "none" of a gate, photos that show none of the labels: a single class first, then many kinds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vitsearch.heads.class_sums import ClassSums, discriminate, separate
from vitsearch.heads.gate import margins

if TYPE_CHECKING:
    import numpy.typing as npt

    Floats = npt.NDArray[np.float32]
    Doubles = npt.NDArray[np.float64]
    Ids = npt.NDArray[np.int64]
    Flags = npt.NDArray[np.bool_]

# Chosen on photos of groceries and of dogs, with a library of BSDS500; docs/benchmarks.md reports on others.
# The part of the sample that looks most like a label, and the share of the weight of "none" that it has to itself.
_HARD = 0.05
_HARD_AT_LEAST = 100
_HARD_SHARE = 0.5
# Photos a kind of "none", and how many kinds there may be of those that look like a label, and of the others.
_PHOTOS_A_KIND = 6
_MOST_KINDS = 64


def hard_ones(of_sample: Floats) -> Flags:
    """Return which photos of the sample (m,) look most like a label."""
    hard = np.zeros(len(of_sample), np.bool_)
    count = min(len(of_sample), max(int(_HARD * len(of_sample)), _HARD_AT_LEAST))
    hard[np.argsort(-of_sample, kind="stable")[:count]] = True
    return hard


def hard_weights(hard: Flags) -> Doubles:
    """Return the weights (m,) of photos in the class "none", with a mean of 1."""
    weights = np.full(len(hard), 1 - _HARD_SHARE)
    weights[hard] += _HARD_SHARE * len(hard) / max(1, int(hard.sum()))
    return weights


def _kinds(rows: Floats, hard: Flags) -> Ids:
    """Cluster photos into kinds (m,), separately for those that look most like a label."""
    kinds = np.zeros(len(rows), np.int64)
    first = 0
    for chosen in (hard, ~hard):
        if chosen.any():
            kinds[chosen] = first + clusters(rows[chosen])
            first = int(kinds[chosen].max()) + 1
    return kinds


def clusters(rows: Floats) -> Ids:
    """Return the cluster of each row (m,), by deterministic k-means."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    count = min(_MOST_KINDS, max(1, len(rows) // _PHOTOS_A_KIND), len(np.unique(rows, axis=0)))
    with threadpool_limits(1):
        return np.asarray(
            KMeans(count, init="random", n_init=1, max_iter=20, random_state=0).fit_predict(rows), np.int64
        )


class Spoken:
    """The rows that a person labelled, summed up for fits on subsets of them; `labels` is the number of labels."""

    def __init__(self, rows: Floats, classes: Ids, folds: Ids, *, labels: int, count: int) -> None:
        self.rows, self.classes, self.folds = rows, classes, folds
        self.labels, self.count = labels, count
        labelled = classes < labels
        sizes = np.bincount(classes[labelled], minlength=labels)
        balanced = labelled.sum() / (labels * np.maximum(1, sizes))
        # A photo of which a person said "none" weighs as much as one with a label.
        self._weights = np.where(labelled, balanced[np.minimum(classes, labels - 1)], 1.0)
        self.everyone = self.sums(np.ones(len(rows), np.bool_))

    def sums(self, chosen: Flags) -> ClassSums:
        """Sum up the chosen rows (n,) bool."""
        return ClassSums.of(self.rows[chosen], self.classes[chosen], self._weights[chosen], self.count)


def together(spoken: ClassSums, background: ClassSums, labels: int) -> ClassSums:
    """Add both sums; the background gets the same total weight as all labels."""
    size = float(background.weight.sum())
    if not size:
        return spoken
    return spoken + background.scaled(float(spoken.weight[:labels].sum()) / size)


class Separation(Spoken):
    """The first fit: the labels, and a single class "none"."""

    def __init__(self, rows: Floats, classes: Ids, folds: Ids) -> None:
        labels = int(classes.max()) + 1
        super().__init__(rows, np.where(classes < 0, labels, classes), folds, labels=labels, count=labels + 1)

    def background(self, rows: Floats) -> ClassSums:
        """Sum up rows of the class "none"."""
        return ClassSums.of(rows, np.full(len(rows), self.labels), np.ones(len(rows)), self.count)

    def margins(self, rows: Floats, spoken: ClassSums, background: ClassSums) -> Floats:
        """Return the margins (n,) of rows under a fit of these sums."""
        return margins(rows, *separate(together(spoken, background, self.labels)), self.labels)

    def held_out(self, sample: Floats) -> tuple[Floats, Floats]:
        """Return the margins of rows and sample, each from a fit without its fold."""
        background = self.background(sample)
        folds_of_sample = sample_folds(self.folds, len(sample))
        of_rows, of_sample = np.empty(len(self.rows), np.float32), np.empty(len(sample), np.float32)
        for fold in np.unique(self.folds):
            out, sample_out = self.folds == fold, folds_of_sample == fold
            sums = self.everyone - self.sums(out), background - self.background(sample[sample_out])
            of_rows[out] = self.margins(self.rows[out], *sums)
            of_sample[sample_out] = self.margins(sample[sample_out], *sums)
        return of_rows, of_sample


def sample_folds(folds: Ids, count: int) -> Ids:
    """Assign random folds (m,) to a sample, among those of the labelled rows."""
    return np.random.default_rng(0).choice(np.unique(folds), count)


class Discrimination(Spoken):
    """The second fit: the labels, and many kinds of "none"."""

    def __init__(
        self,
        rows: Floats,
        classes: Ids,
        folds: Ids,
        sample: Floats,
        kinds: Ids,
        weights: Doubles,
        *,
        labels: int,
    ) -> None:
        count = labels + 1 + max(int(kinds.max(initial=-1)), int(classes.max()) - labels)
        super().__init__(rows, classes, folds, labels=labels, count=count)
        self.sample, self.kinds, self.weights = sample, kinds, weights
        self.background = self.sample_sums(np.ones(len(sample), np.bool_))

    @classmethod
    def of(cls, rows: Floats, classes: Ids, folds: Ids, sample: Floats, of_sample: Floats) -> Discrimination:
        """Cluster the sample into kinds; photos that look most like a label, and refused ones, get their own."""
        labels = int(classes.max()) + 1
        hard = hard_ones(of_sample)
        kinds = _kinds(sample, hard)
        numbers, refused = classes.copy(), classes < 0
        if refused.any():
            numbers[refused] = labels + 1 + int(kinds.max(initial=-1)) + clusters(rows[refused])
        return cls(rows, numbers, folds, sample, kinds, hard_weights(hard), labels=labels)

    def sample_sums(self, chosen: Flags) -> ClassSums:
        """Sum up the chosen photos of the sample (m,) bool."""
        kinds = self.labels + self.kinds[chosen]
        return ClassSums.of(self.sample[chosen], kinds, self.weights[chosen], self.count)

    def fit(self) -> tuple[Floats, Floats]:
        """Return the weights and biases of all labels and kinds, fitted on everything."""
        return discriminate(together(self.everyone, self.background, self.labels))

    def held_out(self) -> tuple[Floats, Floats]:
        """Return the margins of rows and sample, each from a fit without its fold."""
        folds_of_sample = sample_folds(self.folds, len(self.sample))
        of_rows, of_sample = np.empty(len(self.rows), np.float32), np.empty(len(self.sample), np.float32)
        for fold in np.unique(self.folds):
            out, sample_out = self.folds == fold, folds_of_sample == fold
            sums = self.everyone - self.sums(out), self.background - self.sample_sums(sample_out)
            fitted = discriminate(together(*sums, self.labels))
            of_rows[out] = margins(self.rows[out], *fitted, self.labels)
            of_sample[sample_out] = margins(self.sample[sample_out], *fitted, self.labels)
        return of_rows, of_sample
