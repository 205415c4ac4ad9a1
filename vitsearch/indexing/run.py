"""An index run: walk the folders, compare with the catalog, embed what is new, record what has moved or gone."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import repeat
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.folders.absence import SecondLook
from vitsearch.folders.scan import PhotoFolder, Skipped, WalkNotes, walk_folders
from vitsearch.paths import identity, real_path, state_of
from vitsearch.records import FoundFile, IndexReport, LeftOut, Progress, UnreadableFile
from vitsearch.storage.catalog import HAS_NO_PHOTO, HAS_NO_VECTOR, IS_MISSING, RejectedFile, Seen
from vitsearch.storage.removal import Pruned

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from collections.abc import Set as AbstractSet
    from pathlib import Path

    from vitsearch.folders.scan import Passed
    from vitsearch.indexing.engine import FileEmbedder
    from vitsearch.records import LeftOutKind
    from vitsearch.storage.catalog import Catalog, KnownFile, Root

# A row that no file has: its size is none.
_NEW_FILE = ("", 0, None, -1, 0, 0, HAS_NO_PHOTO + HAS_NO_VECTOR)
# So many files are looked at before the next word of it.
_BETWEEN_REPORTS = 1000
_UNREAD: LeftOutKind = "image of a kind that is not read"
# So many files of each kind that is left out are named.
_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class _Scope:
    """One folder of a run: a root, or a part of one."""

    root: Root
    below: str


@dataclass(frozen=True, slots=True)
class _Unseen:
    """A known file that a walk did not find: its row, its path below the root, and where it was seen last."""

    id: int
    relative: str
    file_system: str | None


@dataclass
class _Walked:
    """What the walk over one scope found, compared with what the catalog knows.

    `unseen` is what it did not find. A second look says which of that is `gone`, and which is `offline` because of the
    folders and links `away`. `again` are folders that the walk had entered by another name. `on` says which files,
    known and new, were seen on another file system than is stored. `read_again` are known files to be read again;
    `closed` are those of the `skipped` that are kept in mind as unreadable.
    `sidecars` are those of files whose sidecars are others than when they were read; `shots` are known raw files that
    have photos of the same shot beside them now, of all the `raws` that have.
    """

    scope: _Scope
    todo: list[FoundFile] = field(default_factory=list)
    unchanged: int = 0
    unseen: list[_Unseen] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    closed: list[RejectedFile] = field(default_factory=list)
    again: tuple[str, ...] = ()
    on: dict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))
    gone: list[_Unseen] = field(default_factory=list)
    offline: list[_Unseen] = field(default_factory=list)
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
        """Note what has to be done about the files of a folder, which are taken out of those that are known.

        Nearly all files of nearly all runs are there as before, read and embedded: these are told apart at once.
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
        """Note what has to be done about a file that a walk has found on a file system."""
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
        """Note what a walk could not enter: a link to nothing, or a folder that is closed.

        A file that was read before keeps its photo: it is one that the walk has not seen.
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
        """Count a file that is no photo, or is one that another file stands for."""
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
        """The raw files whose photos beside them cannot be read: they stand for their shots themselves."""
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


def check_folders(roots: Sequence[Root], folders: Sequence[Path]) -> None:
    """Look at the folders of a run before anything is loaded or stored for it; `roots` are those that are known.

    Raises:
        LibraryError: one is a file, or does not exist and belongs to no root that is offline, or would absorb a
            root that is offline: its files would then count as missing; or it is a known folder by another name: each
            of its photos would be there twice.

    """
    named = [root.path for root in roots]
    for folder in map(real_path, folders):
        root = next((root for root in roots if folder.is_relative_to(root.path)), None)
        if folder.is_file():
            raise LibraryError(f"{folder} is a file: give the folder that it is in")
        if root is None and not folder.exists():
            raise LibraryError(f"{folder} does not exist: check the spelling, or mount its drive")
        if root is not None and not folder.exists() and not root.is_offline():
            raise LibraryError(f"{folder} does not exist: index {root.path} to record what has gone")
        for inner in roots:
            if root is None and inner.path.is_relative_to(folder) and inner.is_offline():
                raise LibraryError(
                    f"{inner.path} in {folder} is absent or empty, perhaps an unmounted drive: mount it first, or use "
                    "`vitsearch roots forget`"
                )
        for known in named:
            if _overlap_by_another_name(folder, known):
                raise LibraryError(f"{folder} is in {known} or around it by another name: name it as there")
        named.append(folder)


def _overlap_by_another_name(one: Path, two: Path) -> bool:
    """Whether two folders are one, or one lies in the other, though their paths do not say so.

    So it is where case does not matter in names, and where a folder is mounted twice.
    """
    if one.is_relative_to(two) or two.is_relative_to(one):
        return False
    return _identity(two) in map(_identity, (one, *one.parents)) or _identity(one) in map(
        _identity, two.parents
    )


def _identity(folder: Path) -> tuple[int, int] | str:
    try:
        status = folder.stat()
    except OSError:
        return str(folder)
    return identity(folder, status)


class IndexRun:
    """One run over some folders of a library. Use once: `IndexRun(...).execute()`."""

    def __init__(
        self,
        catalog: Catalog,
        space: int,
        embedder: FileEmbedder,
        *,
        retry: bool = False,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.catalog = catalog
        self.space = space
        self.retry = retry
        self.on_progress = on_progress
        self.embedder = embedder

    def execute(self, folders: Sequence[Path], *, prune: bool = False) -> IndexReport:
        """Bring the library up to date with these folders.

        Raises:
            LibraryError: an offline root was to be pruned.

        """
        started = time.monotonic()
        scopes, offline = self._scopes(folders)
        if prune:
            _refuse_to_prune(offline, ())
        # What is to be tried again is to be told again.
        named = set() if self.retry else {*self._stored_unreadable(scopes)}
        run = self.catalog.begin_run()
        walked, moved, pruned, interrupted = [], 0, Pruned(0, 0), False
        try:
            # A first run that is killed is told from one that has ended; so is one with something to do.
            self.catalog.note_unfinished(
                run,
                {scope.root.id: 0 for scope in scopes if not scope.below and not scope.root.last_run},
            )
            scanned = 0
            for scope in scopes:
                walked.append(self._walk(scope, scanned))
                scanned += len(walked[-1].todo) + walked[-1].unchanged
            self.catalog.note_unfinished(
                run,
                {
                    result.scope.root.id: len(result.todo)
                    for result in walked
                    if result.todo and not result.scope.below
                },
            )
            self.embedder.run(run, [(walk.scope.root.id, found) for walk in walked for found in walk.todo])
            self._read_raws_of_unreadable(run, walked)
            for result in walked:
                # A drive may have gone since the run began.
                if result.scope.root.is_offline() and self.catalog.has_files(result.scope.root.id):
                    offline.append(result.scope.root)
                else:
                    moved += self._finish(run, result)
            if prune:
                _refuse_to_prune(offline, [where for result in walked for where in result.away])
                pruned = self.catalog.prune([file for result in walked for file in _still_gone(result)])
        except KeyboardInterrupt:
            interrupted = True
        away = {root.id for root in offline}
        scopes = [scope for scope in scopes if scope.root.id not in away]
        counts = [self.catalog.counts(scope.root.id, scope.below) for scope in scopes]
        unreadable = self._unreadable(scopes, walked)
        return IndexReport(
            photos=self.catalog.count_photos([(scope.root.id, scope.below) for scope in scopes]),
            files=sum(count.files for count in counts),
            embedded=self.embedder.embedded,
            unchanged=sum(result.unchanged for result in walked),
            moved=moved,
            copies=0 if interrupted else self._copies(run, walked, moved),
            reread=self.catalog.count_same(run, [file for result in walked for file in result.read_again]),
            missing=sum(count.missing for count in counts),
            pruned=pruned.photos,
            pruned_files=pruned.files,
            offline=sum(self.catalog.counts(root.id, "").files for root in offline)
            + sum(count.offline for count in counts),
            offline_roots=(
                *(root.path for root in offline),
                *(link for result in walked for link in result.away),
            ),
            unreadable=unreadable,
            newly_unreadable=tuple(file for file in unreadable if file not in named),
            model=self.catalog.space(self.space).model,
            seconds=time.monotonic() - started,
            interrupted=interrupted,
            left_out=_left_out(walked),
            remarks=tuple(
                UnreadableFile(path, remark)
                for path, remark in sorted(getattr(self.embedder, "remarks", {}).items())
            ),
        )

    def _scopes(self, folders: Sequence[Path]) -> tuple[list[_Scope], list[Root]]:
        """Turn folders into scopes, add new roots, and set aside the roots that are offline."""
        scopes: list[_Scope] = []
        offline: list[Root] = []
        for folder in dict.fromkeys(map(real_path, folders)):
            root, below = self.catalog.add_root(folder)
            if root.is_offline() and self.catalog.has_files(root.id):
                offline.append(root)
            else:
                scopes.append(_Scope(root, below))
        # A folder inside another one of the same run is walked with it.
        outer = [
            scope
            for scope in scopes
            if not any(
                scope is not other
                and scope.root.id == other.root.id
                and scope.below.startswith(other.below)
                and (scope.below != other.below)
                for other in scopes
            )
        ]
        current = {root.id: root for root in self.catalog.roots()}
        return [
            _Scope(current[scope.root.id], scope.below) for scope in outer if scope.root.id in current
        ], offline

    def _walk(self, scope: _Scope, before: int) -> _Walked:
        known = self.catalog.known_files(scope.root.id, scope.below, self.space)
        systems = self.catalog.file_systems()
        result, notes = _Walked(scope), WalkNotes()
        seen, told = 0, 0
        self.on_progress(Progress("scan", before, None))
        for found in walk_folders(scope.root.path, below=scope.below, notes=notes):
            if isinstance(found, PhotoFolder):
                seen += len(found.paths)
                result.compare_folder(found, known, notes.here, systems, retry=self.retry)
            elif isinstance(found, FoundFile):
                seen += 1
                file = known.pop(found.relative, None)
                result.compare(found, file, notes.here, systems, retry=self.retry)
            elif isinstance(found, Skipped):
                result.skip(found, known)
            else:
                result.leave_out(found, known)
            if seen - told >= _BETWEEN_REPORTS:
                told = seen
                self.on_progress(Progress("scan", before + seen, None))
        result.unseen = [_Unseen(file[1], path, systems.get(file[2])) for path, file in known.items()]
        result.again = tuple(notes.again)
        return result

    def _read_raws_of_unreadable(self, run: int, walked: Sequence[_Walked]) -> None:
        """Take in raw files that were passed over for photos that turned out to be damaged."""
        todo: list[tuple[int | None, FoundFile]] = []
        for result in walked:
            if result.raws:
                scope = result.scope
                lost = {path for path, _ in self.catalog.unreadable(scope.root.id, scope.below)}
                todo += [(scope.root.id, found) for found in result.without_photo(lost)]
        if todo:
            self.embedder.run(run, todo)

    def _copies(self, run: int, walked: Sequence[_Walked], moved: int) -> int:
        """How many files came in this run that hold photos which were known by then."""
        # Counting looks at all rows of a root.
        scopes = [result.scope for result in walked if result.todo or result.raws]
        came = self.catalog.count_added(run, [(scope.root.id, scope.below) for scope in scopes])
        return max(0, came - moved - self.embedder.embedded)

    def _finish(self, run: int, walked: _Walked) -> int:
        scope = walked.scope
        look = SecondLook(scope.root.path)
        away = set()
        for file in walked.unseen:
            verdict = look.at(file.relative, file.file_system)
            if verdict.state == "gone" or file.relative.startswith(walked.again):
                walked.gone.append(file)
            elif verdict.state == "offline":
                walked.offline.append(file)
                away.add(verdict.where)
        walked.away = sorted(away)
        if walked.closed:
            self.catalog.store(run, self.space, [], walked.closed)
        self.catalog.note_file_systems(scope.root, walked.on)
        # Those of a file that could not be read at this moment were not read either.
        unread = self.embedder.unread
        read = {
            path: number for path, number in walked.sidecars.items() if scope.root.path / path not in unread
        }
        self.catalog.note_sidecars(scope.root.id, read)
        self.catalog.join_shots(scope.root.id, walked.shots)
        return self.catalog.finish_walk(
            run,
            scope.root,
            gone=[file.id for file in walked.gone],
            offline=[file.id for file in walked.offline],
            returned=walked.returned,
            whole=not scope.below,
        )

    def _stored_unreadable(self, scopes: Sequence[_Scope]) -> list[UnreadableFile]:
        return [
            UnreadableFile(scope.root.path / path, reason)
            for scope in scopes
            for path, reason in self.catalog.unreadable(scope.root.id, scope.below)
        ]

    def _unreadable(self, scopes: Sequence[_Scope], walked: Sequence[_Walked]) -> tuple[UnreadableFile, ...]:
        skipped = [UnreadableFile(item.path, item.reason) for result in walked for item in result.skipped]
        stored = self._stored_unreadable(scopes)
        # A file that was read before keeps its photo, and no reason is stored with it.
        reasons = dict(self.embedder.unread)
        reasons.update((item.path, item.reason) for item in skipped + stored)
        return tuple(UnreadableFile(path, reasons[path]) for path in sorted(reasons))


def _left_out(walked: Sequence[_Walked]) -> tuple[LeftOut, ...]:
    """What the walks passed over, by kind, the most frequent first."""
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


def _refuse_to_prune(offline: Sequence[Root], away: Sequence[Path]) -> None:
    """Raise `LibraryError` if a root is offline, or a link leads to what is."""
    if offline:
        raise LibraryError(
            f"{offline[0].path} is absent or empty, perhaps an unmounted drive: nothing was pruned. If it is "
            "gone for good, use `vitsearch roots forget`"
        )
    for link in away:
        if link.is_symlink():
            raise LibraryError(
                f"{link} leads to {real_path(link)}, which is absent or empty, perhaps an unmounted drive: "
                "nothing was pruned. If it is gone for good, remove the link"
            )


def _still_gone(walked: _Walked) -> list[int]:
    """Look at all that is gone once more, right before it is forgotten."""
    look = SecondLook(walked.scope.root.path)
    return [
        file.id
        for file in walked.gone
        if file.relative.startswith(walked.again) or look.at(file.relative, file.file_system).state == "gone"
    ]
