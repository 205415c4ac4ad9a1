"""The indexed folders ("roots"): add, absorb, relocate and forget them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.errors import LibraryError
from vitsearch.storage.database import path_to_value, value_to_path
from vitsearch.storage.rows import Root
from vitsearch.storage.walks import WalkTables

if TYPE_CHECKING:
    import numpy.typing as npt

    Ids = npt.NDArray[np.int64]

# So many files tell whether a folder is the one that it is said to be.
_SAMPLED_FILES = 100


class RootTables(WalkTables):
    """The roots of a library. Roots never overlap, so no file has two rows."""

    def roots(self) -> list[Root]:
        """Return all roots, sorted by path."""
        rows = self.database.rows("SELECT id, path, last_run FROM roots", row=tuple[int, str | bytes, int])
        return sorted(
            (Root(i, Path(value_to_path(path)), run) for i, path, run in rows),
            key=lambda root: root.path,
        )

    def has_files(self, root: int) -> bool:
        """Return whether a root has any file rows, including missing and offline files."""
        return bool(self.database.number("SELECT EXISTS (SELECT 1 FROM files WHERE root = ?)", [root]))

    def add_root(self, folder: Path) -> tuple[Root, str]:
        """Make sure that a root covers `folder` (absolute); return that root and the subfolder below it.

        A folder inside a known root becomes part of it, and known roots inside a new one are absorbed, so that no file
        has two rows.
        """
        for root in self.roots():
            if folder.is_relative_to(root.path):
                inner = folder.relative_to(root.path).as_posix()
                return root, "" if inner == "." else f"{inner}/"
        with self.database.write():
            new = self.database.run(
                "INSERT INTO roots (path) VALUES (?) RETURNING id", [path_to_value(str(folder))]
            ).fetchone()[0]
            for root in self.roots():
                if root.id != new and root.path.is_relative_to(folder):
                    prefix = root.path.relative_to(folder).as_posix()
                    self._move_files(root.id, new, f"{prefix}/")
                    self.database.run("DELETE FROM roots WHERE id = ?", [root.id])
        return Root(new, folder, 0), ""

    def _move_files(self, old: int, new: int, prefix: str) -> None:
        rows = self.database.rows("SELECT id, path FROM files WHERE root = ?", [old])
        self.database.run_many(
            "UPDATE files SET root = ?, path = ? WHERE id = ?",
            [(new, path_to_value(prefix + value_to_path(path)), i) for i, path in rows],
        )

    def check_overlap(self, root: Root, folder: Path) -> None:
        """Raise `LibraryError` if the new folder of a root overlaps another root."""
        for other in self.roots():
            overlaps = folder.is_relative_to(other.path) or other.path.is_relative_to(folder)
            if other.id != root.id and overlaps:
                raise LibraryError(f"{folder} overlaps the root {other.path}: forget that one first")

    def relocate_root(self, root: Root, folder: Path) -> None:
        """Record that a root's files are now in `folder`, which `check_overlap` has accepted. Nothing is read again."""
        with self.database.write():
            self.database.run("UPDATE roots SET path = ? WHERE id = ?", [path_to_value(str(folder)), root.id])

    def _sample_of_files(self, root: Root) -> list[tuple[str, int]]:
        """Return relative paths and sizes of a sample of a root's readable files, evenly spread."""
        among = "FROM files WHERE root = ? AND photo IS NOT NULL"
        count = self.database.number(f"SELECT count(*) {among}", [root.id])
        rows = self.database.rows(
            f"SELECT path, size FROM (SELECT path, size, row_number() OVER (ORDER BY id) AS number {among}) "
            f"WHERE number % {max(1, count // _SAMPLED_FILES)} = 0 LIMIT {_SAMPLED_FILES}",
            [root.id],
            row=tuple[str | bytes, int],
        )
        return [(value_to_path(path), size) for path, size in rows]

    def check_sample(self, root: Root, folder: Path) -> None:
        """Raise `LibraryError` unless a folder holds at least half of a sample of a root's files, with their sizes."""

        def is_there(relative: str, size: int) -> bool:
            try:
                return (folder / relative).stat().st_size == size
            except OSError:
                return False

        files = self._sample_of_files(root)
        found = sum(is_there(relative, size) for relative, size in files)
        if 2 * found < len(files):
            raise LibraryError(
                f"{folder} does not hold the photos of {root.path}: of {len(files)} that were looked for, {found} are "
                "there with their sizes; name the right folder, or use --force"
            )

    def forget_root(self, root: Root) -> Ids:
        """Delete a root, its file rows, and photos without any other file; return the ids of these, (n,) int64."""
        removed = self.delete_files("root = ?", [root.id])
        # Last: as long as the root is known, a run that was cut short can be finished.
        with self.database.write():
            self.database.run("DELETE FROM roots WHERE id = ?", [root.id])
            self.forget_unfinished(root.id)  # the next root may get its number
        return np.array(removed, np.int64)

    def count_only_in(self, root: Root) -> tuple[int, int]:
        """Count the photos with files in this root only: those that would be deleted, and examples of heads."""
        only = (
            "SELECT photo FROM files WHERE root = ?1 AND photo IS NOT NULL "
            "EXCEPT SELECT photo FROM files WHERE root <> ?1"
        )
        examples = f"{only} INTERSECT SELECT photo FROM head_examples"
        both = self.database.number(f"SELECT count(*) FROM ({only})", [root.id])
        kept = self.database.number(f"SELECT count(*) FROM ({examples})", [root.id])
        return both - kept, kept
