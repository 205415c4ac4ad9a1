"""Images that were dropped on the page, kept for a while so that an address that holds a query can be gone back to."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from vitsearch.errors import UnreadablePhoto, VitsearchError
from vitsearch.web.answers import NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.decoding.decoders import Decoders
    from vitsearch.records import PhotoFacts

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

    def __init__(self, library: Path, decoders: Decoders) -> None:
        self._folder = library / "uploads"
        self._decoders = decoders

    def add(self, data: bytes) -> str:
        """Keep an image; return its token.

        Raises:
            UnreadablePhoto: it is no image, or has more pixels than an upload may have.

        """
        self._header(data)
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
        return token

    def path(self, token: str) -> Path:
        """Return where an upload is.

        Raises:
            NotFound: it is not kept any more.

        """
        path = self._folder / token
        if len(token) != 32 or not token.isalnum() or not path.is_file():
            raise NotFound("this image is not here any more: drop it on the page again")
        return path

    def header(self, token: str) -> tuple[bytes, PhotoFacts]:
        """Return an upload's payload hash and what its header says. Raises `NotFound` as `path` does."""
        return self._header(self.path(token))

    def _sweep(self) -> None:
        """Forget the oldest."""
        kept: list[tuple[int, int, Path]] = []
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another upload has just been put in its place
                status = path.stat()
                kept.append((status.st_mtime_ns, status.st_size, path))
        total = 0
        for number, (_, size, path) in enumerate(sorted(kept, reverse=True)):
            total += size
            if number >= _MOST or total > _MOST_BYTES:
                path.unlink(missing_ok=True)

    def _header(self, source: Path | bytes) -> tuple[bytes, PhotoFacts]:
        with self._decoders.open(source, name="the image") as photo:
            facts = photo.facts
            if facts.width * facts.height > MAX_PIXELS:
                raise UnreadablePhoto(
                    "the image",
                    f"it has {facts.width} x {facts.height} pixels, more than the limit of {MAX_PIXELS}",
                )
            return photo.payload, facts
