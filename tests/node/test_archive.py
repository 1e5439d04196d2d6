"""The archive on disk: unreadable without its key, durable before it answers, and done when the disk is."""

from __future__ import annotations

import hashlib
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlite_utils import Database, Migrations

from keys.migrating import Migrated
from node import archive, housekeeping
from node import schema as node_schema
from node.archive import Archive, schema
from node.context import Context
from node.sql import SqlTransaction
from node.store import Transaction
from node.tables import evidence, state
from protocol.errors import DamagedError, NewerHomeError, StoreError
from protocol.names import Incarnation
from tests.node.lab import Lab
from tests.node.test_store_contract import adding, names

KEY = b"k" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "archive.db"


def test_what_was_written_is_there_after_reopening(path: Path) -> None:
    store = Archive(path, KEY)
    store.run(adding("a"))
    store.close()
    again = Archive(path, KEY)
    assert again.read(names) == ["a"]
    again.close()


def test_nothing_legible_reaches_the_disk(path: Path) -> None:
    store = Archive(path, KEY)
    store.run(lambda tx: tx.run("INSERT INTO state VALUES ('note', ?)", ("lancha " * 4000,)))
    files = sorted(path.parent.iterdir())
    assert {each.name for each in files} >= {"archive.db", "archive.db-wal"}
    for each in files:
        data = each.read_bytes()
        assert b"lancha" not in data
        assert b"SQLite format" not in data
    store.close()


@pytest.mark.parametrize("key", [b"x" * 32, b"k" * 31, b""])
def test_another_key_opens_nothing(path: Path, key: bytes) -> None:
    Archive(path, KEY).close()
    with pytest.raises(StoreError):
        Archive(path, key)
    Archive(path, KEY).close()


@pytest.mark.parametrize("from_end", [3_000, 30_000, 60_000])
def test_a_flipped_bit_is_noticed(path: Path, from_end: int, capfd: pytest.CaptureFixture[str]) -> None:
    content = b"x" * 100_000
    store = Archive(path, KEY)
    store.run(lambda tx: tx.run("INSERT INTO state VALUES ('note', ?)", (content,)))
    store.close()
    data = bytearray(path.read_bytes())
    data[-from_end] ^= 1
    path.write_bytes(data)
    again = Archive(path, KEY)
    with pytest.raises((StoreError, DamagedError)):
        read = again.read(lambda tx: tx.all("SELECT value FROM state WHERE name = 'note'"))
        evidence.intact(read[0][0], hashlib.sha256(content).digest())
    again.close()
    assert "hmac check failed" in capfd.readouterr().err


def test_an_archive_of_a_newer_program_is_left_alone(path: Path) -> None:
    store = Archive(path, KEY)
    store.run(lambda tx: tx.run(f"PRAGMA user_version = {len(schema(KEY).names) + 1}"))
    store.close()
    before = path.read_bytes()
    with pytest.raises(NewerHomeError, match="this program knows up to"):
        Archive(path, KEY)
    assert [each.name for each in path.parent.iterdir()] == ["archive.db"]
    assert path.read_bytes() == before


def test_an_archive_of_another_page_size_is_written_anew_and_stays_unreadable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Archive(path, KEY)
    store.run(lambda tx: tx.run("INSERT INTO state VALUES ('note', ?)", ("lancha " * 4000,)))
    store.run(lambda tx: tx.run("INSERT INTO words (rowid, subject, body) VALUES (7, 'Ñandú', 'lancha')"))
    store.close()
    later = Migrations("valija-node")
    with closing(Database(memory=True)) as nothing:
        known = node_schema.steps.pending(nothing)
    for step in known:
        later(name=step.name)(step.fn)

    @later()
    def larger_pages(_db: Database) -> None:
        """The copy is written with them."""

    monkeypatch.setattr(archive, "steps", later)
    monkeypatch.setattr(archive, "PAGE_BYTES", 16_384)
    monkeypatch.setattr(archive, "EARLIER_PAGE_BYTES", (4_096,))
    told: list[Migrated] = []
    again = Archive(path, KEY, on_migrated=told.append)
    backup = path.with_name(f"archive.db.version-{len(known)}.backup")
    assert told == [Migrated(len(known), len(known) + 1, backup)]
    assert again.read(lambda tx: tx.one("PRAGMA page_size")) == ("16384",)
    assert again.read(lambda tx: tx.all("SELECT rowid FROM words WHERE words MATCH 'nandu'")) == [(7,)]
    assert again.read(lambda tx: tx.one("SELECT length(value) FROM state")) == (28_000,)
    for each in path.parent.iterdir():
        assert b"lancha" not in each.read_bytes()
        assert each.stat().st_mode & 0o077 == 0
    again.close()
    with pytest.raises(StoreError):
        Archive(path, b"x" * 32)


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError):
        Archive(tmp_path / "nowhere" / "archive.db", KEY)


