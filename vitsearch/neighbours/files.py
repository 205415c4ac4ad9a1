"""The files of one neighbours cache: rows that only grow, and a manifest that says how many of them count.

A folder holds `rows-T.f16` (n x d little-endian float16), `ids-T.i64` (one photo id a row), at most one each of
`removed-T.bits` (one bit a row) and `cells-T.faiss` (the approximate index), and `manifest.json`, where T is a random
token. Rows are appended, never changed, so that adding one photo writes one row and a reader that has the files
mapped is never disturbed. What counts is what the manifest says: it is replaced atomically after everything it names
is on disk, and bytes beyond its count are the remains of a run that was killed, overwritten by the next one.

The manifest holds a CRC-32 of itself and of each file up to its count. That of rows and ids goes on with every append,
so that nothing is read again to make it. The sums are there for bad disks and bad copies: who may write here may change
`library.db` as well.
"""

from __future__ import annotations

import json
import os
import stat
import time
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from vitsearch.errors import LibraryError
from vitsearch.storage import atomic
from vitsearch.storage.layout import SEARCH_CACHE_FILES, made_files
from vitsearch.storage.private import opener

if TYPE_CHECKING:
    from pathlib import Path


FORMAT = 3
MANIFEST = "manifest.json"
BACKGROUND = "background.npz"
LITTER_SECONDS = 24 * 3600


