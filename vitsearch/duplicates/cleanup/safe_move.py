"""Moving a file without ever writing over another one or losing a byte, whatever other programs do to it meanwhile.

A file is looked at after it has left its name, where no other program saves a new version over it: what is not as
expected goes back. Nothing is removed under a name that other programs use.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from blake3 import blake3

from vitsearch.duplicates.cleanup.attributes import copy_attributes, restore_attributes
from vitsearch.duplicates.cleanup.plans import content_hash
from vitsearch.duplicates.cleanup.renaming import aside_of, discard, rename_without_replacing, set_aside
from vitsearch.errors import FileDisturbed
from vitsearch.storage.atomic import sync_folder
from vitsearch.storage.shared_files import is_written_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from vitsearch.duplicates.cleanup.attributes import Attributes

_CHUNK = 1 << 20


class HeldFile:
    """A file that is open, so that it can be told from whatever gets its name meanwhile."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self._path = path
        self._file = file
        self.status = os.fstat(file.fileno())

    def file_hash(self) -> str:
        """The BLAKE3 of its content in hex."""
        digest = blake3()
        for piece in self.pieces():
            digest.update(piece)
        return digest.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """Its content from the start, in pieces."""
        self._file.seek(0)
        while piece := self._file.read(_CHUNK):
            yield piece

    def is_at(self, path: Path) -> bool:
        """Whether it has this name, and nothing was written to it since it was opened."""
        try:
            there, here = path.lstat(), os.fstat(self._file.fileno())
        except OSError:
            return False
        written = (here.st_size, here.st_mtime_ns) != (self.status.st_size, self.status.st_mtime_ns)
        return os.path.samestat(there, here) and not written

    def is_written_to(self) -> bool:
        """Whether another program has it open for writing, where the system tells (Linux, own files)."""
        return is_written_to(self._file)

    def let_go(self) -> None:
        """Close it where the system moves no open files."""
        if sys.platform == "win32":
            self._file.close()

    def take_again(self, path: Path) -> bool:
        """Open it again under its new name if it was closed; return whether it is there as it was."""
        if sys.platform == "win32":
            self._file = path.open("rb", buffering=0)
        return self.is_at(path)

    def close(self) -> None:
        """Let other programs do with it what they like."""
        self._file.close()


@contextmanager
def held(path: Path) -> Iterator[HeldFile]:
    """Open a file and keep it open.

    Raises:
        FileDisturbed: it has gone, or is something other than a file.
        OSError: it cannot be read.

    """
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        if not stat.S_ISREG(path.lstat().st_mode):
            raise FileDisturbed("it has become something other than a file")
        file = HeldFile(path, os.fdopen(os.open(path, flags | getattr(os, "O_BINARY", 0)), "rb", buffering=0))
    except FileNotFoundError:
        raise FileDisturbed("it has gone") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise FileDisturbed("it has become something other than a file") from None
        raise
    try:
        yield file
    finally:
        file.close()


def settle(folder: Path) -> None:
    """Make renames in a folder last through a power cut, where the system can do that."""
    with suppress(OSError):
        sync_folder(folder)


