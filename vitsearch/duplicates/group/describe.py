"""What decides which file to keep and is not stored: each file's own notes, what it holds, what it was made from."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

from vitsearch.duplicates.group.damage import COMPRESSED, are_as_good, are_one_file, damaged_one
from vitsearch.duplicates.group.fits import FINER_CROP, crop_scale
from vitsearch.duplicates.group.frames import with_frames
from vitsearch.duplicates.group.grouping import seen_of
from vitsearch.duplicates.group.origin import (
    GREY,
    Traits,
    blurred,
    lost_highlights,
    traits_of,
    was_enlarged,
)
from vitsearch.duplicates.group.quality import quality_of
from vitsearch.duplicates.group.saved_again import was_made_from, was_saved_again
from vitsearch.duplicates.group.sets import Sets
from vitsearch.duplicates.group.sidecars import Sidecars
from vitsearch.duplicates.tiers import COPIES
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.details import FileDetails
from vitsearch.storage.answers import AnswerCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    from PIL.Image import Image

    from vitsearch.decoding.decoders import Decoders
    from vitsearch.duplicates.group.grouping import Link
    from vitsearch.duplicates.group.keep import Candidate

# Of a crowd of copies so many are asked whether a picture was enlarged from them, and so many JPEGs whether it was
# saved again.
_MOST_SOURCES, _MOST_SAVED = 12, 24
# And so many of the largest, whether they were enlarged.
_MOST_ENLARGED = 24
_SAME_ASPECT = 0.02
# By how many bytes the notes in two copies of one file differ at most.
_MOST_NOTES = 1 << 18


def described(
    files: Sequence[Candidate],
    links: Iterable[Link],
    *,
    decoders: Decoders,
    pixels: Callable[[int], Image],
    pool: Executor,
    answers: AnswerCache | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Candidate]:
    """Add what decides: what is read from each file, and what is measured on photos that are linked to others.

    `pixels` decodes a photo in full, by id, in one of the threads of `pool`; it raises `UnreadablePhoto`.
    `answers`: what was read and measured before. `on_progress` is told of files that are read, then of photos.
    """
    linked = [link for link in links if link.tier in COPIES]
    photos = {photo for link in linked for photo in (link.first, link.second)}
    known = answers or AnswerCache(None)
    described = _read(files, photos, decoders, pool, known, on_progress)
    measured = _measured(described, linked, pixels, pool, known, on_progress)
    return with_frames(measured, seen_of(linked))


def _read(
    files: Sequence[Candidate],
    linked: set[int],
    decoders: Decoders,
    pool: Executor,
    answers: AnswerCache,
    on_progress: Callable[[int, int], None],
) -> list[Candidate]:
    contents: dict[int, set[bytes]] = defaultdict(set)
    for file in files:
        contents[file.photo].add(file.file_hash)
    # Files with the same bytes are equally good.
    asked = {file.file_hash: file for file in files if file.photo in linked or len(contents[file.photo]) > 1}

    sidecars = Sidecars()

    def read(file: Candidate) -> Candidate:
        question = answers.question("file", file.file_hash)
        kept = answers.get(question)
        if kept is not None:
            return _with_notes(file, cast("dict[str, Any]", kept[0]))
        try:
            with decoders.open(file.path) as opened:
                if opened.file_hash != file.file_hash:  # it has changed at this moment
                    return file
                facts, details = opened.facts, opened.details()
        except UnreadablePhoto:
            return file
        notes: dict[str, Any] = {
            # A date in a name is nothing that the camera noted.
            "taken": None if facts.taken_from == "name" else facts.taken,
            "camera": facts.camera,
            "software": facts.software,
            "located": facts.latitude is not None,
            "caption": facts.caption,
            "keywords": list(facts.keywords),
            "rating": facts.rating,
            "details": {**asdict(details), "table": list(details.table), "programs": list(details.programs)},
        }
        answers.keep(question, notes)
        return _with_notes(file, notes)

    known = {}
    for file_hash, file in zip(asked, pool.map(read, asked.values()), strict=True):
        known[file_hash] = file
        on_progress(len(known), len(asked))
    found = []
    for file in files:
        source = known.get(file.file_hash, file)
        found.append(
            replace(
                file,
                taken=source.taken,
                camera=source.camera,
                software=source.software,
                located=source.located,
                caption=source.caption,
                keywords=source.keywords,
                rating=source.rating,
                details=source.details,
                quality=source.quality,
                sidecars=sidecars.of(file.path),
            )
        )
    return found


def _with_notes(file: Candidate, notes: Mapping[str, Any]) -> Candidate:
    table, programs = (tuple(notes["details"][name]) for name in ("table", "programs"))
    details = FileDetails(**{**notes["details"], "table": table, "programs": programs})
    keywords = tuple(notes["keywords"])
    return replace(file, **{**notes, "details": details, "keywords": keywords}, quality=quality_of(table))


@dataclass(frozen=True, slots=True)
class _Findings:
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


def _measured(
    files: Sequence[Candidate],
    links: Sequence[Link],
    pixels: Callable[[int], Image],
    pool: Executor,
    answers: AnswerCache,
    on_progress: Callable[[int, int], None],
) -> list[Candidate]:
    photos = {file.photo: file for file in files}
    known = [link for link in links if link.first in photos and link.second in photos]
    sets = Sets()
    for link in known:
        sets.join(link.first, link.second)
    gains = _gains(known)
    crops = _crops(known, photos)
    done, total = 0, sum(map(len, sets.all()))
    grey: set[int] = set()
    burnt: set[int] = set()
    hazy: set[int] = set()
    finer: set[int] = set()
    saved_again: set[int] = set()
    damaged: set[int] = set()
    perhaps_damaged: set[int] = set()
    enlarged: dict[int, int] = {}
    for members in sets.all():
        found = _findings([photos[photo] for photo in members], gains, crops, pixels, pool, answers)
        grey |= found.grey
        burnt |= found.burnt
        hazy |= found.blurred
        finer |= found.finer
        saved_again |= found.saved_again
        damaged |= found.damaged
        perhaps_damaged |= found.perhaps_damaged
        enlarged |= found.enlarged
        done += len(members)
        on_progress(done, total)
    resized = _resized([file for file in files if file.photo in photos], sets)
    return [
        replace(
            file,
            grey=file.photo in grey,
            burnt=file.photo in burnt,
            blurred=file.photo in hazy,
            finer=file.photo in finer if file.photo in crops else None,
            saved_again=file.photo in saved_again,
            damaged=file.photo in damaged,
            perhaps_damaged=file.photo in perhaps_damaged,
            **_size_before(file, enlarged.get(file.photo), resized),
        )
        for file in files
    ]


def _resized(files: Sequence[Candidate], sets: Sets) -> frozenset[bytes]:
    """The files whose notes say the size of another file that they are linked to, and not their own.

    Whoever enlarges a photo copies its notes; programs that change its size seldom write the new one into them.
    """
    of_photo: dict[int, list[Candidate]] = defaultdict(list)
    for file in files:
        of_photo[file.photo].append(file)
    resized: set[bytes] = set()
    for members in sets.all():
        linked = [file for photo in members for file in of_photo[photo]]
        sizes = {_sides(file.width, file.height) for file in linked}
        resized.update(file.file_hash for file in linked if _noted_size(file) in sizes)
    return frozenset(resized)


def _noted_size(file: Candidate) -> tuple[int, int] | None:
    """The sides that a file's notes say, the shorter one first; None where they say none or its own."""
    noted = _sides(file.details.noted_width, file.details.noted_height)
    return None if not noted[0] or noted == _sides(file.width, file.height) else noted


