"""What the rules rely on in a store: the same for the memory store and for the archive on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from node.archive import Archive, schema
from node.memory_store import MemoryStore
from node.sql import guarded
from node.store import Column, Store, Transaction
from node.tables import desks, state
from protocol.errors import ConflictError, StoreError

ADD = "INSERT INTO desk (name, created_at) VALUES (?, ?)"


@pytest.fixture(params=["memory", "archive"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    made: Store = MemoryStore() if request.param == "memory" else Archive(tmp_path / "archive.db", b"k" * 32)
    yield made
    made.close()


def names(tx: Transaction) -> list[str]:
    return [row[0] for row in tx.all("SELECT name FROM desk ORDER BY name")]


def adding(name: str, then: type[Exception] | None = None) -> Callable[[Transaction], str]:
    def job(tx: Transaction) -> str:
        tx.run(ADD, (name, 1))
        if then is not None:
            raise then(name)
        return name

    return job


def test_what_a_job_gives_comes_back_once_it_is_stored(store: Store) -> None:
    assert store.run(adding("a")) == "a"
    assert store.submit(adding("b")).result(timeout=10) == "b"
    assert store.read(names) == ["a", "b"]


@pytest.mark.parametrize("error", [KeyError, ConflictError])
def test_a_job_that_raises_changes_nothing_and_harms_nobody(store: Store, error: type[Exception]) -> None:
    futures = [store.submit(adding(name, then)) for name, then in (("a", None), ("b", error), ("c", None))]
    with pytest.raises(error):
        futures[1].result(timeout=10)
    assert [futures[0].result(timeout=10), futures[2].result(timeout=10)] == ["a", "c"]
    assert store.read(names) == ["a", "c"]


def test_jobs_run_in_order_and_see_what_came_before(store: Store) -> None:
    def add_and_look(name: str, tx: Transaction) -> list[str]:
        tx.run(ADD, (name, 1))
        return names(tx)

    futures = [store.submit(partial(add_and_look, each)) for each in "abc"]
    assert [future.result(timeout=10) for future in futures] == [["a"], ["a", "b"], ["a", "b", "c"]]


def test_a_unique_key_broken_is_a_conflict(store: Store) -> None:
    store.run(adding("a"))
    with pytest.raises(ConflictError):
        store.run(adding("a"))
    with pytest.raises(ConflictError):
        store.run(lambda tx: tx.many(ADD, [("b", 1), ("a", 1)]))
    assert store.read(names) == ["a"]


def test_values_come_back_as_they_went(store: Store) -> None:
    values: dict[str, Column] = {"int": 2**63 - 1, "bytes": b"\x00\xff", "text": "ñandú", "none": None}
    store.run(lambda tx: tx.many("INSERT INTO state VALUES (?, ?)", values.items()))
    assert dict(store.read(lambda tx: tx.all("SELECT name, value FROM state"))) == values
    assert store.read(lambda tx: tx.one("SELECT 1 WHERE 0")) is None


def test_the_numbers_that_statements_give(store: Store) -> None:
    assert store.run(lambda tx: tx.add("INSERT INTO alarm VALUES (NULL, 1, 'a', 'b')")) == 1
    assert store.run(lambda tx: tx.add("INSERT INTO alarm VALUES (NULL, 2, 'a', 'b')")) == 2
    assert store.run(lambda tx: tx.run("UPDATE alarm SET at = 3")) == 2


def test_a_guarded_part_is_undone_alone(store: Store) -> None:
    def job(tx: Transaction) -> None:
        tx.run(ADD, ("a", 1))
        with pytest.raises(KeyError):
            guarded(tx, adding("b", KeyError))
        assert guarded(tx, adding("c")) == "c"

    store.run(job)
    assert store.read(names) == ["a", "c"]


def test_closed_it_takes_nothing_more_and_closing_twice_is_closing(store: Store) -> None:
    store.close()
    store.close()
    with pytest.raises(StoreError):
        store.run(adding("a"))
    with pytest.raises(StoreError):
        store.submit(adding("a")).result(timeout=10)
    with pytest.raises(StoreError):
        store.read(names)


def test_the_tables_took_every_step(store: Store) -> None:
    taken = store.read(lambda tx: tx.all("SELECT migration_set, name FROM _sqlite_migrations ORDER BY id"))
    assert taken[0] == ("valija-node", "first")
    assert len(taken) == len(schema(b"k" * 32).names)


def test_a_snapshot_is_what_was_committed_and_lives_apart() -> None:
    store = MemoryStore()
    store.run(adding("a"))
    copy = store.snapshot()
    store.run(adding("b"))
    copy.run(adding("c"))
    assert (store.read(names), copy.read(names)) == (["a", "b"], ["a", "c"])


def test_alarms_are_found_by_what_they_say_and_only_the_newest_are_kept(store: Store) -> None:
    def raised(tx: Transaction) -> list[str]:
        for number in range(state.MAX_ALARMS + 9):
            state.alarm(tx, 1_000, "gap", f"peer {number}")
            state.alarm(tx, 1_001, "gap", f"peer {number}")
        plan = tx.all("EXPLAIN QUERY PLAN SELECT 1 FROM alarm WHERE code = 'a' AND detail = 'b' AND at > 1")
        assert "alarm_subject" in str(plan)
        return [each.detail for each in state.alarms(tx)]

    assert store.run(raised) == [f"peer {number}" for number in range(9, state.MAX_ALARMS + 9)]


@pytest.mark.parametrize("branch", [desks.RECEIVED, desks.SENT])
@pytest.mark.parametrize("newest_first", [False, True])
def test_a_page_for_several_desks_reads_no_more_of_the_archive_than_it_shows(
    store: Store, branch: str, newest_first: bool
) -> None:
    def job(tx: Transaction) -> tuple[str, list[int]]:
        tx.many("INSERT INTO inbox_desk (inbox, desk) VALUES (?, ?)", [(row, "ab"[row % 2]) for row in range(1, 9)])
        tx.run("INSERT INTO inbox_desk (inbox, desk) VALUES (3, 'a')")
        tx.many(
            "INSERT INTO outbox (id, message_id, desk, request, accepted_at, expires_at, addressed, header, content) "
            "VALUES (?, ?, ?, '', 0, 0, '', '', '')",
            [(row, bytes([row]), "ab"[row % 2]) for row in range(1, 9)],
        )
        sql, given = desks.rows_of(branch, ["a", "b"], 1, 7, 3, newest_first=newest_first)
        return str(tx.all(f"EXPLAIN QUERY PLAN {sql}", given)), [row[0] for row in tx.all(sql, given)]

    plan, rows = store.run(job)
    # Nothing is gathered and sorted: each desk's rows come in order, and are merged until there are enough.
    assert "TEMP B-TREE" not in plan
    assert "SCAN" not in plan
    assert rows == ([6, 5, 4] if newest_first else [2, 3, 4])
