"""Which files of a folder, such as a camera's card, the library has already: as they are, or as another copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.group.describe import described
from vitsearch.duplicates.group.edits import why_made_by_hand
from vitsearch.duplicates.group.fits import what_is_lost
from vitsearch.duplicates.group.keep import Candidate, why_better
from vitsearch.duplicates.propose.candidates import (
    HASH_DISTANCE,
    NEIGHBOURS,
    learned_whitening,
    nearest_by_embedding,
)
from vitsearch.duplicates.tables import files_of, hashes_of, present_photos
from vitsearch.duplicates.verify.altered import is_visibly_changed
from vitsearch.duplicates.verify.verifier import Verifier, verifying_threads
from vitsearch.duplicates.verify.words import IDENTICAL
from vitsearch.errors import UnreadablePhoto
from vitsearch.folders.scan import Passed, Skipped, walk
from vitsearch.paths import absolute_path, identity, names_of, real_path, state_of
from vitsearch.photos.perceptual_hash import in_all_orientations
from vitsearch.records import FoundFile, LeftOut, Progress, UnreadableFile

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Executor
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.decoding.decoders import Decoders
    from vitsearch.duplicates.group.grouping import Link
    from vitsearch.duplicates.tiers import Tier
    from vitsearch.library import Library
    from vitsearch.records import LeftOutKind
    from vitsearch.storage.catalog import Catalog

    Ids = npt.NDArray[np.int64]

_EXAMPLES = 5
_COPIES: tuple[Tier, ...] = ("pixels", "near")


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of the folder. `tier` says how the library has it, in the file `other`: both are None for a new one.

    `what` says in words what was done to the one of the library, for an edited copy. `better` says why the file is
    worth more than each copy that the library has, and is "" where it is not.
    """

    path: Path
    tier: Tier | None = None
    other: Path | None = None
    what: str = ""
    better: str = ""


@dataclass(frozen=True, slots=True)
class FolderComparison:
    """The photos of a folder, by path, those that could not be read, and what else lies there.

    `gone`: files of the library that would be copies, and that are not there now or have changed since it saw them.
    """

    files: tuple[KnownFile, ...]
    unreadable: tuple[UnreadableFile, ...]
    left_out: tuple[LeftOut, ...] = ()
    gone: tuple[Path, ...] = ()

    @property
    def new(self) -> tuple[Path, ...]:
        """The files that the library does not have."""
        return tuple(file.path for file in self.files if file.tier is None)

    @property
    def better(self) -> tuple[Path, ...]:
        """The files of which the library has copies that are worth less."""
        return tuple(file.path for file in self.files if file.better)


def compare_folder(
    library: Library,
    folder: str | os.PathLike[str],
    *,
    on_embedding: Callable[[Progress], None] = lambda _: None,
    on_progress: Callable[[Progress], None] = lambda _: None,
) -> FolderComparison:
    """Say of each photo in a folder whether the library has it outside of that folder, exactly or as a copy.

    Photos that the library has never seen are embedded, and kept without a place in it, as `Library.embed_files` does.

    Raises:
        LibraryMissing: nothing was indexed yet.
        LibraryBusy: another run is changing vectors, and there is something to embed.

    """
    catalog = library.catalog
    top = absolute_path(folder)
    walked = list(walk(top))
    paths = [found.path for found in walked if isinstance(found, FoundFile)]
    embedded = library.embed_files(paths, on_progress=on_embedding)
    photo_of = {path: embedded.photos.get(real_path(path)) for path in paths}
    asked = sorted({photo for photo in photo_of.values() if photo is not None})
    held = _Held(catalog, names_of([top]), paths)
    elsewhere: dict[int, list[Candidate]] = {}
    for file in held.files(asked):
        elsewhere.setdefault(file.photo, []).append(file)
    places = {photo: path for path, photo in photo_of.items() if photo is not None}
    left = np.array([photo for photo in asked if photo not in elsewhere], np.int64)
    copies = _copies(library, left, places, held, on_progress)
    known = []
    for path in paths:
        photo = photo_of[path]
        if photo is None:
            continue
        if photo in elsewhere:
            known.append(_same_photo(path, elsewhere[photo]))
        elif photo in copies:
            copy = copies[photo]
            known.append(KnownFile(path, copy.link.tier, copy.path, _said_of(copy.link), copy.better))
        else:
            known.append(KnownFile(path))
    closed = (UnreadableFile(item.path, item.reason) for item in walked if isinstance(item, Skipped))
    return FolderComparison(
        tuple(known),
        (*embedded.unreadable, *closed),
        _left_out(item for item in walked if isinstance(item, Passed)),
        tuple(sorted(held.gone)),
    )


