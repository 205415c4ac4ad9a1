"""Bring photos and vectors from Parquet files into a library.

A photo is known by its content: vectors that were computed elsewhere belong to whatever file here holds the same photo.
A place on another machine is kept as an offline root, so that `roots relocate` can point it to where its photos are
mounted here; a place that exists here is taken over only if its file is the one that was exported.
"""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from vitsearch.backbones.spec import Preprocessing, Space
from vitsearch.catalog import ReadableFile
from vitsearch.database import path_to_value
from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import LibraryError, SpaceMismatch, StoreError, UnreadablePhoto
from vitsearch.records import FoundFile, PhotoFacts
from vitsearch.scan import real_path
from vitsearch.stores.parquet_reading import ImportedRow, RefusedRow, VectorFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from vitsearch.catalog import Catalog, Root
    from vitsearch.decoding.decoders import ProtectedPhoto
    from vitsearch.library import Library
    from vitsearch.stores.portable import Place

# Imported places are older than any walk: no file that vanishes here has "moved" to another machine.
_BEFORE_ALL_RUNS = 0
# Vectors under the name of the library's own model are compared with what the model says of this many photos.
_PROBED = 16
_SAME_MODEL = 0.99
_REASONS = 100


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import brought.

    `photos`: rows that were taken; `vectors`: of those, vectors that the library did not have; `here`: photos with a
    file on this machine now; `elsewhere`: photos that are only in folders that are not here; `taken`: places that
    are left out because another photo has them; `offline_roots`: folders that are not here; `refused`: how many rows
    were left out, and `reasons` why, of the first of them. `searched`: whether searches use this model.
    """

    files: tuple[Path, ...]
    photos: int
    vectors: int
    here: int
    elsewhere: int
    taken: int
    offline_roots: tuple[Path, ...]
    refused: int
    reasons: tuple[RefusedRow, ...]
    model: str
    searched: bool
    seconds: float


@dataclass
class Tally:
    """What a merge has come to so far."""

    photos: int = 0
    vectors: int = 0
    here: int = 0
    elsewhere: int = 0
    taken: int = 0
    refused: int = 0
    reasons: list[RefusedRow] = field(default_factory=list)

    def refuse(self, rows: Sequence[RefusedRow]) -> None:
        """Count rows that are left out, and keep the first reasons."""
        self.refused += len(rows)
        self.reasons += rows[: _REASONS - len(self.reasons)]


def import_parquet(
    library: Library,
    files: Sequence[Path],
    *,
    model: str | None = None,
    root: Path | None = None,
    relocate: Mapping[str, str] | None = None,
    change_model: bool = False,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> ImportReport:
    """Merge files into a library, each batch in one transaction; run it again after an interruption.

    `model` names the model of files that do not say it, `root` the folder that their photos are in; `relocate` gives
    folders of another machine another name. With `change_model` searches use the imported vectors from now on.

    Raises:
        StoreError: a file cannot be read, or the files are of several spaces.
        SpaceMismatch: vectors under the name of the library's model are not that model's.
        LibraryError: `root` does not exist, or the library cannot be written.

    """
    started = time.monotonic()
    opened: list[VectorFile] = []
    try:
        opened.extend(VectorFile(path, model=model) for path in files)
        space = _one_space(library, opened)
        tally = Tally()
        total, done = sum(file.rows for file in opened), 0
        with library.receiving(space, use=change_model) as (catalog, space_id):
            places = Places(catalog, relocate or {})
            base = catalog.add_root(real_path(root))[0] if root is not None else None
            if base is not None and not base.path.is_dir():
                raise LibraryError(f"{base.path} does not exist: check the spelling, or mount its drive")
            merge = Merge(catalog, space_id, places, tally=tally)
            for file in opened:
                for rows, bad in file.batches():
                    tally.refuse(bad)
                    if file.space is None:
                        merge.by_path(file.path, rows)
                    else:
                        merge.by_content(rows)
                    done += len(rows) + len(bad)
                    on_progress(done, total)
            offline = tuple(each.path for each in catalog.roots() if each.id in places.offline)
    finally:
        for file in opened:
            file.__exit__()
    return ImportReport(
        files=tuple(file.path for file in opened),
        photos=tally.photos,
        vectors=tally.vectors,
        here=tally.here,
        elsewhere=tally.elsewhere,
        taken=tally.taken,
        offline_roots=offline,
        refused=tally.refused,
        reasons=tuple(tally.reasons),
        model=space.model,
        searched=library.existing_space() == space,
        seconds=time.monotonic() - started,
    )


def _one_space(library: Library, files: Sequence[VectorFile]) -> Space:
    """The space of all files.

    Files without one belong to the library's own space if they name its model and are found to be of it, and to a
    space of their own otherwise.
    """
    spaces = [file.space or _claimed_space(library, file) for file in files]
    for file, space in zip(files, spaces, strict=True):
        if space != spaces[0]:
            raise StoreError(
                f"{file.path} holds vectors of {_described(space)}, {files[0].path} of {_described(spaces[0])}: import "
                "them one by one"
            )
    return spaces[0]


def _described(space: Space) -> str:
    return f"{space.model} ({space.dimension} dimensions)"


def _claimed_space(library: Library, file: VectorFile) -> Space:
    if not file.model:
        raise StoreError(f"{file.path} does not say which model its vectors are of: name it with --model")
    active = library.existing_space()
    if active is None or active.model != file.model:
        unknown = Preprocessing(0, 0, 0, "crop", 0, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        return Space(file.model, "", unknown, "cls", file.dimension)
    if active.is_imported:
        return active
    if active.dimension != file.dimension:
        raise SpaceMismatch(
            f"{file.path}: its vectors have {file.dimension} dimensions, those of {file.model} here "
            f"{active.dimension}: give them a name of their own with --model"
        )
    likeness = _likeness(library, active, file)
    if likeness < _SAME_MODEL:
        raise SpaceMismatch(
            f"{file.path}: its vectors are not those that {file.model} gives here (cosine {likeness:.3f} on a sample; "
            "preprocessing or readout differ): give them a name of their own with --model"
        )
    return active


def _likeness(library: Library, space: Space, file: VectorFile) -> float:
    """The least cosine between vectors of the file and what the library's model makes of the same photos."""
    rows, _ = next(file.batches(), ([], []))
    backbone = library.backbone(space)
    pixels, claimed = [], []
    with Decoders() as decoders:
        for row in rows:
            try:
                with decoders.open(_local_path(file.path, row)) as photo:
                    pixels.append(backbone.prepare(photo.pixels(min_side=space.preprocessing.decode_side)))
                claimed.append(row.row)
            except UnreadablePhoto:
                continue
            if len(pixels) == _PROBED:
                break
    if not pixels:
        raise StoreError(f"{file.path}: none of the first photos that it names can be read here")
    found = backbone.embed_batch(np.stack(pixels)).rows
    return float((found * np.stack(claimed)).sum(axis=1).min())


