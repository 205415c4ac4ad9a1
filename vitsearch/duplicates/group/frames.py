"""What lies around a photo and over it, as the pairs that it is in show: a border, a card, a caption."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from vitsearch.duplicates.group.fits import FINER_CROP

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from vitsearch.duplicates.group.keep import Candidate
    from vitsearch.duplicates.verify.evidence import Evidence

    Seen = tuple[int, int, Evidence]

# A photo that shows less than this of another one's frame, of which it holds nothing else, is a part of it.
_WHOLE = 0.97
_CLEARLY_MORE = 1.1


def with_frames(files: Sequence[Candidate], pairs: Iterable[Seen]) -> list[Candidate]:
    """Say how much of each frame is no plain border, and over which photos something was drawn or set around.

    `pairs`: ids of photos that show the same shot, and what was seen of them.
    """
    filled: dict[int, float] = {}
    within: dict[int, float] = {}
    made_again = {file.photo for file in files if file.saved_again}
    added: set[int] = set()
    for first, second, seen in pairs:
        overlaid = {1: first, 2: second}.get(seen.overlay)
        if overlaid is not None:
            # Nothing was drawn over the one that the other was made from: something hides a part of it there.
            other = second if overlaid == first else first
            added.add(other if other in made_again and overlaid not in made_again else overlaid)
        is_one_frame = min(seen.of_first, seen.of_second) >= _WHOLE
        for photo, one in ((first, seen), (second, seen.turned_round())):
            # An even sky at the edge is no border where the noise of a copy shows that it is none.
            content = max(one.content_first, one.content_second if is_one_frame else 0.0)
            filled[photo] = max(content, filled.get(photo, 0.0))
            if one.seam_first and one.of_first < _WHOLE <= one.of_second:
                within[photo] = min(one.of_first, within.get(photo, 1.0))
                added.add(photo)
    return [
        replace(
            file,
            share=min(filled.get(file.photo, 1.0), within.get(file.photo, 1.0)),
            added=file.photo in added,
        )
        for file in files
    ]


def larger_frames(pairs: Iterable[Seen], places: Mapping[int, Sequence[Candidate]]) -> dict[int, set[int]]:
    """For each photo that is a part of others (a crop of them), which ones."""
    larger: dict[int, set[int]] = defaultdict(set)
    for one, two, seen in pairs:
        if one not in places or two not in places:
            continue
        first, second = places[one][0], places[two][0]
        if _is_part(seen, first, second):
            larger[one].add(two)
        if _is_part(seen.turned_round(), second, first):
            larger[two].add(one)
    return larger


def _is_part(seen: Evidence, part: Candidate, whole: Candidate) -> bool:
    """Whether the first photo of a pair shows only a part of what the second one shows."""
    # A plain border around the other one is no picture that this one lacks, and a photo in a collage is no crop of it.
    if not seen.of_first >= _WHOLE > seen.of_second or seen.content_second <= _CLEARLY_MORE * seen.of_second:
        return False
    if seen.seam_second:
        return False
    mine, others = part.width * part.height * seen.of_first, whole.width * whole.height * seen.of_second
    return others * FINER_CROP >= mine
