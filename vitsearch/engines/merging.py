"""Merge photos that were exported elsewhere, or embedded in other processes, into a library.

Photos are identified by content: embeddings computed elsewhere apply to any local file with the same photo. A folder
of another machine becomes an offline root, which `roots relocate` can move to where it is mounted here. A local path
is only accepted if its file is the one that was exported.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.decoding.decoders import Decoders
from vitsearch.engines.parquet.reading import ImportedRow, RefusedRow
from vitsearch.errors import StoreError, UnreadablePhoto
from vitsearch.paths import is_offline, real_path, state_of
from vitsearch.records import FoundFile, PhotoFacts
from vitsearch.storage.database import path_to_value
from vitsearch.storage.facts import FACTS_SQL, facts_from
from vitsearch.storage.rows import ReadableFile
from vitsearch.storage.sql import rows_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vitsearch.decoding.decoders import ProtectedPhoto
    from vitsearch.engines.portable import Place
    from vitsearch.storage.catalog import Catalog
    from vitsearch.storage.rows import Root

# Imported places are older than any walk: no file that vanishes here has "moved" to another machine.
_BEFORE_ALL_RUNS = 0
_REASONS = 100


@dataclass
class Tally:
    """The running totals of a merge."""

    photos: int = 0
    vectors: int = 0
    here: int = 0
    elsewhere: int = 0
    taken: int = 0
    refused: int = 0
    reasons: list[RefusedRow] = field(default_factory=list)

    def refuse(self, rows: Sequence[RefusedRow]) -> None:
        """Count skipped rows, and keep the first reasons."""
        self.refused += len(rows)
        self.reasons += rows[: _REASONS - len(self.reasons)]


class Places:
    """Maps imported files to roots and paths of this library."""

    def __init__(self, catalog: Catalog, relocate: Mapping[str, str]) -> None:
        self.offline: set[int] = set()
        self._catalog = catalog
        self._relocate = {old.rstrip("/\\"): new.rstrip("/\\") for old, new in relocate.items()}
        self._roots = [(root, root.is_offline()) for root in catalog.roots()]

    def of(self, place: Place) -> tuple[Root, FoundFile, bool] | None:
        """Return the root, the file and whether it is present; None for a file that should be present and is not."""
        name = self._named(place.root)
        found = self._known(Path(name), place.path)
        if found is not None:
            root, relative, offline = found
            file = FoundFile(root.path, relative, place.size, place.mtime_ns)
            if offline:
                self.offline.add(root.id)
                return root, file, False
            return (root, file, True) if _is_same(file) else None
        folder = Path(name)
        file = FoundFile(folder, place.path, place.size, place.mtime_ns)
        if any(root.path.is_relative_to(folder) for root, _ in self._roots):
            return None  # it would absorb folders that are indexed here
        here = not is_offline(folder)
        if here and not _is_same(file):
            return None
        root, _ = self._catalog.add_root(folder)
        self._roots.append((root, not here))
        if not here:
            self.offline.add(root.id)
        return root, file, here

    def _named(self, root: str) -> str:
        for old, new in self._relocate.items():
            if root == old or root.startswith((f"{old}/", f"{old}\\")):
                return new + root[len(old) :]
        return root

    def _known(self, folder: Path, path: str) -> tuple[Root, str, bool] | None:
        for root, offline in self._roots:
            if folder.is_relative_to(root.path):
                return root, (folder.relative_to(root.path) / path).as_posix(), offline
            inner = folder / path
            if root.path.is_relative_to(folder) and inner.is_relative_to(root.path):
                return root, inner.relative_to(root.path).as_posix(), offline
        return None


def _is_same(file: FoundFile) -> bool:
    try:
        info = file.path.stat()
    except (OSError, ValueError):
        return False
    return state_of(info) == (file.size, file.mtime_ns)


class Merge:
    """Writes batches of rows to the catalog."""

    def __init__(
        self,
        catalog: Catalog,
        space_id: int,
        places: Places,
        *,
        tally: Tally | None = None,
        run: int = _BEFORE_ALL_RUNS,
    ) -> None:
        self.tally = tally or Tally()
        self._catalog = catalog
        self._space_id = space_id
        self._places = places
        self._run = run

    def by_content(self, rows: Sequence[ImportedRow]) -> None:
        """Store rows that have the photo's hash, metadata and files."""
        known = self._known_facts([row.photo_hash for row in rows if row.photo_hash is not None])
        located = {row.number: [self._places.of(place) for place in row.places] for row in rows}
        holders = self._holders([each for found in located.values() for each in found if each])
        ready: list[ReadableFile] = []
        for row in rows:
            assert row.photo_hash is not None
            assert row.facts is not None
            facts, has_perceptual = known.get(row.photo_hash, (None, False))
            kept = []
            for place, found in zip(row.places, located[row.number], strict=True):
                if found is None:
                    continue
                root, file, here = found
                if holders.setdefault((root.id, file.relative), row.photo_hash) != row.photo_hash:
                    self.tally.taken += 1
                    continue
                kept.append((root.id, file, place.file_hash, here))
            stored = ReadableFile(
                None,
                FoundFile(Path(), "", 0, 0),
                b"",
                row.photo_hash,
                _filled(facts, row.facts),
                None if has_perceptual else row.perceptual,
                row.row.astype(np.float16),
                row.norm,
            )
            ready += [
                replace(stored, root=root, found=file, file_hash=file_hash)
                for root, file, file_hash, _ in kept[:1]
            ] or [stored]
            ready += [
                replace(stored, root=root, found=file, file_hash=file_hash, row=None)
                for root, file, file_hash, _ in kept[1:]
            ]
            self.tally.photos += 1
            self.tally.here += any(here for *_, here in kept)
            self.tally.elsewhere += bool(kept) and not any(here for *_, here in kept)
        self.tally.vectors += self._catalog.store(self._run, self._space_id, ready, [])

    def by_path(self, source: Path, rows: Sequence[ImportedRow]) -> None:
        """Store rows that only have a path: the file is read and hashed, but not decoded."""
        ready: list[ReadableFile] = []
        count = max(2, os.cpu_count() or 2)
        with ThreadPoolExecutor(count) as pool, Decoders(count) as decoders:
            paths = [local_path(source, row) for row in rows]
            outcomes = pool.map(partial(_outcome, decoders), paths)
            for row, path, outcome in zip(rows, paths, outcomes, strict=True):
                if isinstance(outcome, UnreadablePhoto):
                    self.tally.refuse([RefusedRow(source, row.number, f"{path}: {outcome.reason}")])
                    continue
                photo, info = outcome
                root = next((root for root in self._catalog.roots() if path.is_relative_to(root.path)), None)
                if root is None:
                    raise StoreError(
                        f"{path} is in no folder of the library: name the folder that the photos are in with --root"
                    )
                state = photo.state or state_of(info)
                found = FoundFile(root.path, path.relative_to(root.path).as_posix(), *state)
                row16 = row.row.astype(np.float16)
                ready.append(
                    ReadableFile(
                        root.id, found, photo.file_hash, photo.photo_hash, photo.facts, None, row16, row.norm
                    )
                )
        self.tally.photos += len(ready)
        self.tally.here += len(ready)
        self.tally.vectors += self._catalog.store(self._catalog.begin_run(), self._space_id, ready, [])

    def _known_facts(self, photo_hashes: Sequence[bytes]) -> dict[bytes, tuple[PhotoFacts, bool]]:
        """Return the library's own metadata of these photos, which takes precedence."""
        known: dict[bytes, tuple[PhotoFacts, bool]] = {}
        sql = f"SELECT photo_hash, perceptual IS NOT NULL, {FACTS_SQL} FROM photos WHERE photo_hash IN (?*)"
        for photo_hash, perceptual, *facts in rows_in(self._catalog.database, sql, photo_hashes):
            known[photo_hash] = facts_from(facts), bool(perceptual)
        return known

    def _holders(self, found: Sequence[tuple[Root, FoundFile, bool]]) -> dict[tuple[int, str], bytes]:
        """Return the photos that the library already has at these paths, which take precedence."""
        holders: dict[tuple[int, str], bytes] = {}
        wanted: dict[int, list[str]] = {}
        for root, file, _ in found:
            wanted.setdefault(root.id, []).append(file.relative)
        for root_id, paths in wanted.items():
            for start in range(0, len(paths), 900):
                part = paths[start : start + 900]
                for relative, photo_hash in zip(part, self._photo_hashes_at(root_id, part), strict=True):
                    if photo_hash is not None:
                        holders[root_id, relative] = photo_hash
        return holders

    def _photo_hashes_at(self, root: int, paths: Sequence[str]) -> list[bytes | None]:
        values = [path_to_value(path) for path in paths]
        rows = self._catalog.database.rows(
            "SELECT f.path, p.photo_hash FROM files f JOIN photos p ON p.id = f.photo "
            f"WHERE f.root = ? AND f.path IN ({','.join('?' * len(values))})",
            [root, *values],
            row=tuple[str | bytes, bytes],
        )
        at = dict(rows)
        return [at.get(value) for value in values]


def _filled(own: PhotoFacts | None, told: PhotoFacts) -> PhotoFacts:
    if own is None:
        return told
    gaps = {
        field.name: getattr(told, field.name) for field in fields(own) if getattr(own, field.name) is None
    }
    return replace(own, **gaps)


def _outcome(decoders: Decoders, path: Path) -> tuple[ProtectedPhoto, os.stat_result] | UnreadablePhoto:
    try:
        info = path.stat()
        with decoders.open(path, with_sidecars=True) as photo:
            return photo, info
    except UnreadablePhoto as error:
        return error
    except (OSError, ValueError) as error:
        return UnreadablePhoto(path, getattr(error, "strerror", None) or str(error))


def local_path(file: Path, row: ImportedRow) -> Path:
    """Return the absolute path of a photo; relative paths are relative to the file that contains them."""
    return real_path(file.parent / str(row.path).removeprefix("file://"))
