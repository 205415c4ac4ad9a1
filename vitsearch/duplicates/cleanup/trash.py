"""Where a plan puts files that go into the trash.

On Linux that is the trash of the desktop, by the Trash specification 1.0 of freedesktop.org: file managers list what is
in it, restore it and empty it. It is used where it lies on the file's own file system, so that a move is one rename
that cannot fill a disk. Everywhere else a hidden folder at the top of the indexed folder serves: other systems do not
say where their trash has put a file, and undo must know.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote_from_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

TRASH = ".vitsearch-trash"
_FILES, _INFO = "files", "info"
# Bytes: longer names have no room for a number and for `.trashinfo` where 255 are allowed.
_LONGEST_NAME = 230


def trash_target(path: Path, root: Path, is_taken: Callable[[Path], bool] = lambda _: False) -> Path:
    """Choose a free place for a file in the trash; its folders are there then, or are in a folder that can be made.

    `is_taken` says which places are spoken for although nothing is there yet.
    """
    desktop = _desktop_trash(path)
    if desktop is not None:
        return free_target(
            desktop / _FILES / path.name, lambda target: is_taken(target) or _info_of(target).exists()
        )
    home = _outermost(path.parent, root)
    return free_target(home / TRASH / path.relative_to(home), is_taken)


def expected_trash(path: Path, root: Path) -> Path:
    """Return the trash that `trash_target` would choose for a file; nothing is made."""
    with suppress(OSError):
        for place in _desktop_places(path):
            if _could_be_made(place):
                return place
        return _outermost(path.parent, root) / TRASH
    return root / TRASH


def free_target(wanted: Path, is_taken: Callable[[Path], bool] = lambda _: False) -> Path:
    """Return a path, with a number after its name if something is there, or `is_taken` says so."""
    target, number = wanted, 1
    while os.path.lexists(target) or is_taken(target):
        target = wanted.with_name(f"{wanted.stem}-{number}{wanted.suffix}")
        number += 1
    return target


def note_in_trash(target: Path, path: Path) -> None:
    """Tell the desktop where a file comes from that will be at `target`, if that is in its trash. Raises `OSError`."""
    if is_in_desktop_trash(target):
        date = f"DeletionDate={datetime.now().astimezone():%Y-%m-%dT%H:%M:%S}\n"
        info = _info_of(target)
        try:
            with info.open("x", encoding="ascii") as file:
                file.write(_origin(target, path) + date)
        except FileExistsError:
            raise
        except OSError:  # a full disk: half a note would stay in the trash for ever
            info.unlink(missing_ok=True)
            raise


def is_noted_in_trash(target: Path, path: Path) -> bool:
    """Whether the desktop was told that what is at `target` comes from `path`."""
    if not is_in_desktop_trash(target):
        return False
    try:
        return _info_of(target).read_text(encoding="ascii").startswith(_origin(target, path))
    except (OSError, UnicodeDecodeError):
        return False


def forget_in_trash(target: Path, path: Path) -> None:
    """Take back what `note_in_trash` has told, when the file is not there (any more)."""
    if is_in_desktop_trash(target) and not os.path.lexists(target):
        with suppress(OSError, UnicodeDecodeError):
            info = _info_of(target)
            # Another program may have taken the name for a file of its own.
            if info.read_text(encoding="ascii").startswith(_origin(target, path)):
                info.unlink()


def is_in_desktop_trash(target: Path) -> bool:
    """Whether a path is directly in the trash of a desktop (even one that is not there any more), not behind a link."""
    files = target.parent
    folder = files.parent
    named = (
        folder.name == "Trash"
        or re.fullmatch(r"\.Trash-[0-9]+", folder.name) is not None
        or (folder.parent.name == ".Trash" and folder.name.isdecimal())
    )
    return (
        named
        and files.name == _FILES
        and not {"..", TRASH}.intersection(target.parts)
        and not any(place.is_symlink() for place in (folder, files, folder / _INFO))
    )


def trash_folder(target: Path) -> Path | None:
    """The folder to empty for the space of a file at `target`, or None if that is in no trash."""
    if is_in_desktop_trash(target):
        return target.parent.parent
    for folder in target.parents:
        if folder.name == TRASH:
            return folder
    return None


def _desktop_trash(path: Path) -> Path | None:
    """The desktop's trash for a file, made if need be; None where it is not on the file's own file system."""
    try:
        device = path.lstat().st_dev
        made = (_made(place, device) for place in _desktop_places(path))
        return next((place for place in made if place is not None), None)
    except OSError:
        return None


def _desktop_places(path: Path) -> list[Path]:
    """Where the desktop's trash for a file may be, the best first; none of it is made. Raises `OSError`."""
    if sys.platform != "linux" or len(os.fsencode(path.name)) > _LONGEST_NAME:
        return []
    home = _home_trash()
    if _device_of(home) == path.lstat().st_dev:
        return [home]
    top = _mount_point(path)
    own = top / f".Trash-{os.getuid()}"
    shared = top / ".Trash"
    if shared.is_dir() and not shared.is_symlink() and shared.stat().st_mode & stat.S_ISVTX:
        return [shared / str(os.getuid()), own]
    return [own]


def _home_trash() -> Path:
    import platformdirs

    named = platformdirs.user_data_path()
    return (named if named.is_absolute() else Path.home() / ".local" / "share") / "Trash"


def _made(folder: Path, device: int) -> Path | None:
    for place in (folder, folder / _FILES, folder / _INFO):
        try:
            place.mkdir(mode=0o700, parents=place == folder, exist_ok=True)
            status = place.lstat()
        except OSError:
            return None
        if not stat.S_ISDIR(status.st_mode) or status.st_dev != device or status.st_uid != os.getuid():
            return None
    return folder


def _could_be_made(folder: Path) -> bool:
    while not os.path.lexists(folder):
        folder = folder.parent
    return folder.is_dir() and os.access(folder, os.W_OK)


def _mount_point(path: Path) -> Path:
    folder = Path(os.path.realpath(path.parent))
    while not folder.is_mount() and folder != folder.parent:
        folder = folder.parent
    return folder


def _origin(target: Path, path: Path) -> str:
    # The home trash names a file by its whole path, the trash of a drive from the drive's top.
    top = _top_of(target.parent.parent)
    named = path if top is None or not path.is_relative_to(top) else path.relative_to(top)
    return f"[Trash Info]\nPath={quote_from_bytes(os.fsencode(named), safe='/')}\n"


def _top_of(folder: Path) -> Path | None:
    """The top of the drive that a trash belongs to, or None if it is the trash of the home folder."""
    if folder.name.startswith(".Trash-"):
        return folder.parent
    return folder.parent.parent if folder.parent.name == ".Trash" else None


def _info_of(target: Path) -> Path:
    return target.parent.parent / _INFO / f"{target.name}.trashinfo"


def _device_of(path: Path) -> int:
    while not os.path.lexists(path):
        path = path.parent
    return path.stat().st_dev


def _outermost(folder: Path, root: Path) -> Path:
    """The outermost folder, at most the root, that is on the same file system."""
    device = folder.stat().st_dev
    while folder != root and folder.parent.stat().st_dev == device:
        folder = folder.parent
    return folder
