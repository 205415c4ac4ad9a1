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
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)  # `open` would not: it refuses a folder before it owns the descriptor
        raise UnreadablePhoto(path, "it is not a regular file")
    return open(descriptor, "rb")  # noqa: PTH123 - a descriptor, not a path
