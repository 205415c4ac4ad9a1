"""Photos copied or linked into a folder that somebody names. Nothing that is there is ever written over."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from vitsearch.errors import LibraryError
from vitsearch.storage.outputs import belongs_to_library

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

How = Literal["copy", "hardlink", "symlink"]
_MOST_NUMBERS = 10_000


@dataclass(frozen=True, slots=True)
class LeftOutFile:
    """A file that was not copied, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Copied:
    """What was put into a folder, under which names, and what was not."""

    folder: Path
    files: tuple[Path, ...]
    left_out: tuple[LeftOutFile, ...]


def put_into(
    folder: Path, files: Sequence[Path], how: How, go_on: Callable[[], None] = lambda: None
) -> Copied:
    """Copy files into a folder, with their times, or leave links to them there. Equal names get numbers.

    Raises:
        LibraryError: the folder cannot be made, or belongs to a library, which clears its own up.

    """
    if belongs_to_library(folder / "photo"):
        raise LibraryError(f"{folder} belongs to a library: choose another folder")
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise LibraryError(f"cannot make the folder {folder}: {error.strerror or error}") from error
    done: list[Path] = []
    left_out: list[LeftOutFile] = []
    for path in files:
        go_on()
        try:
            done.append(_put(path, folder, how))
        except OSError as error:
            left_out.append(LeftOutFile(path, error.strerror or str(error)))
    return Copied(folder, tuple(done), tuple(left_out))


def _put(path: Path, folder: Path, how: How) -> Path:
    for number in range(1, _MOST_NUMBERS):
        target = folder / (path.name if number == 1 else f"{path.stem} ({number}){path.suffix}")
        try:
            if how == "copy":
                _copy(path, target)
            elif how == "hardlink":
                os.link(path, target)
            else:
                target.symlink_to(path)
        except FileExistsError:
            continue
        return target
    raise FileExistsError(f"{folder} has too many files of this name")


def _copy(path: Path, target: Path) -> None:
    with path.open("rb") as source, target.open("xb") as copy:
        try:
            shutil.copyfileobj(source, copy, 1 << 20)
        except BaseException:
            with suppress(OSError):
                target.unlink()
            raise
    with suppress(OSError):
        shutil.copystat(path, target)
