"""The size of a folder with very many small files, for responses that must not wait for it."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from vitsearch.storage.status import folder_bytes

if TYPE_CHECKING:
    from pathlib import Path

_PATIENCE_SECONDS = 0.2
_LEAST_SECONDS = 1.0
# Counting takes this share of the time at most: a million files take seconds.
_SHARE = 0.02


class FolderSize:
    """Counts the bytes in a folder in a background thread, again when the result is old."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._bytes: int | None = None
        self._until = 0.0

    def bytes(self) -> int | None:
        """Return the latest result, or None while the first count is running."""
        with self._lock:
            if time.monotonic() >= self._until and (self._thread is None or not self._thread.is_alive()):
                self._thread = threading.Thread(target=self._count, daemon=True, name="folder size")
                self._thread.start()
            thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE_SECONDS)
        return self._bytes

    def _count(self) -> None:
        started = time.monotonic()
        with suppress(OSError):
            self._bytes = folder_bytes(self._folder)
        taken = time.monotonic() - started
        self._until = time.monotonic() + max(_LEAST_SECONDS, taken / _SHARE)
