"""A folder of the server's machine that the user has typed."""

from __future__ import annotations

import stat
from pathlib import Path

from vitsearch.errors import LibraryError
from vitsearch.paths import real_path


def chosen_folder(text: str) -> Path:
    """Return the folder, with links resolved.

    Raises:
        LibraryError: the path is not absolute, or the folder does not exist or is not accessible.

    """
    if "\0" in text:
        raise LibraryError("no folder has such a name")
    try:
        folder = Path(text.strip()).expanduser()
    except RuntimeError:
        raise LibraryError(f"{text[:100]} names nobody's home: give the folder with its whole path") from None
    if not folder.is_absolute():
        raise LibraryError(
            f"{text[:100]} is not a whole path: it has to begin at the top, as in {Path.home()}"
        )
    folder = real_path(folder)
    try:
        found = stat.S_ISDIR(folder.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        found = False
    except OSError as error:
        raise LibraryError(f"cannot look at {str(folder)[:200]}: {error.strerror or error}") from error
    if not found:
        raise LibraryError(f"there is no folder {folder}: check the spelling, or mount its drive")
    return folder


def is_there(folder: Path) -> bool:
    """Return whether there is an accessible folder; unlike `Path.is_dir`, this raises no error without permission."""
    try:
        return stat.S_ISDIR(folder.stat().st_mode)
    except OSError:
        return False