class _Held:
    """The files that a library has outside of a folder, whose names are `own`, each as it was when it was seen.

    `here`: the files of the folder. One of them that the library knows by another name, through a link or a second
    mount, is no copy of itself.
    """

    def __init__(self, catalog: Catalog, own: Sequence[Path], here: Iterable[Path]) -> None:
        self._catalog = catalog
        self._own = own
        self._here = {name for path in here if (name := _only_name(path)) is not None}
        self.gone: set[Path] = set()

    def files(self, photos: Iterable[int]) -> list[Candidate]:
        """Return those that show these photos, and note those that have gone or changed."""
        found = []
        for file in files_of(self._catalog, photos):
            if self._is_here(file.path):
                continue
            if _is_as_it_was(file):
                found.append(file)
            else:
                self.gone.add(file.path)
        return found

    def _is_here(self, path: Path) -> bool:
        names = (path, real_path(path))
        return (
            any(name.is_relative_to(folder) for name in names for folder in self._own)
            or _only_name(path) in self._here
        )


def _only_name(path: Path) -> tuple[int, int] | str | None:
    """What tells a file from all others; None of one that has gone, or that has hard links, any of which may stay."""
    try:
        status = path.stat()
    except OSError:
        return None
    return identity(path, status) if status.st_nlink == 1 else None


def _is_as_it_was(file: Candidate) -> bool:
    try:
        now = file.path.stat()
    except OSError:
        return False
    return state_of(now) == (file.size, file.mtime_ns)


def _left_out(passed: Iterable[Passed]) -> tuple[LeftOut, ...]:
    """Sum up what is no photo, by kind, the most frequent first."""
    kinds: dict[LeftOutKind, list[Path]] = {}
    for item in passed:
        kinds.setdefault(item.kind, []).append(item.path)
    return tuple(
        LeftOut(kind, len(paths), tuple(paths[:_EXAMPLES]))
        for kind, paths in sorted(kinds.items(), key=lambda item: -len(item[1]))
    )


def _same_photo(path: Path, files: list[Candidate]) -> KnownFile:
    from vitsearch.duplicates.cleanup.plans import content_hash

    content = content_hash(path)
    for file in files:
        if file.file_hash.hex() == content:
            return KnownFile(path, "exact", file.path)
    return KnownFile(path, "pixels", files[0].path)


@dataclass(frozen=True, slots=True)
class _Copy:
    """A copy that the library has of a photo, in the file `path`; `better` as in `KnownFile`."""

    link: Link
    path: Path
    better: str = ""


def _copies(
    library: Library,
    asked: Ids,
    places: dict[int, Path],
    held: _Held,
    on_progress: Callable[[Progress], None],
) -> dict[int, _Copy]:
    """The best copy that the library has of each of these photos, which have no place outside of the folder."""
    catalog = library.catalog
    ids = np.setdiff1d(present_photos(catalog), asked)
    if not len(asked) or not len(ids):
        return {}
    others = _candidates(library, asked, ids)
    verifier = Verifier(catalog, tiers=_COPIES, places=places)
    found: dict[int, _Copy] = {}
    with verifying_threads(verifier) as pool:
        for done, photo in enumerate(asked.tolist()):
            on_progress(Progress("look", done, len(asked)))
            verifier.prepare({photo, *others[photo]})
            pairs = [(min(photo, other), max(photo, other)) for other in others[photo]]
            links = [
                link
                for link in pool.map(lambda pair: verifier.verify(pair[0], pair[1], None), pairs)
                if link is not None
            ]
            copy = _best_copy(photo, places[photo], links, held, verifier, pool)
            if copy is not None:
                found[photo] = copy
    return found


