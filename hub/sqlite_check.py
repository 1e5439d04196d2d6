"""A look into the hub's database from outside, while the hub may be running: read only, and never in its way."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from hub.sqlite_store import SqliteTransaction
from protocol.errors import StoreError


@contextmanager
def looking(path: Path) -> Iterator[SqliteTransaction]:
    """One consistent view of the database at `path`; `StoreError` if it cannot be read."""
    try:
        with closing(
            sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN")
            yield SqliteTransaction(connection, {})
    except sqlite3.Error as error:
        raise StoreError(f"{path}: {error}") from error


def damage(path: Path) -> str | None:
    """What SQLite's quick check finds first; None if it finds nothing.  `StoreError` if the file cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            found: str = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if found == "ok" else found
