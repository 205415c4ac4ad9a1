"""Real mounts for tests: drives that come and go, where the system lets this user mount."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Mounts:
    """Mounts folders and unmounts what is left of them at the end; a test is skipped where mounting is not allowed."""

    def __init__(self) -> None:
        self._mounted: list[Path] = []

    def drive(self, folder: Path, *, megabytes: int = 64) -> None:
        """Mount a new, empty file system of its own."""
        self._mount(folder, "-t", "tmpfs", "-o", f"size={megabytes}m", "vitsearch-test")

    def bind(self, source: Path, folder: Path) -> None:
        """Mount a folder in another place; both are on one file system."""
        self._mount(folder, "--bind", source)

    def _mount(self, folder: Path, *words: object) -> None:
        if sys.platform != "linux":
            pytest.skip("mounts of tests are made on Linux only")
        done = subprocess.run(
            ["mount", *map(str, words), str(folder)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"this user may not mount: {done.stderr.strip()}")
        self._mounted.append(folder)

    def unmount(self, folder: Path) -> None:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        self._mounted.remove(folder)

    def close(self) -> None:
        for folder in reversed(self._mounted):
            subprocess.run(["umount", "--lazy", str(folder)], check=False)