def test_jobs_that_wait_together_are_one_commit(path: Path) -> None:
    store = Archive(path, KEY)
    begun, go_on = threading.Event(), threading.Event()

    def first(tx: Transaction) -> None:
        begun.set()
        go_on.wait(10)

    commits = count_commits(store)
    waiting = store.submit(first)
    begun.wait(10)
    before = store.read(lambda tx: tx.one("SELECT count(*) FROM desk"))
    futures = [store.submit(adding(name)) for name in "abc"]
    go_on.set()
    assert [future.result(timeout=10) for future in futures] == ["a", "b", "c"]
    assert waiting.result(timeout=10) is None
    assert commits == ["COMMIT", "COMMIT"]  # the first alone, the three together
    assert before == (0,)
    store.close()


class Counting(SqlTransaction):
    commits: list[str]

    def run(self, sql: str, parameters: Any = ()) -> int:
        if sql == "COMMIT":
            self.commits.append(sql)
        return super().run(sql, parameters)


def count_commits(store: Archive) -> list[str]:
    counting = Counting(store._transaction._connection)
    counting.commits = []
    store._transaction = counting
    return counting.commits


def test_a_reader_sees_what_is_durable_and_writes_nothing(path: Path) -> None:
    store = Archive(path, KEY)
    store.run(adding("a"))
    assert store.read(names) == ["a"]
    with pytest.raises(StoreError):
        store.read(adding("b"))
    assert store.read(names) == ["a"]
    store.close()


def test_when_the_disk_fails_nothing_more_is_taken(path: Path) -> None:
    failures: list[StoreError] = []
    store = Archive(path, KEY, failures.append)

    def breaking(tx: Transaction) -> None:
        tx.run(*("INSERT INTO desk VALUES ('b', 1)",))
        raise StoreError("disk I/O error")

    good, bad = store.submit(adding("a")), store.submit(breaking)
    with pytest.raises(StoreError):
        bad.result(timeout=10)
    with pytest.raises(StoreError):
        store.run(adding("c"))
    assert [error.detail for error in failures] == ["disk I/O error"]
    assert good.done()
    store.close()
    again = Archive(path, KEY)
    assert "b" not in again.read(names)
    assert "c" not in again.read(names)
    again.close()


def test_a_job_that_was_cancelled_does_not_run(path: Path) -> None:
    store = Archive(path, KEY)
    begun, go_on = threading.Event(), threading.Event()

    def first(tx: Transaction) -> None:
        begun.set()
        go_on.wait(10)

    store.submit(first)
    begun.wait(10)
    cancelled = store.submit(adding("a"))
    assert cancelled.cancel()
    go_on.set()
    assert store.run(adding("b")) == "b"
    assert store.read(names) == ["b"]
    store.close()


def _begin(held: Incarnation, ctx: Context) -> None:
    state.begin_incarnation(ctx.tx, held)


def test_the_whole_exchange_runs_on_disk(tmp_path: Path) -> None:
    lab = Lab("ar-mpf", "co-fgn")
    for node in lab.nodes.values():
        held = node.incarnation
        node.store = Archive(tmp_path / f"{node.member}.db", KEY)  # type: ignore[assignment]
        node.crash()
        node.mirror_now()
        node.run(partial(_begin, held))
        node.connect()
    message = lab["ar-mpf"].write("k1", "uno", "co-fgn")
    lab.settle()
    lab["co-fgn"].crash()
    assert lab["co-fgn"].texts == ["uno"]
    assert [each.value for each in lab["ar-mpf"].told(message).values()] == ["delivered"]
    for node in lab.nodes.values():
        node.store.close()


# -- what ends a daemon -----------------------------------------------------------------------------------
@pytest.mark.parametrize("why", ["file is not a database", "{folder}/archive.db is not there, or empty"])
def test_a_store_that_ends_a_daemon_is_named_with_what_to_do(tmp_path: Path, why: str) -> None:
    path = tmp_path / "archive.db"
    with pytest.raises(DamagedError) as caught, housekeeping.naming(path):
        raise DamagedError(why.format(folder=tmp_path))
    assert str(caught.value).count(str(path)) == 1
    assert "valija-node doctor" in str(caught.value)
