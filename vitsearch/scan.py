"""Walk folders and yield the files worth a look, in sorted order."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.errors import VitsearchError
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pathspec import PathSpec
    from pathspec.pattern import Pattern

IGNORE_FILE = ".vitsearchignore"
LIBRARY_FILE = "library.db"
_LIBRARY_FOLDERS = frozenset(("neighbours", "thumbnails"))

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
        "Thumbs.db",
    )
)

EXTENSIONS = frozenset(
    ".jpg .jpeg .jpe .jfif .png .webp .gif .tif .tiff .bmp .avif .heic .heif .hif .mpo".split()
)

# The first bytes of the formats that are read, so that a photo with a wrong or missing extension is found too.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"II*\x00", b"MM\x00*")
_SIGNATURE_BYTES = 16
_HEIF_BRANDS = frozenset(
    (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"avif", b"avis")
)


@dataclass(frozen=True, slots=True)
class Skipped:
    """A folder or file that the walk could not enter, and why."""

    path: Path
    reason: str


def looks_like_image(head: bytes) -> bool:
    """Whether a file that starts with `head` (16 bytes) is of a format that is read here."""
    if head.startswith(_SIGNATURES):
        return True
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return True
    return head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS


def walk(root: Path, *, below: str = "") -> Iterator[FoundFile | Skipped]:
    """Yield every file below `root` that may be an image, sorted by path; what cannot be entered is a `Skipped`.

    `below` narrows the walk to one subfolder ("2024/" for example); paths stay relative to `root`.
    Files with an image's extension are yielded whatever they hold; of the others, those that begin like an image.
    Hidden and system folders, and whatever `.vitsearchignore` files name (gitignore patterns), are left out.
    Symbolic links are followed, but no folder is entered twice. Only regular files are yielded, so that a pipe or
    a device is never opened.
    """
    visited: set[tuple[int, int]] = set()
    # A stack of open folders instead of recursion: paths of 4,000 characters nest deeper than Python's stack.
    stack: list[Iterator[FoundFile | Skipped | _Folder]] = [
        iter([_Folder(str(root / below), below, _ignores_above(root, below))])
    ]
    while stack:
        item = next(stack[-1], None)
        if item is None:
            stack.pop()
        elif isinstance(item, _Folder):
            stack.append(_listing(item, root, visited))
        else:
            yield item


@dataclass(frozen=True, slots=True)
class _Folder:
    path: str
    relative: str
    ignores: tuple[tuple[str, PathSpec[Pattern]], ...]


def _listing(
    folder: _Folder, root: Path, visited: set[tuple[int, int]]
) -> Iterator[FoundFile | Skipped | _Folder]:
    is_start = not visited
    try:
        info = os.stat(folder.path)  # noqa: PTH116 - Path objects triple the time of a large walk
        if (info.st_dev, info.st_ino) in visited:
            return
        visited.add((info.st_dev, info.st_ino))
        with os.scandir(folder.path) as listing:
            entries = sorted(listing, key=_entry_name)
    except OSError as error:
        yield Skipped(Path(folder.path), error.strerror or str(error))
        return
    if any(entry.name == LIBRARY_FILE for entry in entries):
        # A library's own folder: its thumbnails are not photos. Where it was named itself, the rest of it may be.
        entries = [entry for entry in entries if is_start and entry.name not in _LIBRARY_FOLDERS]
    ignores = folder.ignores
    if any(entry.name == IGNORE_FILE for entry in entries):
        ignores = (*ignores, (folder.relative, _read_ignores(Path(folder.path) / IGNORE_FILE)))
    for entry in entries:
        name = entry.name
        if name.startswith(".") or name.casefold() in SYSTEM_FOLDERS:
            continue
        try:
            if entry.is_dir():
                inner = _Folder(entry.path, f"{folder.relative}{name}/", ignores)
                if not _ignored(inner.relative, ignores):
                    yield inner
                continue
            info = entry.stat()
        except OSError as error:
            if os.path.splitext(name)[1].lower() in EXTENSIONS:  # noqa: PTH122 - a name, not a path
                yield Skipped(Path(entry.path), error.strerror or str(error))
            continue
        relative = f"{folder.relative}{name}"
        if stat.S_ISREG(info.st_mode) and not _ignored(relative, ignores) and _may_be_image(entry):
            yield FoundFile(root, relative, info.st_size, info.st_mtime_ns)


def _entry_name(entry: os.DirEntry[str]) -> str:
    return entry.name


# Files whose names say that they are no photo are not opened: a walk over 100,000 files stays a walk.
_OTHER_EXTENSIONS = frozenset(
    ".txt .md .html .json .xml .xmp .csv .pdf .mp4 .mov .avi .mkv .mp3 .wav .zip .gz .tar .py .js .css .db "
    ".ini .log .aae .thm .dng .cr2 .cr3 .nef .arw .orf .rw2 .raf .svg .psd .doc .docx .xls .xlsx .exe .dll "
    ".so".split()
)


def _may_be_image(entry: os.DirEntry[str]) -> bool:
    extension = os.path.splitext(entry.name)[1].lower()  # noqa: PTH122 - called for every file of a walk
    if extension in EXTENSIONS:
        return True
    if extension in _OTHER_EXTENSIONS:
        return False
    try:
        with open(entry.path, "rb") as file:  # noqa: PTH123 - as above
            return looks_like_image(file.read(_SIGNATURE_BYTES))
    except OSError:
        return False


def _ignores_above(root: Path, below: str) -> tuple[tuple[str, PathSpec[Pattern]], ...]:
    """Read the ignore files of the folders that a walk of a subfolder does not pass through."""
    outer = [below[: end + 1] for end, character in enumerate(below) if character == "/"][:-1]
    paths = [(relative, root / relative / IGNORE_FILE) for relative in ("", *outer) if below]
    return tuple((relative, _read_ignores(path)) for relative, path in paths if path.exists())


def _read_ignores(path: Path) -> PathSpec[Pattern]:
    from pathspec import PathSpec

    if not path.is_file():
        raise VitsearchError(f"cannot use {path}: it is not a regular file; mend or remove it")
    try:
        return PathSpec.from_lines("gitignore", path.read_text(encoding="utf-8").splitlines())
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise VitsearchError(f"cannot use {path}: {error}; mend or remove it") from error


def _ignored(relative: str, ignores: tuple[tuple[str, PathSpec[Pattern]], ...]) -> bool:
    return any(spec.match_file(relative[len(base) :]) for base, spec in ignores)
