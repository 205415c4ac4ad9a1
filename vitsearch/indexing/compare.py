"""Compare the results of a walk with the catalog to find out what there is to do."""

from __future__ import annotations

from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING

from vitsearch.paths import state_of
from vitsearch.records import FoundFile, LeftOut
from vitsearch.storage.rows import HAS_NO_PHOTO, HAS_NO_VECTOR, IS_MISSING, RejectedFile, SeenFiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from vitsearch.folders.scan import Passed, PhotoFolder, Skipped
    from vitsearch.records import LeftOutKind
    from vitsearch.storage.rows import KnownFile, Root

# A row that no file has: its size is none.
_NEW_FILE = ("", 0, None, -1, 0, 0, HAS_NO_PHOTO + HAS_NO_VECTOR)
_UNREAD: LeftOutKind = "image of a kind that is not read"
# So many files of each kind that is left out are named.
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Scope:
    """A folder of a run: a root, or a part of one."""

    root: Root
    below: str


@dataclass(frozen=True, slots=True)
class UnseenFile:
    """A known file that a walk did not find: its row, its path below the root, and its last file system."""

    id: int
    relative: str
    file_system: str | None


@dataclass
class Walked:
    """The differences between a walk over one scope and the catalog.

    - `unseen`: known files that the walk did not find. A second check divides them into `gone` and `offline`; the
      latter because of the folders and links `away`.
    - `again`: folders that the walk had already entered under another path.
    - `on`: files, known and new, seen on another file system than stored.
    - `read_again`: known files to read again.
    - `closed`: those of the `skipped` files that stay recorded as unreadable.
    - `sidecars`: files whose sidecars have changed since they were read.
    - `shots`: known raw files that now have a photo of the same shot next to them; `raws`: all such raw files.
    """

    scope: Scope
    todo: list[FoundFile] = field(default_factory=list)
    unchanged: int = 0
    unseen: list[UnseenFile] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    closed: list[RejectedFile] = field(default_factory=list)
    again: tuple[str, ...] = ()
    on: dict[str, SeenFiles] = field(default_factory=lambda: defaultdict(SeenFiles))
    gone: list[UnseenFile] = field(default_factory=list)
    offline: list[UnseenFile] = field(default_factory=list)
    away: list[Path] = field(default_factory=list)
    sidecars: dict[str, int] = field(default_factory=dict)
    shots: dict[int, tuple[str, ...]] = field(default_factory=dict)
    raws: list[tuple[str, tuple[str, ...], KnownFile | None]] = field(default_factory=list)
    read_again: list[int] = field(default_factory=list)
    passed: dict[LeftOutKind, list[Path]] = field(default_factory=dict)
    passed_counts: Counter[LeftOutKind] = field(default_factory=Counter)
    unread_formats: Counter[str] = field(default_factory=Counter)

    def compare_folder(
        self,
        folder: PhotoFolder,
        known: dict[str, KnownFile],
        system: str | None,
        systems: Mapping[int | None, str],
        *,
        retry: bool,
    ) -> None:
        """Compare the files of a folder, and remove them from the known ones.

        In most runs nearly all files are unchanged; these are recognised quickly.
        """
        files = [*map(known.pop, folder.paths, repeat(None))]
        others: Sequence[int] = range(len(files))
        system_id = next((id_ for id_, name in systems.items() if name == system), None)
        if system_id is not None:
            others = [
                place
                for place, (file, (size, mtime_ns)) in enumerate(zip(files, folder.states, strict=True))
                if file is None or file[2:] != (system_id, size, mtime_ns, 0, 0)
            ]
        self.unchanged += len(files) - len(others)
        for place in others:
            self.compare(folder.file(place), files[place], system, systems, retry=retry)

    def compare(
        self,
        found: FoundFile,
        file: KnownFile | None,
        system: str | None,
        systems: Mapping[int | None, str],
        *,
        retry: bool,
    ) -> None:
        """Compare a file found by the walk on a file system."""
        _, file_id, stored_system, size, mtime_ns, sidecars, lacks = file or _NEW_FILE
        missing, readable, has_vector = (
            lacks & IS_MISSING,
            not lacks & HAS_NO_PHOTO,
            not lacks & HAS_NO_VECTOR,
        )
        if system is not None and file is None:
            self.on[system].paths.append(found.relative)
        elif system is not None and systems.get(stored_system) != system:
            self.on[system].files.append(file_id)
        has_other_notes = found.sidecars != sidecars
        if has_other_notes:
            self.sidecars[found.relative] = found.sidecars
        # An unchanged file is read all the same if it has no vector yet, or is to be tried again.
        is_due = not has_vector and (readable or retry)
        if is_due or (found.size, found.mtime_ns) != (size, mtime_ns) or has_other_notes:
            self.todo.append(found)
            if has_vector:
                self.read_again.append(file_id)
            return
        self.unchanged += readable
        if missing:
            self.returned.append(file_id)

    def skip(self, skipped: Skipped, known: dict[str, KnownFile]) -> None:
        """Record what a walk could not enter: a broken link, or a folder without permission.

        A file that was read before keeps its photo, and counts as unseen.
        """
        self.skipped.append(skipped)
        root = self.scope.root
        relative = skipped.path.relative_to(root.path).as_posix()
        file = known.get(relative, _NEW_FILE)
        if skipped.path != root.path and file[-1] & HAS_NO_PHOTO:
            known.pop(relative, None)
            found = FoundFile(root.path, relative, 0, 0)
            self.closed.append(RejectedFile(root.id, found, skipped.reason, passing=True))

    def leave_out(self, passed: Passed, known: dict[str, KnownFile]) -> None:
        """Count a file that is not a photo, or that another file stands for."""
        self.passed_counts[passed.kind] += 1
        if passed.kind == _UNREAD:
            self.unread_formats[passed.path.suffix[1:].upper()] += 1
        examples = self.passed.setdefault(passed.kind, [])
        if len(examples) < _EXAMPLES:
            examples.append(passed.path)
        if passed.beside:
            relative = passed.path.relative_to(self.scope.root.path).as_posix()
            same = known.pop(relative, None)
            self.raws.append((relative, passed.beside, same))
            if same is not None:
                self.shots[same[1]] = passed.beside

    def without_photo(self, unreadable: AbstractSet[str]) -> list[FoundFile]:
        """Return the raw files whose accompanying photos cannot be read, and which are therefore read themselves."""
        found = []
        for relative, beside, known in self.raws:
            if unreadable >= set(beside):
                with suppress(OSError):
                    info = (self.scope.root.path / relative).stat()
                    # Whether it has sidecars is seen when it is read.
                    file = FoundFile(self.scope.root.path, relative, *state_of(info), 1)
                    if known is None or known[3:5] != (file.size, file.mtime_ns):
                        found.append(file)
        return found


def left_out(walked: Sequence[Walked]) -> tuple[LeftOut, ...]:
    """Return the files that the walks skipped, by kind, most frequent first."""
    counts: Counter[LeftOutKind] = Counter()
    formats: Counter[str] = Counter()
    for walk_ in walked:
        counts.update(walk_.passed_counts)
        formats.update(walk_.unread_formats)
    named = tuple(name for name, _ in sorted(formats.items(), key=lambda item: (-item[1], item[0])))
    return tuple(
        LeftOut(
            kind,
            count,
            tuple(path for one in walked for path in one.passed.get(kind, ()))[:_EXAMPLES],
            named if kind == _UNREAD else (),
        )
        for kind, count in counts.most_common()
    )
