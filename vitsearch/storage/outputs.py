"""Output files that a user asks for by name: contact sheets, pages, tables, exported heads and photos, plans.

An input of the command, or a file of a library, is never overwritten. Any other file is only overwritten if it is
empty, if vitsearch wrote it as a file of this kind, or with `force`. Files appear complete or not at all.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from vitsearch.errors import NOT_ALLOWED, OutputError
from vitsearch.paths import real_path
from vitsearch.photos.formats import looks_like_image
from vitsearch.storage.atomic import Draft, remove_abandoned, sync_folder
from vitsearch.storage.layout import LIBRARY_FILE, MARK, PRIVATE_FOLDER, Layout
from vitsearch.storage.own_files import is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from PIL.Image import Image

    from vitsearch.storage.own_files import Kind

_NAMES: dict[Kind, str] = {
    "sheet": "the contact sheet",
    "picture": "the picture",
    "page": "the page",
    "table": "the table",
    "head": "the head",
    "photos": "the photos to",
    "plan": "the plan",
    "backup": "the backup",
}
_PICTURE_ADVICE = "; name a .png or .jpg file"
_ADVICE = {
    errno.ENOENT: "; make its folder first, or choose another place",
    errno.ENOTDIR: "; choose another place",
    errno.EISDIR: "; name a file in it",
    errno.ENOSPC: "; make room there, or choose another place",
    **dict.fromkeys(NOT_ALLOWED, "; choose a folder that you may write to"),
}
_EFFECTIVE = os.access in os.supports_effective_ids
_HEAD_BYTES = 512
# As Pillow names them; only the first two carry a seal, and are what messages advise.
_PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
_STREAMS = ("/dev/std", "/dev/fd/", "/proc/")

# What cameras and photo programs write beside the formats that are read here: raw files, other pictures, videos.
_PHOTO_SIGNATURES = (
    b"BM",
    b"FUJIFILMCCD-RAW",
    b"IIRO",
    b"IIRS",
    b"MMOR",
    b"IIU\x00",
    b"8BPS",
    b"RIFF",
    b"\x1aE\xdf\xa3",
    b"\xff\x0a",
    b"\x00\x00\x00\x0cJXL ",
    b"\x00\x00\x00\x0cjP  ",
)
_MOVIE_ATOMS = frozenset((b"ftyp", b"moov", b"mdat", b"wide", b"skip", b"free"))
_OTHERS: tuple[tuple[bytes, str], ...] = (
    (b"SQLite format 3\x00", "a database"),
    (b"PAR1", "a Parquet file"),
    (b"\x89HDF", "a data file"),
    (b"PK\x03\x04", "an archive"),
)
_EXTENSIONS = {
    ".xmp": "a sidecar of a photo",
    ".aae": "a sidecar of a photo",
    ".journal": "what undo needs",
    ".safetensors": "weights of a model",
    ".ckpt": "weights of a model",
    ".pt": "weights of a model",
    ".pth": "weights of a model",
    ".bin": "weights of a model",
}


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a command writes to `path`, and what it must not overwrite.

    - `inputs`: the files that the command reads.
    - `force`: overwrite files of other programs.
    - `private`: make the file readable by its owner only.
    - `is_indexed`: returns whether a library knows the file at a path.
    """

    path: Path
    kind: Kind
    inputs: Sequence[Path] = ()
    force: bool = False
    private: bool = False
    is_indexed: Callable[[Path], bool] = lambda _: False

    def check(self) -> None:
        """Check before the work that the file can be written.

        Raises:
            OutputError: its folder does not exist, an existing file must not be overwritten, or the picture format is
                not supported.

        """
        if self.kind in ("sheet", "picture"):
            self.picture_format()
        self._target()

    def picture_format(self) -> str:
        """Return Pillow's name of the picture format, by the file's extension. Raises `OutputError`."""
        suffix = self.path.suffix.lower()
        if suffix not in _PICTURES:
            found = (
                f"{self.path.suffix} is no kind of picture that is written"
                if suffix
                else "it has no extension"
            )
            raise OutputError(f"cannot write {self._name}: {found}{_PICTURE_ADVICE}")
        return _PICTURES[suffix]

    def write(self, content: bytes) -> None:
        """Write the whole file. Raises `OutputError` as `open` does."""
        with self.open() as file:
            file.write(content)

    def write_text(self, text: str) -> None:
        """Write UTF-8 text; invalid bytes in file names are escaped. Raises `OutputError`."""
        self.write(text.encode("utf-8", "backslashreplace"))

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """Yield the file to write to; it gets its name when the block ends without an error.

        Raises:
            OutputError: it cannot be written, or an existing file must not be overwritten.

        """
        try:
            if self._is_stream():
                with self.path.open("wb") as file:
                    yield file
                return
            draft = self.draft()
            try:
                yield draft.file
                draft.finish()
                self.publish(draft)
            except BaseException:
                draft.discard()
                raise
        except OSError as error:
            raise self._failed(error) from error

    def draft(self) -> Draft:
        """Start a draft, which `publish` renames to `path`. Raises `OutputError`, `OSError`."""
        if self._is_stream():
            raise self._failed(OSError(errno.ESPIPE, "it is not a regular file"))
        target = self._target()
        remove_abandoned(target.parent)
        return Draft(target, private=self.private)

    def publish(self, draft: Draft) -> None:
        """Rename a finished draft to `path`, unless a file there must stay. Raises `OutputError`, `OSError`."""
        for _ in range(3):
            target = self._target()
            try:
                if not target.exists():
                    draft.publish(new=True)
                elif not draft.publish_over(lambda found: not self._refusal(found)):
                    continue
            except (FileExistsError, FileNotFoundError):
                continue  # another program has just made or removed it: see whose it is
            sync_folder(target.parent)
            return
        raise OutputError(f"cannot write {self._name}: another program keeps making a file there")

    @property
    def _name(self) -> str:
        return f"{_NAMES[self.kind]} {self.path}"

    def _failed(self, error: OSError) -> OutputError:
        advice = _ADVICE.get(error.errno or 0, "")
        return OutputError(f"cannot write {self._name}: {error.strerror or error}{advice}")

    def _is_stream(self) -> bool:
        """Return whether the path is a terminal, a pipe or similar, which is written to directly."""
        if str(self.path).startswith(_STREAMS):
            return True
        try:
            mode = self.path.stat().st_mode
        except OSError:
            return False
        return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)

    def _target(self) -> Path:
        """Return the path with links resolved. Raises `OutputError` if it must not be written."""
        if self._is_stream():
            return self.path
        target = real_path(self.path)
        if not target.parent.is_dir():
            raise self._failed(OSError(errno.ENOENT, os.strerror(errno.ENOENT)))
        if not os.access(target.parent, os.W_OK | os.X_OK, effective_ids=_EFFECTIVE):
            raise self._failed(OSError(errno.EACCES, os.strerror(errno.EACCES)))
        if not os.path.lexists(target):
            return target
        if target.is_dir():
            raise self._failed(OSError(errno.EISDIR, os.strerror(errno.EISDIR)))
        refusal = self._refusal(target)
        if refusal:
            raise OutputError(f"cannot write {self._name}: {refusal}")
        return target

    def _refusal(self, target: Path) -> str:
        """Return why an existing file must stay; empty if it may be overwritten."""
        if any(_is_same(target, given) for given in self.inputs):
            return "it is an input of this command; choose another name"
        if belongs_to_library(target):
            return "it belongs to a library; choose another name"
        if self.kind == "plan":
            forced = ", which --force does not overwrite as it may be needed to undo" if self.force else ""
            return f"it exists already{forced}: give the plan another name, or remove that file"
        if self.force or is_own(target, self.kind):
            return ""
        found = _kind_of(target) or ("an indexed photo" if self.is_indexed(self.path) else "a file")
        if found == "a file" and not target.stat().st_size:
            return ""
        return f"it is {found} that vitsearch did not write; choose another name, or add --force"


