"""Records that are written to the library's tables and read from them."""

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
    """An indexed folder, and the latest run that walked all of it."""

    id: int
    path: Path
    last_run: int

    def is_offline(self) -> bool:
        """Return whether the folder is absent, empty or unreadable, as the mount point of an unmounted drive is."""
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
    """Files seen on one file system: known ones by id, new ones by their path below the root."""

    files: list[int] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ReadableFile:
    """A file that was read: its metadata and, if it was embedded, its embedding.

    - `root`: None for a photo that is embedded without being indexed.
    - `row`: (d,), unit length, stored as float16, or None if the photo's embedding is already stored.
    - `earlier_hash`: a photo stored under this hash is renamed to `photo_hash`, and keeps its data.
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
    """A file that could not be read, and the reason.

    `passing`: the cause was temporary, so the next run reads the file again.
    """

    root: int | None
    found: FoundFile
    reason: str
    passing: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How many files of a folder are present and readable, missing, and unreadable.

    `offline`: files of a drive or network inside the folder that is not mounted.
    """

    files: int
    missing: int
    unreadable: int
    offline: int = 0


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """A photo's metadata and the paths of its present files, in the order in which they were first seen."""

    id: int
    facts: PhotoFacts
    paths: tuple[Path, ...]
