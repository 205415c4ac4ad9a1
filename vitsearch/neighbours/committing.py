"""Commit a neighbours cache to disk, and open what was committed.

The manifest names all files that count, with their checksums. It is replaced last, so that a kill at any point leaves
the previous commit.
"""

from __future__ import annotations

import secrets
import zlib
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.neighbours.cells import Cells
from vitsearch.neighbours.files import (
    CellsRecord,
    Manifest,
    StaleCache,
    checked_bytes,
    digest,
    read_manifest,
    sweep,
    sync_file,
    write_file,
    write_manifest,
)
from vitsearch.neighbours.row_files import RowFiles
from vitsearch.neighbours.slots import SlotTable

if TYPE_CHECKING:
    from pathlib import Path

# Reading this much adds a few hundredths of a second to a search. Without cells, an exact search reads all rows anyway.
READ_WHOLE_BYTES = 1 << 26


def commit(
    files: RowFiles,
    table: SlotTable,
    cells: CellsRecord | None,
    *,
    generation: int,
    newest: int,
    replaced: Manifest | None,
) -> Manifest:
    """Write what is not on disk yet, then the manifest, and delete files that no manifest names any more.

    `replaced` is the previous manifest, whose files readers may still be opening.
    """
    folder = files.folder
    files.sync()
    removed, removed_sum = None, 0
    if table.removed_count:
        removed = f"removed-{secrets.token_hex(4)}.bits"
        bits = np.packbits(table.removed, bitorder="little").tobytes()
        write_file(folder / removed, bits)
        removed_sum = zlib.crc32(bits)
    rows, ids = files.names
    rows_sum, ids_sum = files.sums
    manifest = Manifest(
        dimension=files.dimension,
        generation=generation,
        count=files.count,
        ascending=table.ascending,
        newest=newest,
        rows=rows,
        ids=ids,
        rows_sum=rows_sum,
        ids_sum=ids_sum,
        removed=removed,
        removed_sum=removed_sum,
        cells=cells,
    )
    write_manifest(folder, manifest)
    sweep(folder, keep=manifest, replaced=replaced)
    return manifest


def manifest_or_none(folder: Path, dimension: int) -> Manifest | None:
    """Return the manifest in a folder, or None if there is no usable one."""
    try:
        return read_manifest(folder, dimension=dimension)
    except StaleCache:
        return None


def open_rows(folder: Path, manifest: Manifest, *, thorough: bool) -> tuple[RowFiles, SlotTable]:
    """Map committed rows into memory and verify their checksums; the rows of a large cache only with `thorough`.

    Raises:
        StaleCache: a file is damaged.

    """
    files = RowFiles(
        folder,
        manifest.rows,
        manifest.ids,
        dimension=manifest.dimension,
        count=manifest.count,
        sums=(manifest.rows_sum, manifest.ids_sum),
    )
    files.check_ids()
    if thorough or manifest.cells is None or manifest.files[manifest.rows] <= READ_WHOLE_BYTES:
        files.check_rows()
    else:
        files.look_at_rows()
    removed = np.zeros(manifest.count, dtype=bool)
    if manifest.removed is not None:
        bits = checked_bytes(
            folder, manifest.removed, size=manifest.files[manifest.removed], expected=manifest.removed_sum
        )
        removed = np.unpackbits(
            np.frombuffer(bits, np.uint8), count=manifest.count, bitorder="little"
        ).astype(bool)
    return files, SlotTable(files.ids, removed=removed, ascending=manifest.ascending)


def read_cells(folder: Path, record: CellsRecord) -> Cells | None:
    """Read the cells of a manifest, or return None if their file is gone or damaged.

    The digest is verified because FAISS trusts what it reads: a slot number with a flipped bit would make it read
    outside of the rows.
    """
    path = folder / record.file
    try:
        sound = digest(path) == record.digest
    except OSError:  # a writer has replaced the file since the manifest was read
        return None
    return Cells.read(path, trained=record.trained, points=record.points) if sound else None


def write_cells(folder: Path, cells: Cells) -> CellsRecord:
    """Write cells to a new file and return the manifest's record of it."""
    path = folder / f"cells-{secrets.token_hex(4)}.faiss"
    cells.write(path)
    sync_file(path)
    return CellsRecord(
        file=path.name,
        size=path.stat().st_size,
        digest=digest(path),
        trained=cells.trained,
        points=cells.points,
    )
