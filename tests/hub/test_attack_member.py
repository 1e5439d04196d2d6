"""A member, or a page in the operator's browser, as attacker: nobody makes the hub hold, log or tell more than it is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from hub import log as logs
from hub import sites
from hub.log import Log
from hub.memory_store import MemoryStore
from hub.porch import STRANGER_BYTES
from hub.store import transaction
from protocol.errors import LimitError
from protocol.limits import MAX_FRAME_BYTES, MAX_LOOKUP_MEMBERS, MIB
from protocol.merkle import leaf_hash, root
from protocol.session.frames import Acknowledge, Calendars, Lookup
from protocol.session.items import Window
from protocol.session.machine import Source
from protocol.trust.checkpoint import LogPrivateKey
from protocol.trust.registry import entry_bytes
from protocol.trust.statements import Cause, Role, SignedStatement, statement_hash
from tests.hub.test_sessions import until
from tests.support.hub_client import HubClient, connected, line, machine
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.world import DAY, ORIGIN, World, private_key

ALBA, BERTA = "ar-mpf", "br-mpf"
NARROW = "[sessions]\npending_bytes = 65536\n"


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world, extra=NARROW)) as started:
        yield started


# -- sessions ------------------------------------------------------------------------------------------
async def test_many_large_answers_wait_until_there_is_room(hub: Running, world: World) -> None:
    asked, names = 24, (ALBA,) * MAX_LOOKUP_MEMBERS
    async with connected(hub.url, world, ALBA) as alba:
        await alba.publish()
        waiting: list[int] = []
        line = hub.daemon.hall.sessions[ALBA].line
        send = line.send

        def watched(data: bytes) -> None:
            send(data)
            waiting.append(line._pending)

        line.__class__ = type("Watched", (type(line),), {"__slots__": (), "send": lambda _self, data: watched(data)})
        for request in range(asked):
            await alba.send(Lookup(request + 2, names))
        answers = [(await alba.expect(Calendars)).request for _ in range(asked)]
    assert answers == list(range(2, asked + 2))
    assert max(waiting) < 4 * MIB  # one answer of almost 3 MiB beside what may be pending


async def test_saying_the_same_again_gives_the_writer_nothing_to_do(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0, Window(1, MIB))
        spawned: list[object] = []
        hall = hub.daemon.hall
        spawn = hall.spawn

        def counted(job: Any, then: Any) -> None:
            spawned.append(job)
            spawn(job, then)

        hall.spawn = counted  # type: ignore[method-assign]
        for _again in range(200):
            await berta.send(Acknowledge(0, Window(1, MIB)))
        await berta.send(Lookup(9, (ALBA,)))
        await berta.expect(Calendars)
        assert len(spawned) < 5
        await alba.submit(alba.envelope([BERTA]), alba.envelope([BERTA]))
        (first,) = await berta.deliveries(1)
        # A window that grows is heard, although nothing new is acknowledged with it.
        await berta.send(Acknowledge(0, Window(2, MIB)))
        (second,) = await berta.deliveries(1)
        await berta.acknowledge(second.position)
        assert (first.position, second.position) == (1, 2)
    async with connected(hub.url, world, BERTA) as berta:
        assert berta.welcome is not None
        assert berta.welcome.cursor == 2


# -- the log ---------------------------------------------------------------------------------------------
class Logged:
    """A log of which one member may extend three statements of a type a day."""

    def __init__(self) -> None:
        self.world, self.store = World(), MemoryStore()
        self.signer = LogPrivateKey(ORIGIN, self.world.log_seed, self.world.log_ed25519_seed)
        self.log = Log(self.world.association, self.signer)
        for signed in self.world.statements:
            self.record(signed, self.world.start)

    def record(self, signed: SignedStatement, now: int) -> None:
        self.log.record(self.store, signed.raw, now)

    def opens(self, member: str, count: int, now: int) -> None:
        for _opening in range(count):
            last = self.log.registry.last_opening(Role.NODE, member)
            at = max(now, last.opened_at + 1 if last else 0)
            self.record(self.world.open(member, cause=Cause.RESTORED, opened_at=at), now)

    def restart(self) -> None:
        with transaction(self.store) as tx:
            self.log = Log.load(tx, self.world.association, self.signer)


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Logged:
    monkeypatch.setattr(logs, "STATEMENTS_A_DAY", 3)
    return Logged()


def test_signatures_that_count_for_nothing_fill_no_log(logged: Logged) -> None:
    """Everybody mirrors what is logged, and whoever was away takes it in at once, up to a number of bytes."""
    world = logged.world
    strangers = [private_key("stranger", str(number)) for number in range(3)]
    size = logged.log.registry.size
    renewed = world.certify(ALBA, not_before=world.start + 1)
    opened = world.open(ALBA, cause=Cause.RESTORED, opened_at=world.start + 9)
    revoked = world.revoke(world.certificates[ALBA], world.start, [world.root(ALBA)])
    for signed, key in ((renewed, world.root(ALBA)), (opened, world.key(ALBA)), (revoked, world.root(ALBA))):
        with pytest.raises(LimitError):
            logged.record(world.sign(signed.statement, [key, *strangers]), world.start)
        assert logged.log.registry.size == size
    for signed in (renewed, opened, revoked):
        logged.record(signed, world.start)
    assert logged.log.registry.size == size + 3


def test_one_member_logs_only_so_much_a_day(logged: Logged) -> None:
    world, now = logged.world, logged.world.start
    logged.opens(ALBA, 2, now)  # with the one that founded it
    with pytest.raises(LimitError):
        logged.opens(ALBA, 1, now)
    size = logged.log.registry.size
    logged.opens(BERTA, 2, now)  # nobody else is bound by it
    # Nor is what its root key says bound by what its node's key said.
    certificate, root = world.certificates[ALBA], [world.root(ALBA)]
    for after in (5, 4, 3):
        logged.record(world.revoke(certificate, now + after, root), now)
    with pytest.raises(LimitError):
        logged.record(world.revoke(certificate, now + 2, root), now)
    # The stewards are bound by nothing.
    logged.record(world.revoke(certificate, now + 1), now)
    assert logged.log.registry.size == size + 6


def test_the_pace_outlives_a_restart_and_ends_with_the_day(logged: Logged) -> None:
    now = logged.world.start
    logged.opens(BERTA, 2, now)
    logged.restart()
    with pytest.raises(LimitError):
        logged.opens(BERTA, 1, now)
    logged.opens(BERTA, 3, now + DAY + 1)


def test_a_malformed_leaf_is_loaded_as_the_leaf_that_it_is(logged: Logged) -> None:
    raw, size = b"no statement", logged.log.registry.size
    entry = entry_bytes(4, logged.world.start, statement_hash(raw))
    with transaction(logged.store) as tx:
        tx.append_entry(size, entry, statement_hash(raw), raw)
        note = logged.signer.sign(size + 1, root([leaf_hash(each) for each in (*tx.entries(0, size + 1),)]), 1)
        tx.put_checkpoint(size + 1, logged.signer.note(note).encode())
    logged.restart()
    assert logged.log.registry.size == size + 1


# -- figures ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("host", ["attacker.example", "attacker.example:8443", "127.0.0.1.attacker.example"])
async def test_figures_are_not_told_to_a_page_of_another_site(hub: Running, host: str) -> None:
    async with aiohttp.ClientSession(base_url=hub.url) as web:
        async with web.get("/metrics", headers={"Host": host}) as response:
            assert response.status == 404
        for own in ("localhost:1", "127.0.0.1", "[::1]:9"):
            async with web.get("/metrics", headers={"Host": own}) as response:
                assert response.status == 200


# -- strangers -------------------------------------------------------------------------------------------
async def flood(client: HubClient, how: str) -> None:
    with suppress(ConnectionError):
        if how == "a whole frame":
            await client.socket.send_bytes(bytes(MAX_FRAME_BYTES))
        elif how == "pings":
            for _ in range(STRANGER_BYTES // 100):
                await client.socket.ping(bytes(125))
        else:
            # One message of 1 MiB is announced, and never ends.
            client.transport.write(b"\x82\xff" + MIB.to_bytes(8, "big") + bytes(4) + bytes(STRANGER_BYTES))


@pytest.mark.parametrize("how", ["a whole frame", "pings", "a message without end"])
async def test_a_stranger_sends_no_more_than_two_hellos(hub: Running, world: World, how: str) -> None:
    async with line(hub.url) as opened:
        client = HubClient(world, ALBA, opened, machine(world, ALBA, world.registry))
        client.machine.start(int(time.time()))
        await flood(client, how)
        end = await client.ended()
        assert (end.code, end.closed and end.closed.source) == ("limit_exceeded", Source.HINT)
    await until(lambda: hub.daemon.hall.door.strangers == 0)
    assert hub.core.totals.refusals["limit_exceeded"] == 1


async def test_a_member_is_counted_no_more(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        await alba.publish()
        for _ in range(3):
            (answered,) = await alba.submit(alba.envelope([ALBA], size=65_536))
            assert answered.code is None


async def test_who_never_ends_a_request_is_hung_up_on(
    tmp_path: Path, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sites, "_KEEPALIVE_SECONDS", 0.2)
    async with running(make_home(tmp_path / "hub", world)) as hub:
        for said in (b"", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "):
            reader, writer = await asyncio.open_connection(*(hub.daemon.address or ("", 0)))
            writer.write(said)
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            writer.close()
        # A session that is open, and silent for longer, stays.
        async with connected(hub.url, world, ALBA) as alba:
            await asyncio.sleep(0.5)
            await alba.publish()