def check_outputs(*outputs: Output) -> None:
    """Check all output files of a command, and that no two are the same.

    Raises:
        OutputError: one cannot be written.

    """
    seen: set[Path] = set()
    for output in outputs:
        output.check()
        place = real_path(output.path)
        if place in seen:
            raise OutputError(
                f"{output.path} is named twice: give each file that is to be written its own name"
            )
        seen.add(place)


def write_picture(picture: Image, output: Output) -> None:
    """Write a picture in the format of its extension; PNG and JPEG are sealed as vitsearch's own.

    Raises:
        OutputError: it cannot be written.

    """
    from vitsearch.storage.own_files import sealed

    output.check()
    buffer = io.BytesIO()
    try:
        picture.save(buffer, output.picture_format())
    except (ValueError, OSError) as error:
        name = f"{_NAMES[output.kind]} {output.path}"
        raise OutputError(f"cannot write {name}: {error}{_PICTURE_ADVICE}") from error
    output.write(sealed(buffer.getvalue()))


def _is_same(target: Path, given: Path) -> bool:
    try:
        return target.samefile(given)
    except OSError:
        return real_path(given) == target


def belongs_to_library(target: Path) -> bool:
    """Return whether a file at this path would be one of a library's own."""
    for folder in target.parents:
        marks = (folder / LIBRARY_FILE, folder / PRIVATE_FOLDER / MARK, folder / MARK)
        if any(mark.is_file() for mark in marks) and Layout.of(folder).owns(target):
            return True
    return False


def _kind_of(path: Path) -> str:
    """Describe what a file is, from its first bytes and its extension; empty if unknown."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return ""
    if looks_like_image(head[:16]) or head.startswith(_PHOTO_SIGNATURES) or head[4:8] in _MOVIE_ATOMS:
        return "a photo or a video"
    for signature, name in _OTHERS:
        if head.startswith(signature):
            return name
    line = head.partition(b"\n")[0]
    if re.search(rb"\bpath\b", line) and re.search(rb"\blabel\b", line):
        return "a table of labels"
    if b'"version"' in head and b'"action"' in head:
        return "a plan"
    return _EXTENSIONS.get(path.suffix.lower(), "")
