"""Is a file gone that a walk did not find? A second look, which takes nothing for gone unless it is seen to be.

A file is gone only if its folder, or the nearest one above that still exists, was listed completely, lacks it, and is
on the file system that the file was on when it was seen last. All else may be a drive that is not mounted, a network
that is down, or a folder that may not be looked into.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from vitsearch.folders.file_system import FileSystems
from vitsearch.folders.scan import Skipped, walk
from vitsearch.records import FoundFile

if TYPE_CHECKING:
    from pathlib import Path

# "offline": what it was on is not there now. "not seen": nobody can say. "there": a walk would find it now.
State = Literal["gone", "offline", "not seen", "there"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is known of a file that was not found; `where` is the folder or link that says so."""

    state: State
    where: Path


@dataclass(frozen=True, slots=True)
class _Listing:
    """What a folder holds: the names of all of its entries, and the file system that it is on."""

    state: Literal["listed", "absent", "closed"]
    names: frozenset[str] = frozenset()
    file_system: str | None = None


class SecondLook:
    """Looks again at the folders of one root, each of them once: make another one to look once more."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._systems = FileSystems()
        self._listings: dict[str, _Listing] = {}
        self._found: dict[str, frozenset[str]] = {}

    def at(self, relative: str, file_system: str | None) -> Verdict:
        """Say what became of a file, by its path below the root and the file system on which it was seen last.

        Of a file that earlier versions indexed that is not known. An empty folder then says nothing.
        """
        folder, _, name = relative.rpartition("/")
        listing = self._listed(folder)
        while listing.state == "absent" and folder:
            folder, _, name = folder.rpartition("/")
            listing = self._listed(folder)
        where = self._root / folder
        if listing.state == "absent":
            return Verdict("offline", self._root)
        if listing.state == "closed":
            return Verdict("not seen", where)
        if name in listing.names:
            return self._present(relative, where / name)
        is_known = file_system is not None and listing.file_system is not None
        # A root or a link that leads to an empty folder is most likely a drive that is not mounted.
        may_be_away = not is_known or not folder or where.is_symlink()
        if (may_be_away and not listing.names) or (is_known and listing.file_system != file_system):
            return Verdict("offline", where)
        return Verdict("gone", where)

    def _listed(self, folder: str) -> _Listing:
        known = self._listings.get(folder)
        if known is None:
            known = self._listings[folder] = self._look(self._root / folder)
        return known

    def _look(self, folder: Path) -> _Listing:
        try:
            before = self._systems.of(os.path.realpath(folder))
            names = frozenset(os.listdir(folder))  # noqa: PTH208 - names are all that is needed
        except (FileNotFoundError, NotADirectoryError):
            return _Listing("absent")
        except OSError:
            return _Listing("closed")
        # What is mounted while it is looked at belongs to neither.
        after = FileSystems().of(os.path.realpath(folder))
        return _Listing("listed" if before == after else "closed", names, after)

    def _present(self, relative: str, entry: Path) -> Verdict:
        """Judge by an entry that is there: the file itself, or what has taken the place of a folder on its way."""
        try:
            status = entry.stat()
        except (FileNotFoundError, NotADirectoryError):
            return Verdict("offline" if entry.is_symlink() else "not seen", entry)
        except OSError:
            return Verdict("not seen", entry)
        if entry != self._root / relative:
            # A file where a folder was. A folder that was absent a moment ago is not to be relied on.
            return Verdict("not seen" if stat.S_ISDIR(status.st_mode) else "gone", entry)
        if not stat.S_ISREG(status.st_mode):
            return Verdict("gone", entry)
        try:
            with entry.open("rb") as file:
                file.read(1)
        except OSError:
            return Verdict("not seen", entry)
        # What a walk leaves out (an ignore file names it, or it is no image any more) is not there for the library.
        return Verdict("there" if relative in self._walked(relative.rpartition("/")[0]) else "gone", entry)

    def _walked(self, folder: str) -> frozenset[str]:
        """The files that a walk finds in a folder, those that it could not look at included."""
        known = self._found.get(folder)
        if known is None:
            below = f"{folder}/" if folder else ""
            found = set()
            for item in walk(self._root, below=below, deep=False):
                if isinstance(item, Skipped):
                    with suppress(ValueError):
                        found.add(item.path.relative_to(self._root).as_posix())
                elif isinstance(item, FoundFile):
                    found.add(item.relative)
            known = self._found[folder] = frozenset(found)
        return known
