"""What decides which file to keep and is not stored: each file's own notes, what it holds, what it was made from."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, cast

from vitsearch.duplicates.group.findings import findings_of, joined
from vitsearch.duplicates.group.fits import FINER_CROP, crop_scale
from vitsearch.duplicates.group.frames import with_frames
from vitsearch.duplicates.group.grouping import seen_of
from vitsearch.duplicates.group.quality import quality_of
from vitsearch.duplicates.group.sets import Sets
from vitsearch.duplicates.group.sidecars import Sidecars
from vitsearch.duplicates.tiers import COPIES
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.details import FileDetails
from vitsearch.storage.answers import AnswerCache

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor

    from PIL.Image import Image

    from vitsearch.decoding.decoders import Decoders
    from vitsearch.duplicates.group.grouping import Link
    from vitsearch.duplicates.group.keep import Candidate


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
    """Return the files with everything that decides which one to keep.

    That is read from each file, and measured on the photos that are linked to others. `pixels` decodes a photo at its
    full size, by id, in a thread of `pool`, and raises `UnreadablePhoto` if it cannot. `answers` holds what was read
    and measured before. `on_progress` counts files while they are read, then photos while they are measured.
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
    measured, done, total = [], 0, sum(map(len, sets.all()))
    for members in sets.all():
        measured.append(
            findings_of([photos[photo] for photo in members], gains, crops, pixels, pool, answers)
        )
        done += len(members)
        on_progress(done, total)
    found = joined(measured)
    resized = _resized([file for file in files if file.photo in photos], sets)
    return [
        replace(
            file,
            grey=file.photo in found.grey,
            burnt=file.photo in found.burnt,
            blurred=file.photo in found.blurred,
            finer=file.photo in found.finer if file.photo in crops else None,
            saved_again=file.photo in found.saved_again,
            damaged=file.photo in found.damaged,
            perhaps_damaged=file.photo in found.perhaps_damaged,
            **_size_before(file, found.enlarged.get(file.photo), resized),
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
