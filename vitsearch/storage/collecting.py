"""Copy photos to a folder, or link them there, without replacing anything."""

from __future__ import annotations

import errno
import os
import shutil
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the HTTP API describes these records from their annotations
from typing import TYPE_CHECKING, Literal

from vitsearch.errors import OutputError
from vitsearch.records import UnreadableFile
from vitsearch.storage.atomic import Draft, sync_folder
from vitsearch.storage.outputs import belongs_to_library

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ADVICE = "choose a folder in one that is there and that you may write to"

How = Literal["copy", "hardlink", "symlink"]


@dataclass(frozen=True, slots=True)
class Collected:
    """The result: new files in the folder, files that were there already, and failures."""

    folder: Path
    written: tuple[Path, ...]
    there: tuple[Path, ...]
    failed: tuple[UnreadableFile, ...]


def check_folder(folder: Path) -> None:
    """Check that photos can be collected in a folder, which need not exist yet. Nothing is created.

    Raises:
        OutputError: they cannot, or the folder belongs to a library.

    """
    _refuse_library(folder)
    place = folder if os.path.lexists(folder) else folder.parent
    reason = None
    if not place.exists():
        reason = errno.ENOENT
    elif not place.is_dir():
        reason = errno.EEXIST if place == folder else errno.ENOTDIR
    elif not os.access(place, os.W_OK | os.X_OK):
        reason = errno.EACCES
    if reason is not None:
        what = "write to" if place == folder and reason == errno.EACCES else "make"
        raise OutputError(f"cannot {what} the folder {folder}: {os.strerror(reason)}; {_ADVICE}")


def _refuse_library(folder: Path) -> None:
    if belongs_to_library(folder / "photo"):
        raise OutputError(
            f"cannot collect photos in {folder}: it belongs to a library; choose another folder"
        )


def collect(
    photos: Iterable[Path], folder: Path, *, how: How = "copy", go_on: Callable[[], None] = lambda: None
) -> Collected:
    """Copy photos to a folder, or link them there, under their own names.

    Nothing is ever replaced: if the name of a photo is taken by another file, it becomes `name (2).jpg`. A photo that
    is already there, with the same content or as a link, is skipped. Copies keep their file times, and get their names
    when they are complete. `go_on` is called before each photo, and may raise an exception to stop.

    Raises:
        OutputError: the folder cannot be created, or belongs to a library.

    """
    _refuse_library(folder)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {folder}: {error.strerror or error}; {_ADVICE}") from error
    written: list[Path] = []
    there: list[Path] = []
    failed: list[UnreadableFile] = []
    for photo in photos:
        go_on()
        try:
            target, new = _bring(photo, folder, how)
        except OSError as error:
            failed.append(UnreadableFile(photo, error.strerror or str(error)))
            continue
        (written if new else there).append(target)
    sync_folder(folder)
    return Collected(folder, tuple(written), tuple(there), tuple(failed))


def _bring(photo: Path, folder: Path, how: How) -> tuple[Path, bool]:
    number = 1
    while True:
        name = photo.name if number == 1 else f"{photo.stem} ({number}){photo.suffix}"
        target = folder / name
        if os.path.lexists(target):
            if _is_there(photo, target, how):
                return target, False
            number += 1
            continue
        try:
            _BRING[how](photo, target)
        except FileExistsError:
            continue  # another program has just made it: see what it is
        return target, True


def _is_there(photo: Path, target: Path, how: How) -> bool:
    """Return whether a name in the folder already stands for this photo."""
    if how == "symlink" or target.is_symlink():
        is_link = how == "symlink" and target.is_symlink()
        return is_link and os.path.realpath(target) == os.path.realpath(photo)
    if how == "hardlink":
        return target.samefile(photo)
    if not target.is_file() or target.stat().st_size != photo.stat().st_size:
        return False
    with photo.open("rb") as one, target.open("rb") as other:
        while block := one.read(1 << 20):
            if other.read(1 << 20) != block:
                return False
    return True


def _copy(photo: Path, target: Path) -> None:
    with photo.open("rb") as source:
        draft = Draft(target)
        try:
            shutil.copyfileobj(source, draft.file, 1 << 20)
            draft.finish()
            shutil.copystat(photo, draft.path)
            draft.publish(new=True)
        except BaseException:
            draft.discard()
            raise


_BRING: dict[How, Callable[[Path, Path], None]] = {
    "copy": _copy,
    "hardlink": os.link,
    "symlink": os.symlink,
}
