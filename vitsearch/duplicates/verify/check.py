"""Whether two files show the same shot; neither has to be in a library, and none has a say in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.decoding.decoders import Decoders
from vitsearch.duplicates.group.grouping import BURST_SECONDS, moments_apart
from vitsearch.duplicates.verify.altered import with_altered
from vitsearch.duplicates.verify.evidence import Evidence, Thresholds
from vitsearch.duplicates.verify.fine_detail import why_only_alike
from vitsearch.duplicates.verify.geometric import look
from vitsearch.duplicates.verify.outputs import Output, are_two_outputs
from vitsearch.duplicates.verify.views import SHORT_SIDE, View
from vitsearch.duplicates.verify.words import IDENTICAL, same_at_another_size, why_not
from vitsearch.photos.perceptual_hash import perceptual_hash

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.decoding.decoders import ProtectedPhoto
    from vitsearch.duplicates.tiers import Tier
    from vitsearch.photos.details import FileDetails

_SAME = Evidence(None, 0, 0, 1.0, 1.0, 1.0, 1.0, transform="identical")


@dataclass(frozen=True, slots=True)
class FileCheck:
    """What two files are to each other: `tier` is None where they show two shots; `score` is 0 to 1.

    `reason` says in words what was done to the second one, or why they are not the same shot.
    """

    first: Path
    second: Path
    tier: Tier | None
    score: float
    evidence: Evidence
    reason: str


def check_files(first: Path, second: Path) -> FileCheck:
    """Compare two files as a library's photos are compared, by the default thresholds.

    Raises:
        UnreadablePhoto: one of them cannot be read.

    """
    with (
        Decoders(2) as decoders,
        decoders.open(first, with_sidecars=True) as one,
        decoders.open(second, with_sidecars=True) as two,
    ):
        if one.file_hash == two.file_hash:
            return FileCheck(first, second, "exact", 1.0, _SAME, "the files are identical, byte for byte")
        if _same_pixels(one, two):
            return FileCheck(first, second, "pixels", 1.0, _SAME, "the picture is the same, pixel for pixel")
        left, right = (photo.pixels(min_side=SHORT_SIDE, as_drawing=True) for photo in (one, two))
        hashes = (perceptual_hash(left), perceptual_hash(right))
        views = (View.of(left), View.of(right))
        seen = look(*views, hashes=hashes)
        reason = _why_two_shots(one, two, views, seen)
        if reason is None:
            seen = with_altered(*views, seen)
        done = seen.transform
        if done == IDENTICAL:
            first_pixels, second_pixels = (photo.facts.width * photo.facts.height for photo in (one, two))
            done = same_at_another_size(second_pixels, first_pixels)
        done += _behind(one.details(), two.details()) if reason is None else ""
    return FileCheck(first, second, "near" if reason is None else None, seen.score, seen, reason or done)


def _same_pixels(one: ProtectedPhoto, two: ProtectedPhoto) -> bool:
    if (one.facts.width, one.facts.height) != (two.facts.width, two.facts.height):
        return False
    digests = [photo.details(with_pixels=True).pixels for photo in (one, two)]
    return digests[0] == digests[1]


def _behind(one: FileDetails, two: FileDetails) -> str:
    """What lies behind the picture of one of two files alone, as said of the second one."""
    for first, second, what in (
        (one.video_bytes, two.video_bytes, "a video"),
        (one.behind_bytes, two.behind_bytes, "data of another kind"),
    ):
        if bool(first) != bool(second):
            return (
                f", with {what} behind it" if second else f", without {what} that the other one has behind it"
            )
    return ""


def _output(photo: ProtectedPhoto) -> Output:
    details = photo.details()
    return Output(details.rendered, details.subsecond, photo.facts.software)


def _why_two_shots(
    one: ProtectedPhoto, two: ProtectedPhoto, views: tuple[View, View], seen: Evidence
) -> str | None:
    """Why two files are not the same shot; None where they are."""
    thresholds = Thresholds()
    if not seen.confirms(thresholds):
        return why_not(seen, thresholds)
    apart = moments_apart(one.facts.taken, two.facts.taken) if one.facts.camera == two.facts.camera else None
    # Two capture times within a moment are two shots, however alike.
    if apart is not None and 0 < apart <= BURST_SECONDS:
        return f"one camera took them {apart:.0f} s apart: two shots of a burst"
    if apart == 0 and are_two_outputs(_output(one), _output(two)):
        return "one camera made both of one second: two exposures or shots, or a picture and its source"
    return why_only_alike(views, seen, lambda place: (one, two)[place].pixels(as_drawing=True))
