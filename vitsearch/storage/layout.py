"""The paths of a library's files. Only this module knows the names of files and folders in a library's folder.

`home` holds what the user would miss (`library.db`, heads, plans). `private`, a folder that vitsearch created and
marked, holds everything that it may delete or rebuild (caches, thumbnails, uploads, temporary files).
"""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.storage.private import FOLDER_MODE, close_to_others, opener

if TYPE_CHECKING:
    from pathlib import Path

LIBRARY_FILE = "library.db"
PRIVATE_FOLDER = ".vitsearch"
MARK = "made-by-vitsearch.txt"
_MARK_TEXT = (
    "vitsearch made this folder and keeps files of its own in it: caches, thumbnails, images dropped on its page,\n"
    "copies of its database and, where photos lie beside this folder, the library itself. Keep none of your own here.\n"
)
_LOCK = "index.lock"
_HEADS, _PLANS = "heads", "plans"

# Every name that may be deleted, as vitsearch makes it. In a private folder too, nothing else ever is.
_TOKEN = "[0-9a-f]{8}"  # noqa: S105 - no password: eight random digits
SEARCH_CACHE_FILES = re.compile(
    rf"manifest\.json|background\.npz|rows-{_TOKEN}\.f16|ids-{_TOKEN}\.i64|removed-{_TOKEN}\.bits|"
    rf"cells-{_TOKEN}\.faiss|(manifest|background)-{_TOKEN}\.tmp"
)
THUMBNAIL_FILES = re.compile(rf"(?P<rest>[0-9a-f]{{62}})-[0-9a-z-]+\.jpg(?P<partial>\.{_TOKEN}\.partial)?")
UPLOAD_FILES = re.compile(rf"[0-9a-f]{{32}}(?P<partial>\.{_TOKEN}\.partial)?")
SHARD_FILES = re.compile(rf"(?P<partial>\.)?block-\d+-\d+\.parquet(?(partial)\.{_TOKEN}\.partial)")
_BACKUP_TIME = "%Y%m%d-%H%M%S%f"
BACKUP_FILES = re.compile(rf"decisions-\d{{8}}-\d{{12}}-{_TOKEN}\.db")
TEMPORARY_FILES = re.compile(rf".+\.{_TOKEN}\.tmp(-journal)?")
# Pictures of a library that is kept among photos as earlier versions did, which a walk must not take for photos.
OWN_PICTURES = re.compile(
    r"(^|/)(thumbnails/[0-9a-f]{2}/[0-9a-f]{62}-[0-9a-z-]+\.jpg|uploads/[0-9a-f]{32})(\.[0-9a-f]{8}\.partial)?"
)


