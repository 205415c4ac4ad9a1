"""Photos packed into a zip file while it is sent: nothing is stored on disk or in memory."""

from __future__ import annotations

import io
import secrets
import threading
import zipfile
from collections import OrderedDict
from typing import TYPE_CHECKING

from vitsearch.web.responses import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_MOST = 20
_PIECE = 1 << 20
LEFT_OUT = "files that are not in here.txt"
"""The name of the text in a download that says which photos it lacks."""


class Archives:
    """The most recent selections of photos to download, by unguessable tokens."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chosen: OrderedDict[str, tuple[int, ...]] = OrderedDict()

    def add(self, photos: Sequence[int]) -> str:
        """Store the photo ids of a selection; return its token."""
        token = secrets.token_hex(16)
        with self._lock:
            self._chosen[token] = tuple(photos)
            while len(self._chosen) > _MOST:
                self._chosen.popitem(last=False)
        return token

    def photos(self, token: str) -> tuple[int, ...]:
        """Return the photo ids of a selection.

        Raises:
            NotFound: the token is unknown, or has expired.

        """
        with self._lock:
            if token not in self._chosen:
                raise NotFound("this download is not known any more: choose the photos again")
            return self._chosen[token]


class _Outlet(io.RawIOBase):
    """A file-like buffer that is drained piece by piece."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        piece = bytes(data)  # type: ignore[call-overload]
        self._pieces.append(piece)
        self._at += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._at

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(files: Sequence[Path]) -> Iterator[bytes]:
    """Yield the bytes of a zip file of these files, unchanged.

    Photos are compressed already, so they are stored without compression. Duplicate names are numbered. A text file in
    the archive lists files that could not be read, each with the reason.
    """
    outlet = _Outlet()
    names = Names()
    left_out: list[str] = []
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            try:
                source = path.open("rb")
            except OSError as error:
                left_out.append(f"{_utf8(str(path))}: {error.strerror or error}\n")
                continue
            with source:
                entry = zipfile.ZipInfo.from_file(path, names.free(_utf8(path.name)), strict_timestamps=False)
                with archive.open(entry, "w", force_zip64=True) as target:
                    while piece := source.read(_PIECE):
                        target.write(piece)
                        yield outlet.taken()
            yield outlet.taken()
        if left_out:
            archive.writestr(names.free(LEFT_OUT), "".join(left_out))
    yield outlet.taken()


class Names:
    """Unique names: a second `a.jpg` becomes `a (2).jpg`."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def free(self, name: str) -> str:
        """Return the name, with a number if it is taken, ignoring case."""
        stem, dot, suffix = name.rpartition(".")
        chosen, number = name, 1
        while chosen.casefold() in self._taken:
            number += 1
            chosen = f"{stem} ({number}).{suffix}" if dot and stem else f"{name} ({number})"
        self._taken.add(chosen.casefold())
        return chosen


def _utf8(name: str) -> str:
    """Convert a name that is not UTF-8 to one that a zip file can hold."""
    return name.encode("utf-8", "replace").decode("utf-8")
