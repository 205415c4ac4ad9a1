"""Whether a file may go for another one: only if what it holds, and what it shows, lies inside what stays."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from vitsearch.duplicates.group.edits import why_made_by_hand
from vitsearch.duplicates.verify.words import SAME_PIXELS

if TYPE_CHECKING:
    from vitsearch.duplicates.group.keep import Candidate
    from vitsearch.duplicates.verify.evidence import Evidence

# The share of a frame with structure that the other photo may lack: around a crop hardly anything, beyond a seam what
# a screen or a card sets around a photo.
_BEYOND, _BEYOND_SEAM = 0.03, 0.12
# How many times the true pixels of what stays, in the part that both show, are clearly more: 1.12 times the side.
_CLEARLY_FINER, _FAR_FINER = 1.25, 6.25
# By how many steps of a JPEG's quality a file is clearly the better one, if it was not saved again after the other.
_CLEARLY_BETTER = 10
FINER_CROP = 4.5
"""A crop with more than so many times the pixels of its part in a whole is no copy of the whole: it has detail of its
own. A quarter of a photo, enlarged to the size of the whole, has four times: below this, its detail is measured."""
_CROP, _MORE_PIXELS = 0.8, 2.25
_SAME_FRAME = 0.97


def crop_scale(part: Candidate, whole: Candidate, seen: Evidence) -> float | None:
    """How many times finer the pixels of a crop are, along a side, than its part of a whole; None: it is no crop of it.

    `seen` is the evidence of the pair with `part` as its first photo. None too where they are not clearly finer.
    """
    if seen.of_second >= _CROP:
        return None
    mine, others = (
        part.width * part.height * seen.of_first,
        whole.width * whole.height * seen.of_second,
    )
    return math.sqrt(mine / others) if mine > _MORE_PIXELS * others > 0 else None


def what_is_lost(keep: Candidate, file: Candidate, seen: Evidence | None) -> str | None:
    """Say what would be lost with a file if another one is kept in its place; None: nothing.

    `seen` is the evidence of the pair with `keep` as its first photo; None for files of one photo.
    """
    if file.photo != keep.photo and file.perhaps_damaged and keep.perhaps_damaged:
        return "one of the two is damaged, and which one is not clear"
    held = _contents_lost(keep, file)
    if held is not None:
        return held
    noted = _notes_lost(keep, file, is_whole=seen is None or seen.of_first >= _SAME_FRAME)
    if noted is not None or seen is None:
        return noted
    if seen.transform == SAME_PIXELS:
        return None
    shown = _better_shown(keep, file)
    if shown is not None:
        return shown
    if seen.altered and why_made_by_hand(keep) and not why_made_by_hand(file):
        return "the other one is an edit of it"
    if seen.each_shows_more:
        return "it shows more of the scene"
    if seen.beyond_second > (_BEYOND_SEAM if seen.seam_second else _BEYOND):
        return "it contains the other one" if seen.seam_second else "it shows more of the scene"
    is_crop = seen.of_first < _CROP
    pixels, theirs = file.true_pixels * seen.of_second, keep.true_pixels * seen.of_first
    if pixels > (FINER_CROP if is_crop else _CLEARLY_FINER) * theirs and not file.resized:
        return "it has far more detail" if pixels > _FAR_FINER * theirs else "it has more detail"
    if _was_saved_better(keep, file):
        return "it was saved at a higher quality"
    if is_crop and file.finer is not False and pixels > _MORE_PIXELS * theirs:
        has = "has" if file.finer else "may have"
        return f"it {has} more detail than that part of the other one"
    return None


def _contents_lost(keep: Candidate, file: Candidate) -> str | None:
    """Say what a file holds beside its picture, or in finer steps, that the one that stays does not."""
    mine, others = file.details, keep.details
    # Where damage ends a picture too early, the rest of it lies behind.
    is_own_rest = file.damaged and mine.behind_bytes > 0
    if mine.extras and not is_own_rest and mine.extras != others.extras:
        if mine.video_bytes:
            return "it holds a video"
        return (
            "it holds other pictures or pages"
            if mine.frames > 1
            else "it holds other data behind its picture"
        )
    if mine.depth > others.depth:
        return f"it has {mine.depth} bits a channel"
    if mine.hdr and not others.hdr:
        return "it has a high dynamic range"
    if mine.alpha != others.alpha and keep.photo != file.photo:
        return "its background is transparent" if mine.alpha else "no part of it is transparent"
    return None


def _better_shown(keep: Candidate, file: Candidate) -> str | None:
    """Say what a file shows as it was taken, and the one that stays does not."""
    for lacks, has, words in (
        (keep.grey, not file.grey, "it is in colour"),
        (keep.details.few_colours, not file.details.few_colours, "it has more colours"),
        (keep.burnt, not file.burnt, "its highlights are not burnt out"),
        (keep.blurred, not file.blurred, "it is sharper"),
        (keep.added, not file.added, "nothing is drawn over it or around it"),
    ):
        if lacks and has:
            return words
    return None


def _was_saved_better(keep: Candidate, file: Candidate) -> bool:
    """Whether a file was saved at a higher quality, and not after the other one, with something done to it."""
    if file.saved_again or file.blurred or file.added or keep.quality is None or file.quality is None:
        return False
    is_as_large = (file.width, file.height) == (keep.width, keep.height)
    return is_as_large and file.quality > keep.quality + _CLEARLY_BETTER


def _notes_lost(keep: Candidate, file: Candidate, *, is_whole: bool) -> str | None:
    """Say what a file notes, by itself, that the one that stays does not.

    Of a crop that says more of the camera than the whole, the picture is what counts. Where the whole names the program
    that made it, it may be a panorama or a collage, and the camera's file a part of it.
    """
    was_put_together = keep.software is not None or bool(keep.details.programs)
    if (is_whole or was_put_together) and file.camera is not None and keep.camera is None:
        return "it has the camera's own data, which the other one lacks"
    if is_whole and file.taken is not None and keep.taken is None:
        return "it has a capture date, which the other one lacks"
    if is_whole and file.located and not keep.located:
        return "it says where it was taken, which the other one does not"
    if file.caption is not None and file.caption != keep.caption:
        return "it has a caption of its own"
    if file.rating is not None and file.rating != keep.rating:
        return "it has a rating of its own"
    if not {*file.keywords} <= {*keep.keywords}:
        return "it has keywords of its own"
    return None