class StaleCache(LibraryError):
    """A neighbours cache that does not fit, whatever the reason: build it again from the library."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"the search cache in {folder} cannot be used ({reason}): rebuild it from the library"
        )
        self.folder = folder
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """How hard to search, and what it finds: `recall` is the recall@10 measured on the library's own vectors.

    `nprobe` cells are visited, and the exact scores of ten times `factor` candidates are computed.
    """

    nprobe: int
    factor: int
    recall: float


def cheapest(points: tuple[OperatingPoint, ...], recall: float) -> OperatingPoint:
    """Return the first of the points, cheapest first, that reaches this recall, or the best where none does."""
    return next((point for point in points if point.recall >= recall), points[-1])


@dataclass(frozen=True, slots=True)
class CellsRecord:
    """The approximate index of a cache: its file, the file's BLAKE3, and what was measured (cheapest first).

    `trained` rows were there when the cells were chosen.
    """

    file: str
    size: int
    digest: str
    trained: int
    points: tuple[OperatingPoint, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a cache consists of.

    `count` rows are committed, the removed ones included; `ascending` says that their ids are. `newest` is the row of
    SQLite's table of vectors up to which all are here, 0 where that is not known. File names are relative to the
    folder; `removed` is None while no row has been removed. The sums are CRC-32 of the bytes that count.
    """

    dimension: int
    generation: int
    count: int
    ascending: bool
    rows: str
    ids: str
    rows_sum: int = 0
    ids_sum: int = 0
    newest: int = 0
    removed: str | None = None
    removed_sum: int = 0
    cells: CellsRecord | None = None

    @property
    def files(self) -> dict[str, int]:
        """The named files and the bytes that each must at least have."""
        sizes = {self.rows: self.count * self.dimension * 2, self.ids: self.count * 8}
        if self.removed is not None:
            sizes[self.removed] = -(-self.count // 8)
        if self.cells is not None:
            sizes[self.cells.file] = self.cells.size
        return sizes


def read_manifest(folder: Path, *, dimension: int) -> Manifest:
    """Read the manifest and check it against the files beside it.

    Raises:
        StaleCache: no manifest, a damaged one, one of another format or dimension, or files that are missing or too
            short.

    """
    path = folder / MANIFEST
    try:
        fields: Any = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise StaleCache(folder, "there is none yet") from None
    except (OSError, ValueError, RecursionError) as error:
        raise StaleCache(folder, f"{MANIFEST} cannot be read: {error}") from error
    if not isinstance(fields, dict) or fields.pop("format", None) != FORMAT:
        raise StaleCache(folder, f"{MANIFEST} is not of format {FORMAT}")
    try:
        manifest = _parsed(fields)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StaleCache(folder, f"{MANIFEST} is malformed: {error}") from error
    if manifest.dimension != dimension:
        raise StaleCache(folder, f"it holds vectors of {manifest.dimension} dimensions, not {dimension}")
    for name, size in manifest.files.items():
        _check_file(folder, name, size)
    return manifest


def _parsed(fields: dict[str, Any]) -> Manifest:
    if fields.pop("sum") != _fields_sum(fields):
        raise ValueError("it is not what was written")
    cells = fields.pop("cells", None)
    if cells is not None:
        points = tuple(OperatingPoint(**point) for point in cells.pop("points"))
        cells = CellsRecord(points=points, **cells)
        if not points or any(min(point.nprobe, point.factor) < 1 for point in points):
            raise ValueError("no operating point makes sense")
    manifest = Manifest(cells=cells, **fields)
    numbers = [manifest.dimension, manifest.generation, manifest.count, manifest.newest]
    numbers += [manifest.rows_sum, manifest.ids_sum, manifest.removed_sum]
    names = [manifest.rows, manifest.ids, *([] if manifest.removed is None else [manifest.removed])]
    if cells is not None:
        numbers += [cells.size, cells.trained]
        names += [cells.file, cells.digest]
    if any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError(f"a number is not one of 0, 1, 2 …: {numbers}")
    if any(type(name) is not str for name in names) or type(manifest.ascending) is not bool:
        raise TypeError("a field has another type")
    return manifest


def _check_file(folder: Path, name: str, size: int) -> None:
    path = folder / name
    if path.parent != folder:
        raise StaleCache(folder, f"{MANIFEST} names a file elsewhere: {name}")
    try:
        found = path.stat()
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise StaleCache(folder, f"{name} is missing") from error
    if not stat.S_ISREG(found.st_mode) or found.st_size < size:
        raise StaleCache(folder, f"{name} has {found.st_size} bytes, {size} expected")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Make `manifest` the one that counts; all files that it names must be on disk already."""
    fields = asdict(manifest)
    text = json.dumps({"format": FORMAT, "sum": _fields_sum(fields), **fields}, indent=1)
    atomic.write(folder / MANIFEST, text.encode(), private=True)


def _fields_sum(fields: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(fields, sort_keys=True).encode())


def write_file(path: Path, content: bytes) -> None:
    """Write a new file and wait until it is on disk."""
    with open(path, "xb", opener=opener) as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def digest(path: Path) -> str:
    """Return the hex BLAKE3 of a file."""
    return blake3(max_threads=blake3.AUTO).update_mmap(path).hexdigest()


def checked_bytes(folder: Path, name: str, *, size: int, expected: int) -> bytes:
    """Return the first `size` bytes of a small file.

    Raises:
        StaleCache: they do not have the CRC-32 that is expected.

    """
    with (folder / name).open("rb") as file:
        content = file.read(size)
    if zlib.crc32(content) != expected:
        raise StaleCache(folder, f"{name} is not what was written")
    return content


def sync_file(path: Path) -> None:
    """Wait until what was written to a file is on disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sweep(folder: Path, *, keep: Manifest, replaced: Manifest | None) -> None:
    """Delete the files that `replaced` named and `keep` does not, and the day-old litter of killed runs.

    Files that another process is still building are young, so they stay.
    """
    kept = {MANIFEST, *keep.files}
    old = set(replaced.files) if replaced is not None else set()
    limit = time.time() - LITTER_SECONDS
    atomic.remove_abandoned(folder, older_than=LITTER_SECONDS)
    for path in made_files(folder, SEARCH_CACHE_FILES):
        if path.name in kept or path.name == BACKGROUND:
            continue
        try:
            if path.name in old or path.stat().st_mtime < limit:
                path.unlink()
        except OSError:
            # Windows refuses while a reader has it mapped; a later sweep gets it.
            continue
