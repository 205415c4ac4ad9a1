"""Walk folders and yield the files worth a look, in sorted order."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from functools import partial
from itertools import repeat
from operator import attrgetter, itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vitsearch.folders.file_system import FileSystems
from vitsearch.folders.ignoring import IGNORE_FILE, is_ignored, read_ignores
from vitsearch.paths import EARLIEST_NS, LATEST_NS, identity, state_of
from vitsearch.photos.formats import (
    EXTENSIONS,
    RAW_EXTENSIONS,
    SIDECAR_EXTENSIONS,
    SIGNATURE_BYTES,
    SOUND_EXTENSIONS,
    UNREAD_IMAGE_EXTENSIONS,
    VIDEO_EXTENSIONS,
    looks_like_image,
)
from vitsearch.photos.sidecars import FolderNames, is_sidecar, sidecar_names
from vitsearch.photos.takeout import TAKEOUT_ENDING, TakeoutNames
from vitsearch.records import FoundFile
from vitsearch.storage.layout import OWN_PICTURES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from collections.abc import Set as AbstractSet

    from vitsearch.folders.ignoring import Ignores
    from vitsearch.records import LeftOutKind

_IMAGE: Literal["image"] = "image"
_RAW_BESIDE: Literal["raw file beside its photo"] = "raw file beside its photo"

# Folders that systems and photo programs keep for themselves: thumbnails, trash, versions.
SYSTEM_FOLDERS = frozenset(
    name.casefold()
    for name in (
        "@eaDir",
        "#recycle",
        "#snapshot",
        "$RECYCLE.BIN",
        "System Volume Information",
        "lost+found",
        "__MACOSX",
        "node_modules",
    )
)


_SYSTEM_FILES = frozenset(("thumbs.db", "desktop.ini", "ehthumbs.db"))

# Libraries name their own pictures by hashes: a shorter name is none of theirs.
_OWN_NAME = 32

_NOT_RAW = EXTENSIONS - RAW_EXTENSIONS

# As cameras write them; looked up before anything slower, once for every file of a walk.
_SPELLINGS = EXTENSIONS | {extension.upper() for extension in EXTENSIONS}


# What a named tuple's own `__new__` does, without its frame: once for every file of a walk.
_found: Callable[[tuple[Path, str, int, int, int]], FoundFile] = partial(tuple.__new__, FoundFile)

# Applied with `map`, these take a third of the time of a loop in Python.
_name: Callable[[os.DirEntry[str]], str] = attrgetter("name")
_state: Callable[[os.stat_result], tuple[int, int]] = attrgetter("st_size", "st_mtime_ns")
_time: Callable[[tuple[int, int]], int] = itemgetter(1)
_mode: Callable[[os.stat_result], int] = attrgetter("st_mode")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A folder or file that the walk could not enter, and why."""

    path: Path
    reason: str


class WalkNotes:
    """What a walk learns of folders.

    `here` is the file system of the folder that its latest file is in. `again` are folders that it had entered before
    by another name, as paths below the root with a slash at the end.
    """

    def __init__(self) -> None:
        self.here: str | None = None
        self.again: list[str] = []
        self._systems = FileSystems()
        self._real: dict[str, str] = {}

    def enter(self, path: str) -> str | None:
        """Return the file system of a folder that is about to be looked at."""
        parent, _, name = path.rpartition(os.sep)
        above = self._real.get(parent)
        # Links are followed one folder at a time: asking for the real path of each would take longer than the walk.
        is_link = above is None or os.path.islink(path)  # noqa: PTH114 - as above, Path objects are slow
        real = os.path.realpath(path) if is_link else os.path.join(above or "", name)  # noqa: PTH118
        self._real[path] = real
        return self._systems.of(real)


