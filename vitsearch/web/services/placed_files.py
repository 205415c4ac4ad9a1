"""The photos in files, for pages that only know paths."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vitsearch.storage.database import path_to_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from vitsearch.library import Library


@dataclass(frozen=True, slots=True)
class PlacedFile:
    """A file and its photo."""

    path: Path
    photo: int
    width: int
    height: int


def placed_files(library: Library, paths: Iterable[Path]) -> dict[Path, PlacedFile]:
    """Return the photos of the files that the library knows, including missing files."""
    roots = library.catalog.roots()
    found: dict[Path, PlacedFile] = {}
    for path in paths:
        root = next((root for root in roots if path.is_relative_to(root.path)), None)
        if root is None:
            continue
        for row in library.catalog.database.rows(
            "SELECT p.id, p.width, p.height FROM files f JOIN photos p ON p.id = f.photo "
            "WHERE f.root = ? AND f.path = ?",
            [root.id, path_to_value(str(path.relative_to(root.path)))],
            row=tuple[int, int, int],
        ):
            found[path] = PlacedFile(path, *row)
    return found
