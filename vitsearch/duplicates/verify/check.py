"""Whether two files show the same shot; neither has to be in a library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.duplicates.group.grouping import BURST_SECONDS, Tier, moments_apart
from vitsearch.duplicates.verify.evidence import Evidence, Thresholds, look
from vitsearch.duplicates.verify.views import SHORT_SIDE, View
from vitsearch.photos.perceptual_hash import perceptual_hash

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What two files are to each other: `tier` is None where they show two shots; `score` is 0 to 1."""

    first: Path
    second: Path
    tier: Tier | None
    score: float
    evidence: Evidence


def check_files(first: Path, second: Path, *, thresholds: Thresholds | None = None) -> FileCheck:
    """Compare two files as a library's photos are compared.

    Raises:
        UnreadablePhoto: one of them cannot be read.

    """
    thresholds = thresholds or Thresholds()
    same = Evidence(None, 0, 0, 1.0, 1.0, 1.0, 1.0, transform="same frame")
    with Decoders(2) as decoders, decoders.open(first) as one, decoders.open(second) as two:
        if one.content == two.content:
            return FileCheck(first, second, "exact", 1.0, same)
        size = (one.facts.width, one.facts.height)
        could_be_equal = size == (two.facts.width, two.facts.height)
        left, right = (photo.pixels(min_side=None if could_be_equal else SHORT_SIDE) for photo in (one, two))
    if one.photo_hash == two.photo_hash or (left.size == right.size and left.tobytes() == right.tobytes()):
        return FileCheck(first, second, "pixels", 1.0, same)
    hashes = (perceptual_hash(left), perceptual_hash(right))
    seen = look(View.of(left), View.of(right), hashes=hashes, thresholds=thresholds)
    apart = moments_apart(one.facts.taken, two.facts.taken) if one.facts.camera == two.facts.camera else None
    # Two capture times within a moment are two shots, however alike.
    two_shots = apart is not None and 0 < apart <= BURST_SECONDS
    near = seen.confirms(thresholds) and not two_shots
    return FileCheck(first, second, "near" if near else None, seen.score, seen)
