"""Operations on files that other programs use too: renames that `os` lacks, and whether a file is being written."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import sys
from functools import cache
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_AT_FDCWD = -100
# linux/fs.h, and sys/stdio.h of macOS.
_EXCLUSIVE = {"linux": 1, "darwin": 4}
_EXCHANGE = {"linux": 2, "darwin": 2}

NO_SUCH_RENAME = frozenset((errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP))
"""What systems and file systems say that do not have such a rename."""


def exclusive_rename() -> Callable[[Path, Path], int] | None:
    """Return the system's non-replacing rename, which returns an error number or 0; None if there is none."""
    return _rename(_EXCLUSIVE.get(sys.platform, 0))


def exchange(first: Path, second: Path) -> bool:
    """Swap the names of two files in one step; return whether this is supported. Raises `OSError`."""
    call = _rename(_EXCHANGE.get(sys.platform, 0))
    code = errno.ENOSYS if call is None else call(first, second)
    if code and code not in NO_SUCH_RENAME:
        raise OSError(code, os.strerror(code), str(first), None, str(second))
    return not code


def is_written_to(file: BinaryIO) -> bool:
    """Return whether another program has an open file open for writing, if the system reports it (Linux, own files)."""
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        # Whoever begins to write meanwhile makes the kernel signal it: by default with SIGIO, which ends a process.
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


@cache
def _rename(flag: int) -> Callable[[Path, Path], int] | None:
    """Return the system call, or None if the C library lacks it."""
    if not flag:
        return None
    library = ctypes.CDLL(None, use_errno=True)
    function = getattr(library, "renamex_np" if sys.platform == "darwin" else "renameat2", None)
    if function is None:
        return None

    def call(source: Path, target: Path) -> int:
        # As Python's own rename tells those who watch what a process does to files.
        sys.audit("os.rename", str(source), str(target), -1, -1)
        names = os.fsencode(source), os.fsencode(target)
        if sys.platform == "darwin":
            failed = function(*names, flag)
        else:
            failed = function(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flag)
        return ctypes.get_errno() if failed else 0

    return call
