"""An index run: walk the folders, compare with the catalog, embed what is new, record what has moved or gone."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.folders.scan import Skipped, walk
from vitsearch.indexing.embedding import Embedder, Progress
from vitsearch.paths import identity, real_path
from vitsearch.records import FoundFile, IndexReport, UnreadableFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from vitsearch.backbones.backbone import Backbone
    from vitsearch.decoding.thumbnails import KeptPictures
    from vitsearch.indexing.engine import FileEmbedder
    from vitsearch.storage.catalog import Catalog, Root


@dataclass(frozen=True, slots=True)
class _Scope:
    """One folder of a run: a root, or a part of one."""

    root: Root
    below: str


@dataclass
class _Walked:
    """What the walk over one scope found, compared with what the catalog knows."""

    scope: _Scope
    todo: list[FoundFile] = field(default_factory=list)
    unchanged: int = 0
    unseen: list[int] = field(default_factory=list)
    returned: list[int] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    away: list[Path] = field(default_factory=list)


def check_folders(catalog: Catalog, folders: Sequence[Path]) -> None:
    """Look at the folders of a run before anything is loaded or stored for it.

    Raises:
        LibraryError: one is a file, or does not exist and belongs to no root that is offline, or would absorb a
            root that is offline: its files would then count as missing; or it is a known folder by another name: each
            of its photos would be there twice.

    """
    roots = catalog.roots()
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
        backbone: Callable[[], Backbone],
        *,
        workers: int | None = None,
        retry: bool = False,
        embedder: FileEmbedder | None = None,
        pictures: KeptPictures | None = None,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self.catalog = catalog
        self.space = space
        self.retry = retry
        self.on_progress = on_progress
        self.embedder: FileEmbedder = embedder or Embedder(
            catalog, space, backbone, workers=workers, pictures=pictures, on_progress=on_progress
        )

    def execute(self, folders: Sequence[Path], *, prune: bool = False) -> IndexReport:
        """Bring the library up to date with these folders.

        Raises:
            LibraryError: an offline root was to be pruned.

        """
        started = time.monotonic()
        scopes, offline = self._scopes(folders)
        if prune and offline:
            raise LibraryError(
                f"{offline[0].path} is absent or empty, perhaps an unmounted drive: nothing was pruned. If it is "
                "gone for good, use `vitsearch roots forget`"
            )
        run = self.catalog.begin_run()
        walked, moved, pruned, interrupted = [], 0, 0, False
        try:
            scanned = 0
            for scope in scopes:
                walked.append(self._walk(scope, scanned))
                scanned += len(walked[-1].todo) + walked[-1].unchanged
            self.embedder.run(run, [(walk.scope.root.id, found) for walk in walked for found in walk.todo])
            for result in walked:
                moved += self._finish(run, result)
            links = [link for result in walked for link in result.away]
            if prune and links:
                raise LibraryError(
                    f"{links[0]} leads to {real_path(links[0])}, which is absent or empty, perhaps an unmounted drive: "
                    "nothing was pruned. If it is gone for good, remove the link"
                )
            if prune:
                pruned = self.catalog.prune([(scope.root.id, scope.below) for scope in scopes])
        except KeyboardInterrupt:
            interrupted = True
        counts = [self.catalog.counts(scope.root.id, scope.below) for scope in scopes]
        return IndexReport(
            photos=self.catalog.count_photos([(scope.root.id, scope.below) for scope in scopes]),
            files=sum(count.files for count in counts),
            embedded=self.embedder.embedded,
            unchanged=sum(result.unchanged for result in walked),
            moved=moved,
            missing=sum(count.missing for count in counts),
            pruned=pruned,
            offline=sum(self.catalog.counts(root.id, "").files for root in offline),
            offline_roots=(
                *(root.path for root in offline),
                *(link for result in walked for link in result.away),
            ),
            unreadable=self._unreadable(scopes, walked),
            model=self.catalog.space(self.space).model,
            seconds=time.monotonic() - started,
            interrupted=interrupted,
        )

    def _scopes(self, folders: Sequence[Path]) -> tuple[list[_Scope], list[Root]]:
        """Turn folders into scopes, add new roots, and set aside the roots that are offline."""
        scopes: list[_Scope] = []
        offline: list[Root] = []
        for folder in dict.fromkeys(map(real_path, folders)):
            root, below = self.catalog.add_root(folder)
            counts = self.catalog.counts(root.id, "")
            if root.is_offline() and (counts.files or counts.missing):
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
        result = _Walked(scope)
        seen = 0
        for found in walk(scope.root.path, below=scope.below):
            if isinstance(found, Skipped):
                result.skipped.append(found)
                continue
            seen += 1
            if not seen % 1000:
                self.on_progress(Progress("scan", before + seen, None))
            file = known.pop(found.relative, None)
            if file is None:
                result.todo.append(found)
                continue
            _, file_id, size, mtime_ns, missing, readable, has_vector = file
            # An unchanged file is read all the same if it has no vector yet, or is to be tried again.
            due = not has_vector and (readable or self.retry)
            if due or found.size != size or found.mtime_ns != mtime_ns:
                result.todo.append(found)
            elif missing:
                result.returned.append(file_id)
        # What lies below a folder that could not be entered was not looked for, so it is not missing.
        closed = tuple(f"{skipped.path}{os.sep}" for skipped in result.skipped)
        base = f"{scope.root.path}{os.sep}"
        result.unchanged = seen - len(result.todo)
        result.unseen = [
            file[1] for path, file in known.items() if not closed or not f"{base}{path}".startswith(closed)
        ]
        result.away = _links_away(scope.root.path, known)
        return result

    def _finish(self, run: int, walked: _Walked) -> int:
        scope = walked.scope
        return self.catalog.finish_walk(
            run,
            scope.root,
            unseen=walked.unseen,
            returned=walked.returned,
            whole=not scope.below,
        )

    def _unreadable(self, scopes: Sequence[_Scope], walked: Sequence[_Walked]) -> tuple[UnreadableFile, ...]:
        skipped = [UnreadableFile(item.path, item.reason) for result in walked for item in result.skipped]
        stored = [
            UnreadableFile(scope.root.path / path, reason)
            for scope in scopes
            for path, reason in self.catalog.unreadable(scope.root.id, scope.below)
        ]
        return tuple(sorted(skipped + stored, key=lambda item: item.path))


def _links_away(root: Path, unseen: Iterable[str]) -> list[Path]:
    """Return the links on the way to files that were not found which lead to nothing or to an empty folder.

    A link to a folder on a drive that is not mounted looks like that, as does a root.
    """
    places = set(unseen)
    for path in list(places):
        while (path := path.rpartition("/")[0]) and path not in places:
            places.add(path)
    # `os.path.islink`: a folder that may not be looked into holds no link that can be seen, and raises nothing.
    links = [root / place for place in sorted(places) if os.path.islink(root / place)]  # noqa: PTH114
    return [link for link in links if _leads_to_nothing(link)]


def _leads_to_nothing(link: Path) -> bool:
    try:
        return (link.is_dir() and next(link.iterdir(), None) is None) or not link.exists()
    except OSError:
        return True
