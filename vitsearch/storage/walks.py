"""What walks found beyond the files themselves: sidecars, raw files that have got their photos, copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.storage.database import path_to_value
from vitsearch.storage.filters import below as below_root
from vitsearch.storage.following import join_shot
from vitsearch.storage.removal import ROWS_AT_ONCE, RemovalTables
from vitsearch.storage.sql import rows_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class WalkTables(RemovalTables):
    """What runs note of walks. Every method that writes is one short transaction, or some of them."""

    def note_unfinished(self, run: int, todo: Mapping[int, int]) -> None:
        """Remember how many files a run has still to look at, by root; nobody forgets it before the run has ended."""
        if todo:
            with self.database.write():
                self.database.run_many(
                    "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?), (?, ?)",
                    [(f"todo {root}", count, f"todo run {root}", run) for root, count in todo.items()],
                )

    def forget_unfinished(self, root: int) -> None:
        """Forget what a run has still to look at in a root, inside a write."""
        self.database.run("DELETE FROM settings WHERE name IN (?, ?)", [f"todo {root}", f"todo run {root}"])

    def unfinished(self, root: int) -> int | None:
        """Return how many files the last run over a root has not looked at, 0 if nobody knows; None if it has ended."""
        noted = self.database.scalar("SELECT value FROM settings WHERE name = ?", [f"todo {root}"])
        if not isinstance(noted, int):
            return None
        seen = self.database.number(
            "SELECT count(*) FROM files WHERE root = ? AND added_run >= "
            "(SELECT value FROM settings WHERE name = ?)",
            [root, f"todo run {root}"],
        )
        return max(0, noted - seen)

    def note_sidecars(self, root: int, seen: Mapping[str, int]) -> None:
        """Store which sidecars files had when they were read, by their paths below the root."""
        rows = [(number, root, path_to_value(path)) for path, number in seen.items()]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            with self.database.write():
                self.database.run_many(
                    "UPDATE files SET sidecars = ? WHERE root = ? AND path = ?",
                    rows[start : start + ROWS_AT_ONCE],
                )

    def join_shots(self, root: int, shots: Mapping[int, Sequence[str]]) -> None:
        """Make files, by id, one item with a photo of the same shot: one of those at some paths below the root.

        What is known of them, labels included, is from then on known of that photo.
        """
        for file, paths in shots.items():
            with self.database.write():
                join_shot(self.database, file, root, paths)

    def count_added(self, run: int, places: Sequence[tuple[int, str]]) -> int:
        """Count the files below these (root id, subfolder) places that a run brought, or that hold others since."""
        sql = "SELECT count(*) FROM files WHERE added_run = ? AND photo IS NOT NULL AND missing = 0"
        parts = [below_root(root, below) for root, below in places]
        return sum(self.database.number(f"{sql} AND {place}", [run, *values]) for place, values in parts)

    def count_same(self, run: int, files: Sequence[int]) -> int:
        """Count those of these files that hold the same photo as before a run."""
        sql = "SELECT id FROM files WHERE id IN (?*) AND added_run < ? AND photo IS NOT NULL"
        return len(list(rows_in(self.database, sql, files, after=[run])))
