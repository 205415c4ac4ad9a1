"""Export a library's photos to a Milvus collection: only new, changed and removed photos are transferred.

Photos are compared in ranges of their hashes, so that memory use is small for any library, and an interrupted run
leaves complete ranges.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.engines.engine import StoreReport
from vitsearch.engines.milvus.collection import MOST_ROWS
from vitsearch.engines.milvus.rows import checksum, row_of
from vitsearch.errors import StoreError
from vitsearch.heads.store import HeadStore
from vitsearch.storage.sql import contained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Executor, Future

    from vitsearch.engines.milvus.collection import MilvusCollection
    from vitsearch.engines.milvus.rows import Row
    from vitsearch.engines.portable import Selection
    from vitsearch.library import Library

_PHOTOS_A_RANGE = 4096
_ROWS_AT_ONCE = 1000
_ALL = 1 << 32
# This many complete rows of each changed range are read back for verification.
_READ_BACK = 32


@dataclass(frozen=True, slots=True)
class _Range:
    """Hashes whose first 32 bits are at least `low` and less than `high`."""

    low: int
    high: int

    @property
    def expression(self) -> str:
        below = f' and photo < "{self.high:08x}"' if self.high < _ALL else ""
        return f'photo >= "{self.low:08x}"{below}'

    def halves(self) -> tuple[_Range, _Range]:
        middle = (self.low + self.high) // 2
        return _Range(self.low, middle), _Range(middle, self.high)


def export_milvus(
    library: Library,
    selection: Selection,
    collection: MilvusCollection,
    *,
    whole: bool = True,
    on_progress: Callable[[int, int], None] = lambda *_: None,
) -> StoreReport:
    """Make a collection hold these photos with the predictions of the library's heads, and verify it.

    `whole` deletes the collection's other photos. After an interruption, call it again.

    Raises:
        StoreError: the engine cannot be written to, or does not return what was written.
        SpaceMismatch: the collection holds embeddings of another space.

    """
    started = time.monotonic()
    is_new = collection.open_for(selection.space, selection.catalog.library_id())
    ranges = max(1, len(selection.ids) // _PHOTOS_A_RANGE)
    edges = [_ALL * number // ranges for number in range(ranges + 1)]
    with ThreadPoolExecutor(1, "vitsearch-export") as thread:
        run = _Run(
            library, selection, collection, thread, whole=whole, is_empty=is_new or not collection.count()
        )
        for low, high in pairwise(edges):
            run.bring(_Range(low, high))
            on_progress(run.photos, len(selection.ids))
    collection.flush()
    held = collection.count()
    if (held != run.photos) if whole else (held < run.photos):
        raise StoreError(
            f"the collection {collection.address.shown} holds {held:,} photos, not {run.photos:,}: is another export "
            "under way? Run the command again"
        )
    return StoreReport(
        to=collection.address.shown,
        photos=run.photos,
        written=run.written,
        removed=run.removed,
        unchanged=run.photos - run.written,
        model=selection.space.model,
        seconds=time.monotonic() - started,
    )


class _Run:
    """An export, range by range. Rows are prepared here while `thread` writes the previous ones."""

    def __init__(
        self,
        library: Library,
        selection: Selection,
        collection: MilvusCollection,
        thread: Executor,
        *,
        whole: bool,
        is_empty: bool,
    ) -> None:
        self.photos = self.written = self.removed = 0
        self._selection = selection
        self._collection = collection
        self._thread = thread
        self._writing: Future[None] | None = None
        self._whole = whole
        self._was_empty = is_empty
        head_store = HeadStore(library)
        self._tables = head_store.tables
        self._versions = {name: head_store.get(name).version for name in head_store.names()}

    def bring(self, part: _Range) -> None:
        """Export this range of the selection."""
        ids = self._ids(part)
        there = {} if self._was_empty else self._checksums(part)
        if max(len(ids), len(there)) >= MOST_ROWS:
            for half in part.halves():
                self.bring(half)
            return
        here: dict[str, str] = {}
        changed: list[Row] = []
        for row in self._rows(ids):
            here[row["photo"]] = row["checksum"]
            if there.get(row["photo"]) != row["checksum"]:
                changed.append(row)
            if len(changed) == _ROWS_AT_ONCE:
                self._put(changed)
                changed = []
        self._put(changed)
        self._wait()
        gone = [photo for photo in there if photo not in here] if self._whole else []
        for start in range(0, len(gone), _ROWS_AT_ONCE):
            self._collection.delete(gone[start : start + _ROWS_AT_ONCE])
        written = [photo for photo, own in here.items() if there.get(photo) != own]
        self.photos += len(here)
        self.written += len(written)
        self.removed += len(gone)
        if written or gone:
            self._verify(part, here, written)

    def _put(self, rows: list[Row]) -> None:
        """Write rows after the previous ones are written."""
        self._wait()
        if rows:
            self._writing = self._thread.submit(self._collection.put, rows)

    def _wait(self) -> None:
        """Wait until all rows are written; raises the error of a failed write."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _verify(self, part: _Range, here: dict[str, str], written: list[str]) -> None:
        there = self._checksums(part)
        wrong = [photo for photo, own in here.items() if there.get(photo) != own]
        if self._whole:
            wrong += [photo for photo in there if photo not in here]
        some = written[:: max(1, len(written) // _READ_BACK)][:_READ_BACK]
        if some:
            listed = ", ".join(f'"{photo}"' for photo in some)
            back = self._collection.rows(f"photo in [{listed}]", ["*"])
            wrong += [row["photo"] for row in back if checksum(row) != here[row["photo"]]]
        if wrong:
            raise StoreError(
                f"the collection {self._collection.address.shown} does not hold what was written "
                f"({len(wrong):,} photos, for example {wrong[0]}): is another export under way? Run the command again"
            )

    def _checksums(self, part: _Range) -> dict[str, str]:
        rows = self._collection.rows(part.expression, ["photo", "checksum"])
        return {row["photo"]: row["checksum"] for row in rows}

    def _ids(self, part: _Range) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        sql, values = "SELECT id FROM photos WHERE photo_hash >= ?", [part.low.to_bytes(4, "big")]
        if part.high < _ALL:
            sql, values = f"{sql} AND photo_hash < ?", [*values, part.high.to_bytes(4, "big")]
        ids = np.sort(self._selection.catalog.database.ids(sql, values))
        return ids[contained(ids, self._selection.ids)]

    def _rows(self, ids: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[Row]:
        for start in range(0, len(ids), _PHOTOS_A_RANGE):
            part = ids[start : start + _PHOTOS_A_RANGE]
            said = self._tables.labels_of(part, self._versions)
            for photo in self._selection.photos(part):
                yield row_of(photo, said.get(photo.id, ()))