def _sides(width: int, height: int) -> tuple[int, int]:
    return (width, height) if width < height else (height, width)


def _size_before(file: Candidate, enlarged_from: int | None, resized: frozenset[bytes]) -> dict[str, Any]:
    if file.file_hash not in resized:
        return {"enlarged_from": enlarged_from, "resized": False}
    before = file.details.noted_width * file.details.noted_height
    if before < file.width * file.height:
        enlarged_from = before if enlarged_from is None else min(before, enlarged_from)
    return {"enlarged_from": enlarged_from, "resized": True}


def _findings(
    members: Sequence[Candidate],
    gains: Mapping[int, float],
    crops: Mapping[int, float],
    pixels: Callable[[int], Image],
    pool: Executor,
    answers: AnswerCache,
) -> _Findings:
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
        return _Findings(areas, *(frozenset(members[place].photo for place in one) for one in told))
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
) -> tuple[_Findings, bool]:
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
    measured = _Findings(
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


def _crops(links: Iterable[Link], photos: Mapping[int, Candidate]) -> dict[int, float]:
    """The crops that may have detail of their own: how much finer they are than the finest whole, along a side."""
    scales: dict[int, float] = {}
    for one, two, seen in seen_of(links):
        for part, whole, pair in ((one, two, seen), (two, one, seen.turned_round())):
            scale = crop_scale(photos[part], photos[whole], pair)
            # What has far more pixels stays in any case.
            if scale is not None and scale**2 <= FINER_CROP:
                scales[part] = min(scale, scales.get(part, scale))
    return scales


def _gains(links: Iterable[Link]) -> dict[int, float]:
    """How many times the contrast of one photo of its group each photo has, through others where need be."""
    steps: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for link in links:
        if link.evidence is not None and link.evidence.contrast > 0:
            steps[link.first].append((link.second, link.evidence.contrast))
            steps[link.second].append((link.first, 1 / link.evidence.contrast))
    gains: dict[int, float] = {}
    for start in steps:
        if start in gains:
            continue
        gains[start], waiting = 1.0, [start]
        for photo in waiting:
            for other, step in steps[photo]:
                if other not in gains:
                    gains[other] = gains[photo] * step
                    waiting.append(other)
    return gains


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