@dataclass(frozen=True, slots=True)
class Passed:
    """A file that is not taken for a photo, and what it is: "video", "raw file beside its photo" and so on.

    `beside` are the photos, by their paths below the root, that a raw file is the same shot as.
    """

    path: Path
    kind: LeftOutKind
    beside: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """A folder that holds photos and nothing else, as most do: what a walk found there, in one piece.

    `paths` are those of the files below `root`, sorted; `states` what `stat` says of each: size and mtime_ns.
    """

    root: Path
    paths: Sequence[str]
    states: Sequence[tuple[int, int]]

    def file(self, place: int) -> FoundFile:
        """Return one of the files."""
        return _found((self.root, self.paths[place], *self.states[place], 0))


@dataclass(frozen=True, slots=True)
class _Sidecars:
    """The notes in one folder: whose they are, and of each, by name, a number that changes when it does."""

    names: FolderNames
    takeout: TakeoutNames
    numbers: Mapping[str, int]

    @classmethod
    def among(cls, entries: Sequence[os.DirEntry[str]], names: Sequence[str]) -> _Sidecars:
        numbers = {
            entry.name: number for entry in entries if _is_note(entry.name) and (number := _number_of(entry))
        }
        has_takeout = not all(map(is_sidecar, numbers))
        return cls(FolderNames(names), TakeoutNames(names if has_takeout else ()), numbers)

    def number_of(self, photo: str) -> int:
        """A number for what all sidecars of a photo hold, or 0 where there is none."""
        usual = sidecar_names(photo)
        total = sum((place + 1) * self.numbers.get(name, 0) for place, name in enumerate(usual))
        if not total:
            total = sum(self.numbers.get(name, 0) for name in self.names.sidecars_of(photo))
        total += sum(7 * self.numbers.get(name, 0) for name in self.takeout.own_notes_on(photo))
        return total & LATEST_NS


@dataclass(frozen=True, slots=True)
class _OpenFolder:
    """A folder whose entries are being looked at; the iterator remembers how far that has gone.

    `shots`: the photos in it that are not raw, by their stems in small letters, as far as there are raw files too.
    `sidecars`: what is known of these, if there are any. `file_system`: as `WalkNotes` has it.
    `photos`: all that was in it, where that is photos and nothing else: no entries are left then.
    """

    entries: Iterator[os.DirEntry[str]]
    relative: str
    ignores: Ignores
    shots: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sidecars: _Sidecars | None = None
    file_system: str | None = None
    photos: tuple[PhotoFolder, ...] = ()


def walk(root: Path, *, below: str = "", deep: bool = True) -> Iterator[FoundFile | Skipped | Passed]:
    """Yield every file below `root`, sorted by path: one that may be an image, or one that is passed over, and why.

    What cannot be entered is a `Skipped`.

    `below` narrows the walk to one subfolder ("2024/" for example); paths stay relative to `root`. Without `deep` no
    other folder is entered.
    Files with an image's extension are yielded whatever they hold; of the others, those that begin like an image.
    A raw file beside a photo with its name is the same shot and passed over. Hidden files, hidden and system folders,
    and whatever `.vitsearchignore` files name (gitignore patterns), are left out without a word.
    Symbolic links are followed, but no folder is entered twice. Only regular files are yielded, so that a pipe or
    a device is never opened.
    """
    for found in walk_folders(root, below=below, deep=deep):
        if isinstance(found, PhotoFolder):
            yield from map(found.file, range(len(found.paths)))
        else:
            yield found


