"""The records that go into the library's tables and come out of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vitsearch.paths import is_offline

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from vitsearch.records import FoundFile, PhotoFacts


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that is indexed, and the latest run that walked all of it."""

    id: int
    path: Path
    last_run: int

    def is_offline(self) -> bool:
        """Whether the folder is absent, empty or unreadable: an unmounted drive looks like that."""
        return is_offline(self.path)


# What `files.missing` says: 0, it is there; 1, it is gone; 2, it is on a drive that is not there now.
OFFLINE = 2

KnownFile = tuple[str | bytes, int, int | None, int, int, int, int]
"""A file row as a run needs it: path, id, file system, size, mtime_ns, sidecars, and what it lacks.

A plain tuple as SQLite gives it: a rescan asks for all rows of a root. What nearly all files lack is 0; otherwise the
sum of `IS_MISSING`, `HAS_NO_PHOTO` (it could not be read) and `HAS_NO_VECTOR`.
"""
IS_MISSING = 3
HAS_NO_PHOTO = 4
HAS_NO_VECTOR = 8


@dataclass
class SeenFiles:
    """Files that were seen on one file system: known ones by their ids, new ones by their paths below the root."""

    files: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReadableFile:
    """A file that was read: what is stored of it and, where it was embedded, its vector.

    `root` is None for a photo that is embedded without being given a place in the library.
    `row`: (d,), unit length, stored as float16, or None if the photo's vector is already stored. A photo that is
    stored by its `earlier_hash` is from then on known by `photo_hash`, with all that is known of it.
    """

    root: int | None
    found: FoundFile
    file_hash: bytes
    photo_hash: bytes
    facts: PhotoFacts
    perceptual: bytes | None
    row: npt.NDArray[np.floating] | None
    norm: float
    earlier_hash: bytes | None = None


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """A file that could not be read, and why.

    `passing`: what the file holds was not at fault, so that it is read again by the next run.
    """

    root: int | None
    found: FoundFile
    reason: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files of a place are present and readable, missing, and unreadable.

    `offline`: those of a drive or network inside the place that is not there now.
    """

    files: int
    missing: int
    unreadable: int
    offline: int = 0


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo's facts and the places where it is: present files first seen first."""

    id: int
    facts: PhotoFacts
    paths: tuple[Path, ...]