def _best_copy(
    photo: int,
    path: Path,
    links: Sequence[Link],
    held: _Held,
    verifier: Verifier,
    pool: Executor,
) -> _Copy | None:
    """The copy that is worth as much as the photo at `path`, or else the one most like it, and why it is not."""
    by_photo = {link.first if link.second == photo else link.second: link for link in links}
    files = held.files(by_photo)
    if not files:
        return None
    ordered = sorted(
        files, key=lambda file: (by_photo[file.photo].tier != "pixels", -by_photo[file.photo].score)
    )
    first = by_photo[ordered[0].photo]
    mine = None if first.tier == "pixels" else _as_candidate(verifier.decoders, photo, path)
    if mine is None:
        return _Copy(first, ordered[0].path)
    shown = [by_photo[other] for other in {file.photo for file in ordered}]
    mine, *others = described(
        [mine, *ordered], shown, decoders=verifier.decoders, pixels=verifier.in_full, pool=pool
    )
    reasons = []
    for other in others:
        link = by_photo[other.photo]
        reason = _why_worth_more(mine, other, link)
        if not reason:
            return _Copy(link, other.path)
        reasons.append(reason)
    return _Copy(first, others[0].path, reasons[0])


def _why_worth_more(mine: Candidate, other: Candidate, link: Link) -> str:
    """Why a file is worth more than a copy of it that the library has; "" where it is not."""
    seen = link.evidence
    if seen is not None and link.first != other.photo:
        seen = seen.turned_round()
    edited = why_made_by_hand(mine)
    if edited and seen is not None and is_visibly_changed(seen) and not why_made_by_hand(other):
        return f"an edit: {edited}"
    return what_is_lost(other, mine, seen) or why_better(mine, other) or ""


def _as_candidate(decoders: Decoders, photo: int, path: Path) -> Candidate | None:
    """A file that is in no folder of the library, as those of the library are described; None where it has gone."""
    try:
        with decoders.open(path) as opened:
            facts, content = opened.facts, opened.file_hash
        now = path.stat()
    except (UnreadablePhoto, OSError):
        return None
    return Candidate(path, photo, content, *state_of(now), facts.format, facts.width, facts.height)


def _candidates(library: Library, asked: Ids, ids: Ids) -> dict[int, list[int]]:
    neighbours = library.neighbours()
    embedded = np.intersect1d(ids, neighbours.ids(), assume_unique=True)
    found: dict[int, set[int]] = {photo: set() for photo in asked.tolist()}
    if len(embedded):
        both = np.union1d(embedded, asked)
        nearest = nearest_by_embedding(asked, embedded, neighbours, learned_whitening(both, neighbours))
        for photo, row in zip(asked.tolist(), nearest.tolist(), strict=True):
            found[photo].update(row)
    hashed, words = hashes_of(library.catalog, ids)
    own, own_words = hashes_of(library.catalog, asked)
    for photo, turned in zip(own.tolist(), in_all_orientations(own_words), strict=True):
        if not len(hashed):
            break
        apart = np.min([np.bitwise_count(words ^ one).sum(axis=1) for one in turned], axis=0)
        near = np.argsort(apart, kind="stable")[:NEIGHBOURS]
        found[photo].update(hashed[near[apart[near] <= HASH_DISTANCE]].tolist())
    return {photo: sorted(others - {photo}) for photo, others in found.items()}


def _said_of(link: Link) -> str:
    """What was done to an edited copy, where it is more than that it was saved again."""
    if link.tier != "near" or link.evidence is None or link.evidence.transform == IDENTICAL:
        return ""
    return link.evidence.transform
