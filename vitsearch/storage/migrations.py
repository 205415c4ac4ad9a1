"""The schema of `library.db`, as numbered steps. A step that has been released is never edited.

`database.SCHEMA_VERSION` is their number: a step beyond it would never reach a library that is there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlite_utils import Migrations

if TYPE_CHECKING:
    from sqlite_utils import Database

migrations = Migrations("vitsearch")


def _run_lines(db: Database, sql: str) -> None:
    """Run statements that end where a line does; `executescript` would look for their ends at each letter."""
    statement = ""
    for line in sql.splitlines(keepends=True):
        statement += line
        if line.partition("--")[0].rstrip().endswith(";"):
            db.execute(statement)
            statement = ""


@migrations()
def m001_first_schema(db: Database) -> None:
    """Roots, photos, files, spaces and vectors."""
    _run_lines(
        db,
        """
        CREATE TABLE roots (
            id INTEGER PRIMARY KEY,
            path NOT NULL UNIQUE,           -- TEXT, or BLOB where the name is not UTF-8
            last_run INTEGER NOT NULL DEFAULT 0  -- the latest run that walked all of it
        );
        -- AUTOINCREMENT: the id is FAISS's id too, so that a deleted photo's id must never come back.
        CREATE TABLE photos (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            payload BLOB NOT NULL UNIQUE,   -- BLAKE3 of image data and orientation
            format TEXT NOT NULL,
            width INTEGER NOT NULL,         -- upright, in pixels
            height INTEGER NOT NULL,
            taken TEXT,                     -- local camera time, ISO 8601
            camera TEXT,
            latitude REAL,
            longitude REAL,
            software TEXT,
            perceptual BLOB                 -- perceptual hashes of the eight orientations
        );
        CREATE INDEX photos_taken ON photos(taken);
        CREATE TABLE files (
            id INTEGER PRIMARY KEY,
            root INTEGER NOT NULL REFERENCES roots(id) ON DELETE CASCADE,
            path NOT NULL,                  -- relative to the root; TEXT, or BLOB where it is not UTF-8
            photo INTEGER REFERENCES photos(id),
            content BLOB,                   -- BLAKE3 of the whole file
            size INTEGER NOT NULL,
            mtime_ns INTEGER NOT NULL,
            missing INTEGER NOT NULL DEFAULT 0,
            reason TEXT,                    -- why it could not be read; photo is NULL then
            added_run INTEGER NOT NULL,
            UNIQUE (root, path)
        );
        CREATE INDEX files_photo ON files(photo);
        CREATE INDEX files_present ON files(root, missing, photo);  -- counting reads no paths
        CREATE TABLE spaces (
            id INTEGER PRIMARY KEY,
            description TEXT NOT NULL UNIQUE,    -- Space.to_json()
            model TEXT NOT NULL,
            dimension INTEGER NOT NULL,
            generation INTEGER NOT NULL DEFAULT 0,  -- another one after every transaction that changed its vectors
            active INTEGER NOT NULL DEFAULT 0
        );
        CREATE TABLE vectors (
            id INTEGER PRIMARY KEY,
            space INTEGER NOT NULL REFERENCES spaces(id),
            photo INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE,
            norm REAL NOT NULL,
            vector BLOB NOT NULL,           -- float16, little endian, unit length
            UNIQUE (space, photo)
        );
        -- What a head was trained on; an empty label says that none of its labels fits.
        CREATE TABLE head_examples (
            head TEXT NOT NULL,
            photo INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE,
            label TEXT NOT NULL,
            corrected INTEGER NOT NULL DEFAULT 0,  -- a person said so
            PRIMARY KEY (head, photo, label)
        ) WITHOUT ROWID;
        -- What a head said of a photo when it was last asked.
        CREATE TABLE photo_labels (
            head TEXT NOT NULL,
            photo INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE,
            label TEXT NOT NULL,
            probability REAL NOT NULL,
            version INTEGER NOT NULL,
            abstained INTEGER NOT NULL,
            PRIMARY KEY (head, photo, label)
        ) WITHOUT ROWID;
        -- Pairs of photos that a person has told apart; first < second.
        CREATE TABLE not_duplicates (
            first INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE,
            second INTEGER NOT NULL REFERENCES photos(id) ON DELETE CASCADE,
            PRIMARY KEY (first, second)
        ) WITHOUT ROWID;
        CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL);
        INSERT INTO counters VALUES ('run', 0);
        """,
    )


@migrations()
def m002_names_of_the_field(db: Database) -> None:
    """Hashes and settings are called what they are."""
    db.execute("ALTER TABLE photos RENAME COLUMN payload TO photo_hash")
    db.execute("ALTER TABLE files RENAME COLUMN content TO file_hash")
    db.execute("ALTER TABLE counters RENAME TO settings")


@migrations()
def m003_file_systems(db: Database) -> None:
    """Which file system each file was seen on last; what could not be read before is read once more."""
    # `missing` is 2 for files on a drive or network that is not there now: they may be there.
    db.execute("CREATE TABLE file_systems (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE)")
    db.execute(
        "ALTER TABLE files ADD COLUMN file_system INTEGER REFERENCES file_systems(id) ON DELETE SET NULL"
    )
    db.execute("UPDATE files SET size = -1, mtime_ns = -1 WHERE photo IS NULL")


@migrations()
def m004_kept_decisions(db: Database) -> None:
    """What people said of photos that are not in the library (any more), by the hashes of the photos."""
    db.execute(
        "CREATE TABLE kept_not_duplicates (first BLOB NOT NULL, second BLOB NOT NULL, "
        "PRIMARY KEY (first, second)) WITHOUT ROWID"
    )
    db.execute("CREATE INDEX kept_not_duplicates_second ON kept_not_duplicates(second)")
    db.execute(
        "CREATE TABLE kept_head_examples (head TEXT NOT NULL, photo_hash BLOB NOT NULL, label TEXT NOT NULL, "
        "corrected INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (photo_hash, head, label)) WITHOUT ROWID"
    )


@migrations()
def m005_revisions(db: Database) -> None:
    """The commit of the hub's repository that a model's weights came from."""
    db.execute("ALTER TABLE spaces ADD COLUMN revision TEXT NOT NULL DEFAULT ''")


@migrations()
def m006_more_facts(db: Database) -> None:
    """Where a date came from, and what people and lenses are called."""
    known = {column.name for column in db["photos"].columns}
    for column in (
        "taken_from TEXT",  # EXIF, XMP, IPTC, Takeout, or name: that of the file
        "utc_offset TEXT",
        "altitude REAL",
        "lens TEXT",
        "rating INTEGER",
        "keywords TEXT",  # a JSON list
        "caption TEXT",
    ):
        if column.split()[0] not in known:
            db.execute(f"ALTER TABLE photos ADD COLUMN {column}")


@migrations()
def m007_favourites(db: Database) -> None:
    """Favourites, by photo hash: they outlive the rows of a photo."""
    db.execute("CREATE TABLE favourites (photo_hash BLOB PRIMARY KEY) WITHOUT ROWID")


@migrations()
def m008_runs(db: Database) -> None:
    """When each run began, so that a search can be limited to what came since."""
    # In seconds since 1970, UTC.
    db.execute("CREATE TABLE IF NOT EXISTS runs (id INTEGER PRIMARY KEY, started REAL NOT NULL)")


@migrations()
def m009_sidecars(db: Database) -> None:
    """A number for the sidecars that each file had when it was read: another one when they are."""
    db.execute("ALTER TABLE files ADD COLUMN sidecars INTEGER NOT NULL DEFAULT 0")
