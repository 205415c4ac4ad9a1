"""The bookkeeping of index runs: progress, missing and moved files, sidecars, drives, copies."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from vitsearch.storage.database import path_to_value, values_to_paths
from vitsearch.storage.filters import below as below_root
from vitsearch.storage.following import join_shot
from vitsearch.storage.removal import ROWS_AT_ONCE, RemovalTables
from vitsearch.storage.rows import HAS_NO_PHOTO, HAS_NO_VECTOR, OFFLINE
from vitsearch.storage.sql import rows_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from vitsearch.storage.database import Value
    from vitsearch.storage.rows import KnownFile, Root, SeenFiles


class WalkTables(RemovalTables):
    """The tables of walks. Every method that writes is one or a few short transactions."""

    def begin_run(self) -> int:
        """Start an index run and return its number."""
        with self.database.write():
            self.database.run("UPDATE settings SET value = value + 1 WHERE name = 'run'")
            self.database.run(
                "INSERT OR REPLACE INTO runs SELECT value, ? FROM settings WHERE name = 'run'", [time.time()]
            )
        return self.database.number("SELECT value FROM settings WHERE name = 'run'")

    def note_unfinished(self, run: int, todo: Mapping[int, int]) -> None:
        """Store how many files a run has still to process, by root, until the run ends."""
        if todo:
            with self.database.write():
                self.database.run_many(
                    "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?), (?, ?)",
                    [(f"todo {root}", count, f"todo run {root}", run) for root, count in todo.items()],
                )

    def forget_unfinished(self, root: int) -> None:
        """Delete the number of unprocessed files of a root. Inside a transaction."""
        self.database.run("DELETE FROM settings WHERE name IN (?, ?)", [f"todo {root}", f"todo run {root}"])

    def unfinished(self, root: int) -> int | None:
        """Return how many files the last run left unprocessed in a root, 0 if unknown; None if it finished."""
        noted = self.database.scalar("SELECT value FROM settings WHERE name = ?", [f"todo {root}"])
        if not isinstance(noted, int):
            return None
        seen = self.database.number(
            "SELECT count(*) FROM files WHERE root = ? AND added_run >= "
            "(SELECT value FROM settings WHERE name = ?)",
            [root, f"todo run {root}"],
        )
        return max(0, noted - seen)

    def known_files(self, root: int, below: str, space: int) -> dict[str, KnownFile]:
        """Return the file rows below a subfolder of a root, by relative path."""
        # After most runs every photo has a vector, which two counts tell sooner than a look at each.
        embedded = self.database.scalar(
            "SELECT (SELECT count(*) FROM vectors WHERE space = ?) = (SELECT count(*) FROM photos)", [space]
        )
        has_vector = (
            "f.photo IS NOT NULL"
            if embedded
            else f"EXISTS (SELECT 1 FROM vectors v WHERE v.space = {space:d} AND v.photo = f.photo)"
        )
        files: list[KnownFile] = self.database.rows(
            "SELECT f.path, f.id, f.file_system, f.size, f.mtime_ns, f.sidecars, "
            f"f.missing + {HAS_NO_PHOTO} * (f.photo IS NULL) + {HAS_NO_VECTOR} * (NOT {has_vector}) "
            "FROM files f WHERE f.root = ?",
            [root],
            row=tuple[str | bytes, int, int | None, int, int, int, int],
        )
        known = dict(zip(values_to_paths([file[0] for file in files]), files, strict=True))
        return {path: file for path, file in known.items() if path.startswith(below)} if below else known

    def file_systems(self) -> dict[int | None, str]:
        """Return the names of the file systems that files were seen on, by id."""
        return dict(self.database.rows("SELECT id, name FROM file_systems", row=tuple[int | None, str]))

    def note_file_systems(self, root: Root, seen: Mapping[str, SeenFiles]) -> None:
        """Store on which file systems, by name, files were seen, in several transactions."""
        for name, files in seen.items():
            with self.database.write():
                self.database.run("INSERT OR IGNORE INTO file_systems (name) VALUES (?)", [name])
            system = self.database.scalar("SELECT id FROM file_systems WHERE name = ?", [name])
            updates: list[tuple[str, list[tuple[Value, ...]]]] = [
                ("id = ?", [(system, file) for file in files.files]),
                ("root = ? AND path = ?", [(system, root.id, path_to_value(path)) for path in files.paths]),
            ]
            for condition, rows in updates:
                for start in range(0, len(rows), ROWS_AT_ONCE):
                    with self.database.write():
                        self.database.run_many(
                            f"UPDATE files SET file_system = ? WHERE {condition}",
                            rows[start : start + ROWS_AT_ONCE],
                        )

    def finish_walk(
        self,
        run: int,
        root: Root,
        *,
        gone: Sequence[int],
        offline: Sequence[int],
        returned: Sequence[int],
        whole: bool,
    ) -> int:
        """Record the end of a complete walk: `gone` file rows no longer exist, `returned` ones exist again.

        A file that is gone, and whose photo has appeared at another path since the root's last complete walk, has
        moved: its old row is deleted. All others are marked missing and kept; `offline` ones are marked and never
        pruned. Returns how many have moved.
        """
        moved: list[int] = []
        with self.database.write():
            # First of all: two copies that go together must not vouch for each other.
            self.database.run_many("UPDATE files SET missing = 0 WHERE id = ?", [(i,) for i in returned])
            self.database.run_many("UPDATE files SET missing = 1 WHERE id = ?", [(i,) for i in gone])
            self.database.run_many(
                f"UPDATE files SET missing = {OFFLINE} WHERE id = ?", [(i,) for i in offline]
            )
            for file in gone:
                newer = self.database.scalar(
                    "SELECT n.id FROM files o JOIN files n ON n.photo = o.photo AND n.id <> o.id "
                    "WHERE o.id = ? AND n.missing = 0 AND n.added_run > ? LIMIT 1",
                    [file, root.last_run],
                )
                if newer is not None:
                    moved.append(file)
            self.database.run_many("DELETE FROM files WHERE id = ?", [(i,) for i in moved])
            # Of a file that never could be read there is nothing to keep.
            self.database.run_many("DELETE FROM files WHERE id = ? AND photo IS NULL", [(i,) for i in gone])
            if whole:
                self.database.run("UPDATE roots SET last_run = ? WHERE id = ?", [run, root.id])
                self.forget_unfinished(root.id)
        return len(moved)

    def note_sidecars(self, root: int, seen: Mapping[str, int]) -> None:
        """Store the sidecar fingerprints of files when they were read, by their paths below the root."""
        rows = [(number, root, path_to_value(path)) for path, number in seen.items()]
        for start in range(0, len(rows), ROWS_AT_ONCE):
            with self.database.write():
                self.database.run_many(
                    "UPDATE files SET sidecars = ? WHERE root = ? AND path = ?",
                    rows[start : start + ROWS_AT_ONCE],
                )

    def join_shots(self, root: int, shots: Mapping[int, Sequence[str]]) -> None:
        """Attach files, by id, to a photo of the same shot at one of some paths below the root.

        Their data, including labels, moves to that photo.
        """
        for file, paths in shots.items():
            with self.database.write():
                join_shot(self.database, file, root, paths)

    def count_added(self, run: int, places: Sequence[tuple[int, str]]) -> int:
        """Count the files below these (root id, subfolder) pairs that a run added, or whose photo changed since."""
        sql = "SELECT count(*) FROM files WHERE added_run = ? AND photo IS NOT NULL AND missing = 0"
        parts = [below_root(root, below) for root, below in places]
        return sum(self.database.number(f"{sql} AND {place}", [run, *values]) for place, values in parts)

    def count_same(self, run: int, files: Sequence[int]) -> int:
        """Count those of these files that hold the same photo as before a run."""
        sql = "SELECT id FROM files WHERE id IN (?*) AND added_run < ? AND photo IS NOT NULL"
        return len(list(rows_in(self.database, sql, files, after=[run])))
