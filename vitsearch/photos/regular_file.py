"""Files are opened as files and as nothing else."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, BinaryIO

from vitsearch.errors import UnreadablePhoto

if TYPE_CHECKING:
    from pathlib import Path


def open_regular(path: Path) -> BinaryIO:
    """Open a file for reading, and nothing but a file: a pipe that took its place must not hang anybody.

    Raises:
        UnreadablePhoto: it is not a regular file.
        OSError: it cannot be opened.

    """
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)  # `open` would not: it refuses a folder before it owns the descriptor
        kind = "it is a folder; name one image in it" if stat.S_ISDIR(mode) else "it is not a regular file"
        raise UnreadablePhoto(path, kind)
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, not a path


def check_readable(path: Path) -> None:
    """Check that there is such a file, before anything is loaded that takes time.

    Raises:
        UnreadablePhoto: there is none, or it cannot be opened.

    """
    try:
        open_regular(path).close()
    except OSError as error:
        raise UnreadablePhoto(path, error.strerror or str(error), passing=True) from error
