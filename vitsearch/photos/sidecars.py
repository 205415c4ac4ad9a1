"""Notes in a file of their own beside a photo: `photo.jpg.xmp` (digiKam, darktable), `photo.xmp` (Lightroom), Takeout.

A copy from a drive that does not tell small letters from capitals brings both: `IMG_1.JPG` beside `img_1.xmp`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.formats import EXTENSIONS, RAW_EXTENSIONS
from vitsearch.photos.regular_file import open_regular
from vitsearch.photos.takeout import TakeoutNames, TakeoutNotes, read_takeout, shared_start, usual_names
from vitsearch.photos.xmp import LARGEST_PACKET

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SIDECAR_ENDING = ".xmp"
_SPELLINGS = (".xmp", ".XMP")


def sidecar_names(name: str) -> tuple[str, ...]:
    """Return the names that a photo's sidecars mostly have; the first ones are about no other photo."""
    return tuple(start + ending for start in dict.fromkeys((name, _stem(name))) for ending in _SPELLINGS)


def is_sidecar(name: str) -> bool:
    """Whether a file is a sidecar by its name."""
    return name[-len(SIDECAR_ENDING) :].casefold() == SIDECAR_ENDING


class FolderNames:
    """The names in one folder: which of them are sidecars of which photo, in small letters or capitals."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(names)
        self._by_stem: dict[str, list[str]] = {}
        for name in sorted(self._names):
            self._by_stem.setdefault(_stem(name).casefold(), []).append(name)

    @classmethod
    def of(cls, folder: Path) -> FolderNames:
        """List a folder. Raises `OSError`."""
        return cls(os.listdir(folder))  # noqa: PTH208 - large folders

    def sidecars_of(self, photo: str) -> tuple[str, ...]:
        """Return the sidecars of a photo, by their names; the first ones are about no other photo."""
        return (*self.full_sidecars(photo), *self.short_sidecars(photo))

    def full_sidecars(self, photo: str) -> list[str]:
        """Return `photo.jpg.xmp`, as it may be spelt, the same spelling first."""
        return [
            name
            for name in self._spelt(photo)
            if (own := _stem(name)) == photo or own not in self._names  # photo.jpg beside PHOTO.JPG
        ]

    def short_sidecars(self, photo: str) -> list[str]:
        """Return `photo.xmp`, as it may be spelt, the same spelling first; it may be about other photos, too."""
        stem = _stem(photo)
        if stem == photo:
            return []
        return [
            name
            for name in self._spelt(stem)
            if name != photo and (_stem(name) == stem or _stem(name) not in map(_stem, self._pictures(stem)))
        ]

    def others_of(self, photo: str) -> list[str]:
        """Return what else has the stem of a photo and is no sidecar: what its short sidecar may be about."""
        beside = self._by_stem.get(_stem(photo).casefold(), ())
        return [name for name in beside if name != photo and not is_sidecar(name)]

    def _spelt(self, start: str) -> list[str]:
        beside = filter(is_sidecar, self._by_stem.get(start.casefold(), ()))
        return sorted(
            beside, key=lambda name: (_stem(name) != start, not name.endswith(SIDECAR_ENDING), name)
        )

    def _pictures(self, stem: str) -> Iterator[str]:
        for name in self._by_stem.get(stem.casefold(), ()):
            if name[name.rfind(".") :].casefold() in EXTENSIONS | RAW_EXTENSIONS:
                yield name


class SidecarFolders:
    """Where notes on photos are or belong; each folder is listed once, for thousands of photos in it."""

    def __init__(self) -> None:
        self._listed: dict[Path, FolderNames] = {}

    def sidecar_path(self, photo: Path) -> Path:
        """Return where notes on a photo belong.

        That is an existing `photo.jpg.xmp`, an existing `photo.xmp` that is its own, or else a new `photo.jpg.xmp`.
        """
        names = self._names(photo)
        full = names.full_sidecars(photo.name)
        short = [] if full or names.others_of(photo.name) else names.short_sidecars(photo.name)
        for name in (*full, *short):
            path = photo.with_name(name)
            if path.is_file() or (name in full and path.exists()):
                return path
        return photo.with_name(photo.name + ".xmp")

    def has_sidecar(self, photo: Path) -> bool:
        """Whether there was any sidecar of a photo when its folder was listed."""
        return bool(self._names(photo).sidecars_of(photo.name))

    def forget(self, folder: Path) -> None:
        """List a folder again: something has changed in it."""
        self._listed.pop(folder, None)

    def _names(self, photo: Path) -> FolderNames:
        if photo.parent not in self._listed:
            try:
                self._listed[photo.parent] = FolderNames.of(photo.parent)
            except OSError:  # a folder that may be entered and not be listed
                beside = (name for name in sidecar_names(photo.name) if photo.with_name(name).exists())
                return FolderNames(beside)
        return self._listed[photo.parent]


class Beside(NamedTuple):
    """What lies beside a photo: packets of XMP, Google Takeout's notes, and remarks on what was left out."""

    packets: tuple[bytes, ...] = ()
    takeout: TakeoutNotes = TakeoutNotes()
    remarks: tuple[str, ...] = ()


def read_sidecars(path: Path) -> Beside:
    """Read the notes beside a photo, what is about it alone first, and say what was left out."""
    packets: list[bytes] = []
    takeout: TakeoutNotes | None = None
    remarks: list[str] = []
    folder, own = os.path.split(path)
    for name in _present(folder, own):
        beside = os.path.join(folder, name)  # noqa: PTH118 - most photos have none: Path objects would take longer
        try:
            with open_regular(Path(beside)) as file:
                data = file.read(LARGEST_PACKET + 1)
        except (OSError, UnreadablePhoto) as error:
            reason = getattr(error, "strerror", None) or getattr(error, "reason", None) or str(error)
            remarks.append(f"{name} beside it was left out: {reason}")
            continue
        if len(data) > LARGEST_PACKET:
            remarks.append(f"{name} beside it was left out: it has more than {LARGEST_PACKET >> 20} MB")
        elif not is_sidecar(name):
            takeout = takeout or read_takeout(data)
        elif data not in packets:  # one file by two names, where case does not count
            packets.append(data)
    return Beside(tuple(packets), takeout or TakeoutNotes(), tuple(remarks))


def _present(folder: str, photo: str) -> Iterable[str]:
    """The notes that are there. The folder is only listed where none has one of the usual names."""
    takeout = usual_names(photo)
    usual = [
        name
        for name in (*sidecar_names(photo), *takeout)
        if os.access(os.path.join(folder, name), os.F_OK)  # noqa: PTH118
    ]
    if usual and takeout:
        return usual
    try:
        names = os.listdir(folder)  # noqa: PTH208
    except OSError:
        return usual
    start, takeout_start = _stem(photo).casefold(), shared_start(photo)
    beside = [name for name in names if name.casefold().startswith(start)]
    notes = TakeoutNames(name for name in names if name.casefold().startswith(takeout_start))
    return (*FolderNames(beside).sidecars_of(photo), *notes.own_notes_on(photo))


def _stem(name: str) -> str:
    return name.rpartition(".")[0] or name
