"""A database is brought up to date whole or not at all, whatever interrupts it, and a newer one is left alone."""

from __future__ import annotations

import errno
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from sqlite_utils import Database, Migrations

from keys import migrating
from keys.migrating import Connection, Migrated, Schema, bring_up_to_date, taken
from protocol.errors import DamagedError, NewerHomeError, StoreError

ROWS = 500


def open_file(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    return connection


def copy(connection: Connection, target: Path) -> None:
    connection.execute("VACUUM INTO ?", (str(target),))


def schema(count: int, then: Callable[[Database], None] | None = None) -> Schema:
    """The first `count` of three steps, and `then`."""
    steps = Migrations("test")

    @steps()
    def letters(db: Database) -> None:
        db.execute("CREATE TABLE letter (id INTEGER PRIMARY KEY, text TEXT)")

    if count > 1:

        @steps()
        def lengths(db: Database) -> None:
            db.execute("ALTER TABLE letter ADD COLUMN length INTEGER")
            db.execute("UPDATE letter SET length = length(text)")

    if count > 2:

        @steps()
        def index(db: Database) -> None:
            db.execute("CREATE INDEX letter_length ON letter (length)")

    if then is not None:
        steps(name="then")(then)
    return Schema(steps, open_file, copy)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "hub.db"


@pytest.fixture
def old(path: Path) -> Path:
    """A database of version 1 whose last process was killed: part of it stands in its write-ahead log."""
    return make_old(path)


def make_old(path: Path) -> Path:
    assert bring_up_to_date(path, schema(1)) is None
    child = os.fork()
    if child == 0:
        connection = open_file(path)
        connection.execute("BEGIN")
        connection.executemany("INSERT INTO letter (text) VALUES (?)", [("x" * each,) for each in range(ROWS)])
        connection.execute("COMMIT")
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert path.with_name("hub.db-wal").stat().st_size > 0
    return path


def lengths(path: Path, count: int) -> list[int]:
    with closing(open_file(path)) as connection:
        found = "length" if count > 1 else "length(text)"
        return [row[0] for row in connection.execute(f"SELECT {found} FROM letter ORDER BY id")]  # noqa: S608


def names(folder: Path) -> set[str]:
    return {each.name for each in folder.iterdir()}


# -- what it does ----------------------------------------------------------------------------------------
def test_a_new_database_takes_every_step_and_is_closed_to_others(path: Path) -> None:
    assert bring_up_to_date(path, schema(3)) is None
    with closing(open_file(path)) as connection:
        assert taken(connection, schema(3).steps) == (["letters", "lengths", "index"], 3)
    assert path.stat().st_mode & 0o777 == 0o600
    assert names(path.parent) == {"hub.db"}


def test_an_empty_file_is_a_new_database(path: Path) -> None:
    path.touch()
    assert bring_up_to_date(path, schema(1)) is None
    assert lengths(path, 1) == []


def test_an_older_one_is_brought_up_to_date_once_and_kept(old: Path) -> None:
    backup = old.with_name("hub.db.version-1.backup")
    assert bring_up_to_date(old, schema(3)) == Migrated(1, 3, backup)
    assert lengths(old, 3) == list(range(ROWS)) == lengths(backup, 1)
    for each in (old, backup):
        assert each.stat().st_mode & 0o777 == 0o600
    inode = old.stat().st_ino
    assert bring_up_to_date(old, schema(3)) is None
    assert old.stat().st_ino == inode
    assert names(old.parent) == {"hub.db", "hub.db.version-1.backup"}


def test_a_backup_that_was_put_back_is_migrated_again_and_overwrites_none(old: Path) -> None:
    bring_up_to_date(old, schema(2))
    backup = old.with_name("hub.db.version-1.backup")
    old.write_bytes(backup.read_bytes())
    again = bring_up_to_date(old, schema(3))
    assert again == Migrated(1, 3, old.with_name("hub.db.version-1-2.backup"))
    assert lengths(old, 3) == list(range(ROWS))
    assert backup.exists()


def test_the_backup_opens_with_the_older_program(old: Path) -> None:
    migrated = bring_up_to_date(old, schema(2))
    assert migrated is not None
    assert bring_up_to_date(migrated.backup, schema(1)) is None


def test_steps_that_were_counted_and_not_named_are_known(path: Path) -> None:
    with closing(open_file(path)) as connection:
        connection.execute("CREATE TABLE letter (id INTEGER PRIMARY KEY, text TEXT)")
        connection.execute("INSERT INTO letter (text) VALUES ('xy')")
        connection.execute("PRAGMA user_version = 1")
    assert bring_up_to_date(path, schema(1)) is None
    migrated = bring_up_to_date(path, schema(2))
    assert migrated is not None
    assert lengths(path, 2) == [2]
    with closing(open_file(path)) as connection:
        assert taken(connection, schema(2).steps) == (["letters", "lengths"], 2)


# -- what it refuses -------------------------------------------------------------------------------------
def test_a_newer_one_is_left_alone(old: Path) -> None:
    bring_up_to_date(old, schema(3))
    assert lengths(old, 3)
    before = old.read_bytes()
    with pytest.raises(NewerHomeError, match="has version 3, this program knows up to 2"):
        bring_up_to_date(old, schema(2))
    assert old.read_bytes() == before


def test_one_of_another_line_of_programs_is_left_alone(old: Path) -> None:
    bring_up_to_date(old, schema(1, lambda _db: None))
    with pytest.raises(NewerHomeError):
        bring_up_to_date(old, schema(2))


def test_a_step_that_fails_changes_nothing(old: Path) -> None:
    def fail(db: Database) -> None:
        db.execute("SELECT nothing")

    with pytest.raises(sqlite3.Error):
        bring_up_to_date(old, schema(2, fail))
    assert lengths(old, 1) == list(range(ROWS))
    assert bring_up_to_date(old, schema(2)) is not None


def test_one_that_another_process_reads_waits(old: Path) -> None:
    with closing(open_file(old)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM letter").fetchone()
        with pytest.raises((StoreError, sqlite3.OperationalError)):
            bring_up_to_date(old, schema(2))
    assert bring_up_to_date(old, schema(2)) is not None


def test_a_store_that_keeps_its_log_is_not_moved(old: Path) -> None:
    class Stubborn(sqlite3.Connection):
        def execute(self, sql: str, *parameters: Any) -> Any:
            return super().execute("PRAGMA journal_mode" if "= DELETE" in sql else sql, *parameters)

    stubborn = Schema(schema(2).steps, lambda path: sqlite3.connect(path, factory=Stubborn), copy)
    with pytest.raises(StoreError, match="another process has it open"):
        bring_up_to_date(old, stubborn)


def test_a_copy_that_does_not_read_back_is_not_used(old: Path) -> None:
    def spoil(db: Database) -> None:
        db.execute("CREATE TABLE spoilt (number CHECK (number > 0))")
        db.execute("PRAGMA ignore_check_constraints = ON")
        db.execute("INSERT INTO spoilt VALUES (0)")
        db.execute("PRAGMA ignore_check_constraints = OFF")

    with pytest.raises(DamagedError, match="CHECK constraint failed in spoilt"):
        bring_up_to_date(old, schema(1, spoil))
    assert lengths(old, 1) == list(range(ROWS))


def test_a_disk_that_refuses_is_told(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_paths: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match="No space left"):
        bring_up_to_date(old, schema(2))
    assert lengths(old, 1) == list(range(ROWS))


def test_where_there_are_no_links_the_backup_is_a_copy(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_paths: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    migrated = bring_up_to_date(old, schema(2))
    assert migrated is not None
    assert lengths(migrated.backup, 1) == lengths(old, 2)
    assert migrated.backup.stat().st_mode & 0o777 == 0o600


# -- kill -9 ---------------------------------------------------------------------------------------------
def killed_at(path: Path, line: int) -> bool:
    """Migrate in a process that is killed when it has run `line` lines of the code; whether it was."""
    child = os.fork()
    if child == 0:
        left = line

        def trace(frame: FrameType, event: str, _argument: object) -> Any:
            nonlocal left
            if frame.f_code.co_filename != migrating.__file__:
                return None
            if event == "line":
                left -= 1
                if left < 0:
                    os.kill(os.getpid(), signal.SIGKILL)
            return trace

        sys.settrace(trace)
        bring_up_to_date(path, schema(3))
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def test_killed_at_any_line_it_opens_as_old_or_new_and_is_finished(tmp_path: Path) -> None:
    kept, line = set(), 0
    make_old(tmp_path / "hub.db")
    images = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    while True:
        folder = tmp_path / str(line)
        folder.mkdir()
        path = folder / "hub.db"
        for name, image in images.items():
            (folder / name).write_bytes(image)
        killed = killed_at(path, line)
        with closing(open_file(path)) as connection:
            version = taken(connection, schema(3).steps)[1]
        assert lengths(path, version) == list(range(ROWS)), f"killed at line {line}"
        migrated = bring_up_to_date(path, schema(3))
        assert (migrated is None) == (version == 3)
        assert lengths(path, 3) == list(range(ROWS))
        assert lengths(folder / "hub.db.version-1.backup", 1) == list(range(ROWS))
        assert names(folder) == {"hub.db", "hub.db.version-1.backup"}
        kept.add(version)
        if not killed:
            break
        line += 1
    assert line > 40
    assert kept == {1, 3}
