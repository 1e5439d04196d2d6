"""The registry's mirror: it grows only by what the log signed, and remembers what contradicts it."""

from __future__ import annotations

from functools import partial

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from sqlcipher3 import dbapi2
from sqlite_utils import Database

from node.memory_store import MemoryStore
from node.mirror import MAX_NEGATIVES_BYTES, Extension, Leaves, Mirror, forks
from node.schema import steps
from node.sql import SqlTransaction
from node.store import Transaction
from node.tables import state
from protocol.errors import (
    LogError,
    ProofError,
    RecipientSuspendedError,
    SignatureError,
    StaleViewError,
    ThresholdError,
    UsageError,
    VerificationError,
)
from protocol.trust.checkpoint import LogPrivateKey
from protocol.trust.registry import entry_bytes
from protocol.trust.statements import Continues, SignedStatement
from tests.support.letters import log_key
from tests.support.world import ORIGIN, World, private_key, seed

START = 1_000


@pytest.fixture
def world() -> World:
    return World(members=("ar-mpf", "co-fgn"))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def note(world: World, size: int | None = None, at: int = 0, key: LogPrivateKey | None = None) -> bytes:
    log, seen = key or log_key(world), world.registry
    length = seen.size if size is None else size
    return log.note(log.sign(length, seen.root_at(length), world.now + at)).encode()


def leaves(world: World, start: int = 0, end: int | None = None) -> Leaves:
    return Leaves(world.entries[start:end], [each.raw for each in world.statements[start:end]])


def mirrored(world: World, store: MemoryStore) -> Mirror:
    mirror = Mirror(world.association)
    charter = world.registry.charters[0]
    done = store.run(lambda tx: mirror.extend(tx, START, note(world), leaves(world), charter))
    assert done == Extension(len(world.entries))
    return mirror


def extend(store: MemoryStore, mirror: Mirror, signed: bytes, more: Leaves) -> Extension:
    return store.run(lambda tx: mirror.extend(tx, START, signed, more))