WRITABLE_LIBRARY = (
    "keep the library in a folder that you may write to, with --library (photos may be read-only)"
)
"""What to do where a library's folder cannot be written to."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of one library. `folder` is the path the user names; `home` and `private` are at or below it.

    `home` is the same as `private` if the folder also contains other files.
    """

    folder: Path
    home: Path

    @classmethod
    def of(cls, folder: Path) -> Layout:
        """Return the paths of the existing or future library in a folder. Nothing is created or changed."""
        if (folder / MARK).is_file():  # the private folder itself was named
            return cls(folder, folder)
        private = folder / PRIVATE_FOLDER
        if (private / LIBRARY_FILE).exists() and (private / MARK).is_file():
            return cls(folder, private)
        if os.path.lexists(folder / LIBRARY_FILE) or not _holds_other_files(folder):
            return cls(folder, folder)
        return cls(folder, private)

    @property
    def private(self) -> Path:
        """The private folder; `make_private` creates it."""
        if self.home != self.folder or (self.home / MARK).is_file():
            return self.home
        return self.folder / PRIVATE_FOLDER

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.home / LIBRARY_FILE

    @property
    def lock(self) -> Path:
        """The lock file for changing embeddings."""
        return self.home / _LOCK

    @property
    def photos_lock(self) -> Path:
        """The lock file for moving photos."""
        return self.private / "photos.lock"

    @property
    def heads_lock(self) -> Path:
        """The lock file for creating and deleting heads."""
        return self.private / "heads.lock"

    @property
    def heads(self) -> Path:
        """The folder of trained heads."""
        return self.home / _HEADS

    @property
    def plans(self) -> Path:
        """The folder of clean-up plans made on the page."""
        return self.home / _PLANS

    @property
    def search_caches(self) -> Path:
        """The folder of search caches, with a subfolder for each space."""
        return self.private / "neighbours"

    def search_cache(self, space_id: int) -> Path:
        """The folder of one space's search cache."""
        return self.search_caches / str(space_id)

    @property
    def thumbnails(self) -> Path:
        """The folder of thumbnails."""
        return self.private / "thumbnails"

    @property
    def uploads(self) -> Path:
        """The folder of images uploaded to the page."""
        return self.private / "uploads"

    @property
    def shards(self) -> Path:
        """The folder for the results of Ray workers."""
        return self.private / "shards"

    @property
    def counts(self) -> Path:
        """The file of cached counts."""
        return self.private / "counts.json"

    @property
    def cutoffs(self) -> Path:
        """The file of calibrated thresholds for duplicates."""
        return self.private / "duplicate-cutoffs.json"

    @property
    def answers(self) -> Path:
        """The file of cached evidence about pairs of photos."""
        return self.private / "seen.db"

    @property
    def themes(self) -> Path:
        """The file of the latest themes, from which the next computation starts."""
        return self.private / "themes.npz"

    @property
    def backups(self) -> Path:
        """The folder of copies of the database that upgrades and repairs keep."""
        return self.private / "backups"

    @property
    def temporaries(self) -> Path:
        """The folder of files that are being written."""
        return self.private / "temporary"

    def owns(self, path: Path) -> bool:
        """Whether a path is of a file that vitsearch itself writes in this library."""
        if path.is_relative_to(self.private):
            return True
        if path.parent == self.home:
            return path.name == _LOCK or path.name.startswith(LIBRARY_FILE)
        return path.parent in (self.heads, self.plans)

    def make_private(self, *, mode: int = FOLDER_MODE) -> Path:
        """Make and mark the private folder, readable by nobody else, unless it is there; return it.

        Raises:
            LibraryError: there is a folder of its name that vitsearch did not make, or none can be made.

        """
        private = self.private
        try:
            with suppress(FileExistsError):
                private.mkdir(mode=mode, parents=True)
            if not (private / MARK).is_file():
                _mark(private)
                if mode == FOLDER_MODE:
                    self._close_to_others()
        except OSError as error:
            raise LibraryError(
                f"cannot write to {private}: {error.strerror or error}; {WRITABLE_LIBRARY}"
            ) from error
        return private

    def _close_to_others(self) -> None:
        """Restrict the permissions of a library of an earlier version, once; later changes by its owner stay."""
        for path in (self.home, self.heads, self.plans):
            close_to_others(path)
            with suppress(OSError), os.scandir(path) as entries:
                for entry in entries:
                    if self.owns(path / entry.name):
                        close_to_others(path / entry.name)

    def new_backup(self) -> Path:
        """Return a file name for a new backup that sorts after all existing ones.

        The names therefore sort by time of creation, even if the clock was ahead at some point.
        """
        now = datetime.now(UTC)
        for path in made_files(self.backups, BACKUP_FILES)[-1:]:
            with suppress(ValueError):  # no date: a name that nobody has made here
                newest = datetime.strptime(path.name[10:31], _BACKUP_TIME).replace(tzinfo=UTC)
                now = max(now, newest + timedelta(microseconds=1))
        return self.backups / f"decisions-{now:{_BACKUP_TIME}}-{secrets.token_hex(4)}.db"

    def temporary(self, name: str) -> Path:
        """Return a new path in the private folder for a file that will be renamed to `name` when it is complete.

        Raises:
            LibraryError: the private folder cannot be created.

        """
        self.make_private()
        try:
            self.temporaries.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise LibraryError(
                f"cannot write to {self.temporaries}: {error.strerror or error}; {WRITABLE_LIBRARY}"
            ) from error
        return self.temporaries / f"{name}.{secrets.token_hex(4)}.tmp"


def made_files(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    """Return the regular files in a folder whose full name matches a pattern of vitsearch, sorted.

    Symbolic links, and the contents of linked folders, are never considered vitsearch's own.
    """
    if folder.is_symlink():
        return []
    try:
        with os.scandir(folder) as entries:
            names = [
                entry.name
                for entry in entries
                if pattern.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
            ]
    except (FileNotFoundError, NotADirectoryError):
        return []
    return [folder / name for name in sorted(names)]


def remove_made(folder: Path, pattern: re.Pattern[str]) -> None:
    """Delete vitsearch's files in a folder, and the folder if it is empty afterwards. Raises `OSError`."""
    for path in made_files(folder, pattern):
        path.unlink(missing_ok=True)
    with suppress(OSError):  # a file of somebody else keeps it
        folder.rmdir()


def _mark(private: Path) -> None:
    if any(private.iterdir()) and not (private / MARK).is_file():
        raise LibraryError(
            f"{private} was not made by vitsearch, which would keep its own files there: move it away, or choose "
            "another --library"
        )
    # Another process may have been faster.
    with suppress(FileExistsError), open(private / MARK, "x", encoding="utf-8", opener=opener) as file:
        file.write(_MARK_TEXT)


def _holds_other_files(folder: Path) -> bool:
    """Return whether a folder contains something that no library would have created."""
    try:
        names = set(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
    except OSError:
        return False
    ours = {_LOCK, PRIVATE_FOLDER, *((_HEADS, _PLANS) if _LOCK in names else ())}
    # The database itself may appear, with its journal, after the caller looked: another process is making the library.
    return any(
        name not in ours and not re.match(rf"{re.escape(LIBRARY_FILE)}($|[.-])", name) for name in names
    )
