"""What only the store on disk can show: durability under kill -9, a full disk, a failing one, a locked or foreign file."""

from __future__ import annotations

import asyncio
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlite_utils import Database

from hub.schema import POSITION_BITS, migrations
from hub.sqlite_store import SqliteStore, open_database
from hub.store import NewItem, transaction
from hub.writer import Writer
from protocol.errors import ConflictError, DamagedError, StoreError
from tests.faults.disks import committed_bytes, flip, tear
from tests.hub.test_writer import Jobs, put

ROOT = Path(__file__).parents[2]


@contextmanager
def child(what: str, database: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.hub.durability_child", what, str(database)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline().strip() for _ in range(count)]


def test_everything_said_to_be_durable_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with child("for ever", path) as process:
        said = lines(process, 25)
        process.kill()
        assert process.stdout is not None
        said += process.stdout.read().split()
    with closing(SqliteStore(path)) as store, transaction(store) as tx:
        entries = tx.entries(0, 1 << 30)
        assert entries == [b"entry %d" % number for number in range(1, len(entries) + 1)]
        assert len(entries) >= int(said[-1]) >= 25
        assert tx.index_of(b"hash 1") == 0


@pytest.mark.parametrize("place", [0.0, 0.0001, 0.5, 0.9999])
def test_a_bit_that_turned_round_in_what_kill_9_left_opens_nothing(tmp_path: Path, place: float) -> None:
    path = tmp_path / "hub.db"
    with child("for ever", path) as process:
        lines(process, 25)
        process.kill()
    end = committed_bytes(path)
    assert end is not None
    flip(path.with_name("hub.db-wal"), int(place * end))
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    for _ in range(2):
        with pytest.raises(DamagedError, match="commits or more cannot be read"):
            SqliteStore(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_what_a_power_cut_tears_behind_the_last_commit_is_nothing(tmp_path: Path) -> None:
    path = tmp_path / "left" / "hub.db"
    path.parent.mkdir()
    with child("before", path) as process:
        assert lines(process, 1) == ["written"]
        process.kill()
    torn = set()
    for seed in range(5):
        again = shutil.copytree(path.parent, tmp_path / str(seed)) / path.name
        torn.add(tear(again, random.Random(seed)))
        with closing(SqliteStore(again)) as store, transaction(store) as tx:
            assert (tx.calendar("alba"), tx.calendar("member-0")) == (b"committed", None)
    assert torn >= {"cut off", "scribbled over"}


def test_nothing_that_was_not_committed_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with child("before", path) as process:
        assert lines(process, 1) == ["written"]
        assert path.with_name("hub.db-wal").stat().st_size > 1_000_000, "much of it was on the disk"
        process.kill()
    with closing(SqliteStore(path)) as store, transaction(store) as tx:
        assert tx.calendar("alba") == b"committed"
        assert tx.calendar("member-0") is None


def test_a_disk_that_fails_ends_the_process_without_an_answer(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with child("failing", path) as process:
        assert process.stdout is not None
        said = process.stdout.read().split()
        assert process.wait() == 70
    assert said == ["committed", "answered"]
    with closing(SqliteStore(path)) as store, transaction(store) as tx:
        assert tx.calendar("alba") == b"first"


def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    with closing(open_database(tmp_path / "hub.db")) as connection:
        asked = ("journal_mode", "synchronous", "foreign_keys", "secure_delete")
        assert [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in asked] == ["wal", 2, 1, 2]


def test_a_store_comes_back_as_it_was(tmp_path: Path) -> None:
    for number in range(2):
        with closing(SqliteStore(tmp_path / "hub.db")) as store, transaction(store) as tx:
            assert tx.log_size() == number
            tx.append_entry(number, b"entry", b"hash %d" % number, b"statement")


def test_every_migration_is_applied_once(tmp_path: Path) -> None:
    for _ in range(2):
        with closing(open_database(tmp_path / "hub.db")) as connection:
            applied = connection.execute("SELECT name FROM _sqlite_migrations ORDER BY id").fetchall()
    assert [name for (name,) in applied] == [
        "members",
        "envelopes",
        "mailboxes",
        "log",
        "shares",
        "operators",
        "watched",
    ]
    assert migrations.name == "valija-hub"


def test_what_waits_in_an_older_database_counts_as_its_senders_share(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    db = Database(path)
    migrations.apply(db, stop_before="shares")
    with db.conn:
        for name in ("alba", "berta", "carla"):
            db.execute("INSERT INTO member VALUES (NULL, ?, 0, 0, 0, 0, 0, x'')", (name,))
        for ref, sender, recipient, position in (
            (1, "alba", 2, 1),
            (2, "alba", 2, 2),
            (3, "carla", 2, 3),
            (4, "berta", 1, 1),
        ):
            number = ref.to_bytes(24, "big")
            db.execute("INSERT INTO envelope VALUES (?, ?, ?, ?, 100, 1)", (ref, number, sender, number))
            place = (recipient << POSITION_BITS) + position
            db.execute(
                "INSERT INTO item (place, ref, slot, size_bytes, queued_at_ms) VALUES (?, ?, x'00', 10, 1)",
                (place, ref),
            )
        db.execute(
            "INSERT INTO item (place, size_bytes, queued_at_ms, expires_at) VALUES (?, 0, 1, 100)",
            ((2 << POSITION_BITS) + 9,),
        )
    db.close()
    with closing(SqliteStore(path)) as store, transaction(store) as tx:
        assert [dict(tx.account(name).shares) for name in ("alba", "berta", "carla")] == [
            {"berta": (1, 10)},
            {"alba": (2, 20), "carla": (1, 10)},
            {},
        ]


def fill(store: SqliteStore) -> None:
    """Let the file grow by three pages more, and no further."""
    pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
    store._connection.execute(f"PRAGMA max_page_count = {pages + 3}")


def test_a_full_disk_is_said_and_leaves_all_as_it_was(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        with transaction(store) as tx:
            tx.put_calendar("alba", b"before")
        fill(store)
        tx = store.begin()
        tx.put_calendar("alba", b"after")
        with pytest.raises(StoreError), tx.savepoint():
            tx.put_calendar("berta", bytes(100_000))
        assert not tx.alive, "SQLite undid everything"
        tx.rollback()
        with transaction(store) as tx:
            assert (tx.calendar("alba"), tx.calendar("berta")) == (b"before", None)


async def test_a_full_disk_fails_only_who_needs_more_room(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        writer: Writer[Jobs] = Writer(
            store, lambda tx: Jobs(tx, lambda: None), committed=lambda _group, _jobs: None, fatal=print
        )
        fill(store)
        jobs = [put("alba"), lambda group: group.tx.put_calendar("berta", bytes(100_000)), put("carla")]
        writer.start()
        answers = await asyncio.gather(*[writer.run(job) for job in jobs], return_exceptions=True)
        await writer.stop()
        assert [answers[0], answers[2]] == ["alba", "carla"]
        assert isinstance(answers[1], StoreError)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    path.write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError):
        SqliteStore(path)
    with pytest.raises(StoreError):
        SqliteStore(tmp_path)


def test_a_database_that_another_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "hub.db"
    with closing(SqliteStore(path)) as store, closing(sqlite3.connect(path, isolation_level=None)) as other:
        store._connection.execute("PRAGMA busy_timeout = 0")
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError):
            store.begin()
        other.execute("ROLLBACK")
        store.begin().rollback()


def test_what_the_schema_forbids_is_a_failure_of_the_store(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "hub.db")) as store:
        tx = store.begin()
        with pytest.raises(StoreError), tx.savepoint():
            tx.keep_content(99, b"core", b"of no envelope")
        with pytest.raises(StoreError), tx.savepoint():
            tx.add_items([NewItem("alba", 1, 99, b"slot", 10, 0)])
        with pytest.raises(ConflictError):
            tx.append_entry(5, b"", b"", b"")
        tx.rollback()


def test_a_file_that_breaks_under_the_store(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "hub.db")
    tx = store.begin()
    store.close()
    with pytest.raises(StoreError):
        tx.account("alba")
    with pytest.raises(StoreError):
        store.begin()


@pytest.mark.parametrize("place", [200, 700, 1_500, 2_500, 3_500])
def test_a_damaged_schema_is_a_store_that_cannot_be_used_and_named(tmp_path: Path, place: int) -> None:
    """SQLite quotes the damaged bytes of it, which are no text."""
    path = tmp_path / "hub.db"
    open_database(path).close()
    whole = bytearray(path.read_bytes())
    whole[4_096 + place : 4_096 + place + 4] = b"\xff\xdf\xff\xdf"
    for start in range(place, len(whole), 1_000):
        whole[start] ^= 0xFF
    path.write_bytes(whole)
    with pytest.raises(StoreError) as caught:
        open_database(path).execute("PRAGMA quick_check").fetchall()
    assert str(path) in str(caught.value)
