"""Decisions of people on photos, stored by photo hash so that they outlive the photo's rows.

They apply again when a pruned photo comes back. Examples and corrections of heads keep their photo from being pruned;
they are only stored here if they arrive, from a backup, before their photo does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.storage.sql import in_parts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.storage.database import Database


def decisions_are_kept(database: Database) -> bool:
    """Return whether decisions are waiting for photos."""
    sql = "SELECT EXISTS (SELECT 1 FROM kept_not_duplicates) OR EXISTS (SELECT 1 FROM kept_head_examples)"
    return bool(database.scalar(sql))


def keep_decisions(database: Database, photos: Sequence[int]) -> None:
    """Store the decisions on photos that are about to be deleted. Inside a transaction."""
    for part in in_parts(photos):
        marks = ",".join("?" * len(part))
        database.run(
            "INSERT OR IGNORE INTO kept_not_duplicates SELECT min(a.photo_hash, b.photo_hash), "
            "max(a.photo_hash, b.photo_hash) FROM not_duplicates n JOIN photos a ON a.id = n.first "
            f"JOIN photos b ON b.id = n.second WHERE n.first IN ({marks}) OR n.second IN ({marks})",
            [*part, *part],
        )
        database.run(
            "INSERT OR IGNORE INTO kept_head_examples SELECT e.head, p.photo_hash, e.label, e.corrected "
            f"FROM head_examples e JOIN photos p ON p.id = e.photo WHERE e.photo IN ({marks})",
            part,
        )


def bring_decisions_back(database: Database, photo_hash: bytes, photo: int) -> None:
    """Apply stored decisions to a photo that is (again) in the library. Inside a transaction.

    Decisions on two photos wait until both are there.
    """
    database.run(
        "INSERT OR IGNORE INTO head_examples (head, photo, label, corrected) "
        "SELECT head, ?, label, corrected FROM kept_head_examples WHERE photo_hash = ?",
        [photo, photo_hash],
    )
    database.run("DELETE FROM kept_head_examples WHERE photo_hash = ?", [photo_hash])
    for mine, other in (("first", "second"), ("second", "first")):
        database.run(
            "INSERT OR IGNORE INTO not_duplicates SELECT min(p.id, ?), max(p.id, ?) FROM kept_not_duplicates k "
            f"JOIN photos p ON p.photo_hash = k.{other} WHERE k.{mine} = ?",
            [photo, photo, photo_hash],
        )
        database.run(
            f"DELETE FROM kept_not_duplicates WHERE {mine} = ? AND {other} IN (SELECT photo_hash FROM photos)",
            [photo_hash],
        )


def bring_all_decisions_back(database: Database) -> None:
    """Apply stored decisions to all photos in the library that have none. Inside a transaction."""
    database.run(
        "INSERT INTO head_examples (head, photo, label, corrected) "
        "SELECT k.head, p.id, k.label, k.corrected FROM kept_head_examples k "
        "JOIN photos p ON p.photo_hash = k.photo_hash "
        "WHERE NOT EXISTS (SELECT 1 FROM head_examples e WHERE e.head = k.head AND e.photo = p.id)"
    )
    database.run("DELETE FROM kept_head_examples WHERE photo_hash IN (SELECT photo_hash FROM photos)")
    database.run(
        "INSERT OR IGNORE INTO not_duplicates SELECT min(a.id, b.id), max(a.id, b.id) FROM kept_not_duplicates k "
        "JOIN photos a ON a.photo_hash = k.first JOIN photos b ON b.photo_hash = k.second"
    )
    database.run(
        "DELETE FROM kept_not_duplicates WHERE first IN (SELECT photo_hash FROM photos) "
        "AND second IN (SELECT photo_hash FROM photos)"
    )
