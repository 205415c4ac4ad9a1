"""Files that belong to a photo without being one: a raw file, the video of a Live Photo, notes of other programs.

A photo and its sidecars are one item. Sidecars are never duplicates of it; they go with a copy that goes, where the
kept file has the very same one, are put beside the kept file where it has none, and stay otherwise, named in the plan.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from vitsearch.photos.formats import EXTENSIONS, RAW_EXTENSIONS, SIDECAR_EXTENSIONS
from vitsearch.photos.takeout import TAKEOUT_ENDING, TAKEOUT_MARK, TakeoutNames, parsed_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

VIDEO = frozenset((".mov", ".mp4"))
# Of Lightroom, darktable and digiKam (photo.xmp, photo.jpg.xmp), of RawTherapee and DxO (photo.jpg.pp3,
# photo.jpg.dop), of Apple's edits, of Google Takeout (photo.jpg.json).
NOTES = SIDECAR_EXTENSIONS | {TAKEOUT_ENDING}


class Sidecars:
    """Looks sidecars up; each folder is listed once."""

    def __init__(self) -> None:
        self._folders: dict[Path, dict[str, list[Path]]] = {}
        self._pictures: dict[Path, dict[str, list[Path]]] = {}
        self._owners: dict[Path, list[Path]] = {}

    def of(self, path: Path) -> tuple[Path, ...]:
        """The sidecars of a photo, sorted; none where its folder cannot be listed, and none of a raw file."""
        if path.suffix.casefold() in RAW_EXTENSIONS:
            return ()
        beside = self._listed(path.parent).get(path.stem.casefold(), [])
        return tuple(file for file in beside if file != path and file.suffix.casefold() not in NOTES)

    def all_of(self, path: Path) -> tuple[Path, ...]:
        """The sidecars of a photo and the notes of other programs on it, sorted."""
        listed = self._listed(path.parent)
        notes = (
            file
            for name in dict.fromkeys((path.stem.casefold(), path.name.casefold()))
            for file in listed.get(name, [])
            if file.suffix.casefold() in NOTES
        )
        return tuple(sorted({*self.of(path), *notes}))

    def belongs_to_another(self, sidecar: Path, gone: Collection[Path]) -> bool:
        """Whether a photo, or a raw file for its notes, that does not go may be what a sidecar belongs to."""
        return any(owner not in gone for owner in self.owners(sidecar))

    def owners(self, sidecar: Path) -> tuple[Path, ...]:
        """The photos, and raw files for their notes, in a sidecar's folder that it may belong to."""
        self._listed(sidecar.parent)
        pictures = self._pictures[sidecar.parent]
        stem, ending = sidecar.stem.casefold(), sidecar.suffix.casefold()
        by_stem = (
            picture
            for picture in pictures.get(stem, [])
            if picture.suffix.casefold() not in RAW_EXTENSIONS or ending in NOTES
        )
        by_name = (
            picture
            for picture in pictures.get(stem.rpartition(".")[0], [])
            if picture.name.casefold() == stem
        )
        found = dict.fromkeys((*self._owners.get(sidecar, ()), *by_stem, *by_name))
        return tuple(owner for owner in found if owner != sidecar)

    def _listed(self, folder: Path) -> dict[str, list[Path]]:
        known = self._folders.get(folder)
        if known is None:
            known = defaultdict(list)
            pictures: dict[str, list[Path]] = defaultdict(list)
            try:
                for file in sorted(folder.iterdir()):
                    if file.suffix.casefold() in EXTENSIONS | RAW_EXTENSIONS:
                        pictures[file.stem.casefold()].append(file)
                    if goes_with_a_photo(file) and file.is_file() and not file.is_symlink():
                        known[file.stem.casefold()].append(file)
                self._add_takeout(known, pictures)
            except OSError:
                known.clear()
            self._folders[folder] = known
            self._pictures[folder] = pictures
        return known

    def _add_takeout(self, known: dict[str, list[Path]], pictures: dict[str, list[Path]]) -> None:
        """Add notes whose own name is not that of their photo with an ending."""
        notes = [
            file for files in known.values() for file in files if file.suffix.casefold() == TAKEOUT_ENDING
        ]
        names = TakeoutNames(file.name for files in (notes, *pictures.values()) for file in files)
        for note in notes:
            owners = [
                note.with_name(photo)
                for photo in names.photos_of(note.name)
                if note.stem.casefold() not in (photo.casefold(), photo.casefold().rpartition(".")[0])
            ]
            for owner in owners:
                known[owner.name.casefold()].append(note)
            self._owners[note] = owners


def _ending(sidecar: Path) -> str:
    """What stands after the photo's name in the name of a sidecar."""
    return (f".{TAKEOUT_MARK}" if parsed_name(sidecar.name.casefold())[1] else "") + sidecar.suffix


def goes_with_a_photo(path: Path) -> bool:
    """Whether a file may belong to a photo by its name: a raw file, a video, or notes."""
    return path.suffix.casefold() in RAW_EXTENSIONS | VIDEO | NOTES


def are_one_item(first: Path, second: Path) -> bool:
    """Whether two files are one item: a raw file and the picture that the camera wrote beside it."""
    if first.parent != second.parent or first.stem.casefold() != second.stem.casefold():
        return False
    return (first.suffix.casefold() in RAW_EXTENSIONS) != (second.suffix.casefold() in RAW_EXTENSIONS)


def same_sidecars(keep: Path, other: Path, sidecars: Sidecars) -> Iterable[tuple[Path, Path]]:
    """The sidecars of a kept file and of a copy that have the same suffix: pairs that may hold the same bytes."""
    kept = {_kind(file, keep): file for file in sidecars.all_of(keep)}
    for file in sidecars.all_of(other):
        twin = kept.get(_kind(file, other))
        if twin is not None and twin != file:
            yield twin, file


def lacking_sidecars(keep: Path, other: Path, sidecars: Sidecars) -> Iterable[tuple[Path, Path]]:
    """The sidecars of a copy of whose kind the kept file has none, each with the name that it would have beside it."""
    kept = {_kind(file, keep) for file in sidecars.all_of(keep)}
    beside_keep = {*sidecars.all_of(keep)}
    # Raw files first: whether the notes on one go depends on whether it does.
    for file in sorted(sidecars.all_of(other), key=lambda file: file.suffix.casefold() in NOTES):
        kind = _kind(file, other)
        if kind not in kept and file not in beside_keep:
            name = keep.name if kind.endswith("+") else keep.stem
            yield file, keep.with_name(name + _ending(file))


def _kind(sidecar: Path, photo: Path) -> str:
    """The suffix of a sidecar; photo.xmp and photo.jpg.xmp are two kinds."""
    return sidecar.suffix.casefold() + ("" if sidecar.stem.casefold() == photo.stem.casefold() else "+")