def walk_folders(
    root: Path, *, below: str = "", deep: bool = True, notes: WalkNotes | None = None
) -> Iterator[PhotoFolder | FoundFile | Skipped | Passed]:
    """Yield what `walk` does, but the files of a folder of photos as one `PhotoFolder`.

    `notes` takes down what is learnt of the folders that are entered.
    """
    visited: set[tuple[int, int] | str] = set()
    # A stack of open folders instead of recursion: paths of 4,000 characters nest deeper than Python's stack.
    stack = [_open_folder(root, str(root / below), below, _ignores_above(root, below), visited, notes)]
    while stack:
        folder = stack[-1]
        if isinstance(folder, Skipped):
            yield folder
            stack.pop()
            continue
        prefix, sidecars = folder.relative, folder.sidecars
        if notes is not None:
            notes.here = folder.file_system
        yield from folder.photos
        for entry in folder.entries:
            name = entry.name
            if name[0] == ".":
                continue
            relative = prefix + name
            try:
                if entry.is_dir():
                    inner = f"{relative}/"
                    if not deep or name.casefold() in SYSTEM_FOLDERS or is_ignored(inner, folder.ignores):
                        continue
                    stack.append(_open_folder(root, entry.path, inner, folder.ignores, visited, notes))
                    break
                info = entry.stat()
            except OSError as error:
                if _extension(name) in EXTENSIONS:
                    yield Skipped(Path(entry.path), error.strerror or str(error))
                continue
            known = _known(entry, info, folder, relative)
            if known == _IMAGE:
                noted = sidecars.number_of(name) if sidecars else 0
                yield _found((root, relative, *state_of(info), noted))
            elif known is not None and not (sidecars and sidecars.takeout.photos_of(name)):
                yield _passed(entry, folder, known)
        else:
            stack.pop()


def _passed(entry: os.DirEntry[str], folder: _OpenFolder, kind: LeftOutKind) -> Passed:
    beside = folder.shots.get(_stem(entry.name), ()) if kind == _RAW_BESIDE else ()
    return Passed(Path(entry.path), kind, tuple(folder.relative + photo for photo in beside))


def _known(
    entry: os.DirEntry[str], info: os.stat_result, folder: _OpenFolder, relative: str
) -> LeftOutKind | Literal["image"] | None:
    """What a file is: an image, something that a run counts, or nothing to speak of, as all that is no regular file."""
    name = entry.name
    if not stat.S_ISREG(info.st_mode):
        return None
    is_own = len(name) >= _OWN_NAME and OWN_PICTURES.search(relative)
    if is_own or (folder.ignores and is_ignored(relative, folder.ignores)):
        return None
    if folder.shots and _is_sidecar(name, folder.shots):
        return _RAW_BESIDE
    if name[name.rfind(".") :] in _SPELLINGS or _may_be_image(entry):
        return _IMAGE
    return _kind(name)


def _open_folder(
    root: Path,
    path: str,
    relative: str,
    ignores: Ignores,
    visited: set[tuple[int, int] | str],
    notes: WalkNotes | None,
) -> _OpenFolder | Skipped:
    try:
        info = os.stat(path)  # noqa: PTH116 - Path objects triple the time of a large walk
        folder = identity(path, info)
        if folder in visited:
            if notes is not None:
                notes.again.append(relative)
            return _OpenFolder(iter(()), relative, ignores)
        visited.add(folder)
        system = None if notes is None else notes.enter(path)
        with os.scandir(path) as listing:
            entries = sorted(listing, key=_name)
    except OSError as error:
        return Skipped(Path(path), error.strerror or str(error))
    names = [*map(_name, entries)]
    if IGNORE_FILE in names:
        ignores = (*ignores, (relative, read_ignores(Path(path) / IGNORE_FILE)))
    # A folder has a few endings and many names: what the endings say need not be asked of each file.
    endings = {name[name.rfind(".") :] for name in names}
    shots = _shots(names, endings)
    if endings <= _SPELLINGS and not ignores and not shots and max(map(len, names), default=0) < _OWN_NAME:
        states = _photo_states(names, entries)
        if states is not None:
            photos = PhotoFolder(root, [relative + name for name in names], states)
            return _OpenFolder(iter(()), relative, ignores, file_system=system, photos=(photos,))
    sidecars = _Sidecars.among(entries, names) if any(map(_is_note, endings)) else None
    return _OpenFolder(iter(entries), relative, ignores, shots, sidecars, system)


