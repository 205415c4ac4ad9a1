"""Cut-offs that are calibrated on a library's own photos: synthetic copies must be found, other photos must not be.

Pairs of different photos that the embedding or the hash proposes are the negatives, so the hardest that the library
has. How many of them would be confirmed is read off their scores, and beyond the highest of these off an exponential
tail (Pickands, "Statistical inference using extreme order statistics", 1975, with shape zero): a few thousand
negatives without a mistake prove no rate of one in a thousand, but they show how fast their scores thin out.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.verify.evidence import Thresholds
from vitsearch.duplicates.verify.geometric import look
from vitsearch.duplicates.verify.views import View
from vitsearch.photos.perceptual_hash import perceptual_hash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from PIL.Image import Image

    from vitsearch.duplicates.verify.evidence import Evidence

# Strictness 0 is the default cut-offs, 1 a perfect copy; loosest and strictest that are ever chosen, and the steps.
_LOOSEST, _STRICTEST, _STEP = -0.5, 0.9, 0.05
# So few negatives tell nothing about a tail, which is then taken to fall as slowly as this.
_FEWEST_IN_TAIL = 20
_TAIL_SHARE = 0.1
_SLOW_DECAY = 0.5
_NEVER = -10.0


@dataclass(frozen=True, slots=True)
class Calibration:
    """Cut-offs and what to expect of them.

    `max_false_share` was asked for and `false_share` is the estimate for these cut-offs; it is above what was asked
    only where even the strictest cut-offs are. `negatives` pairs of other photos were looked at, of which `mistaken`
    pass the cut-offs. `recall`: by edit, 0 to 1.
    """

    thresholds: Thresholds
    max_false_share: float
    false_share: float
    negatives: int
    mistaken: int
    recall: Mapping[str, float]

    def to_json(self) -> str:
        """Return it as JSON text, to be cached for the library and space that it belongs to."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Calibration:
        """Rebuild a calibration from `to_json`'s text, or from what earlier versions wrote."""
        fields = dict(json.loads(text))
        thresholds = fields.pop("thresholds", None) or fields.pop("cutoffs")
        return cls(**fields, thresholds=Thresholds(**thresholds))


def thresholds_at(strictness: float) -> Thresholds:
    """Return cut-offs between the default ones (0) and those that only a perfect copy passes (1)."""
    default = Thresholds()
    return replace(
        default,
        share=default.share + strictness * (1 - default.share),
        closeness=default.closeness + strictness * (1 - default.closeness),
    )


def strictness_of(seen: Evidence) -> float:
    """Return the strictest cut-offs that this evidence passes, as `thresholds_at` counts; -10 if it passes none."""
    default = Thresholds()
    in_reach = replace(default, share=0.0, closeness=0.0)
    if seen.score == 0 or not seen.confirms(in_reach):
        return _NEVER
    passed = min(
        (seen.share - default.share) / (1 - default.share),
        (seen.closeness - default.closeness) / (1 - default.closeness),
    )
    return max(_NEVER, passed)


def evidence_of_copies(
    images: Sequence[Image], *, seed: int = 0, edits_each: int = 6
) -> dict[str, list[Evidence]]:
    """Edit each image in a few ways, all edits equally often, and look at each pair; return the evidence by edit."""
    rng = Random(seed)  # noqa: S311 - chance, not secrets
    order = list(EDITS)
    rng.shuffle(order)
    found: dict[str, list[Evidence]] = {edit.name: [] for edit in EDITS}
    turn = 0
    for image in images:
        view, known = View.of(image), perceptual_hash(image)
        for _ in range(edits_each):
            edit = order[turn % len(order)]
            turn += 1
            copy = edit.apply(image, rng)
            found[edit.name].append(look(view, View.of(copy), hashes=(known, perceptual_hash(copy))))
    return found


def calibrate(
    copies: Mapping[str, Sequence[Evidence]],
    negatives: Sequence[Evidence],
    *,
    max_false_share: float,
    proposed: int,
    right: float,
) -> Calibration:
    """Choose the loosest cut-offs whose share of wrong pairs stays within `max_false_share`.

    `negatives` is the evidence of a sample of the library's `proposed` pairs; `right` is how many pairs of the
    library are copies, as far as is known. The share is that of wrong pairs among all that would be reported.

    Raises:
        ValueError: a share outside of 0 to 1.

    """
    if not 0 < max_false_share < 1:
        raise ValueError(f"a share of false pairs lies between 0 and 1, not at {max_false_share}")
    scores = np.sort([strictness_of(seen) for seen in negatives])
    steps = np.arange(_LOOSEST, _STRICTEST + _STEP / 2, _STEP)
    shares = [_false_share(scores, float(step), proposed=proposed, right=right) for step in steps]
    good = [index for index, share in enumerate(shares) if share <= max_false_share]
    index = good[0] if good else len(steps) - 1
    thresholds = thresholds_at(float(steps[index]))
    return Calibration(
        thresholds=thresholds,
        max_false_share=max_false_share,
        false_share=shares[index],
        negatives=len(negatives),
        mistaken=sum(seen.confirms(thresholds) for seen in negatives),
        recall={
            name: sum(seen.confirms(thresholds) for seen in found) / len(found)
            for name, found in copies.items()
            if found
        },
    )


def _false_share(scores: np.ndarray, cutoff: float, *, proposed: int, right: float) -> float:
    wrong = _rate_above(scores, cutoff) * proposed
    return float(wrong / (wrong + max(right, 1.0)))


def _rate_above(scores: np.ndarray, cutoff: float) -> float:
    """Estimate the share of negatives that score at least so much; `scores` (n,) is sorted."""
    if len(scores) == 0:
        return 1.0
    counted = float((scores >= cutoff).mean())
    # Only pairs that could be aligned at all tell how the tail falls.
    aligned = scores[scores > _NEVER]
    size = max(_FEWEST_IN_TAIL, round(_TAIL_SHARE * len(aligned)))
    if len(aligned) < size:
        start, mass, decay = (aligned[-1] if len(aligned) else _LOOSEST - 1.0), 1 / len(scores), _SLOW_DECAY
    else:
        tail = aligned[-size:]
        start, mass = tail[0], size / len(scores)
        decay = max(float((tail - start).mean()), 1e-3)
    beyond = mass * float(np.exp(-max(0.0, cutoff - start) / decay))
    return max(counted, beyond)
