"""Replace a file in one step: whoever reads it sees the old content or the new, also after a crash."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from vitsearch.durable import sync_folder

if TYPE_CHECKING:
    from pathlib import Path


def write_atomically(path: Path, content: bytes) -> None:
    """Write `content` to `path`, keeping the permissions of a file that is replaced. Raises `OSError`."""
    # A short name of its own: next to a photo whose name is as long as names may be, there is no room for more.
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        # Not mkstemp: it makes files that only their owner can read, which a sidecar must not be.
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            temporary.chmod(path.stat().st_mode & 0o7777)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
