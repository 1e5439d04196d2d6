"""The registry log: what is appended is durable before it is shown, and never goes back."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hub.log import REFRESH_SECONDS, Log
from hub.memory_store import MemoryStore
from hub.sqlite_store import SqliteStore
from hub.store import Store, transaction
from hub.tiles import TilePath
from keys.signer import LogSigner
from protocol.bodies import Cause, Role
from protocol.errors import (
    ClockSkewError,
    ConflictError,
    MalformedError,
    ReplayError,
    StoreError,
    ThresholdError,
    UsageError,
)
from protocol.names import Incarnation
from protocol.trust.checkpoint import LogKey, LogPrivateKey, SignedCheckpoint
from protocol.trust.notes import Note
from protocol.trust.statements import SignedStatement
from tests.support.world import MEMBERS, ORIGIN, World


@cache
def world() -> World:
    return World()


@cache
def signer() -> LogPrivateKey:
    return LogPrivateKey(ORIGIN, world().log_seed, world().log_ed25519_seed)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    opened: Store = SqliteStore(tmp_path / "hub.db")
    if request.param == "memory":
        opened = MemoryStore()
    yield opened
    opened.close()


def empty() -> Log:
    return Log(world().association, signer())


def founded(store: Store, n_statements: int = 3) -> Log:
    """Charter, hub certificate, hub incarnation and more, as they came."""
    log = empty()
    for signed in world().statements[:n_statements]:
        log.record(store, signed.raw, world().start)
    return log


def checkpoint(store: Store) -> SignedCheckpoint:
    """The one that the store holds, verified with the key of the charter."""
    with transaction(store) as tx:
        note = tx.checkpoint()
    assert note is not None
    hub = world().registry.charter.hub
    return LogKey(hub.origin, hub.log_key, hub.log_ed25519).open(Note.parse(note))


def reloaded(store: Store) -> Log:
    with transaction(store) as tx:
        return Log.load(tx, world().association, signer())


@cache
def roster(version: int) -> SignedStatement:
    return world().roster("rfai", MEMBERS[:2], version)


def test_a_whole_association_is_logged(store: Store) -> None:
    log = empty()
    places = [log.record(store, signed.raw, world().start) for signed in world().statements]
    assert [place.index for place in places] == list(range(len(places)))
    assert [place.size for place in places] == list(range(1, len(places) + 1))
    assert log.registry.root == world().registry.root
    assert log.registry.incarnations(Role.NODE, MEMBERS[0]) == [world().incarnations[MEMBERS[0]]]
    signed = checkpoint(store)
    assert (signed.checkpoint.size, signed.checkpoint.root) == (log.registry.size, log.registry.root)
    with transaction(store) as tx:
        assert tx.entries(0, 99) == world().entries
        assert tx.statement(places[3].signed.hash) == world().statements[3].raw
    tile = log.tiles.read(TilePath.parse(f"entries/000.p/{len(places)}"))
    assert tile == b"".join(len(each).to_bytes(2, "big") + each for each in world().entries)


def test_a_log_comes_back_whole(store: Store) -> None:
    log = founded(store, 6)
    again = reloaded(store)
    assert (again.registry.size, again.registry.root) == (6, log.registry.root)
    assert again.registry.hub_certificates(world().start) == log.registry.hub_certificates(world().start)
    assert again.record(store, world().statements[6].raw, world().start).index == 6
    assert reloaded(store).registry.size == 7


def test_posting_again_answers_the_place(store: Store) -> None:
    log = founded(store)
    before = checkpoint(store)
    again = log.record(store, world().statements[1].raw, world().start + 9)
    assert (again.index, again.size, again.entry) == (1, 3, None)
    assert (log.registry.size, checkpoint(store)) == (3, before)


def test_what_replay_would_ignore_is_not_logged(store: Store) -> None:
    log, before = founded(store), []
    few = world().sign(roster(1).statement, world().stewards[:1])
    future = world().admit("pt-pgr", admitted_at=world().start + 9_999)
    for error, raw in ((ThresholdError, few.raw), (ClockSkewError, future.raw), (MalformedError, b"\x90")):
        before = [log.registry.size, log.registry.root, checkpoint(store)]
        with pytest.raises(error):
            log.record(store, raw, world().start)
        assert [log.registry.size, log.registry.root, checkpoint(store)] == before
    assert reloaded(store).registry.size == 3


def test_time_in_the_log_never_goes_back(store: Store) -> None:
    log = founded(store)
    log.record(store, roster(1).raw, world().start + 500)
    log.record(store, roster(2).raw, world().start + 100)
    assert [log.registry.entry(index).logged_at - world().start for index in (3, 4)] == [500, 500]


def test_nothing_is_shown_before_it_is_durable(store: Store) -> None:
    log = founded(store)
    tx = store.begin()
    appended = log.append(tx, roster(1).raw, world().start)
    assert (log.registry.size, log.tiles.read(TilePath(0, 0, 4))) == (3, None)
    tx.rollback()
    assert (reloaded(store).registry.size, checkpoint(store).checkpoint.size) == (3, 3)
    with transaction(store) as tx:
        appended = log.append(tx, roster(1).raw, world().start)
    log.apply(appended)
    assert log.registry.size == reloaded(store).registry.size == 4


def test_two_appends_without_applying_do_not_pass(store: Store) -> None:
    log = founded(store)
    with pytest.raises(ConflictError), transaction(store) as tx:
        log.append(tx, roster(1).raw, world().start)
        log.append(tx, world().admit("pt-pgr").raw, world().start)
    assert reloaded(store).registry.size == 3


def test_a_checkpoint_is_signed_anew(store: Store) -> None:
    log = founded(store)
    with transaction(store) as tx:
        following = log.refresh(tx, world().start + 7_200)
    assert following == world().start + 7_200 + REFRESH_SECONDS
    signed = checkpoint(store)
    assert (signed.checkpoint.size, signed.cosignature.timestamp) == (3, world().start + 7_200)


def test_a_damaged_log_is_noticed(store: Store) -> None:
    founded(store)
    with transaction(store) as tx:
        note = signer().note(signer().sign(4, bytes(32), world().start))
        tx.put_checkpoint(4, note.encode())
    with pytest.raises(StoreError):
        reloaded(store)


def test_whatever_bit_of_a_checkpoint_is_damaged_the_log_is_loaded_or_the_store_named() -> None:
    store = MemoryStore()
    log = founded(store)
    with transaction(store) as tx:
        note = tx.checkpoint() or b""
    text = note.index(b"\n\n")
    for at in (*range(0, text, 9), text, text + 1, *range(text + 2, len(note), 531), *range(len(note) - 4, len(note))):
        for bit in (0, 6, 7):
            with transaction(store) as tx:
                tx.put_checkpoint(log.registry.size, note[:at] + bytes([note[at] ^ 1 << bit]) + note[at + 1 :])
            try:
                assert reloaded(store).registry.root == log.registry.root
            except StoreError:
                assert at < text + 2


def test_a_missing_statement_is_noticed() -> None:
    store = MemoryStore()
    founded(store)
    del store._tables.statements[world().statements[1].hash]
    with pytest.raises(StoreError):
        reloaded(store)


def test_an_empty_log_is_loaded(store: Store) -> None:
    assert reloaded(store).registry.size == 0


def test_the_hub_opens_its_lives(store: Store) -> None:
    log = founded(store, 2)
    key, certificate = world().hub_key, world().hub_certificate
    for number, cause in enumerate((Cause.FIRST, Cause.RESTORED)):
        with transaction(store) as tx:
            opened = log.open_incarnation(tx, key, certificate, cause, bytes([number]) * 16, world().start)
        log.apply(opened)
        with transaction(store) as tx:
            assert tx.incarnation() == Incarnation(1, 2 + number)
    assert log.registry.incarnations(Role.HUB, "") == [Incarnation(1, 2), Incarnation(1, 3)]
    last = log.registry.last_opening(Role.HUB, "")
    assert last is not None
    assert (last.cause, last.opened_at) == (Cause.RESTORED, world().start + 1)


def test_no_life_before_the_charter(store: Store) -> None:
    with pytest.raises(UsageError), transaction(store) as tx:
        empty().open_incarnation(tx, world().hub_key, world().hub_certificate, Cause.FIRST, bytes(16), world().start)
    with transaction(store) as tx:
        assert tx.incarnation() is None


def test_the_signer_of_keys_is_the_one_that_is_asked_for() -> None:
    accepted: type[LogSigner] = LogSigner
    assert callable(accepted.sign)
    assert callable(accepted.note)


class LogMachine(RuleBasedStateMachine):
    """Appends, crashes before the commit and before `apply`, restarts: what was once shown is there for ever."""

    @initialize()
    def begin(self) -> None:
        self.store = MemoryStore()
        self.log = founded(self.store)
        self.shown = [self.log.registry.root_at(size) for size in range(4)]
        self.version = 0

    @rule(seconds=st.integers(-100, 100))
    def append(self, seconds: int) -> None:
        self.version += 1
        self.log.record(self.store, roster(self.version).raw, world().start + 1_000 + seconds)
        self.shown.append(self.log.registry.root)

    @rule()
    def crash_before_the_commit(self) -> None:
        self.log.append(self.store.begin(), roster(self.version + 1).raw, world().start)
        self.store.crash()
        self.restart()

    @rule()
    def crash_before_it_is_applied(self) -> None:
        self.version += 1
        with transaction(self.store) as tx:
            self.log.append(tx, roster(self.version).raw, world().start)
        self.restart()
        self.shown.append(self.log.registry.root)

    @rule()
    def restart(self) -> None:
        self.log = reloaded(self.store)

    @rule(version=st.integers(1, 9))
    def post_again_or_out_of_turn(self, version: int) -> None:
        if version == self.version + 1:
            return
        if version > self.version:
            with pytest.raises(ReplayError):
                self.log.record(self.store, roster(version).raw, world().start)
        else:
            appended = self.log.record(self.store, roster(version).raw, world().start)
            assert (appended.index, appended.entry) == (2 + version, None)

    @invariant()
    def everything_shown_is_there(self) -> None:
        registry = self.log.registry
        assert [registry.root_at(size) for size in range(registry.size + 1)] == self.shown
        assert checkpoint(self.store).checkpoint.size == registry.size


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=8, stateful_step_count=15)
