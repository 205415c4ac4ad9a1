"""Files and folders of a library that no other account of the machine can read: modes 0600 and 0700.

On Windows the folder's own access list decides, and modes say nothing.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

FILE_MODE, FOLDER_MODE = 0o600, 0o700


def create_file(path: Path) -> None:
    """Make an empty file for whoever only takes a name (SQLite, FAISS), unless there is one. Raises `OSError`."""
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, FILE_MODE))


def opener(path: str, flags: int) -> int:
    """Open a file as `open(…, opener=…)` wants it; a new one is the owner's alone."""
    return os.open(path, flags, FILE_MODE)


def make_folder(path: Path) -> None:
    """Make a folder, and those above it that are missing; no other account can enter them. Raises `OSError`."""
    if path.is_dir():
        return
    if not path.parent.is_dir():
        make_folder(path.parent)
    path.mkdir(mode=FOLDER_MODE, exist_ok=True)


def close_to_others(path: Path) -> None:
    """Take a file or folder from all other accounts, where its owner is the one who asks."""
    with suppress(OSError):
        mode = path.stat().st_mode & 0o777
        if not path.is_symlink() and mode & 0o077:
            path.chmod(mode & 0o700)