def test_it_replays_the_whole_log_and_is_there_after_a_restart(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    again = store.run(lambda tx: Mirror.load(tx, world.association))
    for each in (mirror, again):
        assert (each.registry.size, each.registry.root) == (world.registry.size, world.registry.root)
        assert each.view().size == world.registry.size
        assert each.age(world.now + 5.5) == 5.5


def test_an_empty_mirror_knows_nothing_and_needs_the_charter_by_hand(world: World, store: MemoryStore) -> None:
    mirror = store.run(lambda tx: Mirror.load(tx, world.association))
    assert mirror.age(1) == float("inf")
    with pytest.raises(StaleViewError):
        mirror.view()
    with pytest.raises(UsageError):
        extend(store, mirror, note(world), leaves(world))


def test_it_grows_leaf_by_leaf(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    size = mirror.registry.size
    world.join("es-fge")
    assert extend(store, mirror, note(world), leaves(world, size)) == Extension(3)
    assert mirror.registry.member("es-fge").name == "es-fge"
    assert extend(store, mirror, note(world), Leaves()) == Extension(0)


def test_a_newer_signature_of_the_same_tree_makes_the_view_fresh(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    extend(store, mirror, note(world, at=600), Leaves())
    assert mirror.age(world.now + 600) == 0
    extend(store, mirror, note(world, at=60), Leaves())
    assert mirror.age(world.now + 600) == 0
    assert store.run(lambda tx: Mirror.load(tx, world.association)).age(world.now + 600) == 0


def test_an_older_checkpoint_changes_nothing(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    assert extend(store, mirror, note(world, size=3, at=900), Leaves()) == Extension()
    assert mirror.view().size == world.registry.size
    assert mirror.age(world.now) == 0


def refused(store: MemoryStore, mirror: Mirror, error: type[Exception], signed: bytes, more: Leaves) -> None:
    size, root = mirror.registry.size, mirror.registry.root
    with pytest.raises(error):
        extend(store, mirror, signed, more)
    assert (mirror.registry.size, mirror.registry.root) == (size, root)
    assert len(store.run(lambda tx: tx.all("SELECT leaf FROM registry_leaf"))) == size


def test_what_the_log_did_not_sign_is_refused(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    size = mirror.registry.size
    world.join("es-fge")
    stranger = LogPrivateKey(ORIGIN, seed("stranger"), seed("stranger too"))
    elsewhere = LogPrivateKey("hub.elsewhere.example/registry", world.log_seed, world.log_ed25519_seed)
    refused(store, mirror, SignatureError, note(world, key=stranger), leaves(world, size))
    refused(store, mirror, VerificationError, note(world, key=elsewhere), leaves(world, size))


def test_leaves_that_are_not_the_checkpoints_are_refused(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    size = mirror.registry.size
    world.join("es-fge")
    right = leaves(world, size)
    refused(store, mirror, ProofError, note(world), leaves(world, size, -1))
    refused(
        store, mirror, ProofError, note(world), Leaves(right.entries, [right.statements[0], *right.statements[:0:-1]])
    )
    old = entry_bytes(2, world.now - 10_000, world.statements[size].hash)
    refused(store, mirror, LogError, note(world), Leaves([old, *right.entries[1:]], right.statements))
    with pytest.raises(UsageError):
        Leaves(right.entries, right.statements[1:])


def test_another_tree_signed_by_the_log_is_kept_as_evidence(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    size, root = mirror.registry.size, mirror.registry.root
    twin = World(members=("ar-mpf", "co-fgn"))
    world.join("es-fge")
    twin.join("br-mpf")
    extend(store, mirror, note(world), leaves(world, size))
    lies = [note(twin), note(twin, size=size + 1)]
    for lying in lies:
        assert extend(store, mirror, lying, Leaves()) == Extension(forked=True)
    twin.join("uy-fgn")
    assert extend(store, mirror, note(twin), leaves(twin, size + 3)) == Extension(forked=True)
    assert mirror.registry.root == world.registry.root != root
    kept = store.run(forks)
    assert [each[1] for each in kept] == [size + 3, size + 1, size + 6]
    assert [each[2] for each in kept[:2]] == lies
    assert {alarm.code for alarm in store.run(state.alarms)} == {"forked_view"}


def test_a_new_log_counts_once_the_charter_that_names_it_is_replayed(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    size, old_root = mirror.registry.size, mirror.registry.root
    old_seed, old_hub_root = world.log_seed, world.hub_root
    world.log_seed = seed("a new log")
    world.log_key = MLDSA44PrivateKey.from_seed_bytes(world.log_seed)
    charter = world.next_charter(continues=Continues(size, old_root), hub_root=old_hub_root)
    assert world.log(charter).applied
    assert extend(store, mirror, note(world), leaves(world, size)) == Extension(1)
    assert mirror.registry.charter.version == 2
    assert store.run(lambda tx: Mirror.load(tx, world.association)).view() == mirror.view()
    refused(store, mirror, SignatureError, note(world, key=LogPrivateKey(ORIGIN, old_seed, b"x" * 32)), Leaves())


def test_a_new_log_that_no_charter_in_force_names_counts_for_nothing(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    size = mirror.registry.size
    world.log_seed = seed("a new log")
    world.log_key = MLDSA44PrivateKey.from_seed_bytes(world.log_seed)
    unsigned = world.next_charter(keys=world.stewards[:1])
    assert not world.log(unsigned).applied
    refused(store, mirror, VerificationError, note(world), leaves(world, size))


def test_negatives_seen_outside_the_log_count_at_once_and_after_a_restart(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    suspension = world.suspend("co-fgn", world.now)
    assert store.run(lambda tx: mirror.see(tx, suspension))
    assert not store.run(lambda tx: mirror.see(tx, suspension))
    again = store.run(lambda tx: Mirror.load(tx, world.association))
    assert mirror.view().negatives == again.view().negatives == (suspension.raw,)
    with pytest.raises(ThresholdError):
        store.run(lambda tx: mirror.see(tx, world.suspend("ar-mpf", world.now, world.stewards[:1])))


def readmitted(world: World, store: MemoryStore, mirror: Mirror) -> None:
    """The log grows by a new admission of `co-fgn`, and the mirror with it."""
    size = mirror.registry.size
    assert world.log(world.admit("co-fgn", admitted_at=world.now + 60), world.now + 60).applied
    assert extend(store, mirror, note(world), leaves(world, size)) == Extension(1)


def test_an_expulsion_seen_outside_the_log_ends_no_later_admission_after_a_restart_either(
    world: World, store: MemoryStore
) -> None:
    mirror = mirrored(world, store)
    assert store.run(lambda tx: mirror.see(tx, world.expel("co-fgn", world.now, expelled_at=world.now - 60)))
    again = store.run(lambda tx: Mirror.load(tx, world.association))
    for each in (mirror, again):
        with pytest.raises(RecipientSuspendedError):
            each.registry.member_standing("co-fgn", world.now + 1)
    readmitted(world, store, mirror)
    again = store.run(lambda tx: Mirror.load(tx, world.association))
    for each in (mirror, again):
        assert each.registry.member_standing("co-fgn", world.now + 1).index == mirror.registry.size - 1


def test_what_was_seen_before_sizes_were_kept_counts_against_all_admissions_held_then(world: World) -> None:
    """Nobody knows when it was seen: the latest moment that it can have been ends most."""
    connection = dbapi2.connect(":memory:", isolation_level=None)
    database = Database(connection)
    steps.apply(database, stop_before="sized")
    entries = [(leaf, world.entries[leaf], world.statements[leaf].raw) for leaf in range(len(world.entries))]
    connection.executemany("INSERT INTO registry_leaf (leaf, entry, statement) VALUES (?, ?, ?)", entries)
    seen = world.expel("co-fgn", world.now, expelled_at=world.now - 60)
    connection.execute("INSERT INTO registry_sight (statement, raw) VALUES (?, ?)", (seen.id, seen.raw))
    steps.apply(database)
    tx = SqlTransaction(connection)
    assert tx.all("SELECT statement, raw, size FROM registry_sight") == [(seen.id, seen.raw, len(entries))]
    mirror = Mirror.load(tx, world.association)
    with pytest.raises(RecipientSuspendedError):
        mirror.registry.member_standing("co-fgn", world.now + 1)
    world.log(world.admit("co-fgn", admitted_at=world.now + 60), world.now + 60)
    mirror.extend(tx, START, note(world), leaves(world, len(entries)))
    again = Mirror.load(tx, world.association)
    assert again.registry.member_standing("co-fgn", world.now + 1).admitted_at == world.now


def test_of_checkpoints_that_contradict_the_mirror_the_first_are_kept(
    world: World, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("node.mirror.MAX_FORKS", 2)
    mirror, twin = mirrored(world, store), World(members=("ar-mpf", "es-fge"))
    lies = [note(twin, at=at) for at in range(4)]
    for lying in lies:
        assert extend(store, mirror, lying, Leaves()) == Extension(forked=True)
    assert [each[2] for each in store.run(forks)] == lies[:2]


def sights(store: MemoryStore) -> list[bytes]:
    return [row[0] for row in store.run(lambda tx: tx.all("SELECT raw FROM registry_sight ORDER BY rowid"))]


def test_no_more_is_kept_of_what_was_seen_than_still_counts(world: World, store: MemoryStore) -> None:
    """A member may sign revocations of its own certificate for ever, each earlier than the one before."""
    mirror, own = mirrored(world, store), world.certificates["co-fgn"]
    suspension = world.suspend("ar-mpf", world.now)
    store.run(partial(_see, mirror, suspension))
    for earlier in range(5):
        newest = world.revoke(own, world.now - earlier, [world.root("co-fgn")])
        store.run(partial(_see, mirror, newest))
    assert sights(store) == [suspension.raw, newest.raw]
    again = store.run(lambda tx: Mirror.load(tx, world.association))
    assert again.view().negatives == mirror.view().negatives == (suspension.raw, newest.raw)
    size = mirror.registry.size
    for logged in (suspension, newest):
        assert world.log(logged).applied
    extend(store, mirror, note(world), leaves(world, size))
    assert sights(store) == []


def _see(mirror: Mirror, statement: SignedStatement, tx: Transaction) -> None:
    mirror.see(tx, statement)


def test_a_view_leaves_room_for_the_message(world: World, store: MemoryStore) -> None:
    mirror = mirrored(world, store)
    keys = [*world.stewards, *(private_key("nobody", str(number)) for number in range(9))]
    for number in range(10):
        reason = f"{number}".ljust(200, "x")
        statement = world.suspend("co-fgn", world.now - number, keys, reason)
        store.run(partial(_see, mirror, statement))
    shown = mirror.view().negatives
    assert 0 < len(shown) < 10
    assert sum(map(len, shown)) <= MAX_NEGATIVES_BYTES