def _local_path(file: Path, row: ImportedRow) -> Path:
    return real_path(file.parent / str(row.path).removeprefix("file://"))


class Places:
    """Where imported files are in this library."""

    def __init__(self, catalog: Catalog, relocate: Mapping[str, str]) -> None:
        self.offline: set[int] = set()
        self._catalog = catalog
        self._relocate = {old.rstrip("/\\"): new.rstrip("/\\") for old, new in relocate.items()}
        self._roots = [(root, root.is_offline()) for root in catalog.roots()]
        self._added: dict[str, tuple[Root, str] | None] = {}

    def of(self, place: Place) -> tuple[Root, FoundFile, bool] | None:
        """Return root, file and whether it is here; None for a file that should be here and is not."""
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
        here = folder.is_dir() and next(folder.iterdir(), None) is not None
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
    return (info.st_size, info.st_mtime_ns) == (file.size, file.mtime_ns)


class Merge:
    """Puts batches of rows into the catalog."""

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
        """Store rows that carry their photo's hash, facts and places."""
        known = self._known_facts([row.payload for row in rows if row.payload is not None])
        located = {row.number: [self._places.of(place) for place in row.places] for row in rows}
        holders = self._holders([each for found in located.values() for each in found if each])
        ready: list[ReadableFile] = []
        for row in rows:
            assert row.payload is not None
            assert row.facts is not None
            facts, has_perceptual = known.get(row.payload, (None, False))
            kept = []
            for place, found in zip(row.places, located[row.number], strict=True):
                if found is None:
                    continue
                root, file, here = found
                if holders.setdefault((root.id, file.relative), row.payload) != row.payload:
                    self.tally.taken += 1
                    continue
                kept.append((root.id, file, place.content, here))
            stored = ReadableFile(
                None,
                FoundFile(Path(), "", 0, 0),
                b"",
                row.payload,
                _filled(facts, row.facts),
                None if has_perceptual else row.perceptual,
                row.row.astype(np.float16),
                row.norm,
            )
            ready += [
                replace(stored, root=root, found=file, content=content) for root, file, content, _ in kept[:1]
            ] or [stored]
            ready += [
                replace(stored, root=root, found=file, content=content, row=None)
                for root, file, content, _ in kept[1:]
            ]
            self.tally.photos += 1
            self.tally.here += any(here for *_, here in kept)
            self.tally.elsewhere += bool(kept) and not any(here for *_, here in kept)
        self.tally.vectors += self._catalog.store(self._run, self._space_id, ready, [])

    def by_path(self, source: Path, rows: Sequence[ImportedRow]) -> None:
        """Store rows that know only where their photo is: the file is read, not decoded."""
        ready: list[ReadableFile] = []
        count = max(2, os.cpu_count() or 2)
        with ThreadPoolExecutor(count) as pool, Decoders(count) as decoders:
            paths = [_local_path(source, row) for row in rows]
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
                found = FoundFile(
                    root.path, path.relative_to(root.path).as_posix(), info.st_size, info.st_mtime_ns
                )
                row16 = row.row.astype(np.float16)
                ready.append(
                    ReadableFile(
                        root.id, found, photo.content, photo.payload, photo.facts, None, row16, row.norm
                    )
                )
        self.tally.photos += len(ready)
        self.tally.here += len(ready)
        self.tally.vectors += self._catalog.store(self._catalog.begin_run(), self._space_id, ready, [])

    def _known_facts(self, payloads: Sequence[bytes]) -> dict[bytes, tuple[PhotoFacts, bool]]:
        """What the library itself knows of these photos; it is believed before a file is."""
        known: dict[bytes, tuple[PhotoFacts, bool]] = {}
        for start in range(0, len(payloads), 900):
            part = payloads[start : start + 900]
            for payload, perceptual, *facts in self._catalog.database.rows(
                "SELECT payload, perceptual IS NOT NULL, format, width, height, taken, camera, latitude, longitude, "
                f"software FROM photos WHERE payload IN ({','.join('?' * len(part))})",
                part,
            ):
                known[payload] = PhotoFacts(*facts), bool(perceptual)  # type: ignore[index,arg-type]
        return known

    def _holders(self, found: Sequence[tuple[Root, FoundFile, bool]]) -> dict[tuple[int, str], bytes]:
        """The photos that already have these places: the library's own word wins."""
        holders: dict[tuple[int, str], bytes] = {}
        wanted: dict[int, list[str]] = {}
        for root, file, _ in found:
            wanted.setdefault(root.id, []).append(file.relative)
        for root_id, paths in wanted.items():
            for start in range(0, len(paths), 900):
                part = paths[start : start + 900]
                for relative, payload in zip(part, self._payloads_at(root_id, part), strict=True):
                    if payload is not None:
                        holders[root_id, relative] = payload
        return holders

    def _payloads_at(self, root: int, paths: Sequence[str]) -> list[bytes | None]:
        values = [path_to_value(path) for path in paths]
        rows = self._catalog.database.rows(
            "SELECT f.path, p.payload FROM files f JOIN photos p ON p.id = f.photo "
            f"WHERE f.root = ? AND f.path IN ({','.join('?' * len(values))})",
            [root, *values],
        )
        at = cast("dict[str | bytes, bytes]", dict(rows))  # type: ignore[arg-type]
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
        with decoders.open(path) as photo:
            return photo, info
    except UnreadablePhoto as error:
        return error
    except (OSError, ValueError) as error:
        return UnreadablePhoto(path, getattr(error, "strerror", None) or str(error))
