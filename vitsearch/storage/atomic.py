"""Write files atomically: readers see either the old or the new content, even after a crash."""

from __future__ import annotations

import errno
import os
import re
import secrets
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, BinaryIO

from vitsearch.storage.private import opener
from vitsearch.storage.shared_files import exchange

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TEMPORARY = re.compile(r"\.vitsearch-[0-9a-f]{16}\.tmp")
"""The names of files that are being written. What a killed process left has such a name too."""

_YOUNG_SECONDS = 60.0
# File systems without hard links, or links that this user may not make.
_NO_LINKS = frozenset((errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.EACCES, errno.EMLINK, errno.EINVAL))


def write(
    path: Path, content: bytes, *, durable: bool = True, new: bool = False, private: bool = False
) -> None:
    """Write `content` to `path` atomically, as `replacing` does. Raises `OSError`."""
    with replacing(path, durable=durable, new=new, private=private) as file:
        file.write(content)


@contextmanager
def replacing(
    path: Path, *, durable: bool = True, new: bool = False, private: bool = False
) -> Iterator[BinaryIO]:
    """Yield a temporary file that replaces `path` when the block ends, and is removed if the block fails.

    - `private`: the file is readable by its owner only; otherwise, the permissions of a replaced file are kept.
    - `durable`: wait until everything is on disk; caches do not need that.
    - `new`: never replace an existing file; raises `FileExistsError` instead.

    Raises `OSError`.
    """
    draft = Draft(path, private=private)
    try:
        yield draft.file
        draft.finish(durable=durable)
        draft.publish(new=new)
    except BaseException:
        draft.discard()
        raise
    if durable:
        sync_folder(path.parent)


class Draft:
    """A temporary file next to `target`, which gets that name when it is published.

    `file` is open for reading and writing, and locked meanwhile. To write a single file, use `replacing`.
    """

    def __init__(self, target: Path, *, private: bool = False) -> None:
        # A short name: next to a photo whose name is as long as names may be, there is no room for more. A random one:
        # two processes may be at work on one target. Not mkstemp: what it makes only its owner can read.
        self.path = target.with_name(f".vitsearch-{secrets.token_hex(8)}.tmp")
        self._target = target
        self._private = private
        self.file: BinaryIO = open(self.path, "x+b", opener=opener if private else None)  # noqa: SIM115
        _lock(self.file)

    def finish(self, *, durable: bool = True) -> None:
        """Close the file; `durable` waits until it is on disk. Raises `OSError`."""
        try:
            self.file.flush()
            if durable:
                os.fsync(self.file.fileno())
        finally:
            self.file.close()

    def publish(self, *, new: bool = False) -> None:
        """Rename the finished file to its target. Raises `OSError`; with `new`, `FileExistsError` if that exists."""
        if new:
            _name_if_free(self.path, self._target)
            return
        self._take_mode()
        self.path.replace(self._target)

    def publish_over(self, is_expected: Callable[[Path], bool]) -> bool:
        """Replace an existing file if it `is_expected`; return whether it was.

        The existing file is checked before, and again after it has been renamed, because another program may save a
        new version under its name at any moment. If it is not as expected, it gets its name back, so that no version
        is lost. On systems that cannot exchange two names, a short gap remains. Raises `OSError`.
        """
        if not is_expected(self._target):
            return False
        self._take_mode()
        ours = self.path.lstat()
        if not exchange(self.path, self._target):
            self.path.replace(self._target)
            return True
        expected = False
        try:
            expected = is_expected(self.path)
        finally:
            if not expected:
                exchange(self.path, self._target)
                if not os.path.samestat(self.path.lstat(), ours):
                    # It was saved over ours at that moment: that is the newest version of all.
                    exchange(self.path, self._target)
        self.path.unlink()
        return expected

    def _take_mode(self) -> None:
        if not self._private:
            with suppress(FileNotFoundError):
                self.path.chmod(self._target.stat().st_mode & 0o7777)

    def discard(self) -> None:
        """Remove the file, unless it was published."""
        with suppress(OSError):  # a full disk: what was in the buffer is not wanted any more
            self.file.close()
        self.path.unlink(missing_ok=True)


def _name_if_free(draft: Path, target: Path) -> None:
    if os.name == "nt":
        draft.rename(target)  # which never replaces a file there
        return
    try:
        os.link(draft, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # The name is taken in one step, and the content follows.
        target.open("xb").close()
        draft.replace(target)
    else:
        draft.unlink()


def remove_abandoned(folder: Path, *, older_than: float = _YOUNG_SECONDS) -> None:
    """Remove the drafts of killed processes in a folder, as far as possible."""
    for path in abandoned(folder, older_than=older_than):
        with suppress(OSError):
            path.unlink()


def abandoned(folder: Path, *, older_than: float = _YOUNG_SECONDS) -> list[Path]:
    """Return the drafts in a folder that no process is writing any more and that are at least some seconds old."""
    try:
        names = [name for name in os.listdir(folder) if TEMPORARY.fullmatch(name)]  # noqa: PTH208 - large folders
    except OSError:
        return []
    return [folder / name for name in sorted(names) if _is_abandoned(folder / name, older_than)]


def _is_abandoned(path: Path, older_than: float) -> bool:
    try:
        # A file from the future was written before the clock was set back.
        if 0 <= time.time() - path.lstat().st_mtime < older_than or path.is_symlink():
            return False
        with path.open("rb") as file:
            return _lock(file)
    except OSError:
        return False


def _lock(file: BinaryIO) -> bool:
    """Lock an open draft; return whether nobody else has locked it. The operating system releases the lock."""
    try:
        import fcntl
    except ImportError:
        return True  # Windows lets nobody remove a file that is open
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def sync_folder(folder: Path) -> None:
    """Wait until all changes of names in a folder are on disk. Raises `OSError`."""
    if os.name == "nt":
        return  # Windows cannot open a folder; its rename is journalled
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
