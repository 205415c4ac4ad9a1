"""Images that were dropped on the page, kept for a while so that an address that holds a query can be gone back to."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from vitsearch.errors import UnreadablePhoto, VitsearchError
from vitsearch.photos import PhotoFile, parse_photo
from vitsearch.web.answers import NotFound

if TYPE_CHECKING:
    from pathlib import Path

MAX_PIXELS = 100_000_000
_MOST = 200
_MOST_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """An image that was uploaded, upright size in pixels; `photo` is the id of the same picture in the library."""

    token: str
    width: int
    height: int
    photo: int | None = None


class UploadStore:
    """The folder `uploads/` of a library: the newest images, named by their hash."""

    def __init__(self, library: Path) -> None:
        self._folder = library / "uploads"

    def add(self, data: bytes) -> tuple[str, PhotoFile]:
        """Keep an image; return its token and what its header says.

        Raises:
            UnreadablePhoto: it is no image, or has more pixels than an upload may have.

        """
        photo = _parsed(data)
        token = blake3(data).hexdigest()[:32]
        path = self._folder / token
        partial = path.with_name(f"{token}.{secrets.token_hex(4)}.partial")
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(data)
            partial.replace(path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise VitsearchError(f"cannot keep the image: {error.strerror or error}") from error
        self._sweep()
        return token, photo

    def path(self, token: str) -> Path:
        """Return where an upload is.

        Raises:
            NotFound: it is not kept any more.

        """
        path = self._folder / token
        if len(token) != 32 or not token.isalnum() or not path.is_file():
            raise NotFound("this image is not here any more: drop it on the page again")
        return path

    def read(self, token: str) -> PhotoFile:
        """Return an upload. Raises `NotFound` as `path` does."""
        return _parsed(self.path(token).read_bytes())

    def _sweep(self) -> None:
        """Forget the oldest."""
        kept = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime_ns, reverse=True)
        total = 0
        for number, path in enumerate(kept):
            total += path.stat().st_size
            if number >= _MOST or total > _MOST_BYTES:
                path.unlink(missing_ok=True)


def _parsed(data: bytes) -> PhotoFile:
    photo = parse_photo(data, name="the image")
    if photo.facts.width * photo.facts.height > MAX_PIXELS:
        raise UnreadablePhoto(
            "the image",
            f"it has {photo.facts.width} x {photo.facts.height} pixels, more than the limit of {MAX_PIXELS}",
        )
    return photo