def move(
    source: Path,
    target: Path,
    *,
    file_hash: str,
    attributes: Attributes | None = None,
    settled: Callable[[Path], None] = settle,
) -> bool:
    """Move a file to a free place; at every moment one name holds all of it.

    Without `attributes` only a file with the hash `file_hash` is moved. With them, which a copy gets on its way home
    from another file system, one that was edited where it was is moved as well. `settled` is given the folders in which
    names have changed, to sync them at once or later; what a copy replaces is removed only after a sync of its own.

    Returns:
        Whether it has the hash `file_hash`.

    Raises:
        FileExistsError: something is at `target`.
        FileDisturbed: another program was at work on it. It is where it was, or the message says where.
        OSError: the system says why not; the file is still at `source`.

    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with held(source) as file:
        file.let_go()
        try:
            rename_without_replacing(source, target)
        except FileNotFoundError:
            raise FileDisturbed("it has gone") from None
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            return _carry(file, source, target, file_hash, attributes)
        with _put_back_on_failure(target, source):
            same = file.take_again(target) and file.file_hash() == file_hash
            if not (same or (attributes is not None and file.is_at(target))):
                raise FileDisturbed("its content has changed")
    settled(target.parent)
    settled(source.parent)
    return same


def finish(source: Path, target: Path, *, file_hash: str) -> bool:
    """Complete a `move` that was cut short between its names; return whether the file is at `target` now.

    Raises:
        FileDisturbed: what is at `target` belongs to `source`, where another file is now.

    """
    recover(source, target, file_hash=file_hash)
    if not os.path.lexists(target) or target.is_symlink():
        return False
    if not os.path.lexists(source):
        if content_hash(target) == file_hash:
            return True
        # It was cut short before it had looked at what it moved.
        _put_back(target, source)
        return False
    if source.is_symlink():
        return False
    if source.samefile(target) or (content_hash(target) == file_hash == content_hash(source)):
        gone = discard(source, is_surplus=lambda aside: content_hash(aside) == file_hash)
        settle(source.parent)
        return gone
    return False


def recover(source: Path, target: Path, *, file_hash: str) -> None:
    """Clear up what a `move` to another file system that was cut short has left beside its two names.

    Raises:
        FileDisturbed: the file is aside, and another one is in its place now.

    """
    sweep(target, file_hash=file_hash)
    aside = aside_of(source)
    if not os.path.lexists(aside):
        return
    if _is_copy(aside, target):
        aside.unlink()
        settle(source.parent)
    else:
        _put_back(aside, source)


def sweep(target: Path, *, file_hash: str) -> None:
    """Remove what a copy that was cut short has left beside `target`."""
    _partial(target, file_hash).unlink(missing_ok=True)


def _carry(file: HeldFile, source: Path, target: Path, file_hash: str, attributes: Attributes | None) -> bool:
    """Move to another file system: put the file aside, copy it, and remove it when the copy is complete."""
    try:
        aside = set_aside(source)
    except FileNotFoundError:
        raise FileDisturbed("it has gone") from None
    with _put_back_on_failure(aside, source):
        if not file.take_again(aside):
            raise FileDisturbed("its content has changed")
        # What it writes after the copy was made would go with the file.
        if file.is_written_to():
            raise FileDisturbed("another program is writing to it")
        copied, same = _copy(file, aside, target, file_hash, attributes)
        if not file.is_at(aside):
            discard(target, is_surplus=lambda path: os.path.samestat(path.lstat(), copied))
            raise FileDisturbed("its content has changed")
        if not _is_still(copied, target):
            raise FileDisturbed(f"another program has taken the copy of it at {target}")
        file.let_go()
        aside.unlink()
    settle(source.parent)
    return same


def _copy(
    file: HeldFile, aside: Path, target: Path, file_hash: str, attributes: Attributes | None
) -> tuple[os.stat_result, bool]:
    """Give a copy its name only when it is complete and the same; return what it is, and if its hash is `file_hash`."""
    partial = _partial(target, file_hash)
    # It may be one of two names of a file that arrived before a kill: never write into it.
    sweep(target, file_hash=file_hash)
    try:
        digest = blake3()
        with partial.open("xb") as writer:
            for piece in file.pieces():
                digest.update(piece)
                writer.write(piece)
            writer.flush()
            os.fsync(writer.fileno())
        found = digest.hexdigest()
        if found != file_hash and attributes is None:
            raise FileDisturbed("its content has changed")
        copy_attributes(aside, partial)
        if attributes is not None:
            restore_attributes(attributes, partial, times=found == file_hash)
        if content_hash(partial) != found:
            raise OSError(errno.EIO, "the copy is not the same as the file")
        copied = partial.lstat()
        rename_without_replacing(partial, target)
    finally:
        sweep(target, file_hash=file_hash)
    settle(target.parent)
    return copied, found == file_hash


def _is_still(copied: os.stat_result, target: Path) -> bool:
    return os.path.lexists(target) and os.path.samestat(target.lstat(), copied)


@contextmanager
def _put_back_on_failure(moved: Path, home: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, FileDisturbed):
        if os.path.lexists(moved):
            _put_back(moved, home)
        raise


def _put_back(moved: Path, home: Path) -> None:
    try:
        rename_without_replacing(moved, home)
    except FileExistsError:
        raise FileDisturbed(
            f"another program has saved a file in its place; the one before is at {moved}"
        ) from None
    except OSError as error:
        raise FileDisturbed(f"it is at {moved} and cannot go back: {error.strerror or error}") from error
    settle(moved.parent)
    settle(home.parent)


def _is_copy(aside: Path, target: Path) -> bool:
    for path in (aside, target):
        if not os.path.lexists(path) or not stat.S_ISREG(path.lstat().st_mode):
            return False
    return content_hash(aside) == content_hash(target)


def _partial(target: Path, file_hash: str) -> Path:
    """Where a copy grows: the same name in every try, so that the next run can sweep up after one that was killed."""
    return target.with_name(f".{file_hash}.partial")
