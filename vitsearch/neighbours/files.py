"""The files of a search cache: append-only rows, and a manifest that says how many of them count.

A folder holds `rows-T.f16` (n x d little-endian float16), `ids-T.i64` (one photo id per row), at most one each of
`removed-T.bits` (one bit per row) and `cells-T.faiss` (the approximate index), and `manifest.json`; T is a random
token. Rows are appended and never changed, so adding a photo writes one row, and readers that have mapped the files
are not affected. The manifest is replaced atomically when all files that it names are on disk; bytes beyond its counts
are leftovers of a killed run and are overwritten by the next one.

The manifest holds a CRC-32 of itself and of each file up to its count. Those of rows and ids are extended with each
append, so that nothing is read again. The checksums protect from bad disks and bad copies, not from attackers, who
could change `library.db` as well.
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
    """A search cache cannot be used and must be rebuilt from the library."""

    def __init__(self, folder: Path, reason: str) -> None:
        super().__init__(
            f"the search cache in {folder} cannot be used ({reason}): rebuild it from the library"
        )
        self.folder = folder
        self.reason = reason


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """Search parameters and the recall@10 measured with them on the library's own embeddings.

    `nprobe` cells are visited, and the exact scores of ten times `factor` candidates are computed.
    """

    nprobe: int
    factor: int
    recall: float


def cheapest(points: tuple[OperatingPoint, ...], recall: float) -> OperatingPoint:
    """Return the first of the points, cheapest first, that reaches this recall, or else the best one."""
    return next((point for point in points if point.recall >= recall), points[-1])


@dataclass(frozen=True, slots=True)
class CellsRecord:
    """The approximate index of a cache: its file, the file's BLAKE3, and its operating points (cheapest first).

    `trained`: how many rows there were when the cells were trained.
    """

    file: str
    size: int
    digest: str
    trained: int
    points: tuple[OperatingPoint, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """The contents of a cache. File names are relative to the folder.

    - `count`: how many rows are committed, including removed ones; `ascending`: whether their ids are.
    - `newest`: the row id in SQLite's table of vectors up to which all rows are included, or 0 if unknown.
    - `removed`: None while no row has been removed.
    - `rows_sum`, `ids_sum`, `removed_sum`: CRC-32 of the committed bytes.
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
        """The files of the cache, and the minimum size of each in bytes."""
        sizes = {self.rows: self.count * self.dimension * 2, self.ids: self.count * 8}
        if self.removed is not None:
            sizes[self.removed] = -(-self.count // 8)
        if self.cells is not None:
            sizes[self.cells.file] = self.cells.size
        return sizes


def read_manifest(folder: Path, *, dimension: int) -> Manifest:
    """Read the manifest and check it against the files in the folder.

    Raises:
        StaleCache: there is no manifest; or it is damaged, or of another format or dimension; or files are missing or
            too short.

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
    """Replace the manifest; all files that it names must be on disk already."""
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
        StaleCache: their CRC-32 is not as expected.

    """
    with (folder / name).open("rb") as file:
        content = file.read(size)
    if zlib.crc32(content) != expected:
        raise StaleCache(folder, f"{name} is not what was written")
    return content


def sync_file(path: Path) -> None:
    """Wait until a file is on disk."""
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sweep(folder: Path, *, keep: Manifest, replaced: Manifest | None) -> None:
    """Delete the files that `replaced` names and `keep` does not, and leftovers of killed runs that are a day old.

    Younger files are kept, because another process may be building them.
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
