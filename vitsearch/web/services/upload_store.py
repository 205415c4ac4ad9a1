"""Uploaded query images, kept for a while so that the address of a search stays valid."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from vitsearch.errors import UnreadablePhoto, VitsearchError
from vitsearch.storage import atomic
from vitsearch.storage.layout import UPLOAD_FILES, Layout, made_files
from vitsearch.storage.private import make_folder
from vitsearch.web.responses import NotFound

if TYPE_CHECKING:
    from pathlib import Path

    from vitsearch.decoding.decoders import Decoders
    from vitsearch.records import PhotoFacts

MAX_PIXELS = 100_000_000
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)
_MOST = 200
_MOST_BYTES = 512 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """An uploaded image with its upright size in pixels; `photo` is the id of the same photo in the library."""

    token: str
    width: int
    height: int
    photo: int | None = None


class UploadStore:
    """A library's folder of uploads: the most recent images, named by hash."""

    def __init__(self, library: Path, decoders: Decoders) -> None:
        self._layout = Layout.of(library)
        self._folder = self._layout.uploads
        self._decoders = decoders

    def add(self, data: bytes) -> str:
        """Store an image; return its token.

        Raises:
            UnreadablePhoto: it is not an image, or is too large for an upload.

        """
        self._header(data)
        token = blake3(data).hexdigest()[:32]
        path = self._folder / token
        self._layout.make_private()
        try:
            make_folder(self._folder)
            atomic.write(path, data, durable=False, private=True)
        except OSError as error:
            raise VitsearchError(f"cannot keep the image: {error.strerror or error}") from error
        self._sweep(spared=path)
        return token

    def path(self, token: str) -> Path:
        """Return the path of an upload.

        Raises:
            NotFound: it has expired.

        """
        path = self._folder / token
        if not _TOKEN.fullmatch(token) or not path.is_file():
            raise NotFound("this image is not here any more: drop it on the page again")
        return path

    def header(self, token: str) -> tuple[tuple[bytes, ...], PhotoFacts]:
        """Return an upload's photo hashes and metadata.

        Raises:
            NotFound: it has expired.

        """
        return self._header(self.path(token))

    def _sweep(self, *, spared: Path) -> None:
        """Delete the oldest uploads, but never the newest; files with other names are not uploads and stay."""
        kept: list[tuple[int, int, Path]] = []
        for path in made_files(self._folder, UPLOAD_FILES):
            with suppress(FileNotFoundError):  # another upload has just been put in its place
                status = path.stat()
                kept.append((status.st_mtime_ns, status.st_size, path))
        total = 0
        for number, (_, size, path) in enumerate(sorted(kept, reverse=True)):
            total += size
            if path != spared and (number >= _MOST or total > _MOST_BYTES):
                path.unlink(missing_ok=True)

    def _header(self, source: Path | bytes) -> tuple[tuple[bytes, ...], PhotoFacts]:
        with self._decoders.open(source, name="the image") as photo:
            facts = photo.facts
            if facts.width * facts.height > MAX_PIXELS:
                raise UnreadablePhoto(
                    "the image",
                    f"it has {facts.width} x {facts.height} pixels, more than the limit of {MAX_PIXELS}",
                )
            return photo.hashes, facts
