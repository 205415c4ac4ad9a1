"""When the hash of a photo changes, its labels, decisions and embeddings follow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.storage.database import path_to_value
from vitsearch.storage.vectors import NEW_GENERATION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vitsearch.storage.database import Database


# What people said of photos, by the hashes of those, whether they are here or not.
_KEPT_BY_HASH = (
    ("kept_not_duplicates", "first"),
    ("kept_not_duplicates", "second"),
    ("kept_head_examples", "photo_hash"),
    ("favourites", "photo_hash"),
)


def referring_to_photos(database: Database) -> list[tuple[str, str]]:
    """Return the tables and columns that refer to photos and are deleted with them."""
    return database.rows(
        'SELECT t.name, k."from" FROM sqlite_schema t JOIN pragma_foreign_key_list(t.name) k '
        "WHERE t.type = 'table' AND k.\"table\" = 'photos' AND k.on_delete = 'CASCADE'",
        row=tuple[str, str],
    )


def follow_hash(database: Database, earlier: bytes, present: bytes) -> None:
    """Change the hash of a stored photo from an earlier to its present one. Inside a transaction.

    If both are stored, they are the same photo, named by two versions: the older row takes over the newer one's data.
    """
    for table, column in _KEPT_BY_HASH:
        database.run(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", [present, earlier])
    old = database.scalar("SELECT id FROM photos WHERE photo_hash = ?", [earlier], kind=int)
    if old is None:
        return
    new = database.scalar("SELECT id FROM photos WHERE photo_hash = ?", [present], kind=int)
    if new is not None:
        _merge(database, into=old, source=new)
    database.run("UPDATE photos SET photo_hash = ? WHERE id = ?", [present, old])


def join_shot(database: Database, file: int, root: int, paths: Sequence[str]) -> None:
    """Attach a file to the photo at the first of these paths that is present. Inside a transaction.

    If the file's own photo has no other file, its labels and decisions move to that photo.
    """
    source = database.scalar("SELECT photo FROM files WHERE id = ?", [file], kind=int)
    sql = (
        "SELECT photo, p.photo_hash FROM files f JOIN photos p ON p.id = f.photo WHERE root = ? AND path = ?"
    )
    found = [
        row
        for path in paths
        for row in database.rows(f"{sql} AND missing = 0", [root, path_to_value(path)], row=tuple[int, bytes])
    ]
    if not found:
        return
    into, photo_hash = found[0]
    database.run("DELETE FROM files WHERE id = ?", [file])
    if source is None or source == into or database.scalar("SELECT 1 FROM files WHERE photo = ?", [source]):
        return
    own_hash = database.scalar("SELECT photo_hash FROM photos WHERE id = ?", [source])
    for table, column in _KEPT_BY_HASH:
        database.run(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", [photo_hash, own_hash])
    _merge(database, into=into, source=source, with_vectors=False)


def _merge(database: Database, *, into: int, source: int, with_vectors: bool = True) -> None:
    database.run("UPDATE files SET photo = ? WHERE photo = ?", [into, source])
    database.run(
        f"UPDATE spaces SET generation = {NEW_GENERATION} WHERE id IN (SELECT space FROM vectors WHERE photo = ?)",
        [source],
    )
    # A pair of the two is a pair no more, and the smaller id stands first.
    database.run(
        "INSERT OR IGNORE INTO not_duplicates (first, second) "
        "SELECT min(?1, other), max(?1, other) FROM (SELECT CASE WHEN first = ?2 THEN second ELSE first END AS other "
        "FROM not_duplicates WHERE ?2 IN (first, second)) WHERE other <> ?1",
        [into, source],
    )
    for table, column in referring_to_photos(database):
        if table != "not_duplicates" and (with_vectors or table != "vectors"):
            database.run(f"UPDATE OR IGNORE {table} SET {column} = ? WHERE {column} = ?", [into, source])
    database.run("DELETE FROM photos WHERE id = ?", [source])  # and, by reference, what is left of it
