"""Files and folders of a library that no other user can access: modes 0600 and 0700.

On Windows, the access list of the folder applies instead.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def create_file(path: Path) -> None:
    """Create an empty file, if there is none, for libraries that only take a name (SQLite, FAISS). Raises `OSError`."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def opener(path: str, flags: int) -> int:
    """An `opener` for `open`: new files are accessible to their owner only."""
    return os.open(path, flags, FILE_MODE)


def make_folder(path: Path) -> None:
    """Create a folder and its missing parents, accessible to their owner only. Raises `OSError`."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)


def close_to_others(path: Path) -> None:
    """Remove the permissions of other users from a file or folder that the current user owns."""
    with suppress(OSError):
        mode = path.stat().st_mode & 0o777
        if not path.is_symlink() and mode & 0o077:
            path.chmod(mode & 0o700)
