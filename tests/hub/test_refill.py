"""A hub put back from a backup takes in what it signed before its disk died, proven, and only then goes on."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from hub import daemon as daemons
from hub import founding
from hub.config import Home, load
from hub.core import load_log
from hub.identity import HubKeys
from hub.life import is_put_back, put_back
from hub.refill import Refill
from hub.refill_web import run
from hub.sqlite_check import looking
from hub.sqlite_store import SqliteStore
from protocol.codec import encode
from protocol.errors import RefillingError, StoreError
from protocol.merkle import consistency, leaf_hash
from protocol.names import AssociationId
from protocol.trust.checkpoint import Checkpoint, LogPrivateKey
from protocol.trust.notes import Note
from protocol.trust.offer import Offer
from protocol.trust.registry import Entry, Registry
from protocol.trust.statements import Cause, Role
from tests.support.hub_home import make_home, running, young_world
from tests.support.node_home import eventually
from tests.support.world import World

NEWER = "pt-pgr"


@pytest.fixture
def world() -> World:
    return young_world()


class Lost:
    """The log of a hub as its members mirrored it, of which a backup of its home holds only the beginning."""

    def __init__(self, folder: Path, world: World) -> None:
        """The home is that of the backup."""
        self.world = world
        self.home = make_home(folder, world)
        with looking(self.home.database) as tx:
            self.held = tx.log_size()
        image = {each: each.read_bytes() for each in folder.glob("hub.db*")}
        founding.install(self.home, [world.admit(NEWER), world.certify(NEWER)], {}, world.now + 10)
        with looking(self.home.database) as tx:
            self.entries = tx.entries(0, 1 << 20)
            self.statements = [tx.statement(Entry.parse(each).hash) or b"" for each in self.entries]
            self.checkpoint = Checkpoint.parse(Note.parse(tx.checkpoint() or b"").text)
        for path in folder.glob("hub.db*"):
            path.unlink()
        for path, content in image.items():
            path.write_bytes(content)

    def offer(self, first: int, count: int) -> Offer:
        """What a mirror of the lost log offers."""
        hub = self.world.registry.charter.hub
        key = LogPrivateKey(hub.origin, self.world.log_seed, self.world.log_ed25519_seed)
        signed = key.sign(self.checkpoint.size, self.checkpoint.root, self.world.now + 11)
        end = first + count
        leaves = list(zip(self.entries[first:end], self.statements[first:end], strict=True))
        proof = consistency([leaf_hash(each) for each in self.entries], end)
        association = self.world.association
        return Offer(
            association, signed.checkpoint.size, signed.checkpoint.root, signed.cosignature, first, leaves, proof
        )

    @property
    def rest(self) -> Offer:
        """All that the backup lacks."""
        return self.offer(self.held, len(self.entries) - self.held)


@pytest.fixture
def lost(tmp_path: Path, world: World) -> Lost:
    return Lost(tmp_path / "hub", world)


def opened(home: Home, quiet_seconds: float = 0.3) -> Refill:
    """The refill of a home that is marked."""
    config, store = load(home, {}), SqliteStore(home.database)
    keys = HubKeys.load(home, config, {})
    put_back(store)
    log = load_log(store, keys)
    assert log is not None
    assert is_put_back(store, log)
    return Refill(store, keys, log, quiet_seconds)


def registry_of(home: Home, world: World) -> Registry:
    registry = Registry(world.association)
    with looking(home.database) as tx:
        for entry in tx.entries(0, 1 << 20):
            registry.append(entry, tx.statement(Entry.parse(entry).hash) or b"")
    return registry


# -- taking in -------------------------------------------------------------------------------------------
def test_what_was_signed_is_taken_in_piece_by_piece_and_then_the_next_life_begins(lost: Lost) -> None:
    refill = opened(lost.home)
    first = lost.offer(lost.held, 1)
    assert refill.offered(first.encode()) == lost.held + 1
    assert [refill.is_whole] == [False]
    assert refill.offered(first.encode()) == lost.held + 1, "again changes nothing"
    assert refill.offered(lost.rest.encode()) == lost.held + 1, "it begins where the log ended before"
    whole = len(lost.entries)
    assert refill.offered(lost.offer(lost.held + 1, whole - lost.held - 1).encode()) == whole
    assert refill.is_whole
    assert Checkpoint.parse(Note.parse(refill.checkpoint).text) == lost.checkpoint
    begun = refill.finish()
    registry = registry_of(lost.home, lost.world)
    opening = registry.last_opening(Role.HUB, "")
    assert begun == registry.incarnations(Role.HUB, "")[-1]
    assert opening is not None
    assert (opening.cause, registry.size) == (Cause.RESTORED, whole + 1)
    assert registry.root_at(whole) == lost.checkpoint.root, "one log, not two"


def test_a_crash_between_two_pieces_goes_on_where_it_stopped(lost: Lost) -> None:
    refill = opened(lost.home)
    refill.offered(lost.offer(lost.held, 1).encode())
    refill._store.close()
    again = opened(lost.home)
    assert again.log.registry.size == lost.held + 1
    whole = len(lost.entries)
    assert again.offered(lost.offer(lost.held + 1, whole - lost.held - 1).encode()) == whole


def test_a_store_that_is_not_marked_may_have_nothing_beyond_its_checkpoint(lost: Lost) -> None:
    refill = opened(lost.home)
    refill.offered(lost.offer(lost.held, 1).encode())
    refill._store.close()
    store = SqliteStore(lost.home.database)
    store._connection.execute("INSERT INTO incarnation VALUES (1, 1, 2)")
    with pytest.raises(StoreError, match="not what its checkpoint says"):
        load_log(store, HubKeys.load(lost.home, load(lost.home, {}), {}))
    store.close()


def test_the_mark_is_used_once(lost: Lost) -> None:
    refill = opened(lost.home)
    refill.finish()
    assert not is_put_back(refill._store, refill.log)
    store = SqliteStore(lost.home.database)
    log = load_log(store, refill._keys)
    assert log is not None
    assert not is_put_back(store, log)
    store.close()


def test_nothing_is_installed_before_the_log_is_whole(lost: Lost) -> None:
    founding.mark_restored(lost.home, {})
    done = founding.install(lost.home, [], {}, lost.world.now + 20)
    assert (done.will_refill, done.incarnation, done.added) == (True, None, 0)
    with pytest.raises(RefillingError):
        founding.install(lost.home, [lost.world.admit("uy-fgn")], {}, lost.world.now + 20)
    at_once = founding.install(lost.home, [], {}, lost.world.now + 20, restored=True)
    assert at_once.incarnation is not None


# -- over HTTP -------------------------------------------------------------------------------------------
@asynccontextmanager
async def refilling(lost: Lost, quiet_seconds: float = 1.0) -> AsyncIterator[tuple[Refill, str, asyncio.Task[bool]]]:
    refill = opened(lost.home, quiet_seconds)
    config = load(lost.home, {})
    task = asyncio.create_task(run(lost.home, config, refill))
    await eventually("it listens", lost.home.socket.exists)
    yield refill, str(lost.home.socket), task
    task.cancel()
    refill._store.close()


@asynccontextmanager
async def client(socket: str) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession("http://hub", connector=aiohttp.UnixConnector(socket)) as session:
        yield session


async def test_nodes_see_the_log_and_no_session_until_all_is_quiet(lost: Lost) -> None:
    async with refilling(lost) as (refill, socket, task), client(socket) as nodes:
        for path in ("/session", "/status", "/readyz", "/log/statements"):
            answer = await nodes.get(path)
            assert (answer.status, (await answer.json())["code"]) == (503, "refilling")
            assert answer.headers["Retry-After"]
        assert (await nodes.get("/livez")).status == 200
        note = await (await nodes.get("/log/checkpoint")).read()
        assert Checkpoint.parse(Note.parse(note).text).size == lost.held
        bundle = await nodes.get(f"/log/tile/entries/000.p/{lost.held}")
        assert (await bundle.read()).endswith(lost.entries[lost.held - 1])
        statement = await nodes.get(f"/log/statement/{Entry.parse(lost.entries[0]).hash.hex()}")
        assert await statement.read() == lost.statements[0]
        for missing in ("/log/tile/entries/900", f"/log/statement/{bytes(32).hex()}"):
            assert (await nodes.get(missing)).status == 404
        answer = await nodes.post("/log/offers", data=lost.rest.encode())
        assert (answer.status, await answer.json()) == (200, {"size": len(lost.entries)})
        assert await task
        assert refill.log.registry.size == len(lost.entries)


async def test_a_hub_that_nobody_can_reach_yet_waits_for_the_first(lost: Lost) -> None:
    async with refilling(lost, 0.2) as (_refill, socket, task), client(socket) as nodes:
        assert (await nodes.get("/livez")).status == 200
        done, _waiting = await asyncio.wait([task], timeout=1)
        assert not done, "whoever holds more had no chance to say so"
        assert "no member's node has reached it yet" in await (await nodes.get("/status")).text()
        assert (await nodes.get("/log/checkpoint")).status == 200
        assert "no member's node" not in await (await nodes.get("/status")).text()
        assert await asyncio.wait_for(task, 10)


async def test_a_hub_that_knows_of_more_waits_for_it(lost: Lost) -> None:
    async with refilling(lost, 0.2) as (_refill, socket, task), client(socket) as nodes:
        await nodes.post("/log/offers", data=lost.offer(lost.held, 1).encode())
        done, _waiting = await asyncio.wait([task], timeout=1)
        assert not done, "what it signed is missing"
        whole = len(lost.entries)
        await nodes.post("/log/offers", data=lost.offer(lost.held + 1, whole - lost.held - 1).encode())
        assert await task


async def test_a_stop_ends_it_and_the_mark_stays(lost: Lost) -> None:
    async with refilling(lost) as (refill, _socket, task):
        os.kill(os.getpid(), 15)
        assert await task is False
        assert is_put_back(refill._store, refill.log)


async def test_what_is_offered_is_proven_or_refused(lost: Lost) -> None:
    rest = lost.rest
    stranger = LogPrivateKey.generate("test.invalid/aiamp")
    forged = replace(rest, cosignature=stranger.sign(rest.size, rest.root, 1).cosignature)
    async with refilling(lost, 60) as (refill, socket, _task), client(socket) as nodes:
        for body, status, code in (
            (b"nothing", 400, "malformed"),
            (encode([0]), 400, "malformed"),
            (io.BytesIO(bytes((4 << 20) + 1)), 413, "limit_exceeded"),
            (replace(rest, association=AssociationId(bytes(32))).encode(), 422, "wrong_association"),
            (forged.encode(), 422, "bad_signature"),
            (replace(rest, proof=[bytes(32)]).encode(), 422, "bad_proof"),
            (replace(rest, leaves=[(e, b"x") for e, _s in rest.leaves]).encode(), 422, "bad_proof"),
        ):
            answer = await nodes.post("/log/offers", data=body)
            assert (answer.status, (await answer.json())["code"]) == (status, code)
        assert refill.log.registry.size == lost.held == refill.largest


# -- a hub that does not know that it was put back -----------------------------------------------------------
async def test_a_copy_put_back_without_a_word_is_found_out_by_the_first_node(lost: Lost) -> None:
    async with running(lost.home) as hub, aiohttp.ClientSession(hub.url) as nodes:
        for offer in (lost.offer(0, 1), lost.offer(lost.held + 1, 1)):
            answer = await nodes.post("/log/offers", data=offer.encode())
            assert (answer.status, await answer.json()) == (200, {"size": lost.held})
        association = replace(lost.rest, association=AssociationId(bytes(32)))
        assert (await nodes.post("/log/offers", data=association.encode())).status == 422
        bad = await nodes.post("/log/offers", data=replace(lost.rest, proof=[bytes(32)]).encode())
        assert (bad.status, (await bad.json())["code"]) == (422, "bad_proof")
        assert not hub.failures
        await nodes.post("/log/offers", data=lost.rest.encode())
        assert [type(each).__name__ for each in hub.failures] == ["RolledBackError"]
        hub.failures.clear()
    config, store = load(lost.home, {}), SqliteStore(lost.home.database)
    log = load_log(store, HubKeys.load(lost.home, config, {}))
    assert log is not None
    assert is_put_back(store, log), "started again, it refills"
    store.close()


def test_the_daemon_refills_before_it_serves(lost: Lost) -> None:
    config, store = load(lost.home, {"VALIJA_HUB_RESTORE_QUIET_SECONDS": "0"}), SqliteStore(lost.home.database)
    keys = HubKeys.load(lost.home, config, {})
    with asyncio.Runner() as runner:
        assert daemons._refilled(runner, lost.home, config, store, keys)
        put_back(store)
        assert daemons._refilled(runner, lost.home, config, store, keys)
    assert registry_of(lost.home, lost.world).size == lost.held + 1
    store.close()


def test_without_a_certificate_in_standing_no_life_begins(lost: Lost) -> None:
    refill = opened(lost.home)
    refill._clock = lambda: float(lost.world.now + 10 * 366 * 86_400)
    assert refill.finish() is None
