"""One suite for every store: what a transaction did stands or is gone, and nothing is kept twice or too long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from hub.memory_store import MemoryStore
from hub.sqlite_store import SqliteStore
from hub.store import (
    Acceptance,
    Account,
    EnvelopeRecord,
    Freed,
    NewItem,
    NewNotice,
    Operator,
    Queue,
    Rule,
    Store,
    StoredAttestation,
    Transaction,
    transaction,
)
from keys.journal import START, Entry, chain
from protocol.errors import ConflictError, StoreError
from protocol.names import Incarnation

SUBMISSION = bytes(23) + b"\x01"


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = SqliteStore(tmp_path / "hub.db")
    if request.param == "memory":
        opened = MemoryStore()
    yield opened
    opened.close()


@pytest.fixture
def tx(store: Store) -> Iterator[Transaction]:
    opened = store.begin()
    yield opened
    opened.rollback()


def attestation(name: str, batch: int = 1) -> StoredAttestation:
    return StoredAttestation(name.encode(), bytes(32), 3, (b"\x01" * 32, b"\x02" * 32), batch)


def acceptance(ref: int, recipient: str, position: int) -> Acceptance:
    return Acceptance(ref, recipient, position, recipient.encode(), attestation(recipient))


def item(ref: int, member: str, position: int, size: int = 10) -> NewItem:
    return NewItem(member, position, ref, f"slot of {member}".encode(), size, 1_000 + position)


def notice(member: str, position: int, expires_at: int = 500) -> NewNotice:
    return NewNotice(member, position, attestation(f"notice to {member}"), 1_000 + position, expires_at)


def put_envelope(
    tx: Transaction,
    places: dict[str, int],
    *,
    name: bytes = b"id",
    submission: bytes = SUBMISSION,
    expires_at: int = 100,
) -> int:
    """An envelope from alba whose slots wait at these positions."""
    ref = tx.add_envelope(name, "alba", submission, expires_at)
    tx.keep_content(ref, b"core of " + name, b"ciphertext of " + name)
    tx.add_acceptances([acceptance(ref, member, position) for member, position in places.items()])
    tx.add_items([item(ref, member, position) for member, position in places.items()])
    return ref


def content(tx: Transaction, member: str) -> list[bytes]:
    return [each.ciphertext for each in tx.waiting(member, 0, 100, 1_000)]


# -- transactions --------------------------------------------------------------------------------------
def test_what_is_committed_stands(store: Store) -> None:
    with transaction(store) as tx:
        tx.put_calendar("alba", b"calendar")
    with transaction(store) as tx:
        assert tx.calendar("alba") == b"calendar"


def test_what_raises_is_undone(store: Store) -> None:
    with pytest.raises(KeyError), transaction(store) as tx:
        tx.put_calendar("alba", b"calendar")
        raise KeyError
    with transaction(store) as tx:
        assert tx.calendar("alba") is None


def test_a_transaction_is_alive_until_it_ends(store: Store) -> None:
    tx = store.begin()
    before = tx.alive
    tx.commit()
    assert (before, tx.alive) == (True, False)
    undone = store.begin()
    undone.rollback()
    assert not undone.alive


def test_an_ended_transaction_is_not_committed(store: Store) -> None:
    tx = store.begin()
    tx.rollback()
    with pytest.raises(StoreError):
        tx.commit()


def test_one_transaction_at_a_time(store: Store) -> None:
    tx = store.begin()
    with pytest.raises(StoreError):
        store.begin()
    tx.rollback()
    store.begin().commit()


def mutations() -> dict[str, Callable[[Transaction], object]]:
    """Everything that changes something, on top of `base`."""
    return {
        "put_accounts": lambda tx: tx.put_accounts({"alba": Account(9, 8, 7, 6, 5, b"4"), "elsa": Account(1)}),
        "put_calendar": lambda tx: tx.put_calendar("alba", b"new"),
        "add_envelope": lambda tx: put_envelope(tx, {"berta": 8, "elsa": 1}, name=b"x", submission=b"x" * 24),
        "add_batch": lambda tx: tx.add_batch(b"another", 40),
        "add_notices": lambda tx: tx.add_notices([notice("dora", 1)]),
        "remove_up_to": lambda tx: tx.remove_up_to("berta", 7),
        "remove_up_to all": lambda tx: [tx.remove_up_to(member, 99) for member in ("alba", "berta", "carla")],
        "remove_at": lambda tx: tx.remove_at("carla", 1),
        "forget": lambda tx: [tx.remove_up_to("berta", 99), tx.remove_up_to("carla", 99), tx.forget(1)],
        "purge": lambda tx: tx.purge(10_000),
        "put_incarnation": lambda tx: tx.put_incarnation(Incarnation(2, 9)),
        "append_entry": lambda tx: tx.append_entry(1, b"entry 1", b"hash 1", b"statement 1"),
        "put_checkpoint": lambda tx: tx.put_checkpoint(2, b"note 2"),
    }


def base(tx: Transaction) -> None:
    tx.put_accounts({"alba": Account(1, 2, 3, 4, 5, b"6")})
    tx.put_calendar("alba", b"old")
    put_envelope(tx, {"berta": 7, "carla": 1})
    tx.add_batch(b"signature", 30)
    tx.add_notices([notice("alba", 1)])
    tx.put_incarnation(Incarnation(1, 1))
    tx.append_entry(0, b"entry 0", b"hash 0", b"statement 0")
    tx.put_checkpoint(1, b"note 1")


def everything(tx: Transaction) -> list[object]:
    """All that can be read."""
    members = ("alba", "berta", "carla", "dora", "elsa")
    refs = [tx.submitted("alba", submission) for submission in (SUBMISSION, b"x" * 24)]
    found: list[object] = [refs, tx.envelope(b"id"), tx.envelope(b"x")]
    found += [tx.acceptance(ref, member) for ref in (1, 2) for member in members]
    found += [tx.undelivered(each.ref) for each in refs if each]
    found += [tx.account(member) for member in members] + [tx.calendar(member) for member in members]
    found += [tx.waiting(member, 0, 99, 10_000) for member in members]
    found += [tx.queues(), tx.overdue(10_000, 9), tx.next_expiry(), tx.incarnation(), tx.log_size(), tx.checkpoint()]
    found += [tx.entries(0, 9), tx.statement(b"hash 1"), tx.index_of(b"hash 1")]
    for number in (1, 2):
        try:
            found.append(tx.batch(number))
        except StoreError:
            found.append(None)
    return found


@pytest.mark.parametrize("name", mutations())
@pytest.mark.parametrize("way", ["savepoint", "rollback", "commit"])
def test_each_change_stands_or_leaves_no_trace(store: Store, name: str, way: str) -> None:
    with transaction(store) as tx:
        base(tx)
        before = everything(tx)
    tx = store.begin()
    if way == "savepoint":
        with pytest.raises(KeyError), tx.savepoint():
            mutations()[name](tx)
            assert everything(tx) != before
            raise KeyError
    else:
        with tx.savepoint():
            mutations()[name](tx)
    after = everything(tx)
    assert (after == before) is (way == "savepoint")
    if way == "rollback":
        tx.rollback()
    else:
        tx.commit()
    with transaction(store) as tx:
        assert everything(tx) == (before if way == "rollback" else after)


def test_one_savepoint_fails_and_the_others_stand(store: Store) -> None:
    with transaction(store) as tx:
        for member in ("alba", "berta", "carla"):
            with suppress(ConflictError), tx.savepoint():
                tx.put_accounts({member: Account(1)})
                if member == "berta":
                    tx.add_envelope(b"id", "alba", SUBMISSION, 100)
                    tx.add_envelope(b"id", "alba", SUBMISSION, 100)
    with transaction(store) as tx:
        assert [tx.account(member).last_position for member in ("alba", "berta", "carla")] == [1, 0, 1]


# -- members -------------------------------------------------------------------------------------------
def test_accounts(tx: Transaction) -> None:
    assert tx.account("alba") == Account()
    first, second = Account(5, 4, 3, 2, 1, b"\xff" * 24), Account(6, 5, 4, 3, 2, b"")
    tx.put_accounts({"alba": first, "berta": second})
    tx.put_accounts({"berta": first})
    assert (tx.account("alba"), tx.account("berta"), tx.account("carla")) == (first, first, Account())


def test_calendars(tx: Transaction) -> None:
    assert tx.calendar("alba") is None
    tx.put_calendar("alba", b"1")
    tx.put_calendar("alba", b"2")
    assert tx.calendar("alba") == b"2"
    assert tx.calendar("berta") is None


# -- envelopes -----------------------------------------------------------------------------------------
def test_an_envelope_is_found_by_id_and_by_submission(tx: Transaction) -> None:
    ref = tx.add_envelope(b"id", "alba", SUBMISSION, 100)
    record = EnvelopeRecord(ref, b"id", "alba", 100)
    assert tx.envelope(b"id") == tx.submitted("alba", SUBMISSION) == record
    assert tx.envelope(b"other") is tx.submitted("berta", SUBMISSION) is tx.submitted("alba", bytes(24)) is None


@pytest.mark.parametrize(("name", "submission"), [(b"id", bytes(24)), (b"other", SUBMISSION)])
def test_id_and_submission_are_taken_once(tx: Transaction, name: bytes, submission: bytes) -> None:
    tx.add_envelope(b"id", "alba", SUBMISSION, 100)
    with pytest.raises(ConflictError), tx.savepoint():
        tx.add_envelope(name, "alba", submission, 100)
    assert tx.add_envelope(b"another", "berta", SUBMISSION, 100) != tx.add_envelope(b"third", "alba", bytes(24), 100)


def test_acceptances(tx: Transaction) -> None:
    ref = tx.add_envelope(b"id", "alba", SUBMISSION, 100)
    held = [acceptance(ref, "berta", 1), acceptance(ref, "carla", 9)]
    tx.add_acceptances(held)
    assert [tx.acceptance(ref, "berta"), tx.acceptance(ref, "carla"), tx.acceptance(ref, "alba")] == [*held, None]
    assert tx.acceptance(ref + 1, "berta") is None
    with pytest.raises(ConflictError), tx.savepoint():
        tx.add_acceptances([acceptance(ref, "berta", 2)])
    assert tx.acceptance(ref, "berta") == held[0]


def test_a_path_may_be_empty(tx: Transaction) -> None:
    ref = tx.add_envelope(b"id", "alba", SUBMISSION, 100)
    alone = Acceptance(ref, "berta", 1, b"digest", StoredAttestation(b"data", bytes(32), 0, (), 1))
    tx.add_acceptances([alone])
    assert tx.acceptance(ref, "berta") == alone


def test_batches(tx: Transaction) -> None:
    first, second = tx.add_batch(b"one", 10), tx.add_batch(b"two", 20)
    assert (tx.batch(first), tx.batch(second)) == (b"one", b"two")
    with pytest.raises(StoreError):
        tx.batch(second + 1)


# -- mailboxes -----------------------------------------------------------------------------------------
def test_items_come_in_order_and_only_to_their_member(tx: Transaction) -> None:
    ref = put_envelope(tx, {"berta": 5, "carla": 1})
    other = put_envelope(tx, {"berta": 4}, name=b"other", submission=bytes(24))
    tx.add_notices([notice("berta", 6)])
    found = tx.waiting("berta", 0, 10, 1_000)
    assert [each.position for each in found] == [4, 5, 6]
    assert [each.core for each in found] == [b"core of other", b"core of id", None]
    assert [each.ciphertext for each in found] == [b"ciphertext of other", b"ciphertext of id", b""]
    assert [each.slot for each in found] == [b"slot of berta", b"slot of berta", None]
    assert [each.attestation.data for each in found] == [b"berta", b"berta", b"notice to berta"]
    assert [each.size_bytes for each in found] == [10, 10, 0]
    assert [each.queued_at_ms for each in found] == [1_004, 1_005, 1_006]
    assert found[1].attestation == acceptance(ref, "berta", 5).attestation
    assert [each.position for each in tx.waiting("carla", 0, 10, 1_000)] == [1]
    assert tx.waiting("dora", 0, 10, 1_000) == []
    assert ref != other


def test_ciphertexts_do_not_show(tx: Transaction) -> None:
    put_envelope(tx, {"berta": 1})
    assert "ciphertext of" not in repr(tx.waiting("berta", 0, 1, 100))


@pytest.mark.parametrize(
    ("after", "max_items", "max_bytes", "positions"),
    [
        (0, 9, 99, [1, 2, 3]),
        (1, 9, 99, [2, 3]),
        (3, 9, 99, []),
        (0, 2, 99, [1, 2]),
        (0, 0, 99, []),
        (0, 9, 29, [1, 2]),
        (0, 9, 30, [1, 2, 3]),
        (0, 9, 9, []),
        (2**62, 9, 99, []),
    ],
)
def test_reading_stays_within_its_limits(
    tx: Transaction, after: int, max_items: int, max_bytes: int, positions: list[int]
) -> None:
    for number in (1, 2, 3):
        put_envelope(tx, {"berta": number}, name=bytes([number]), submission=bytes([number]) * 24)
    assert [each.position for each in tx.waiting("berta", after, max_items, max_bytes)] == positions


def test_a_position_is_taken_once(tx: Transaction) -> None:
    ref = put_envelope(tx, {"berta": 1, "carla": 1})
    with pytest.raises(ConflictError), tx.savepoint():
        tx.add_items([item(ref, "berta", 1)])
    with pytest.raises(ConflictError), tx.savepoint():
        tx.add_notices([notice("berta", 1)])
    assert len(tx.waiting("berta", 0, 9, 99)) == 1


def test_nobody_waits_for_content_that_is_not_kept(tx: Transaction) -> None:
    ref = tx.add_envelope(b"id", "alba", SUBMISSION, 100)
    with pytest.raises(StoreError), tx.savepoint():
        tx.add_items([item(ref, "berta", 1)])
    assert tx.waiting("berta", 0, 9, 99) == []


def test_content_is_kept_once_and_as_long_as_somebody_waits(tx: Transaction) -> None:
    ref = put_envelope(tx, {"berta": 1, "carla": 1, "dora": 4})
    tx.keep_content(ref, b"core of id", b"ciphertext of id")
    assert tx.remove_up_to("berta", 1) == Freed((10,), (1_001,), ("alba",))
    assert content(tx, "berta") == []
    assert content(tx, "carla") == content(tx, "dora") == [b"ciphertext of id"]
    tx.remove_at("carla", 1)
    assert content(tx, "dora") == [b"ciphertext of id"]
    with pytest.raises(ConflictError):
        tx.forget(ref)
    tx.remove_up_to("dora", 4)
    with pytest.raises(StoreError), tx.savepoint():
        tx.add_items([item(ref, "elsa", 1)])
    tx.keep_content(ref, b"core of id", b"ciphertext again")
    tx.add_acceptances([acceptance(ref, "elsa", 1)])
    tx.add_items([item(ref, "elsa", 1)])
    assert content(tx, "elsa") == [b"ciphertext again"]


def test_what_a_savepoint_undid_is_delivered_to_nobody_in_place_of_what_took_its_number(tx: Transaction) -> None:
    with pytest.raises(KeyError), tx.savepoint():
        put_envelope(tx, {"berta": 1}, name=b"undone")
        assert content(tx, "berta") == [b"ciphertext of undone"]
        raise KeyError
    put_envelope(tx, {"berta": 1}, name=b"another")
    assert content(tx, "berta") == [b"ciphertext of another"]


def test_removing_up_to_a_position(tx: Transaction) -> None:
    for number in (1, 3, 4):
        put_envelope(tx, {"berta": number, "carla": number}, name=bytes([number]), submission=bytes([number]) * 24)
    tx.add_notices([notice("berta", 2)])
    assert tx.remove_up_to("berta", 3) == Freed((10, 10), (1_001, 1_003), ("alba", "alba"))
    assert [each.position for each in tx.waiting("berta", 0, 9, 99)] == [4]
    assert tx.remove_up_to("berta", 3) == Freed()
    assert len(tx.waiting("carla", 0, 9, 99)) == 3
    assert tx.remove_up_to("dora", 2**62) == Freed()


def test_removing_at_a_position(tx: Transaction) -> None:
    put_envelope(tx, {"berta": 1})
    tx.add_notices([notice("berta", 2)])
    assert tx.remove_at("berta", 1) == Freed((10,), (1_001,), ("alba",))
    assert tx.remove_at("berta", 1) is None
    assert tx.remove_at("berta", 2) is None, "a notice is not recalled"
    assert tx.remove_at("dora", 1) is None
    assert [each.position for each in tx.waiting("berta", 0, 9, 99)] == [2]


def test_queues(tx: Transaction) -> None:
    assert tx.queues() == []
    put_envelope(tx, {"carla": 2, "berta": 7})
    tx.add_notices([notice("berta", 3)])
    tx.put_accounts({"berta": Account(waiting_bytes=10), "carla": Account(waiting_bytes=20)})
    assert tx.queues() == [Queue("berta", 2, 10, 1_003), Queue("carla", 1, 20, 1_002)]
    tx.remove_up_to("berta", 7)
    assert tx.queues() == [Queue("carla", 1, 20, 1_002)]


# -- expiry --------------------------------------------------------------------------------------------
def test_what_is_overdue_comes_longest_first(tx: Transaction) -> None:
    for name, expires_at in ((b"a", 30), (b"b", 10), (b"c", 20), (b"d", 40)):
        put_envelope(tx, {}, name=name, submission=name * 24, expires_at=expires_at)
    assert [each.id for each in tx.overdue(30, 9)] == [b"b", b"c", b"a"]
    assert [each.id for each in tx.overdue(30, 2)] == [b"b", b"c"]
    assert tx.overdue(9, 9) == []


def test_what_is_undelivered(tx: Transaction) -> None:
    ref = put_envelope(tx, {"dora": 2, "berta": 1, "carla": 5})
    tx.remove_up_to("carla", 5)
    assert tx.undelivered(ref) == [acceptance(ref, "berta", 1), acceptance(ref, "dora", 2)]


def test_what_is_forgotten_may_come_again(tx: Transaction) -> None:
    ref = put_envelope(tx, {"berta": 1})
    tx.remove_up_to("berta", 1)
    tx.forget(ref)
    assert [tx.envelope(b"id"), tx.submitted("alba", SUBMISSION), tx.acceptance(ref, "berta")] == [None] * 3
    put_envelope(tx, {"berta": 2})
    assert len(tx.waiting("berta", 0, 9, 99)) == 1


def test_notices_and_batches_are_purged_in_their_time(tx: Transaction) -> None:
    early, late = tx.add_batch(b"early", 10), tx.add_batch(b"late", 11)
    tx.add_notices([notice("berta", 1, expires_at=10), notice("berta", 2, expires_at=11)])
    put_envelope(tx, {"berta": 3}, expires_at=5)
    tx.purge(10)
    assert [each.position for each in tx.waiting("berta", 0, 9, 99)] == [2, 3]
    assert tx.batch(late) == b"late"
    with pytest.raises(StoreError):
        tx.batch(early)


@pytest.mark.parametrize("first", ["envelope", "notice", "batch"])
def test_the_next_expiry(tx: Transaction, first: str) -> None:
    assert tx.next_expiry() is None
    put_envelope(tx, {"berta": 1}, expires_at=5 if first == "envelope" else 100)
    tx.add_notices([notice("berta", 2, expires_at=5 if first == "notice" else 100)])
    tx.add_batch(b"", 5 if first == "batch" else 100)
    assert tx.next_expiry() == 5


# -- the log -------------------------------------------------------------------------------------------
def test_the_log_grows_by_one(tx: Transaction) -> None:
    assert (tx.log_size(), tx.entries(0, 9)) == (0, [])
    tx.append_entry(0, b"entry 0", b"hash 0", b"statement 0")
    tx.append_entry(1, b"entry 1", b"hash 1", b"statement 1")
    assert tx.log_size() == 2
    assert (tx.entries(0, 9), tx.entries(1, 2), tx.entries(0, 1)) == (
        [b"entry 0", b"entry 1"],
        [b"entry 1"],
        [b"entry 0"],
    )
    assert (tx.statement(b"hash 1"), tx.index_of(b"hash 1")) == (b"statement 1", 1)
    assert [tx.statement(b"other"), tx.index_of(b"other")] == [None, None]


@pytest.mark.parametrize(("index", "name"), [(0, b"other"), (2, b"other"), (1, b"hash")])
def test_the_log_has_no_gap_no_overwriting_no_repeat(tx: Transaction, index: int, name: bytes) -> None:
    tx.append_entry(0, b"entry", b"hash", b"statement")
    with pytest.raises(ConflictError), tx.savepoint():
        tx.append_entry(index, b"entry", name, b"statement")
    assert tx.log_size() == 1


def test_checkpoints_never_go_back(tx: Transaction) -> None:
    assert tx.checkpoint() is None
    tx.put_checkpoint(2, b"two")
    tx.put_checkpoint(2, b"two, later")
    assert tx.checkpoint() == b"two, later"
    tx.put_checkpoint(3, b"three")
    with pytest.raises(ConflictError), tx.savepoint():
        tx.put_checkpoint(2, b"two")
    assert tx.checkpoint() == b"three"


def test_the_incarnation(tx: Transaction) -> None:
    assert tx.incarnation() is None
    tx.put_incarnation(Incarnation(1, 4))
    tx.put_incarnation(Incarnation(2, 0))
    assert tx.incarnation() == Incarnation(2, 0)


# -- operators -----------------------------------------------------------------------------------------
def test_what_was_decided_of_mailboxes(store: Store) -> None:
    with transaction(store) as tx:
        assert tx.rules() == {}
        tx.put_rule("alba", Rule(is_suspended=True))
        tx.put_rule("berta", Rule(max_messages=5, max_bytes=1 << 40))
    with transaction(store) as tx:
        assert tx.rules() == {"alba": Rule(is_suspended=True), "berta": Rule(False, 5, 1 << 40)}
        tx.put_rule("alba", Rule())
        tx.put_rule("carla", Rule())
        tx.put_rule("berta", Rule(max_bytes=3))
        assert tx.rules() == {"berta": Rule(max_bytes=3)}
        with suppress(KeyError), tx.savepoint():
            tx.put_rule("berta", Rule())
            raise KeyError
    with transaction(store) as tx:
        assert tx.rules() == {"berta": Rule(max_bytes=3)}


def test_when_members_were_seen_and_the_minutes_of_a_day(store: Store) -> None:
    with transaction(store) as tx:
        assert (tx.presence(), tx.minutes()) == ({}, [])
        tx.put_presence("alba", 5)
        tx.put_presence("alba", 9)
        tx.put_minute(60, b"one", 0)
        tx.put_minute(180, b"three", 0)
    with transaction(store) as tx:
        tx.put_minute(120, b"two", 61)
        tx.put_minute(180, b"again", 61)
    with transaction(store) as tx:
        assert (tx.presence(), tx.minutes()) == ({"alba": 9}, [b"two", b"again"])


def test_operators_are_kept_by_login(store: Store) -> None:
    ana, bea = Operator("ana", "operator", "hash", "KEY"), Operator("bea", "viewer", "other", "YEK", 7)
    with transaction(store) as tx:
        tx.put_operator(bea)
        tx.put_operator(ana)
        assert tx.operators() == [ana, bea]
        tx.put_operator(Operator("ana", "operator", "hash", "KEY", 9))
    with transaction(store) as tx:
        assert [each.totp_step for each in tx.operators()] == [9, 7]
        assert (tx.drop_operator("bea"), tx.drop_operator("bea")) == (True, False)
        assert [each.login for each in tx.operators()] == ["ana"]
    assert "hash" not in repr(ana)
    assert "KEY" not in repr(ana)


def test_the_journal_is_numbered_and_read_backwards(store: Store) -> None:
    entries = [Entry(at, "ana", "act", "alba", f"no. {at}") for at in (1, 2, 3)]
    hashes: list[bytes] = []
    with transaction(store) as tx:
        assert tx.journal_head() == START
        for entry in entries:
            hashes.append(chain(tx.journal_head(), entry))
            tx.add_to_journal(entry, hashes[-1])
            assert tx.journal_head() == hashes[-1]
        with suppress(KeyError), tx.savepoint():
            tx.add_to_journal(Entry(4, "ana", "act", ""), bytes(32))
            raise KeyError
    with transaction(store) as tx:
        assert tx.journal(100, 2) == [(3, entries[2], hashes[2]), (2, entries[1], hashes[1])]
        assert tx.journal(2, 100) == [(1, entries[0], hashes[0])]
        assert tx.journal_head() == hashes[2]
