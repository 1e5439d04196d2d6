"""The store on disk: one SQLite file in WAL mode, made durable by an fsync at each commit.

All SQL of the hub stands in `hub.schema` and the `hub.sqlite_*` modules.  A connection is used by one thread at a time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from hub.schema import migrations
from hub.sqlite_mailboxes import SqliteMailboxes
from hub.sqlite_operators import SqliteOperators
from hub.sqlite_records import SqliteRecords
from keys.migrating import Connection, Migrated, Schema, bring_up_to_date, taken
from protocol.errors import StoreError

_PRAGMAS: Final = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    # Whether erased ciphertext is overwritten must not depend on how SQLite was built.  Overwriting all of it would
    # double what is written, and the write-ahead log keeps copies for a while all the same.
    "PRAGMA secure_delete = FAST",
    "PRAGMA temp_store = MEMORY",
    # What waits is read once and erased: the system's own cache does for it, and the hub stays small.
    "PRAGMA cache_size = -4096",
    # Moving the log into the file costs an fsync of its own: once for 32 MiB.
    "PRAGMA wal_autocheckpoint = 8192",
    "PRAGMA busy_timeout = 5000",
)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=256)
    for pragma in _PRAGMAS:
        connection.execute(pragma)
    return connection


def _copy(connection: Connection, target: Path) -> None:
    connection.execute("VACUUM INTO ?", (str(target),))


SCHEMA: Final = Schema(migrations, _open, _copy)


def open_database(path: Path, on_migrated: Callable[[Migrated], None] = lambda _done: None) -> sqlite3.Connection:
    """The database at `path`, made or brought to the newest schema if need be; what was done to an older one is told.

    Raises `NewerHomeError`, `StoreError` if it cannot be used, `DamagedError` of it if commits would be missing.
    """
    try:
        if migrated := bring_up_to_date(path, SCHEMA):
            on_migrated(migrated)
        return _open(path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        # Where a damaged schema is quoted, Python reads the bytes of SQLite's own message as text.
        why = error if isinstance(error, sqlite3.Error) else "the schema is damaged"
        raise StoreError(f"{path}: {why}") from error


def beside(path: Path) -> sqlite3.Connection:
    """A connection that only reads, beside a hub that may be running; raises what SQLite does.

    `check_log` comes first: of a hub that was killed, this connection may be the one that reads the log.
    """
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)


def store_version(path: Path) -> int:
    """The version of the database at `path`; `StoreError` if it cannot be read."""
    try:
        with closing(beside(path)) as connection:
            return taken(connection, migrations)[1]
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


class SqliteStore:
    """A hub's memory in the file at `path`."""

    def __init__(self, path: Path, on_migrated: Callable[[Migrated], None] = lambda _done: None) -> None:
        """Open it as `open_database` does, and raise what that does."""
        self._connection = open_database(path, on_migrated)
        self._member_ids: dict[str, int] = {}

    def begin(self) -> SqliteTransaction:
        """A new transaction; `StoreError` while another is open or another process writes."""
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            raise StoreError(str(error)) from error
        return SqliteTransaction(self._connection, self._member_ids)

    def close(self) -> None:
        """Undo what was not committed and close the file."""
        self._connection.close()


class SqliteTransaction(SqliteMailboxes, SqliteRecords, SqliteOperators):
    """Everything that `hub.store.Transaction` says."""
