"""Read the pages of an SQLite file one by one, without SQLite, which gives up on a table at its first bad page.

The format is documented at https://www.sqlite.org/fileformat2.html; section numbers below refer to that page. The file
is not trusted: inconsistent pages and rows are skipped.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from vitsearch.storage.database import Value

MAGIC = b"SQLite format 3\x00"
# What `Database.open` chooses; assumed where the header is gone.
OUR_PAGE_SIZE = 8192

INDEX_INTERIOR, TABLE_INTERIOR, INDEX_LEAF, TABLE_LEAF = 2, 5, 10, 13
_INTERIOR = (INDEX_INTERIOR, TABLE_INTERIOR)
_FIXED_SIZES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}


class BadPage(Exception):  # noqa: N818, RUF100 - internal: it never leaves this package
    """A page, or a part of it, is malformed."""


class Row(NamedTuple):
    """A row as stored; `rowid` is None in an index and in a table without rowids."""

    rowid: int | None
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class _Page:
    """A b-tree page: its bytes, its kind, the positions of its cells, and the right-most child (0 for a leaf)."""

    content: bytes
    kind: int
    cells: tuple[int, ...]
    right: int


class PageFile:
    """The pages of a file, numbered from 1. Raises `BadPage` for pages that the disk cannot read."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        header = file.read(100)
        self.has_header = header.startswith(MAGIC) and len(header) == 100
        self.page_size, reserved = OUR_PAGE_SIZE, 0
        if self.has_header:
            size = int.from_bytes(header[16:18], "big")
            size = 65536 if size == 1 else size
            if 512 <= size <= 65536 and size & (size - 1) == 0:
                self.page_size, reserved = size, header[20]
        self._usable = max(self.page_size - reserved, 480)
        self.version = int.from_bytes(header[60:64], "big") if self.has_header else 0
        self._first_free = int.from_bytes(header[32:36], "big") if self.has_header else 0
        self.size = file.seek(0, 2)
        self.count = self.size // self.page_size

    def kind(self, number: int) -> int:
        """Return the kind of a b-tree page, or 0 for any other page."""
        try:
            return self._page(number).kind
        except BadPage:
            return 0

    def children(self, number: int) -> list[int]:
        """Return the child pages of an interior page (section 1.6); empty for a leaf."""
        page = self._page(number)
        if page.kind not in _INTERIOR:
            return []
        return [*(int.from_bytes(page.content[at : at + 4], "big") for at in page.cells), page.right]

    def rows(self, number: int) -> Iterator[Row]:
        """Yield the rows on a page; malformed ones are skipped."""
        page = self._page(number)
        if page.kind == TABLE_INTERIOR:
            return
        for at in page.cells:
            try:
                yield self._row(page, at)
            except (BadPage, IndexError, UnicodeDecodeError, struct.error):
                continue

    def free_pages(self) -> set[int]:
        """Return the unused pages, as far as their list can be followed (section 1.5)."""
        free: set[int] = set()
        trunk = self._first_free
        while 0 < trunk <= self.count and trunk not in free:
            free.add(trunk)
            try:
                content = self._read(trunk)
            except BadPage:
                break
            length = min(int.from_bytes(content[4:8], "big"), self.page_size // 4 - 2)
            free.update(struct.unpack_from(f">{length}I", content, 8))
            trunk = int.from_bytes(content[:4], "big")
        return free

    def _read(self, number: int) -> bytes:
        if not 1 <= number <= self.count:
            raise BadPage(number)
        try:
            self._file.seek((number - 1) * self.page_size)
            content = self._file.read(self.page_size)
        except OSError as error:
            raise BadPage(number) from error
        if len(content) != self.page_size:
            raise BadPage(number)
        return content

    def _page(self, number: int) -> _Page:
        content = self._read(number)
        start = 100 if number == 1 else 0
        kind, cells = content[start], int.from_bytes(content[start + 3 : start + 5], "big")
        head = start + (12 if kind in _INTERIOR else 8)
        if kind not in (*_INTERIOR, INDEX_LEAF, TABLE_LEAF) or head + 2 * cells > self._usable:
            raise BadPage(number)
        at = struct.unpack_from(f">{cells}H", content, head)
        if any(not head + 2 * cells <= place < self._usable for place in at):
            raise BadPage(number)
        right = int.from_bytes(content[start + 8 : start + 12], "big") if kind in _INTERIOR else 0
        return _Page(content, kind, at, right)

    def _row(self, page: _Page, at: int) -> Row:
        content = page.content
        if page.kind == INDEX_INTERIOR:
            at += 4
        length, at = _varint(content, at)
        rowid = None
        if page.kind == TABLE_LEAF:
            rowid, at = _varint(content, at)
            rowid = rowid - (1 << 64) if rowid >> 63 else rowid
        return Row(rowid, _record(self._payload(page, at, length)))

    def _payload(self, page: _Page, at: int, length: int) -> bytes:
        """Return a cell's record, assembled from its overflow pages (section 1.6)."""
        if length > self.size:
            raise BadPage(at)
        usable = self._usable
        most = usable - 35 if page.kind == TABLE_LEAF else (usable - 12) * 64 // 255 - 23
        if length <= most:
            return page.content[at : at + length]
        least = (usable - 12) * 32 // 255 - 23
        local = least + (length - least) % (usable - 4)
        local = local if local <= most else least
        parts = [page.content[at : at + local]]
        following = int.from_bytes(page.content[at + local : at + local + 4], "big")
        left = length - local
        while left > 0:
            overflow = self._read(following)
            parts.append(overflow[4 : 4 + min(left, usable - 4)])
            left -= usable - 4
            following = int.from_bytes(overflow[:4], "big")
        return b"".join(parts)


def _varint(content: bytes, at: int) -> tuple[int, int]:
    """Return a variable-length integer and the position after it."""
    value = 0
    for index in range(8):
        byte = content[at + index]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + index + 1
    return value << 8 | content[at + 8], at + 9


def _record(payload: bytes) -> tuple[Value, ...]:
    """Return the values of a record (section 2.1), which must be consumed completely."""
    header, at = _varint(payload, 0)
    kinds = []
    while at < header:
        kind, at = _varint(payload, at)
        kinds.append(kind)
    values = []
    for kind in kinds:
        if kind in (10, 11):
            raise BadPage(kind)
        size = _FIXED_SIZES[kind] if kind < 12 else (kind - 12) // 2
        values.append(_value(kind, payload[at : at + size]))
        at += size
    if at != len(payload) or not kinds:
        raise BadPage(at)
    return tuple(values)


def _value(kind: int, content: bytes) -> Value:
    if kind == 0:
        return None
    if kind in (8, 9):
        return kind - 8
    if kind == 7:
        number: float = struct.unpack(">d", content)[0]
        return number
    if kind < 7:
        return int.from_bytes(content, "big", signed=True)
    return content.decode() if kind % 2 else content
