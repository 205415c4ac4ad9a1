"""An index run: walk the folders, compare them with the catalog, embed new photos, record moved and missing files."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vitsearch.folders.absence import SecondLook
from vitsearch.folders.scan import PhotoFolder, Skipped, WalkNotes, walk_folders
from vitsearch.indexing.compare import Scope, UnseenFile, Walked, left_out
from vitsearch.indexing.refusals import refuse_to_prune
from vitsearch.paths import real_path
from vitsearch.records import FoundFile, IndexReport, Progress, UnreadableFile
from vitsearch.storage.removal import Pruned

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from vitsearch.indexing.engine import FileEmbedder
    from vitsearch.storage.catalog import Catalog
    from vitsearch.storage.rows import Root

# So many files are looked at before the next word of it.
_BETWEEN_REPORTS = 1000


class IndexRun:
    """One run over some folders of a library. Use it once: `IndexRun(...).execute()`."""

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
            refuse_to_prune(offline, ())
        # A file that is tried again and still fails counts as newly unreadable.
        named = set() if self.retry else {*self._stored_unreadable(scopes)}
        run = self.catalog.begin_run()
        walked, moved, pruned, interrupted = [], 0, Pruned(0, 0), False
        visitors: frozenset[int] = frozenset()
        try:
            # `status` tells a first run that was killed from one that ended by this note.
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
            if any(result.todo for result in walked):
                visitors = frozenset(self.catalog.visitors().tolist())
            self.embedder.run(run, [(walk.scope.root.id, found) for walk in walked for found in walk.todo])
            self._read_raws_of_unreadable(run, walked)
            for result in walked:
                # A drive may have been unmounted since the run began.
                if result.scope.root.is_offline() and self.catalog.has_files(result.scope.root.id):
                    offline.append(result.scope.root)
                else:
                    moved += self._finish(run, result)
            if prune:
                refuse_to_prune(offline, [where for result in walked for where in result.away])
                pruned = self.catalog.prune([file for result in walked for file in _still_gone(result)])
        except KeyboardInterrupt:
            interrupted = True
        away = {root.id for root in offline}
        scopes = [scope for scope in scopes if scope.root.id not in away]
        counts = [self.catalog.counts(scope.root.id, scope.below) for scope in scopes]
        unreadable = self._unreadable(scopes, walked)
        arrived = len(visitors.difference(self.catalog.visitors().tolist())) if visitors else 0
        return IndexReport(
            photos=self.catalog.count_photos([(scope.root.id, scope.below) for scope in scopes]),
            files=sum(count.files for count in counts),
            embedded=self.embedder.embedded,
            unchanged=sum(result.unchanged for result in walked),
            moved=moved,
            copies=0 if interrupted else self._copies(run, walked, moved + arrived),
            reread=self.catalog.count_same(run, [file for result in walked for file in result.read_again]),
            missing=sum(count.missing for count in counts),
            pruned=pruned.photos,
            pruned_files=pruned.files,
            arrived=arrived,
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
            left_out=left_out(walked),
            remarks=tuple(
                UnreadableFile(path, remark) for path, remark in sorted(self.embedder.remarks.items())
            ),
        )

    def _scopes(self, folders: Sequence[Path]) -> tuple[list[Scope], list[Root]]:
        """Turn folders into scopes, add new roots, and separate offline roots."""
        scopes: list[Scope] = []
        offline: list[Root] = []
        for folder in dict.fromkeys(map(real_path, folders)):
            root, below = self.catalog.add_root(folder)
            if root.is_offline() and self.catalog.has_files(root.id):
                offline.append(root)
            else:
                scopes.append(Scope(root, below))
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
            Scope(current[scope.root.id], scope.below) for scope in outer if scope.root.id in current
        ], offline

    def _walk(self, scope: Scope, before: int) -> Walked:
        known = self.catalog.known_files(scope.root.id, scope.below, self.space)
        systems = self.catalog.file_systems()
        result, notes = Walked(scope), WalkNotes()
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
        result.unseen = [UnseenFile(file[1], path, systems.get(file[2])) for path, file in known.items()]
        result.again = tuple(notes.again)
        return result

    def _read_raws_of_unreadable(self, run: int, walked: Sequence[Walked]) -> None:
        """Read raw files that were skipped in favour of photos that turned out to be damaged."""
        todo: list[tuple[int | None, FoundFile]] = []
        for result in walked:
            if result.raws:
                scope = result.scope
                lost = {path for path, _ in self.catalog.unreadable(scope.root.id, scope.below)}
                todo += [(scope.root.id, found) for found in result.without_photo(lost)]
        if todo:
            self.embedder.run(run, todo)

    def _copies(self, run: int, walked: Sequence[Walked], known: int) -> int:
        """Count the files added in this run beyond the first of each photo; `known` of them were not embedded in it."""
        # Counting looks at all rows of a root.
        scopes = [result.scope for result in walked if result.todo or result.raws]
        came = self.catalog.count_added(run, [(scope.root.id, scope.below) for scope in scopes])
        return max(0, came - known - self.embedder.embedded)

    def _finish(self, run: int, walked: Walked) -> int:
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

    def _stored_unreadable(self, scopes: Sequence[Scope]) -> list[UnreadableFile]:
        return [
            UnreadableFile(scope.root.path / path, reason)
            for scope in scopes
            for path, reason in self.catalog.unreadable(scope.root.id, scope.below)
        ]

    def _unreadable(self, scopes: Sequence[Scope], walked: Sequence[Walked]) -> tuple[UnreadableFile, ...]:
        skipped = [UnreadableFile(item.path, item.reason) for result in walked for item in result.skipped]
        stored = self._stored_unreadable(scopes)
        # A file that was read before keeps its photo, and no reason is stored with it.
        reasons = dict(self.embedder.unread)
        reasons.update((item.path, item.reason) for item in skipped + stored)
        return tuple(UnreadableFile(path, reasons[path]) for path in sorted(reasons))


def _still_gone(walked: Walked) -> list[int]:
    """Check missing files once more immediately before they are deleted."""
    look = SecondLook(walked.scope.root.path)
    return [
        file.id
        for file in walked.gone
        if file.relative.startswith(walked.again) or look.at(file.relative, file.file_system).state == "gone"
    ]
