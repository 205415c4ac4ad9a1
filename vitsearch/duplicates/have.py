"""Which files of a folder, such as a camera's card, the library has already: as they are, or as another copy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.duplicates.propose.candidates import learned_whitening, nearest_by_embedding
from vitsearch.duplicates.tables import files_of, hashes_of, present_photos
from vitsearch.duplicates.verify.verifier import Verifier, verifying_threads
from vitsearch.duplicates.verify.words import IDENTICAL
from vitsearch.folders.scan import walk
from vitsearch.paths import absolute_path, names_of, real_path
from vitsearch.photos.perceptual_hash import in_all_orientations
from vitsearch.records import FoundFile, Progress

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from vitsearch.duplicates.group.grouping import Link
    from vitsearch.duplicates.group.keep import Candidate
    from vitsearch.duplicates.tiers import Tier
    from vitsearch.library import Library
    from vitsearch.records import UnreadableFile

    Ids = npt.NDArray[np.int64]

# As in a search for duplicates.
_HASH_DISTANCE, _NEIGHBOURS = 80, 8
_COPIES: tuple[Tier, ...] = ("pixels", "near")


@dataclass(frozen=True, slots=True)
class KnownFile:
    """A file of the folder. `tier` says how the library has it, in the file `other`: both are None for a new one.

    `what` says in words what was done to the one of the library, for an edited copy.
    """

    path: Path
    tier: Tier | None = None
    other: Path | None = None
    what: str = ""


@dataclass(frozen=True, slots=True)
class FolderComparison:
    """The files of a folder, by path, and those that could not be read."""

    files: tuple[KnownFile, ...]
    unreadable: tuple[UnreadableFile, ...]

    @property
    def new(self) -> tuple[Path, ...]:
        """The files that the library does not have."""
        return tuple(file.path for file in self.files if file.tier is None)


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
    paths = [found.path for found in walk(top) if isinstance(found, FoundFile)]
    embedded = library.embed_files(paths, on_progress=on_embedding)
    photo_of = {path: embedded.photos.get(real_path(path)) for path in paths}
    asked = sorted({photo for photo in photo_of.values() if photo is not None})
    own = names_of([top])
    held = [file for file in files_of(catalog, asked) if not any(file.path.is_relative_to(n) for n in own)]
    elsewhere: dict[int, list[Candidate]] = {}
    for file in held:
        elsewhere.setdefault(file.photo, []).append(file)
    places = {photo: path for path, photo in photo_of.items() if photo is not None}
    left = np.array([photo for photo in asked if photo not in elsewhere], np.int64)
    links = _copies(library, left, places, on_progress)
    known = []
    for path in paths:
        photo = photo_of[path]
        if photo is None:
            continue
        if photo in elsewhere:
            known.append(_same_photo(path, elsewhere[photo]))
        elif photo in links:
            link, other = links[photo]
            known.append(
                KnownFile(
                    path,
                    link.tier,
                    other,
                    _said_of(link),
                )
            )
        else:
            known.append(KnownFile(path))
    return FolderComparison(tuple(known), embedded.unreadable)


def _same_photo(path: Path, files: list[Candidate]) -> KnownFile:
    from vitsearch.duplicates.cleanup.plans import content_hash

    content = content_hash(path)
    for file in files:
        if file.file_hash.hex() == content:
            return KnownFile(path, "exact", file.path)
    return KnownFile(path, "pixels", files[0].path)


def _copies(
    library: Library,
    asked: Ids,
    places: dict[int, Path],
    on_progress: Callable[[Progress], None],
) -> dict[int, tuple[Link, Path]]:
    """The best copy that the library has of each of these photos, which have no place outside of the folder."""
    catalog = library.catalog
    ids = np.setdiff1d(present_photos(catalog), asked)
    if not len(asked) or not len(ids):
        return {}
    others = _candidates(library, asked, ids)
    verifier = Verifier(catalog, tiers=_COPIES, places=places)
    found: dict[int, tuple[Link, Path]] = {}
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
            if links:
                best = max(links, key=lambda link: (link.tier == "pixels", link.score))
                other = best.first if best.second == photo else best.second
                at = files_of(catalog, [other])
                if at:
                    found[photo] = (best, at[0].path)
    return found


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
        near = np.argsort(apart, kind="stable")[:_NEIGHBOURS]
        found[photo].update(hashed[near[apart[near] <= _HASH_DISTANCE]].tolist())
    return {photo: sorted(others - {photo}) for photo, others in found.items()}


def _said_of(link: Link) -> str:
    """What was done to an edited copy, where it is more than that it was saved again."""
    if link.tier != "near" or link.evidence is None or link.evidence.transform == IDENTICAL:
        return ""
    return link.evidence.transform
