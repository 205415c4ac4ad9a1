"""Open `library.db` safely: pragmas, schema versions, short write transactions, and readable errors."""

from __future__ import annotations

import os
import sqlite3
import sys
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar, overload

from vitsearch.errors import LibraryBusy, LibraryDamaged, LibraryError, LibraryMissing, LibraryTooNew
from vitsearch.storage.layout import Layout
from vitsearch.storage.private import create_file, make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

SCHEMA_VERSION = 9
_FILES_IN_UTF8 = sys.getfilesystemencoding().lower() in ("utf-8", "utf8")
_APPLICATION_ID = 0x76697473  # "vits"
_BACKUP_ID = 0x76697462  # "vitb"

Value = str | bytes | int | float | None

Row = TypeVar("Row", bound=tuple[Any, ...])
Kind = TypeVar("Kind", bound=str | bytes | int | float)


class Database:
    """An SQLite file in rollback-journal mode.

    WAL is not used: SQLite before 3.51.3 can corrupt a WAL database when two processes write and checkpoint at once,
    and Python ships whatever SQLite it was built with. Write transactions are one small batch each, so readers wait
    milliseconds, and a rollback journal works on network file systems, too.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path = path
        self.connection = connection

    @classmethod
    def open(cls, path: Path, *, create: bool = False, timeout: float = 30.0) -> Database:
        """Open the database; create or upgrade it if necessary.

        Raises:
            LibraryMissing: there is no file and `create` is false.
            LibraryTooNew: it was written by a later version of vitsearch.
            LibraryDamaged: it is not an SQLite database, or not a library.
            LibraryError: the folder cannot be written to.

        """
        missing = not path.exists()
        if missing and not create:
            raise LibraryMissing(
                f"there is no library in {path.parent}: make one with `vitsearch index FOLDER`"
            )
        with _plain_errors(path):
            fresh = missing or not path.stat().st_size
            if missing:
                with suppress(OSError):  # SQLite will say what is wrong
                    create_file(path)
            # check_same_thread: decoding threads look photo_hashes up, under a lock.
            connection = sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
            try:
                if fresh:
                    connection.execute("PRAGMA page_size = 8192")  # 512 float16 values: seven rows a page
                connection.execute("PRAGMA foreign_keys = ON")
                # SQLite's own `lower` knows no letters but A to Z.
                connection.create_function("casefolded", 1, _casefolded, deterministic=True)
                connection.execute("PRAGMA synchronous = EXTRA")
                # A transaction that outgrows the cache locks readers out before its commit; a batch never does so.
                connection.execute("PRAGMA cache_size = -32768")
                database = cls(path, connection)
                database._bring_up_to_date()
            except BaseException:
                connection.close()
                raise
        return database

    @classmethod
    def open_backup(cls, path: Path, *, read_only: bool = False) -> Database:
        """Open a backup file. It is not trusted: no trigger, view or function that it defines is ever run.

        Raises:
            LibraryDamaged: it is not an SQLite database.
            LibraryError: it cannot be opened.

        """
        with _plain_errors(path):
            connection = sqlite3.connect(path, isolation_level=None)
            try:
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA cell_size_check = ON")
                connection.execute("PRAGMA secure_delete = ON")
                connection.execute(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
                _check_backup(connection, path, written_before=read_only)
                if not read_only:
                    connection.execute(f"PRAGMA application_id = {_BACKUP_ID}")
            except BaseException:
                connection.close()
                raise
        return cls(path, connection)

    def close(self) -> None:
        """Close the connection."""
        self.connection.close()

    @overload
    def rows(self, sql: str, parameters: Sequence[Value] = ()) -> list[tuple[Value, ...]]: ...
    @overload
    def rows(self, sql: str, parameters: Sequence[Value] = (), *, row: type[Row]) -> list[Row]: ...
    def rows(
        self,
        sql: str,
        parameters: Sequence[Value] = (),
        *,
        row: type[Row] | None = None,  # noqa: ARG002 - declared for the type checker
    ) -> list[tuple[Value, ...]] | list[Row]:
        """Run a query and return all of its rows.

        `row` is the type of a row, such as `tuple[int, str]`, as the schema declares the columns. It is for the type
        checker and not verified.
        """
        with _plain_errors(self.path):
            return self.connection.execute(sql, parameters).fetchall()

    @overload
    def scalar(self, sql: str, parameters: Sequence[Value] = ()) -> Value: ...
    @overload
    def scalar(self, sql: str, parameters: Sequence[Value] = (), *, kind: type[Kind]) -> Kind | None: ...
    def scalar(
        self, sql: str, parameters: Sequence[Value] = (), *, kind: type[Kind] | None = None
    ) -> Value | Kind:
        """Run a query and return the first column of its first row, or None.

        Raises:
            LibraryDamaged: the value is not of this `kind`.

        """
        with _plain_errors(self.path):
            row = self.connection.execute(sql, parameters).fetchone()
        value: Value = row[0] if row else None
        if kind is not None and value is not None and not isinstance(value, kind):
            raise self._damaged()
        return value

    def number(self, sql: str, parameters: Sequence[Value] = ()) -> int:
        """Run a query and return the integer in the first column of its first row.

        Raises:
            LibraryDamaged: there is none.

        """
        value = self.scalar(sql, parameters, kind=int)
        if value is None:
            raise self._damaged()
        return value

    def _damaged(self) -> LibraryDamaged:
        return LibraryDamaged(f"{self.path} is damaged: run `vitsearch doctor`")

    def ids(self, sql: str, parameters: Sequence[Value] = ()) -> npt.NDArray[np.int64]:
        """Run a query and return its first column, integers, without creating a Python object for each."""
        import numpy as np

        with _plain_errors(self.path):
            rows = self.connection.execute(sql, parameters)
            return np.fromiter((row[0] for row in rows), np.int64)

    def run(self, sql: str, parameters: Sequence[Value] = ()) -> sqlite3.Cursor:
        """Run one statement inside a `write` block."""
        return self.connection.execute(sql, parameters)

    def run_many(self, sql: str, rows: Iterable[Sequence[Value]]) -> int:
        """Run one statement for many rows inside a `write` block; return how many rows it changed."""
        return self.connection.executemany(sql, rows).rowcount

    @contextmanager
    def write(self, *, check_references: bool = True) -> Iterator[None]:
        """Run a transaction: take the write lock at once, commit at the end, roll back on any error.

        Without `check_references`, the caller must make sure that no row refers to a deleted one.

        Raises:
            LibraryBusy: another process held the lock for longer than the timeout.
            LibraryError: the disk is full or read-only.

        """
        with _plain_errors(self.path):
            if not check_references:  # SQLite takes no notice of this inside a transaction
                self.connection.execute("PRAGMA foreign_keys = OFF")
            try:
                self.connection.execute("BEGIN IMMEDIATE")
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise
            finally:
                self.connection.execute("PRAGMA foreign_keys = ON")

    def damage(self) -> list[str]:
        """Read the whole file and return the problems that SQLite finds; empty if it is sound."""
        try:
            found = [str(row[0]) for row in self.rows("PRAGMA integrity_check(20)")]
        except LibraryDamaged as error:
            return [str(error.__cause__ or error)]
        return [] if found == ["ok"] else found

    def _bring_up_to_date(self) -> None:
        if self._version() == SCHEMA_VERSION:
            return
        # Imported here: only a new or an old library pays for it, not every search.
        import sqlite_utils

        from vitsearch.storage.migrations import migrations

        # One lock around all of it: a second process that opens the library meanwhile waits, then finds it done.
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            version = self._version()
            if 0 < version < SCHEMA_VERSION:
                self._back_up(version)
            migrations.apply(sqlite_utils.Database(self.connection, execute_plugins=False))
            self.connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            self.connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def _version(self) -> int:
        """Return the schema version, 0 for an empty file. Refuses what is not a library, or one of a later version."""
        # In one statement: between two of them another process may make the library.
        version, owner, tables = self.connection.execute(
            "SELECT user_version, application_id, (SELECT count(*) FROM sqlite_schema) "
            "FROM pragma_user_version, pragma_application_id"
        ).fetchone()
        if (version and owner != _APPLICATION_ID) or (not version and tables):
            raise LibraryDamaged(f"{self.path} is an SQLite database but not a vitsearch library")
        if version > SCHEMA_VERSION:
            raise LibraryTooNew(
                f"{self.path} was written by a later version of vitsearch (format {version}, this one reads "
                f"{SCHEMA_VERSION}): upgrade with `pip install -U vitsearch`"
            )
        return int(version)

    def _back_up(self, version: int) -> None:
        layout = Layout.of(self.path.parent)
        backup = layout.backups / f"{self.path.name}.format-{version}"
        partial = layout.temporary(backup.name)
        make_folder(layout.backups)
        create_file(partial)
        # A connection that holds the lock for writing cannot be copied from; others may read.
        with closing(sqlite3.connect(self.path)) as whole, closing(sqlite3.connect(partial)) as copy:
            whole.backup(copy)
        partial.replace(backup)


def _check_backup(connection: sqlite3.Connection, path: Path, *, written_before: bool) -> None:
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    others = connection.execute("SELECT count(*) FROM sqlite_schema WHERE type <> 'table'").fetchone()[0]
    if others or (written_before and owner != _BACKUP_ID):
        raise LibraryDamaged(f"{path} is an SQLite database but no backup of vitsearch")


def _casefolded(value: Value) -> Value:
    return value.casefold() if isinstance(value, str) else value


def is_of_another_program(path: Path) -> bool:
    """Return whether a file is a readable SQLite database of another program."""
    connection = sqlite3.connect(path, timeout=2.0)
    try:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except (sqlite3.Error, UnicodeDecodeError):
        return False
    finally:
        connection.close()
    return bool(tables) and owner != _APPLICATION_ID


@contextmanager
def held_alone(path: Path) -> Iterator[None]:
    """Lock out all other readers and writers of a database, as far as a damaged file can be locked.

    Raises:
        LibraryBusy: another process is using it.

    """
    connection = sqlite3.connect(path, timeout=2.0, isolation_level=None)
    try:
        try:
            connection.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if "locked" in str(error) or "busy" in str(error):
                raise LibraryBusy(f"{path} is in use by another process: stop that first") from error
        except (sqlite3.Error, UnicodeDecodeError):
            pass  # too damaged to be locked
        yield
    finally:
        connection.close()


@contextmanager
def _plain_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except (sqlite3.ProgrammingError, sqlite3.InterfaceError):
        raise  # a mistake of ours, not of the file's
    except UnicodeDecodeError as error:
        # Python's own complaint about the text of SQLite's.
        raise LibraryDamaged(f"{path} is damaged (its schema is no text): run `vitsearch doctor`") from error
    except sqlite3.Error as error:
        text = str(error)
        if "locked" in text or "busy" in text:
            raise LibraryBusy(
                f"{path} is in use by another process: try again when it has finished"
            ) from error
        if "full" in text:
            raise LibraryError(
                f"the disk that holds {path} is full: make room and run the command again"
            ) from error
        if "readonly" in text or "unable to open" in text:
            raise LibraryError(
                f"cannot write to {path}: check its permissions, or choose --library"
            ) from error
        if isinstance(error, sqlite3.IntegrityError) and "FOREIGN KEY" in text:
            # Between two transactions of one command, another one has deleted what the second was about to name.
            raise LibraryBusy(
                f"another command has removed photos from {path} meanwhile: run this one again (and, if it says so "
                "again, `vitsearch doctor`)"
            ) from error
        if isinstance(error, sqlite3.OperationalError) and "I/O" in text:
            raise LibraryError(f"the disk that holds {path} reports an error ({text})") from error
        said = " ".join("".join(sign if sign.isprintable() else " " for sign in text[:100]).split())
        raise LibraryDamaged(f"{path} is damaged ({said}): run `vitsearch doctor`") from error


def path_to_value(path: str) -> str | bytes:
    """Return the database value of a path: text if it is UTF-8, otherwise its bytes, independent of the locale."""
    if _FILES_IN_UTF8:
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            return os.fsencode(path)
        return path
    raw = os.fsencode(path)
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def value_to_path(value: Value) -> str:
    """Return the path of a database value."""
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return str(value) if _FILES_IN_UTF8 else os.fsdecode(str(value).encode("utf-8"))


def values_to_paths(values: Sequence[Value]) -> list[str]:
    """Return the paths of many database values; faster than calling `value_to_path` for each."""
    if not _FILES_IN_UTF8:
        return list(map(value_to_path, values))
    return [value if isinstance(value, str) else value_to_path(value) for value in values]
