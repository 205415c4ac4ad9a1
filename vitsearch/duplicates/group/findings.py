"""What is measured on photos that are linked to each other: which were enlarged, blurred, saved again, damaged."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from vitsearch.duplicates.group.damage import COMPRESSED, are_as_good, are_one_file, damaged_one
from vitsearch.duplicates.group.origin import GREY, Traits, blurred, lost_highlights, traits_of, was_enlarged
from vitsearch.duplicates.group.saved_again import was_made_from, was_saved_again
from vitsearch.errors import UnreadablePhoto

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from PIL.Image import Image

    from vitsearch.duplicates.group.keep import Candidate
    from vitsearch.storage.answers import AnswerCache

# Of a crowd of copies so many are asked whether a picture was enlarged from them, and so many JPEGs whether it was
# saved again.
_MOST_SOURCES, _MOST_SAVED = 12, 24
# And so many of the largest, whether they were enlarged.
_MOST_ENLARGED = 24
_SAME_ASPECT = 0.02
# By how many bytes the notes in two copies of one file differ at most.
_MOST_NOTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Findings:
    """What was measured of linked photos: which are grey, burnt out, blurred, finer, made from others, and damaged."""

    enlarged: Mapping[int, int]
    grey: frozenset[int]
    burnt: frozenset[int]
    blurred: frozenset[int]
    finer: frozenset[int]
    saved_again: frozenset[int]
    damaged: frozenset[int]
    perhaps_damaged: frozenset[int]

    def sets(self) -> tuple[frozenset[int], ...]:
        """All but what was enlarged, in the order of the fields."""
        return (
            self.grey,
            self.burnt,
            self.blurred,
            self.finer,
            self.saved_again,
            self.damaged,
            self.perhaps_damaged,
        )


def joined(findings: Sequence[Findings]) -> Findings:
    """Put the findings of several sets of photos together."""
    enlarged = {photo: area for one in findings for photo, area in one.enlarged.items()}
    none: tuple[frozenset[int], ...] = (frozenset(),) * (len(fields(Findings)) - 1)
    sets = zip(*(one.sets() for one in findings), strict=True) if findings else [none] * len(none)
    return Findings(enlarged, *(frozenset().union(*of_all) for of_all in sets))


def findings_of(
    members: Sequence[Candidate],
    gains: Mapping[int, float],
    crops: Mapping[int, float],
    pixels: Callable[[int], Image],
    pool: Executor,
    answers: AnswerCache,
) -> Findings:
    """Measure photos that are linked to each other, or take up what was measured of the very same ones."""
    question = answers.question(
        "set",
        [
            (
                file.file_hash,
                file.size,
                file.width,
                file.height,
                gains.get(file.photo, 1.0),
                crops.get(file.photo),
            )
            for file in members
        ],
    )
    kept = answers.get(question)
    if kept is not None:
        *told, enlarged = cast("tuple[list[Any], ...]", kept[0])
        areas = {members[place].photo: area for place, area in enlarged}
        return Findings(areas, *(frozenset(members[place].photo for place in one) for one in told))
    found, is_complete = _measure_all(members, gains, crops, pixels, pool)
    if is_complete:
        places = {file.photo: place for place, file in enumerate(members)}
        answers.keep(
            question,
            [
                *(sorted(places[photo] for photo in one) for one in found.sets()),
                [[places[photo], area] for photo, area in sorted(found.enlarged.items())],
            ],
        )
    return found


def _measure_all(
    members: Sequence[Candidate],
    gains: Mapping[int, float],
    crops: Mapping[int, float],
    pixels: Callable[[int], Image],
    pool: Executor,
) -> tuple[Findings, bool]:
    """Measure photos that are linked to each other; and say whether all of them could be read."""
    photos = {file.photo: file for file in members}
    by_size = sorted(photos, key=lambda photo: -photos[photo].width * photos[photo].height)
    largest = set(by_size[:_MOST_ENLARGED])
    sources = _sources(members, _MOST_SOURCES)
    jpegs = _sources([file for file in members if file.details.table], _MOST_SAVED)
    looked_at = largest.union(source.photo for source in (*sources, *jpegs))

    def measure(photo: int) -> Traits | None:
        try:
            return traits_of(pixels(photo), with_grey=photo in looked_at, scale=crops.get(photo))
        except UnreadablePhoto:
            return None

    found = zip(photos, pool.map(measure, photos), strict=True)
    traits = {photo: one for photo, one in found if one is not None}
    saved_again: set[int] = set()
    enlarged: dict[int, int] = {}
    for photo, one in traits.items():
        for source in sources:
            other = traits.get(source.photo)
            if other is None or photo not in largest or not _may_be_enlarged(one, other):
                continue
            if was_enlarged(one, other, source.details.table):
                height, width = other.shape
                enlarged[photo] = min(enlarged.get(photo, height * width), height * width)
        if any(_was_made_from(photos[photo], one, jpeg, traits.get(jpeg.photo)) for jpeg in jpegs):
            saved_again.add(photo)
    grey = frozenset(photo for photo, one in traits.items() if one.colour < GREY)
    burnt = _burnt(traits, gains)
    finer = frozenset(photo for photo, one in traits.items() if one.finer)
    damaged, perhaps = _damaged(list(photos.values()), traits)
    measured = Findings(
        enlarged, grey, burnt, blurred(traits), finer, frozenset(saved_again), damaged, perhaps
    )
    return measured, len(traits) == len(photos)


def _damaged(
    files: Sequence[Candidate], traits: Mapping[int, Traits]
) -> tuple[frozenset[int], frozenset[int]]:
    """The photos that are another one of them with damaged image data, and those of which it is one or the other."""
    alike: dict[object, list[Candidate]] = defaultdict(list)
    for file in files:
        if file.format in COMPRESSED:
            alike[file.format, file.width, file.height, file.details.table].append(file)
    damaged: set[int] = set()
    perhaps: set[int] = set()
    for members in alike.values():
        members.sort(key=lambda file: file.size)
        for one, two in pairwise(members):
            if two.size - one.size > _MOST_NOTES or not _are_one_file(one.path, two.path):
                continue
            left, right = (traits[file.photo].grey if file.photo in traits else None for file in (one, two))
            if left is not None and right is not None and are_as_good(left, right):
                continue
            which = None if left is None or right is None else damaged_one(left, right)
            if which is None:
                perhaps |= {one.photo, two.photo}
            else:
                damaged.add((one, two)[which].photo)
    return frozenset(damaged), frozenset(perhaps)


def _are_one_file(one: Path, two: Path) -> bool:
    try:
        return are_one_file(one.read_bytes(), two.read_bytes())
    except OSError:
        return False


def _burnt(traits: Mapping[int, Traits], gains: Mapping[int, float]) -> frozenset[int]:
    """The photos whose highlights have gone, where another one of their shape, of less contrast, still has them."""
    best: dict[int, int] = {}
    burnt = set()
    for photo in sorted(traits, key=lambda photo: gains.get(photo, 1.0)):
        one = traits[photo]
        # A crop may lack the sky.
        shape = round(math.log(one.shape[0] / one.shape[1]) / _SAME_ASPECT)
        other = best.get(shape)
        if other is not None and lost_highlights(
            one, traits[other], gain=gains.get(photo, 1.0) / gains.get(other, 1.0)
        ):
            burnt.add(photo)
        elif other is None or one.plateau < traits[other].plateau:
            best[shape] = photo
    return frozenset(burnt)


def _sources(files: Sequence[Candidate], most: int) -> list[Candidate]:
    """What the others may have been made from: of each size and quantisation one, the largest files first."""
    different: dict[object, Candidate] = {}
    for file in sorted(files, key=lambda file: (-file.size, file.photo)):
        different.setdefault((file.width, file.height, file.details.table), file)
    return list(different.values())[:most]


def _may_be_enlarged(one: Traits, two: Traits) -> bool:
    return one.shape != two.shape and _same_aspect(one, two)


def _same_aspect(one: Traits, two: Traits) -> bool:
    return abs(one.shape[0] / one.shape[1] * two.shape[1] / two.shape[0] - 1) < _SAME_ASPECT


def _was_made_from(copy: Candidate, one: Traits, source: Candidate, other: Traits | None) -> bool:
    if other is None or one is other or sorted(one.shape) != sorted(other.shape):
        return False
    if not _could_be_source(copy, source):
        return False
    # Nothing brings colours back.
    if one.colour >= GREY > other.colour:
        return False
    table, own = source.details.table, copy.details.table
    known = (
        None
        if one.grey is None or other.grey is None
        else was_made_from(one.grey, other.grey, table, own=own)
    )
    # Steps are common ones: an original may have had those of its copy before, in another program.
    return was_saved_again(one.blocks, table, own=own) if known is None else known


def _could_be_source(copy: Candidate, source: Candidate) -> bool:
    """Whether a JPEG lost more than the copy did, so that the copy may have been made from it."""
    if source.quality is None:
        return False
    return copy.quality is None or copy.quality > source.quality