def _photo_states(names: Sequence[str], entries: Sequence[os.DirEntry[str]]) -> list[tuple[int, int]] | None:
    """Size and time of each file; None if one is hidden, gone, or no regular file: then each is looked at by itself."""
    if any(map(str.startswith, names, repeat("."))):
        return None
    try:
        infos = [*map(os.DirEntry.stat, entries)]
    except OSError:
        return None
    modes = {*map(_mode, infos)}
    if not all(map(stat.S_ISREG, modes)):
        return None
    states = [*map(_state, infos)]
    times = [*map(_time, states)]
    if max(times, default=0) <= LATEST_NS and min(times, default=0) >= EARLIEST_NS:
        return states
    return [*map(state_of, infos)]


def _is_note(name: str) -> bool:
    """Whether a file may be notes on a photo by its name: XMP, or a JSON file of Google Takeout's."""
    return is_sidecar(name) or name[-len(TAKEOUT_ENDING) :].casefold() == TAKEOUT_ENDING


def _number_of(entry: os.DirEntry[str]) -> int:
    """A number for what a sidecar holds, as far as its size and time tell."""
    try:
        info = entry.stat()
    except OSError:
        return 0
    return (info.st_mtime_ns + (info.st_size << 32)) & LATEST_NS or 1


def _shots(names: Sequence[str], endings: AbstractSet[str]) -> Mapping[str, tuple[str, ...]]:
    """The photos among these files by their stems, where there is a raw file that may be the same shot."""
    if RAW_EXTENSIONS.isdisjoint(map(str.lower, endings)):
        return {}
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        if _extension(name) in _NOT_RAW:
            found[_stem(name)] = (*found.get(_stem(name), ()), name)
    return found


def _is_sidecar(name: str, shots: Mapping[str, tuple[str, ...]]) -> bool:
    return _extension(name) in RAW_EXTENSIONS and _stem(name) in shots


def _stem(name: str) -> str:
    return name.rpartition(".")[0].casefold()


def _kind(name: str) -> LeftOutKind | None:
    """What a file that is no photo is by its name; None for notes beside photos and what systems keep in folders."""
    extension = _extension(name)
    if extension in VIDEO_EXTENSIONS:
        return "video"
    if extension in SOUND_EXTENSIONS:
        return "sound"
    if extension in SIDECAR_EXTENSIONS or name.casefold() in _SYSTEM_FILES:
        return None
    return (
        "image of a kind that is not read"
        if extension in UNREAD_IMAGE_EXTENSIONS
        else "file that is no image"
    )


# Files whose names say that they are no photo are not opened: a walk over 100,000 files stays a walk.
_OTHER_EXTENSIONS = (
    VIDEO_EXTENSIONS
    | SOUND_EXTENSIONS
    | SIDECAR_EXTENSIONS
    | frozenset(
        ".txt .md .html .json .xml .csv .pdf .zip .gz .tar .py .js .css .db .ini .log .svg .doc .docx .xls .xlsx .exe "
        ".dll .so".split()
    )
)


def _may_be_image(entry: os.DirEntry[str]) -> bool:
    extension = _extension(entry.name)
    if extension in EXTENSIONS:
        return True
    if extension in _OTHER_EXTENSIONS:
        return False
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123 - as above, Path objects are slow
            return looks_like_image(file.read(SIGNATURE_BYTES))
    except OSError:
        return False


def _ignores_above(root: Path, below: str) -> Ignores:
    """Read the ignore files of the folders that a walk of a subfolder does not pass through."""
    outer = [below[: end + 1] for end, character in enumerate(below) if character == "/"][:-1]
    paths = [(relative, root / relative / IGNORE_FILE) for relative in ("", *outer) if below]
    return tuple((relative, read_ignores(path)) for relative, path in paths if path.exists())


def _extension(name: str) -> str:
    """The extension in small letters, or "" without one; `os.path.splitext` takes four times as long."""
    dot = name.rfind(".")
    return name[dot:].lower() if dot > 0 else ""
