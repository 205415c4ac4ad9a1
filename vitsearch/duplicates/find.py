"""Find the duplicates of a library: propose pairs, verify them, group them."""

from __future__ import annotations

import errno
import os
import stat
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.calibrate.library_thresholds import CalibratedThresholds, calibrated_thresholds
from vitsearch.duplicates.group.describe import described
from vitsearch.duplicates.group.grouping import DuplicateGroup, Grouping, KeptApart, Link, group
from vitsearch.duplicates.propose.candidates import proposed_pairs
from vitsearch.duplicates.shown import note_shown
from vitsearch.duplicates.tables import (
    copied_photos,
    dismissed_pairs,
    files_of,
    files_since,
    photos_at,
    present_photos,
    shots_of,
)
from vitsearch.duplicates.tiers import TIERS, Tier
from vitsearch.duplicates.verify.evidence import Thresholds
from vitsearch.duplicates.verify.many import verified_links
from vitsearch.duplicates.verify.rules import rules_digest
from vitsearch.duplicates.verify.verifier import CHANGED, Verifier, verifying_threads
from vitsearch.duplicates.verify.words import what_was_done
from vitsearch.errors import BadQuery
from vitsearch.paths import absolute_path, identity, names_of, real_path, state_of
from vitsearch.records import Progress, UnreadableFile
from vitsearch.storage.answers import AnswerCache
from vitsearch.storage.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
    from concurrent.futures import Executor
    from datetime import datetime
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.duplicates.group.grouping import Confirm, Each
    from vitsearch.duplicates.group.keep import Candidate
    from vitsearch.duplicates.propose.pairs import Pairs
    from vitsearch.duplicates.verify.evidence import Evidence
    from vitsearch.library import Library
    from vitsearch.storage.catalog import Catalog

    Ids = npt.NDArray[np.int64]
    AnyPath = str | os.PathLike[str]

MAX_FALSE_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class AlikePair:
    """Two pictures that are alike but not the same, because a detail or a colour differs; `reason` says which."""

    first: Path
    second: Path
    evidence: Evidence
    reason: str


@dataclass(frozen=True, slots=True)
class DuplicateReport:
    """The result of a search for duplicates.

    What is in `alike` and `contains` is in no group and no plan: pages that differ in a detail and things in two
    colours; files that show more than others do, such as a collage of photos.
    `calibrated` holds the thresholds of the geometric verification, or None if no requested tier uses it.
    `photos` is how many photos were compared, and `pairs` how many pairs were verified. `skipped` lists files that are
    missing, have changed since they were indexed, or cannot be read.
    """

    groups: tuple[DuplicateGroup, ...]
    alike: tuple[AlikePair, ...]
    contains: tuple[KeptApart, ...]
    calibrated: CalibratedThresholds | None
    photos: int
    pairs: int
    skipped: tuple[UnreadableFile, ...]


