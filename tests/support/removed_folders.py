"""What tests leave is removed beside the next tests: on some disks each file takes milliseconds of waiting."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class Remover:
    """A process that removes one folder after the other; a thread of ours would be in the way of tests that fork."""

    def __init__(self, waiting: Path) -> None:
        """`waiting` is where folders are until they go: on the same file system as they."""
        self._waiting = waiting
        self._moved = 0
        self._process: subprocess.Popen[bytes] | None = None

    def remove(self, folder: Path) -> None:
        """Take a folder away at once, and remove it soon. One that cannot be moved stays."""
        self._moved += 1
        moved = self._waiting / str(self._moved)
        try:
            if self._process is None:
                self._waiting.mkdir()
                command = ["xargs", "-0", "-n", "1", "rm", "-rf"]
                self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
            folder.rename(moved)
        except OSError:  # a mount point, a folder in use, a system without these programs
            return
        assert self._process.stdin is not None
        self._process.stdin.write(bytes(moved) + b"\0")
        self._process.stdin.flush()

    def close(self) -> None:
        """Wait until all are gone."""
        if self._process is not None:
            assert self._process.stdin is not None
            self._process.stdin.close()
            self._process.wait()
