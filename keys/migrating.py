"""A database whose tables are of the version that this program knows: made, or brought up to date, whole or not at all.

    no file    made beside its place, then given its name
    older      a copy beside it takes the missing steps; the old file then gets the name of a backup, and the copy its name
    as known   left alone
    newer      `NewerHomeError`, and left alone

A crash at any moment leaves the old file or the new one under the name, and what was begun is begun anew.

A *step* is a function of a `sqlite_utils.Migrations`, known by its name for ever and given the database; the version of
a database is how many of them it took.  To change a schema write another step below the last one and never edit an
older: what is made anew takes them all, one after the other.  A step that asks for another layout of the file (its page
size, how it is encrypted) may be empty, because `Schema.copy` writes every copy in the layout of this program.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

from sqlite_utils import Database, Migrations

from keys.files import NO_LINKS, PRIVATE, sync, sync_folder
from keys.notify import notify
from keys.wal import check_log
from protocol.errors import DamagedError, NewerHomeError, StoreError

NEXT: Final = ".next"
_SIDES: Final = ("", "-journal", "-wal", "-shm")
_PATIENCE_SECONDS: Final = 6 * 3_600


class Connection(Protocol):
    """What SQLite and SQLCipher both give: DB-API, committing only when told."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Any:
        """Run one statement."""

    def close(self) -> None:
        """Close it."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The steps, how a file is opened in whichever layout it has, and how its content is copied into a new file."""

    steps: Migrations
    open: Callable[[Path], Connection]
    copy: Callable[[Connection, Path], None]

    @property
    def names(self) -> list[str]:
        """The names of all steps, in order."""
        with closing(Database(memory=True)) as nothing:
            return [step.name for step in self.steps.pending(nothing)]


@dataclass(frozen=True, slots=True)
class Migrated:
    """A file was brought from one version to another; the old one is at `backup`."""

    before: int
    after: int
    backup: Path


def taken(connection: Connection, steps: Migrations) -> tuple[list[str], int]:
    """The names of the steps that the database behind `connection` took, and its version."""
    told = [step.name for step in steps.applied(_database(connection))]
    counted = int(connection.execute("PRAGMA user_version").fetchone()[0])
    return told, max(counted, len(told))


def bring_up_to_date(path: Path, schema: Schema) -> Migrated | None:
    """Afterwards the database at `path` is there and of the newest version; what was done to an older one.

    The caller is the only process with the file open.  Raises `NewerHomeError`, `DamagedError` if a copy does not read
    back or the write-ahead log does not give back what was committed, `StoreError`, and what SQLite raises.
    """
    part = path.with_name(path.name + NEXT)
    try:
        _sweep(part)
        if not path.exists() or path.stat().st_size == 0:
            _new_file(part)
            _take_steps(part, schema, 0)
            _put_in_place(part, path)
            return None
        check_log(path)
        with closing(schema.open(path)) as connection:
            before = _missing(path, connection, schema)
            if before is None:
                return None
            notify(f"STATUS=migrating {path.name}\nEXTEND_TIMEOUT_USEC={_PATIENCE_SECONDS * 1_000_000}")
            _settle(path, connection)
            _new_file(part)
            schema.copy(connection, part)
        _take_steps(part, schema, before)
        backup = _keep(path, before)
        _put_in_place(part, path)
        return Migrated(before, len(schema.names), backup)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error


def _missing(path: Path, connection: Connection, schema: Schema) -> int | None:
    """The version of a database that lacks steps; None if it lacks none."""
    names, (told, version) = schema.names, taken(connection, schema.steps)
    if version > len(names) or not set(told) <= set(names):
        raise NewerHomeError(f"{path} has version {version}, this program knows up to {len(names)}")
    return None if version == len(names) else version


def _settle(path: Path, connection: Connection) -> None:
    # What stands in a write-ahead log moves into the file, and the log goes: beside the new file it would be taken for its own.
    if connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0] != "delete":
        raise StoreError(f"{path}: another process has it open")


def _take_steps(part: Path, schema: Schema, version: int) -> None:
    with closing(schema.open(part)) as connection:
        # Nothing here is of use before it is whole, and then it is synced as one.
        connection.execute("PRAGMA journal_mode = MEMORY")
        connection.execute("PRAGMA synchronous = OFF")
        database = _database(connection)
        schema.steps.ensure_migrations_table(database)
        if not schema.steps.applied(database):
            # Archives of release 0.1 counted their steps and did not name them.
            named = [{"migration_set": schema.steps.name, "name": each} for each in schema.names[:version]]
            database.table(Migrations.migrations_table).insert_all(named)
        schema.steps.apply(database)
        connection.execute(f"PRAGMA user_version = {len(schema.names)}")
        if version:
            _check(part, connection)
    sync(part)


def _check(part: Path, connection: Connection) -> None:
    found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise DamagedError(f"{part}: {found}")


def _keep(path: Path, version: int) -> Path:
    """The file of the old version under a name of its own, durably; `path` still names it too."""
    names = (f"{path.name}.version-{version}{f'-{number}' if number > 1 else ''}.backup" for number in count(1))
    # One that is the file itself was made by a run that was interrupted; any other is never overwritten.
    backup = next(each for each in map(path.with_name, names) if not each.exists() or each.samefile(path))
    if not backup.exists():
        _link(path, backup)
    path.chmod(PRIVATE)
    sync(backup)
    sync_folder(path.parent)
    return backup


def _link(path: Path, backup: Path) -> None:
    try:
        os.link(path, backup)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        _new_file(backup)
        shutil.copyfile(path, backup)


def _new_file(path: Path) -> None:
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))


def _put_in_place(part: Path, path: Path) -> None:
    part.replace(path)
    sync_folder(path.parent)


def _sweep(part: Path) -> None:
    for side in _SIDES:
        part.with_name(part.name + side).unlink(missing_ok=True)


def _database(connection: Connection) -> Database:
    # Its type names only Python's own SQLite; it asks nothing of a connection that SQLCipher's has not.
    return Database(connection)  # type: ignore[arg-type]
