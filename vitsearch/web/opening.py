"""How the server opens photos: files of the library, and images that were uploaded."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from vitsearch.photos import PhotoFile, parse_photo, read_photo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    Source = Path | bytes
    OpenPhoto = Callable[[Source], AbstractContextManager[PhotoFile]]


@contextmanager
def open_here(source: Path | bytes) -> Iterator[PhotoFile]:
    """Open a photo in this process.

    Raises:
        UnreadablePhoto: it cannot be read.

    """
    yield parse_photo(source, name="the image") if isinstance(source, bytes) else read_photo(source)
