"""A linear head: labels, and the weights that turn embeddings into label probabilities."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

import numpy as np

from vitsearch.errors import HeadError, SpaceMismatch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from vitsearch.heads.gate import Gate
    from vitsearch.space import Space

Kind = Literal["softmax", "sigmoid"]
Origin = Literal["trained", "imported", "text", "examples"]

LONGEST_LABEL = 1000
LONGEST_NAME = 100

# 100,000 photos x 1,000 labels would be 400 MB of logits at once.
_LOGITS_AT_ONCE = 16_000_000


@dataclass(frozen=True, slots=True)
class LabelProbability:
    """A label and its probability, 0 to 1."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Labelling:
    """The prediction of a head for one photo: its best labels, best first.

    - `abstained`: the head is too unsure of its labels, or the photo shows none of them.
    - `none`: the photo shows none of the labels.
    """

    labels: tuple[LabelProbability, ...]
    abstained: bool
    none: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class TopLabels:
    """The best labels of many photos as arrays; iterating yields one `Labelling` per photo.

    - `labels`: the head's labels.
    - `indices`: (n, k) int64 into `labels`, best first.
    - `probabilities`: (n, k) float32.
    - `abstained`: (n,) bool, too unsure, or none of the labels.
    - `none`: (n,) bool, none of the labels.
    """

    labels: tuple[str, ...]
    indices: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    abstained: npt.NDArray[np.bool_]
    none: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[Labelling]:
        columns = (self.indices, self.probabilities, self.abstained, self.none)
        for indices, probabilities, abstained, none in zip(*(each.tolist() for each in columns), strict=True):
            named = zip(indices, probabilities, strict=True)
            yield Labelling(tuple(LabelProbability(self.labels[i], p) for i, p in named), abstained, none)


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The cross-validated share of photos with the right labels, and its 95 % confidence interval."""

    accuracy: float
    interval: tuple[float, float]


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Labels, a weight matrix and a bias, for the embeddings of one space.

    - `weight`: (c, d) float32; `bias`: (c,) float32.
    - `kind`: "softmax" if a photo has exactly one of the labels, "sigmoid" if labels are independent.
    - `temperature`: logits are divided by it before they become probabilities.
    - `abstain_below`: the head abstains from photos whose best probability is lower.
    - `uses_norms`: the weights expect rows with the backbone's norms instead of unit rows.
    - `gate`: recognises photos that show none of the labels; without it, every photo gets a label.
    - `created`: UTC time in ISO 8601.
    - `details`: how the head was made, as JSON values.

    Raises:
        HeadError: the parts do not fit together.

    """

    name: str
    labels: tuple[str, ...]
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    space: Space
    kind: Kind
    origin: Origin
    temperature: float = 1.0
    abstain_below: float = 0.0
    uses_norms: bool = False
    gate: Gate | None = None
    version: int = 1
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    details: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name)
        check_labels(self.labels)
        count, width = len(self.labels), self.space.dimension
        if self.weight.shape != (count, width) or self.bias.shape != (count,):
            raise HeadError(
                f"the head {self.name!r} does not fit together: {count} labels of {width} dimensions, but weights "
                f"of shape {self.weight.shape} and {self.bias.shape}; make it anew"
            )
        if self.weight.dtype != np.float32 or self.bias.dtype != np.float32:
            raise HeadError(f"the head {self.name!r} has weights that are not float32; make it anew")
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise HeadError(f"the head {self.name!r} has weights that are not finite; make it anew")
        if not (np.isfinite(self.temperature) and self.temperature > 0 and 0 <= self.abstain_below <= 1):
            raise HeadError(
                f"the head {self.name!r} has temperature {self.temperature} and abstains below "
                f"{self.abstain_below}: the first must be above 0, the second 0 to 1; make it anew"
            )
        if self.gate is not None and self.gate.weight.shape[1] != width:
            raise HeadError(
                f"the head {self.name!r} is for {width} dimensions and its gate for {self.gate.weight.shape[1]}; "
                "make it anew"
            )

    @property
    def accuracy(self) -> Accuracy | None:
        """The accuracy that was measured when the head was trained, or None."""
        accuracy, interval = self.details.get("accuracy"), self.details.get("interval")
        if not isinstance(accuracy, float) or not isinstance(interval, (list, tuple)) or len(interval) != 2:
            return None
        return Accuracy(accuracy, (float(interval[0]), float(interval[1])))

    @property
    def lacks(self) -> str | None:
        """What the head would need to recognise photos with none of its labels, and how to get it; None if it can."""
        if self.gate is not None:
            return None
        text = f"the head {self.name!r} cannot tell what shows none of its labels, and gives every photo one"
        if self.origin in ("text", "imported"):
            return f"{text}: it was not learned from photos of yours; a head that you train can"
        return (
            f"{text}: it comes from an earlier version, or was exported without its examples and knew nothing else; "
            "make it again with `heads train` or `from-examples`"
        )

    def logits(
        self, rows: npt.NDArray[np.float32], norms: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return (n, c) float32 logits of (n, d) unit rows; `norms` (n,) are their lengths before normalisation."""
        if rows.ndim != 2 or rows.shape[1] != self.space.dimension:
            raise SpaceMismatch(
                f"the head {self.name!r} takes rows of {self.space.dimension} dimensions, not of shape {rows.shape}"
            )
        products = rows @ self.weight.T
        if self.uses_norms:
            products *= norms[:, None]
        products += self.bias
        return products

    def probabilities(
        self, rows: npt.NDArray[np.float32], norms: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        """Return (n, c) float32 probabilities; each row sums to 1 for a softmax head."""
        return to_probabilities(self.logits(rows, norms) / np.float32(self.temperature), self.kind)

    def top(self, rows: npt.NDArray[np.float32], norms: npt.NDArray[np.float32], *, k: int = 5) -> TopLabels:
        """Return the k most probable labels of each row; ties are broken by label order."""
        if k < 1:
            raise HeadError(f"cannot name {k} labels: ask for one or more")
        k = min(k, len(self.labels))
        indices = np.empty((len(rows), k), np.int64)
        best = np.empty((len(rows), k), np.float32)
        step = max(1, _LOGITS_AT_ONCE // len(self.labels))
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            probabilities = self.probabilities(rows[part], norms[part])
            indices[part] = _top_indices(probabilities, k)
            best[part] = np.take_along_axis(probabilities, indices[part], axis=1)
        none = np.zeros(len(rows), np.bool_) if self.gate is None else ~self.gate.lets_through(rows)
        return TopLabels(self.labels, indices, best, none | (best[:, 0] < self.abstain_below), none)


def to_probabilities(logits: npt.NDArray[np.floating], kind: Kind) -> npt.NDArray[np.float32]:
    """Convert (n, c) logits to (n, c) float32 probabilities."""
    if kind == "sigmoid":
        # tanh does not overflow, unlike the exponential in the textbook's form.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * logits)), np.float32)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True), np.float32)


def check_labels(labels: Sequence[str]) -> None:
    """Check that labels are distinct, printable and safe to write to files.

    Raises:
        HeadError: they are not.

    """
    if not labels:
        raise HeadError("a head needs labels, and there are none")
    for label in labels:
        if not label.strip() or len(label) > LONGEST_LABEL or not is_printable(label):
            raise HeadError(
                f"not a label: {label[:40]!r} ({len(label)} characters); use 1 to {LONGEST_LABEL} characters "
                "without line breaks or control characters"
            )
    if len(set(labels)) < len(labels):
        twice = next(label for place, label in enumerate(labels) if label in labels[:place])
        raise HeadError(f"the label {twice[:40]!r} is there twice; name each label once")


def check_name(name: str) -> None:
    """Check that a head's name is printable and valid as a file name.

    Raises:
        HeadError: it is not.

    """
    if (
        not name.strip()
        or len(name) > LONGEST_NAME
        or not is_printable(name)
        or set(name) & set('/\\:*?"<>|')
    ):
        raise HeadError(
            f"not a name for a head: {name[:40]!r}; use 1 to {LONGEST_NAME} letters, digits, spaces, dots and dashes"
        )


def is_printable(text: str) -> bool:
    """Return whether a text is a single line without control characters, which could disturb a terminal."""
    # XML, and so a sidecar file, has no place for the last two.
    return not any(
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in "\ufffe\uffff"
        for character in text
    )


def _top_indices(probabilities: npt.NDArray[np.float32], k: int) -> npt.NDArray[np.int64]:
    if 8 * k > probabilities.shape[1]:
        return np.argsort(-probabilities, axis=1, kind="stable")[:, :k]
    # k passes beat a sort of 1,000 labels tenfold, and unlike argpartition they keep ties in order.
    left = probabilities.copy()
    indices = np.empty((len(left), k), np.int64)
    for rank in range(k):
        indices[:, rank] = left.argmax(axis=1)
        np.put_along_axis(left, indices[:, rank, None], -1, axis=1)
    return indices
