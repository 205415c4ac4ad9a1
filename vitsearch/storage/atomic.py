"""Replace a file in one step: whoever reads it sees the old content or the new, also after a crash."""

from __future__ import annotations

import errno
import os
import secrets
from typing import TYPE_CHECKING

from vitsearch.storage.durable import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, content: bytes, *, temporary: Path | None = None) -> None:
    """Write `content` to `path`, keeping the permissions of a file that is replaced. Raises `OSError`.

    `temporary` is a new name on the same file system to write under first; it is one beside `path` otherwise.
    """
    # A short name of its own: next to a photo whose name is as long as names may be, there is no room for more.
    temporary = temporary or path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        # Not mkstemp: it makes files that only their owner can read, which a sidecar must not be.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        try:
            temporary.replace(path)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # The folder of `path` is a link to another file system: there, only a name beside it can replace it.
            write_atomically(path, content)
            temporary.unlink()
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