def find_duplicates(
    library: Library,
    *,
    tiers: Collection[Tier] = TIERS,
    max_false_share: float = MAX_FALSE_SHARE,
    since: datetime | None = None,
    between: tuple[AnyPath, AnyPath] | None = None,
    folders: Sequence[AnyPath] = (),
    prefer: Sequence[AnyPath] = (),
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> DuplicateReport:
    """Find the photos that a library has more than once.

    `folders` limits the search to files below them. `between` names two folders and returns only groups with files in
    both; the first folder (or the second, if it is in `prefer`) stays as it is: its files appear only as the ones to
    keep, and better files in the other folder are listed in `contains`. `max_false_share` is the share of reported
    `near` pairs that may be wrong. Files in `prefer` are kept if they are as good as the others.
    `since` returns only groups with a file that was indexed in a run that began at that time or later (local time if
    it has no zone). Dismissed pairs are never grouped.

    Raises:
        LibraryMissing: nothing was indexed yet.
        LibraryError: a folder is not part of the library.
        BadQuery: the options do not fit.

    """
    if not 0 < max_false_share < 1:
        raise BadQuery(
            f"the share of wrong pairs is {max_false_share}: choose one between 0 and 1, as in 0.001"
        )
    if between is not None and folders:
        raise BadQuery("two folders to compare already say where to look: leave out the others")
    on_progress(Progress("propose", 0, None))
    search = _search(library.catalog, tiers, since, between, folders, prefer)
    calibrated = _calibrated(library, search, max_false_share, on_progress)
    pairs = _proposed(library, search, on_progress)
    layout = Layout.of(library.folder)
    # What was seen of files that are the same is not looked for again.
    with AnswerCache.beside(layout, rules=rules_digest()) as answers:
        verifier = Verifier(
            search.catalog,
            thresholds=None if calibrated is None else calibrated.thresholds,
            tiers=tiers,
            rejected=search.rejected,
            answers=answers,
        )
        # Grouping asks for pairs that nobody proposed, and may look at any photo again: the decoders serve it, too.
        with verifying_threads(verifier) as pool:
            links, asked = verified_links(verifier, pool, pairs, on_progress)
            involved = _involved(search, links)
            files, skipped = _files_to_group(search, involved)
            verifier.prepare(involved)
            files = described(
                files,
                links,
                decoders=verifier.decoders,
                pixels=verifier.in_full,
                pool=pool,
                answers=answers,
                on_progress=lambda done, total: on_progress(Progress("measure", done, total)),
            )
            found = _grouped(search, files, links, verifier.confirm, _in_threads(pool, on_progress))
    groups = [_seen_from_keep(group) for group in found.groups if _is_wanted(search, group)]
    photos = {file.path: file.photo for file in files}
    shown = [
        *([file.photo for file in group.files] for group in groups),
        *verifier.alike,
        *([photos[one.path], photos[one.other]] for one in found.apart),
    ]
    note_shown(layout, shown)
    skipped = sorted({*skipped, *verifier.unreadable}, key=lambda file: file.path)
    return DuplicateReport(
        tuple(groups),
        _alike(search.catalog, verifier),
        tuple(found.apart),
        calibrated,
        len(search.ids),
        asked,
        tuple(skipped),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Search:
    """Which photos are compared, by `ids`, and which groups of them are wanted.

    `scope`: the folders to look in, () for all; `sides`: two of them, whose files are compared with each other.
    `prefer`: the folders whose files are kept first. `new`: the files one of which a group must have, None for all.
    `rejected`: pairs that were told apart.
    """

    catalog: Catalog
    ids: Ids
    tiers: Collection[Tier]
    rejected: frozenset[tuple[int, int]]
    scope: tuple[Path, ...]
    sides: tuple[Path, Path] | None
    prefer: tuple[Path, ...]
    new: frozenset[Path] | None


def _search(
    catalog: Catalog,
    tiers: Collection[Tier],
    since: datetime | None,
    between: tuple[AnyPath, AnyPath] | None,
    folders: Sequence[AnyPath],
    prefer: Sequence[AnyPath],
) -> _Search:
    sides = None if between is None else (absolute_path(between[0]), absolute_path(between[1]))
    scope = sides or tuple(map(absolute_path, folders))
    return _Search(
        catalog,
        present_photos(catalog, scope),
        tiers,
        dismissed_pairs(catalog),
        scope,
        sides,
        tuple(map(absolute_path, prefer)),
        None if since is None else files_since(catalog, since),
    )


def _calibrated(
    library: Library, search: _Search, max_false_share: float, on_progress: Callable[[Progress], None]
) -> CalibratedThresholds | None:
    """The thresholds of the second look: the default ones unless photos were told apart; None if none is taken."""
    if "near" not in search.tiers:
        return None
    if not _are_told_apart(search.rejected, search.ids):
        return CalibratedThresholds(Thresholds(), None, len(search.ids))
    return calibrated_thresholds(
        library,
        max_false_share=max_false_share,
        on_progress=lambda done, total: on_progress(Progress("calibrate", done, total)),
    )


def _proposed(library: Library, search: _Search, on_progress: Callable[[Progress], None]) -> Pairs:
    """The pairs of photos that may be duplicates, as far as groups with them are wanted."""
    catalog, count = search.catalog, len(search.ids)
    pairs = proposed_pairs(
        library,
        search.ids,
        search.tiers,
        on_progress=lambda share: on_progress(Progress("propose", round(share * count), count)),
    )
    if search.sides is not None:
        pairs = _across(pairs, *(present_photos(catalog, (side,)) for side in search.sides))
    if search.new is not None:
        recent = photos_at(catalog, search.new)
        pairs = pairs.chosen(np.isin(pairs.first, recent) | np.isin(pairs.second, recent))
    return pairs


def _involved(search: _Search, links: Iterable[Link]) -> set[int]:
    """The photos that may be in a group: those with a link, and those that lie in several places."""
    linked = {photo for link in links for photo in (link.first, link.second)}
    return linked.union(np.intersect1d(copied_photos(search.catalog), search.ids).tolist())


def _files_to_group(search: _Search, photos: Iterable[int]) -> tuple[list[Candidate], list[UnreadableFile]]:
    """The files of these photos that are as they were indexed, and those that are not."""
    places = names_of(search.scope)
    files, skipped = _checked(
        file for file in files_of(search.catalog, photos) if not places or _is_below(file.path, places)
    )
    if search.sides is not None:
        files = _with_staying_side(files, search.sides, search.prefer)
    return files, skipped


def _is_wanted(search: _Search, found: DuplicateGroup) -> bool:
    """Whether a group has files of both sides, and a new one, where that is asked for."""
    if search.sides is not None and not _is_on_all(found, [names_of([side]) for side in search.sides]):
        return False
    return search.new is None or any(file.path in search.new for file in found.files)


def _are_told_apart(pairs: Collection[tuple[int, int]], ids: Ids) -> bool:
    """Whether a person has told photos apart: nothing else is evidence that the default thresholds are too loose."""
    present = set(ids.tolist())
    return any(first != second and {first, second} <= present for first, second in pairs)


def _alike(catalog: Catalog, verifier: Verifier) -> tuple[AlikePair, ...]:
    pairs = sorted(verifier.alike.items())
    shots = shots_of(catalog, {photo for pair, _ in pairs for photo in pair})
    found = []
    for (first, second), (evidence, reason) in pairs:
        one, two = shots[first].path, shots[second].path
        if one is not None and two is not None:
            found.append(AlikePair(one, two, evidence, reason))
    return tuple(found)


def group_name(found: DuplicateGroup) -> str:
    """Return a group's name: the ids of its photos, so that it is the same until a member joins or goes.

    Ids stay with a photo when its files move, are renamed or have their metadata edited.
    """
    return "-".join(map(str, sorted({file.photo for file in found.files})))


def _in_threads(pool: Executor, on_progress: Callable[[Progress], None]) -> Each:
    """Ask for many pairs in the threads of a pool, and count them."""
    asked = 0

    def each(confirm: Confirm, pairs: Sequence[tuple[int, int]]) -> Iterator[Link | None]:
        nonlocal asked
        for link in pool.map(lambda pair: confirm(*pair), pairs):
            asked += 1
            on_progress(Progress("confirm", asked, None))
            yield link

    return each


def _across(pairs: Pairs, first: Ids, second: Ids) -> Pairs:
    """Keep the pairs with one photo on each side."""
    there = np.isin(pairs.first, first) & np.isin(pairs.second, second)
    back = np.isin(pairs.first, second) & np.isin(pairs.second, first)
    return pairs.chosen(there | back)


def _checked(files: Iterable[Candidate]) -> tuple[list[Candidate], list[UnreadableFile]]:
    """Leave out the files that are not as they were indexed, and second names of one file."""
    sound, skipped = [], []
    seen: dict[tuple[int, int] | str, Path] = {}
    # Of several names of a file, the one without links in it stands for it.
    for file in sorted(files, key=lambda file: (real_path(file.path) != file.path, file.photo, file.path)):
        try:
            if file.path.is_symlink():
                continue
            status = file.path.lstat()
        except OSError as error:
            skipped.append(UnreadableFile(file.path, error.strerror or str(error)))
            continue
        same = state_of(status) == (file.size, file.mtime_ns)
        known = seen.setdefault(identity(file.path, status), file.path)
        # Not a copy but the file itself under another name: through a link to its folder, or by a hard link.
        if known != file.path:
            continue
        if stat.S_ISREG(status.st_mode) and same:
            # What was seen of it before says nothing of whether it can be read now.
            if os.access(file.path, os.R_OK):
                sound.append(file)
            else:
                skipped.append(UnreadableFile(file.path, os.strerror(errno.EACCES)))
        else:
            skipped.append(UnreadableFile(file.path, CHANGED))
    return sound, skipped


def _grouped(
    search: _Search,
    files: list[Candidate],
    links: list[Link],
    confirm: Callable[[int, int], Link | None],
    each: Each,
) -> Grouping:
    tiers, rejected, prefer = search.tiers, search.rejected, names_of(search.prefer)
    if "pixels" in tiers:
        return group(files, links, tiers=tiers, rejected=rejected, prefer=prefer, confirm=confirm, each=each)
    # Files of one photo that differ in metadata must not be grouped then: each content counts as a photo of its own.
    contents = sorted({(file.photo, file.file_hash) for file in files})
    numbers = {content: number for number, content in enumerate(contents)}
    copies: dict[int, list[int]] = defaultdict(list)
    for (photo, _), number in numbers.items():
        copies[photo].append(number)

    def split(pair: tuple[int, int]) -> set[tuple[int, int]]:
        return {(min(one, two), max(one, two)) for one in copies[pair[0]] for two in copies[pair[1]]}

    def confirm_split(first: int, second: int) -> Link | None:
        one, two = contents[first][0], contents[second][0]
        link = None if one == two else confirm(one, two)
        return None if link is None else replace(link, first=first, second=second)

    found = group(
        [replace(file, photo=numbers[file.photo, file.file_hash]) for file in files],
        [
            replace(link, first=one, second=two)
            for link in links
            for one, two in sorted(split((link.first, link.second)))
        ],
        tiers=tiers,
        rejected={new for pair in rejected for new in split(pair)},
        prefer=prefer,
        confirm=confirm_split,
        each=each,
    )
    groups = [
        replace(members, files=tuple(replace(file, photo=contents[file.photo][0]) for file in members.files))
        for members in found.groups
    ]
    return Grouping(groups, found.apart)


def _seen_from_keep(found: DuplicateGroup) -> DuplicateGroup:
    """Let the evidence of each file say what was done to it, and not to the kept one."""
    keep, *others = found.files
    files = [keep]
    for file in others:
        if file.tier == "near" and file.photo < keep.photo and file.evidence is not None:
            seen = file.evidence.turned_round()
            file = replace(file, evidence=replace(seen, transform=what_was_done(seen)))
        files.append(file)
    return replace(found, files=tuple(files))


def staying_side(sides: tuple[Path, Path], prefer: Sequence[Path]) -> Path:
    """Of two folders that are compared, the one in which nothing goes: the first, unless the second is preferred."""
    first, second = sides
    return second if second in prefer and first not in prefer else first


def _with_staying_side(
    files: Iterable[Candidate], sides: tuple[Path, Path], prefer: Sequence[Path]
) -> list[Candidate]:
    """Mark the files of the side that stays; of a folder inside of the other one, the inner one counts."""
    staying = staying_side(sides, prefer)
    going = sides[0] if staying == sides[1] else sides[1]
    inner = names_of([going]) if going != staying and going.is_relative_to(staying) else ()
    names = names_of([staying])
    return [
        replace(file, stays=_is_below(file.path, names) and not _is_below(file.path, inner)) for file in files
    ]


def _is_on_all(found: DuplicateGroup, sides: Iterable[Sequence[Path]]) -> bool:
    """Whether a group has a file below each of these folders, which have several names each."""
    return all(any(_is_below(file.path, names) for file in found.files) for names in sides)


def _is_below(path: Path, folders: Iterable[Path]) -> bool:
    return any(path.is_relative_to(folder) for folder in folders)
