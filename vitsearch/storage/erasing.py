"""Erase all data about photos: rows, pictures, uploads and backups."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vitsearch.errors import LibraryError
from vitsearch.paths import names_of
from vitsearch.storage.backup import erase_from_backups
from vitsearch.storage.database import value_to_path
from vitsearch.storage.layout import LIBRARY_FILE, THUMBNAIL_FILES, UPLOAD_FILES, Layout, made_files
from vitsearch.storage.sql import rows_in

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vitsearch.storage.catalog import Catalog

# Whole databases that upgrades and repairs have kept: nothing can be erased from a damaged one but all of it.
_COPIES = re.compile(rf"{re.escape(LIBRARY_FILE)}\.(format-\d+(\.backup)?|damaged-\d+(-journal)?)")


@dataclass(frozen=True, slots=True)
class ErasureScope:
    """What to erase: photos by id with their hashes, all their files, and unreadable files."""

    photos: dict[int, bytes]
    files: tuple[int, ...]
    file_hashes: frozenset[bytes]
    others: tuple[Path, ...]

    def __bool__(self) -> bool:
        return bool(self.photos or self.files)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many photos and files were erased. `others` are further copies, which the next run would index again."""

    photos: int
    files: int
    copies: int
    others: tuple[Path, ...]


def erasure_scope_of(catalog: Catalog, places: Sequence[Path]) -> ErasureScope:
    """Return everything known about files and folders, present or not, including all copies of the same photos.

    Raises:
        LibraryError: nothing is known about one of them.

    """
    named: set[int] = set()
    for place in places:
        found = _files_at(catalog, place)
        if not found:
            raise LibraryError(f"nothing is known of {place}: see `vitsearch roots list`")
        named |= found
    sql = "SELECT DISTINCT p.id, p.photo_hash FROM files f JOIN photos p ON p.id = f.photo WHERE f.id IN (?*)"
    photos: dict[int, bytes] = dict(rows_in(catalog.database, sql, sorted(named)))
    files, others, hashes = set(named), [], set()
    roots = {root.id: root.path for root in catalog.roots()}
    sql = "SELECT id, root, path, file_hash FROM files WHERE photo IN (?*)"
    for file, root, path, file_hash in rows_in(catalog.database, sql, sorted(photos)):
        hashes.add(file_hash)
        if file not in named:
            others.append(roots[root] / value_to_path(path))
        files.add(file)
    return ErasureScope(photos, tuple(sorted(files)), frozenset(hashes - {None}), tuple(sorted(others)))


def erase_beside(layout: Layout, scope: ErasureScope, roots: list[str | bytes]) -> int:
    """Erase thumbnails, uploads, backups, themes and cached evidence; return how many database copies were deleted."""
    known = {photo.hex() for photo in scope.photos.values()}
    for part in {photo_hash[:2] for photo_hash in known}:
        for path in made_files(layout.thumbnails / part, THUMBNAIL_FILES):
            if part + path.name[:62] in known:
                path.unlink(missing_ok=True)
    uploads = {content.hex()[:32] for content in scope.file_hashes}
    for path in made_files(layout.uploads, UPLOAD_FILES):
        if path.name[:32] in uploads:
            path.unlink(missing_ok=True)
    # The themes of the last time name photos, and the middle of a small cluster is a photo's vector.
    layout.themes.unlink(missing_ok=True)
    # What was seen of photos is kept under digests that do not say which ones.
    layout.answers.unlink(missing_ok=True)
    erase_from_backups(layout, list(scope.photos.values()), roots)
    copies = [*made_files(layout.home, _COPIES), *made_files(layout.backups, _COPIES)]
    for path in copies:
        path.unlink(missing_ok=True)
    return len(copies)


def _files_at(catalog: Catalog, place: Path) -> set[int]:
    """Return the ids of the file rows at or below a path, with and without links resolved."""
    found: set[int] = set()
    for name in names_of([place]):
        for root in catalog.roots():
            if root.path.is_relative_to(name):
                found.update(catalog.files_below(root.id, ""))
            elif name.is_relative_to(root.path):
                relative = name.relative_to(root.path).as_posix()
                found.update(
                    catalog.files_at(root.id, relative), catalog.files_below(root.id, f"{relative}/")
                )
    return found
