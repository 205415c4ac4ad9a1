"""The rows on disk: two append-only, memory-mapped files, and hints on how the system should read them."""

from __future__ import annotations

import mmap
import secrets
import zlib
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.neighbours.files import StaleCache, sync_file, write_file
from vitsearch.storage.private import make_folder

if TYPE_CHECKING:
    from pathlib import Path

    import numpy.typing as npt

BLOCK_ROWS = 16384
_READ_BYTES = 1 << 20


def _file_sum(path: Path, size: int) -> int:
    """Return the CRC-32 of the first `size` bytes of a file.

    The bytes are read, not mapped, so that an unreadable disk raises an error instead of killing the process.
    """
    block = memoryview(bytearray(min(size, _READ_BYTES)))
    result = 0
    with path.open("rb", buffering=0) as file:
        while size:
            count = file.readinto(block[:size])
            if not count:
                break
            result = zlib.crc32(block[:count], result)
            size -= count
    return result


def give_back(rows: npt.NDArray[np.float16]) -> None:
    """Release a mapped array's pages from this process's memory after a pass over all rows."""
    _advise(rows, "MADV_DONTNEED")


def expect_single_rows(rows: npt.NDArray[np.float16], *, single: bool) -> None:
    """Tell the system how a mapped array will be read: single rows here and there, or sequentially.

    For single rows, the system should not read ahead: otherwise each row that is not in memory loads 32 pages, which
    evict others when memory is short.
    """
    _advise(rows, "MADV_RANDOM" if single else "MADV_NORMAL")


def _advise(rows: npt.NDArray[np.float16], advice: str) -> None:
    base: object = rows
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap) and hasattr(mmap, advice):
        base.madvise(getattr(mmap, advice))


def are_unit_rows(rows: npt.NDArray[np.float16]) -> bool:
    """Return whether every row has length 1 within float16 precision."""
    wide = rows.astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        return bool((np.abs(np.vecdot(wide, wide) - 1) < 0.02).all())


class RowFiles:
    """The two append-only files of a cache and their memory maps.

    - `rows`: (n, d) float16, `ids`: (n,) int64; read-only maps of the files, including appended rows.
    - `sums`: the CRC-32 of each file.
    - `rows_checked`: whether this process has verified all rows, or wrote them itself.
    """

    def __init__(
        self,
        folder: Path,
        rows: str,
        ids: str,
        *,
        dimension: int,
        count: int,
        sums: tuple[int, int] = (0, 0),
        rows_checked: bool = False,
    ) -> None:
        self.folder = folder
        self.names = (rows, ids)
        self.dimension = dimension
        self.sums = sums
        self.rows_checked = rows_checked
        self._map(count)

    @classmethod
    def create(cls, folder: Path, *, dimension: int) -> RowFiles:
        """Create two empty files with unique names."""
        make_folder(folder)
        token = secrets.token_hex(4)
        rows, ids = f"rows-{token}.f16", f"ids-{token}.i64"
        for name in (rows, ids):
            write_file(folder / name, b"")
        return cls(folder, rows, ids, dimension=dimension, count=0, rows_checked=True)

    def discard(self) -> None:
        """Delete files that no manifest names."""
        for name in self.names:
            (self.folder / name).unlink(missing_ok=True)

    def _map(self, count: int) -> None:
        self.count = count
        if count == 0:  # an empty file cannot be mapped
            self.rows: npt.NDArray[np.float16] = np.empty((0, self.dimension), dtype="<f2")
            self.ids: npt.NDArray[np.int64] = np.empty(0, dtype="<i8")
            return
        rows, ids = (self.folder / name for name in self.names)
        shape = (count, self.dimension)
        self.rows = np.asarray(np.memmap(rows, dtype="<f2", mode="r", shape=shape))
        self.ids = np.asarray(np.memmap(ids, dtype="<i8", mode="r", shape=(count,)))

    def append(self, ids: npt.NDArray[np.int64], rows: npt.NDArray[np.float16]) -> None:
        """Append rows. Other processes see them after the next commit.

        Raises:
            StaleCache: another process has replaced the files.

        """
        sums = []
        for name, block, width, known in zip(
            self.names, (rows, ids), (self.dimension * 2, 8), self.sums, strict=True
        ):
            content = np.ascontiguousarray(block).data
            try:
                file = (self.folder / name).open("r+b")
            except FileNotFoundError:
                raise StaleCache(self.folder, "another process has replaced it") from None
            with file:
                file.seek(self.count * width)
                file.write(content)
            sums.append(zlib.crc32(content, known))
        self.sums = (sums[0], sums[1])
        self._map(self.count + len(ids))

    def sync(self) -> None:
        """Wait until all appended rows are on disk."""
        for name in self.names:
            sync_file(self.folder / name)

    def check_ids(self) -> None:
        """Verify the checksum of all ids.

        Raises:
            StaleCache: they are damaged.

        """
        self._check(1, 8)

    def look_at_rows(self) -> None:
        """Check the length of a few rows across the file.

        Raises:
            StaleCache: one does not have unit length.

        """
        if not are_unit_rows(self.rows[:: max(1, self.count // 64)]):
            raise StaleCache(self.folder, "a row does not have unit length")

    def check_rows(self) -> None:
        """Verify the checksum of all rows, unless this process has done so before.

        Raises:
            StaleCache: they are damaged.

        """
        if not self.rows_checked:
            self._check(0, self.dimension * 2)
            self.rows_checked = True

    def _check(self, which: int, width: int) -> None:
        name = self.names[which]
        try:
            found = _file_sum(self.folder / name, self.count * width)
        except OSError as error:
            raise StaleCache(self.folder, f"{name} cannot be read: {error.strerror or error}") from error
        if found != self.sums[which]:
            raise StaleCache(self.folder, f"{name} is not what was written")
