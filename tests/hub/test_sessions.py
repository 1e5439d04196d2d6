"""Sessions of real clients with a hub in this process: every rule that the shell adds to machine and relay."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import trustme

from hub.config import Tls
from hub.sqlite_store import SqliteStore, SqliteTransaction
from protocol.codec import encode
from protocol.errors import DrainingError
from protocol.limits import MAX_FRAME_BYTES
from protocol.messages.envelope import AttestationData
from protocol.session.frames import Calendars, Close, Lookup, Publish, Published, Recall, Recalled, Submit, encode_frame
from protocol.session.frames import Registry as Grown
from protocol.session.items import Window
from protocol.session.machine import Source
from protocol.trust.statements import Limits
from tests.support.hub_client import Ended, HubClient, calendar, connected, line, machine, mirror
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.world import DAY, World

ALBA, BERTA, CARLA, DORA = "ar-mpf", "br-mpf", "co-fgn", "es-fge"
NARROW = "[sessions]\npending_bytes = 65536\nsubmit_envelopes = 8\nhandshake_seconds = 1\ndrain_seconds = 2\n"


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world, extra=NARROW)) as started:
        yield started


def results(item: Any) -> list[str]:
    return [AttestationData.from_bytes(each.data).result for each in item.attestations]


async def until(condition: Callable[[], bool]) -> None:
    """Return once it holds; the hub's own events make it so, within the test's patience."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in the hub, which tells nobody
            await asyncio.sleep(0.005)


# -- what sessions are for -----------------------------------------------------------------------------
async def test_an_envelope_crosses_and_is_erased(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0)
        item = alba.envelope([BERTA])
        (result,) = await alba.submit(item)
        registry = await mirror(hub.url, world)
        assert [each.verify(registry).result for each in result.attestations] == ["accepted"]
        (delivered,) = await berta.deliveries(1)
        assert (delivered.position, delivered.core, delivered.ciphertext) == (1, item.core, item.ciphertext)
        assert delivered.slot == item.slots[0]
        assert delivered.attestation == result.attestations[0]
        await berta.acknowledge(1)
        assert await alba.submit(item) == [result]
    async with connected(hub.url, world, BERTA) as berta:
        assert berta.welcome is not None
        assert berta.welcome.cursor == 1
    assert await hub.core.queues() == []


async def test_each_recipient_gets_its_own_slot(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        readers = []
        for member in (BERTA, CARLA):
            async with connected(hub.url, world, member) as reader:
                await reader.publish()
        item = alba.envelope([BERTA, CARLA, DORA])
        (result,) = await alba.submit(item)
        # The third has published no prekeys: one slot is refused, and the others are not.
        assert results(result) == ["accepted", "accepted", "prekey_unknown"]
        for member, raw in zip((BERTA, CARLA), item.slots, strict=False):
            async with connected(hub.url, world, member) as reader:
                await reader.acknowledge(0)
                readers += [each.slot for each in await reader.deliveries(1)]
                assert readers[-1] == raw


async def test_order_holds_over_many_rounds_and_frames(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0, Window(16, 1 << 20))
        items = [alba.envelope([BERTA]) for _ in range(40)]
        sending = asyncio.create_task(pipelined(alba, items))
        seen: list[bytes | None] = []
        while len(seen) < len(items):
            (*_, last) = delivered = await berta.deliveries(1)
            seen += [each.core for each in delivered]
            await berta.acknowledge(last.position, Window(16, 1 << 20))
        await sending
        assert seen == [item.core for item in items]


async def test_who_a_round_had_no_room_for_is_delivered_to_all_the_same(
    hub: Running, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hub.rounds.MAX_ROUND_BYTES", 1)
    async with (
        connected(hub.url, world, ALBA) as alba,
        connected(hub.url, world, BERTA) as berta,
        connected(hub.url, world, CARLA) as carla,
    ):
        for reader in (berta, carla):
            await reader.publish()
            await reader.acknowledge(0)
        items = [alba.envelope([BERTA, CARLA]) for _ in range(8)]
        await alba.submit(*items)
        for reader in (berta, carla):
            assert [each.core for each in await reader.deliveries(8)] == [item.core for item in items]


async def pipelined(client: HubClient, items: list[Any]) -> None:
    """Submit all of it, never more under way than the hub's window of eight."""
    for start in range(0, len(items), 8):
        await client.submit(*items[start : start + 8])


async def test_a_delivery_window_is_kept(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await pipelined(alba, [alba.envelope([BERTA]) for _ in range(10)])
        await berta.acknowledge(0, Window(3, 1 << 20))
        assert [each.position for each in await berta.deliveries(3)] == [1, 2, 3]
        # An answer to a later question comes first: nothing more was sent meanwhile.
        await berta.send(Lookup(7, (ALBA,)))
        assert (await berta.expect(Calendars)).calendars == ((ALBA, None),)
        assert not berta.others
        await berta.acknowledge(2, Window(3, 1 << 20))
        assert [each.position for each in await berta.deliveries(2)] == [4, 5]


async def test_what_is_not_acknowledged_comes_again(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        async with connected(hub.url, world, BERTA) as berta:
            await berta.publish()
            await alba.submit(alba.envelope([BERTA]), alba.envelope([BERTA]))
            await berta.acknowledge(0)
            first = await berta.deliveries(2)
            await berta.acknowledge(1)
        async with connected(hub.url, world, BERTA) as berta:
            await berta.acknowledge(1)
            assert await berta.deliveries(1) == first[1:]


async def test_prekeys_and_recall(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        own = calendar(world, BERTA, int(time.time()))
        await alba.send(Lookup(1, (BERTA, CARLA)))
        (known, unknown) = (await alba.expect(Calendars)).calendars
        assert (known[0], unknown) == (BERTA, (CARLA, None))
        assert known[1] is not None
        await alba.send(Publish(2, own.raw))
        assert await alba.expect(Published) == Published(2, "wrong_sender")
        item = alba.envelope([BERTA])
        await alba.submit(item)
        await alba.send(Recall(3, item.id, world.party(BERTA)))
        answer = await alba.expect(Recalled)
        assert answer.attestation is not None
        assert AttestationData.from_bytes(answer.attestation.data).result == "recalled"
        await alba.send(Recall(4, item.id, world.party(BERTA)))
        assert await alba.expect(Recalled) == Recalled(4, None)


async def test_everybody_hears_that_the_log_grew(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        size = hub.core.log.registry.size
        world.now = int(time.time())
        await hub.core.publish(world.admit("pt-pgr").raw)
        assert await alba.expect(Grown) == Grown(size + 1)


async def test_an_expired_envelope_comes_back_as_a_notice(tmp_path: Path, world: World) -> None:
    ahead = 0.0
    async with running(make_home(tmp_path / "hub", world), clock=lambda: time.time() + ahead) as hub:
        async with connected(hub.url, world, BERTA) as berta:
            await berta.publish()
        async with connected(hub.url, world, ALBA) as alba:
            item = alba.envelope([BERTA], lifetime=600)
            await alba.submit(item)
            await alba.acknowledge(0)
            ahead = 601.0
            hub.daemon.hall._steady = lambda: time.monotonic() + ahead
            # Any commit shows the chore what the clock says now.
            hub.daemon._chores._changed.set()
            (notice,) = await alba.deliveries(1)
            data = AttestationData.from_bytes(notice.attestation.data)
            assert (notice.core, data.result, data.envelope_id) == (None, "expired", item.id)


# -- one slows nobody else -------------------------------------------------------------------------------
async def test_one_full_mailbox_refuses_its_own_senders_alone(tmp_path: Path) -> None:
    world = young_world(limits=Limits(14 * DAY, 1 << 20, 3, DAY, 3 * DAY))
    async with running(make_home(tmp_path / "hub", world)) as hub, connected(hub.url, world, ALBA) as alba:
        for member in (BERTA, CARLA):
            async with connected(hub.url, world, member) as reader:
                await reader.publish()
        answers = [results((await alba.submit(alba.envelope([BERTA])))[0]) for _ in range(3)]
        assert answers == [["accepted"], ["accepted"], ["mailbox_full"]]
        assert results((await alba.submit(alba.envelope([BERTA, CARLA])))[0]) == ["mailbox_full", "accepted"]
        async with connected(hub.url, world, BERTA) as berta:
            await berta.acknowledge(0)
            await berta.deliveries(2)
            await berta.acknowledge(1)
            await berta.send(Lookup(1, (BERTA,)))
            await berta.expect(Calendars)
            assert results((await alba.submit(alba.envelope([BERTA])))[0]) == ["accepted"]


async def test_a_reader_that_stops_reading_slows_nobody(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, CARLA) as carla:
        await carla.publish()
        await carla.acknowledge(0)
        async with connected(hub.url, world, BERTA) as berta:
            await berta.publish()
            await berta.acknowledge(0)
            # From here on the client takes nothing more off the wire.
            transport = berta.transport
            transport.pause_reading()
            big = [alba.envelope([BERTA], size=1 << 20) for _ in range(12)]
            for item in big:
                assert results((await alba.submit(item))[0]) == ["accepted"]
            session = hub.daemon.hall.sessions[BERTA]
            await until(lambda: session.line.is_clogged)
            small = alba.envelope([CARLA])
            await alba.submit(small)
            assert [each.core for each in await carla.deliveries(1)] == [small.core]
            # What waits for the slow one is bounded: its mailbox was not emptied into memory.
            assert session.line._pending <= 4 << 20
            transport.resume_reading()
            assert [each.core for each in await berta.deliveries(12)] == [item.core for item in big]


async def test_a_clogged_session_is_not_read_either(hub: Running, world: World) -> None:
    async with connected(hub.url, world, BERTA) as berta, connected(hub.url, world, ALBA) as alba:
        await berta.publish()
        await berta.acknowledge(0)
        transport = berta.transport
        transport.pause_reading()
        for _ in range(12):
            await alba.submit(alba.envelope([BERTA], size=1 << 20))
        session = hub.daemon.hall.sessions[BERTA]
        await until(lambda: session.line.is_clogged)
        jobs = hub.core.totals.jobs
        await berta.send(Lookup(5, (BERTA,)))
        for request in range(6, 10):
            await alba.send(Lookup(request, (BERTA,)))
            await alba.expect(Calendars)
        # Four questions were taken in, and the one of the clogged session was not.
        assert hub.core.totals.jobs == jobs + 4
        transport.resume_reading()
        assert (await berta.expect(Calendars)).request == 5


# -- who is let in -----------------------------------------------------------------------------------------
async def test_a_newer_session_fences_the_older(hub: Running, world: World) -> None:
    async with connected(hub.url, world, BERTA) as older:
        await older.publish()
        await older.acknowledge(0)
        async with connected(hub.url, world, BERTA) as newer, connected(hub.url, world, ALBA) as alba:
            end = await older.ended()
            assert (end.code, end.closed and end.closed.source) == ("fenced", Source.PEER)
            await newer.acknowledge(0)
            await alba.submit(alba.envelope([BERTA]))
            assert len(await newer.deliveries(1)) == 1
            assert set(hub.daemon.hall.sessions) == {ALBA, BERTA}


async def refused(hub: Running, world: World, member: str, **how: Any) -> Ended:
    with pytest.raises(Ended) as caught:
        async with connected(hub.url, world, member, **how):
            raise AssertionError("let in")
    return caught.value


async def test_an_unknown_member(hub: Running, world: World) -> None:
    stranger = world.mirror()
    world.certificates["pt-pgr"] = world.certificates[ALBA]
    end = await refused(hub, world, "pt-pgr", registry=stranger)
    assert (end.code, end.closed and end.closed.source) == ("unknown_member", Source.HINT)


async def test_a_suspended_member_is_refused_and_thrown_out(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        await hub.core.publish(world.suspend(ALBA, int(time.time()) - 10).raw)
        assert (await alba.ended()).code == "not_in_standing"
    assert (await refused(hub, world, ALBA)).code == "not_in_standing"


@pytest.mark.parametrize("off", [-3_700, 3_700, 365 * DAY])
async def test_a_clock_that_is_off(hub: Running, world: World, off: int) -> None:
    end = await refused(hub, world, ALBA, now=int(time.time()) + off)
    assert end.closed is not None
    assert end.code == "clock_skew"
    assert "hub time 1" in end.closed.detail
    assert ("ahead" if off > 0 else "behind") in end.closed.detail


async def test_another_association(hub: Running, world: World) -> None:
    other = young_world(name="otra")
    assert (await refused(hub, other, ALBA, registry=other.registry)).code == "wrong_association"


async def test_a_member_with_the_wrong_key(hub: Running, world: World) -> None:
    registry = await mirror(hub.url, world)
    async with line(hub.url) as opened:
        thief = HubClient(world, ALBA, opened, machine(world, ALBA, registry))
        thief.machine._identity = type(thief.machine._identity)(
            world.party(ALBA), world.certificates[ALBA], None, world.key(BERTA).sign
        )
        with pytest.raises(Ended) as caught:
            await thief.open(int(time.time()))
        assert caught.value.code == "bad_signature"
    assert ALBA not in hub.daemon.hall.sessions


# -- what strangers and members may send -------------------------------------------------------------------
@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"", "malformed"),
        (b"GET / HTTP/1.1", "malformed"),
        (encode([1, 2, 3]), "unsupported_version"),
        (b"\x91" * 64, "malformed"),
        (bytes(9_000), "limit_exceeded"),
    ],
)
async def test_garbage_before_the_hello(hub: Running, world: World, said: bytes, code: str) -> None:
    async with line(hub.url) as opened:
        client = HubClient(world, ALBA, opened, machine(world, ALBA, world.registry))
        client.machine.start(int(time.time()))
        await opened.send_bytes(said)
        end = await client.ended()
        assert (end.code, end.closed and end.closed.source) == (code, Source.HINT)
    await until(lambda: hub.daemon.hall.door.strangers == 0)
    assert hub.core.totals.refusals[code] == 1


async def test_silence_before_the_hello(hub: Running, world: World) -> None:
    async with line(hub.url) as opened:
        client = HubClient(world, ALBA, opened, machine(world, ALBA, world.registry))
        client.machine.start(int(time.time()))
        assert (await client.ended()).code == "transport"
    await until(lambda: hub.daemon.hall.door.strangers == 0)


async def test_a_frame_that_does_not_open(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await alba.socket.send_bytes(b"\0" * 64)
        assert (await alba.ended()).code == "bad_frame"
        await berta.send(Lookup(1, (ALBA,)))
        await berta.expect(Calendars)


@pytest.mark.parametrize("size", [MAX_FRAME_BYTES + 1, MAX_FRAME_BYTES + 1_000])
async def test_a_frame_over_the_limit(hub: Running, world: World, size: int) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        await alba.socket.send_bytes(bytes(size))
        assert (await alba.ended()).code == "limit_exceeded"


async def test_a_frame_far_over_the_limit_is_not_even_read(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        with suppress(ConnectionError):
            await alba.socket.send_bytes(bytes(MAX_FRAME_BYTES + (1 << 20)))
        await until(lambda: ALBA not in hub.daemon.hall.sessions)
    assert hub.core.totals.refusals["limit_exceeded"] == 1


async def test_text_is_refused(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        await alba.socket.send_str("hola")
        assert (await alba.ended()).code == "malformed"


async def test_more_than_the_window(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        assert alba.welcome is not None
        assert alba.welcome.window.envelopes == 8
        items = tuple(alba.envelope([BERTA]) for _ in range(9))
        # An honest machine sends no such frame, so its book must be taken away from it.
        channel = alba.machine._channel
        assert channel is not None
        await alba.socket.send_bytes(channel.seal(encode_frame(Submit(items))))
        assert (await alba.ended()).code == "limit_exceeded"


async def test_a_delivery_that_a_session_forbids_ends_it_and_holds_up_nobody(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0)
        await until(lambda: BERTA in hub.core.desk.demands)
        # No hub of ours delivers a position twice, so its book must be turned.
        hub.daemon.hall.sessions[BERTA]._machine.flow._last_position = 1 << 30
        (result,) = await alba.submit(alba.envelope([BERTA]))
        assert results(result) == ["accepted"]
        assert (await berta.ended()).code == "invalid_request"
    async with connected(hub.url, world, BERTA) as berta:
        await berta.acknowledge(0)
        assert len(await berta.deliveries(1)) == 1


async def test_an_acknowledgement_of_what_was_never_sent(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        await alba.acknowledge(5)
        assert (await alba.ended()).code == "replayed"


async def test_a_farewell_is_the_members_own(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        await alba.send(Close("transport", ""))
        assert (await alba.ended()).code is None
    await until(lambda: not hub.daemon.hall.sessions)
    assert hub.core.totals.refusals["transport"] == 0


async def test_a_line_that_breaks_leaves_nothing_behind(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        await alba.acknowledge(0)
        await until(lambda: ALBA in hub.core.desk.demands)
        alba.transport.abort()
        await until(lambda: not hub.daemon.hall.sessions)
    assert (hub.core.desk.readers, hub.core.desk.demands) == ({}, {})


async def test_a_ping_before_the_hello_does_no_harm(hub: Running, world: World) -> None:
    async with line(hub.url) as opened:
        await opened.ping(b"hola")
        client = HubClient(world, ALBA, opened, machine(world, ALBA, await mirror(hub.url, world)))
        await client.open(int(time.time()))
        assert list(hub.daemon.hall.sessions) == [ALBA]


async def test_who_gives_no_sign_of_life_is_cut_off(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        silent, lively = (hub.daemon.hall.sessions[each].line for each in (ALBA, BERTA))
        alba.transport.pause_reading()
        assert [silent.is_alive(), silent.is_alive(), silent.is_alive(), silent.is_alive()] == [True, True, True, False]
        assert [lively.is_alive(), lively.is_alive()] == [True, True]
        # The other client reads, so it answers the ping that the second question sent.
        await berta.send(Lookup(1, (ALBA,)))
        await berta.expect(Calendars)
        assert lively.is_alive()
        assert lively._silent == 0


# -- the end -------------------------------------------------------------------------------------------------
async def test_a_drain_answers_what_was_asked(tmp_path: Path, world: World) -> None:
    home = make_home(tmp_path / "hub", world)
    async with running(home) as hub, connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0)
        item = alba.envelope([BERTA])
        await alba.send(Submit((item,)))
        await until(lambda: hub.core.totals.accepted == 1)
        stopping = asyncio.create_task(hub.stop())
        assert results((await alba.results(item))[0]) == ["accepted"]
        assert len(await berta.deliveries(1)) == 1
        assert [(await each.ended()).code for each in (alba, berta)] == ["draining", "draining"]
        await stopping
    async with running(home) as again, connected(again.url, world, BERTA) as berta:
        await berta.acknowledge(0)
        assert [each.core for each in await berta.deliveries(1)] == [item.core]


async def test_a_drain_does_not_wait_for_a_reader_that_stopped(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0)
        berta.transport.pause_reading()
        for _ in range(12):
            await alba.submit(alba.envelope([BERTA], size=1 << 20))
        session = hub.daemon.hall.sessions[BERTA]
        await until(lambda: session.line.is_clogged)
        async with asyncio.timeout(8):
            await hub.stop()
        assert session.is_over


async def test_no_session_begins_while_the_hub_stops(hub: Running) -> None:
    hub.daemon.hall.is_draining = True
    async with aiohttp.ClientSession() as client, client.get(f"{hub.url}/session") as response:
        assert (response.status, (await response.json())["code"]) == (503, DrainingError.code)


class Gated(SqliteStore):
    """A store whose transactions begin only while the gate is open."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate, self.waiting = threading.Event(), threading.Event()
        self.gate.set()

    def begin(self) -> SqliteTransaction:
        self.waiting.set()
        assert self.gate.wait(10)
        return super().begin()


async def test_who_is_at_the_door_when_it_is_shut(hub: Running, world: World) -> None:
    registry = await mirror(hub.url, world)
    async with line(hub.url) as socket:
        # The hub waits for this one's hello: it was let in to the door, and the door is shut meanwhile.
        await until(lambda: hub.daemon.hall.door.strangers == 1)
        hub.daemon.hall.shut()
        late = HubClient(world, ALBA, socket, machine(world, ALBA, registry))
        with pytest.raises(Ended) as end:
            await late.open(int(time.time()))
        assert end.value.code == "draining"
    hub.daemon.hall.open()
    async with connected(hub.url, world, ALBA) as alba:
        assert alba.welcome is not None


@pytest.mark.parametrize("seconds", [-600.0, 600.0])
async def test_a_clock_that_is_set_ends_the_sessions_that_went_by_it(
    tmp_path: Path, world: World, seconds: float
) -> None:
    ahead = 0.0
    async with running(make_home(tmp_path / "hub", world), clock=lambda: time.time() + ahead) as hub:
        async with connected(hub.url, world, ALBA) as alba:
            ahead = 200.0
            await hub.core.queues()
            (result,) = await alba.submit(alba.envelope([BERTA]))
            assert result.code is None
            ahead = seconds
            # Nothing is answered by the new clock.
            await alba.send(Submit((alba.envelope([BERTA]),)))
            end = await alba.ended()
            assert (end.code, end.closed and end.closed.detail) == ("draining", "the hub's clock was set")
        ahead = 0.0
        await hub.core.queues()
        async with connected(hub.url, world, ALBA) as alba:
            (result,) = await alba.submit(alba.envelope([BERTA]))
            assert result.code is None


async def test_a_clock_that_is_set_is_noticed_while_nothing_is_sent(tmp_path: Path, world: World) -> None:
    ahead = 0.0
    home = make_home(tmp_path / "hub", world, extra="[sessions]\nidle_seconds = 1\n")
    async with running(home, clock=lambda: time.time() + ahead) as hub, connected(hub.url, world, ALBA) as alba:
        ahead = 600.0
        assert (await alba.ended()).code == "draining"


async def test_who_is_at_the_door_when_the_clock_is_set(tmp_path: Path, world: World) -> None:
    ahead = 0.0
    async with running(make_home(tmp_path / "hub", world), clock=lambda: time.time() + ahead) as hub:
        registry = await mirror(hub.url, world)
        async with line(hub.url) as socket:
            await until(lambda: hub.daemon.hall.door.strangers == 1)
            ahead = 600.0
            late = HubClient(world, ALBA, socket, machine(world, ALBA, registry))
            with pytest.raises(Ended) as end:
                await late.open(int(time.time()))
            assert end.value.code == "draining"


async def test_a_drain_waits_for_the_commit_under_way(tmp_path: Path, world: World) -> None:
    async with (
        running(make_home(tmp_path / "hub", world), store=Gated) as hub,
        connected(hub.url, world, BERTA) as berta,
        connected(hub.url, world, ALBA) as alba,
    ):
        await berta.publish()
        store = cast("Gated", hub.core._store)
        store.gate.clear()
        store.waiting.clear()
        item = alba.envelope([BERTA])
        await alba.send(Submit((item,)))
        assert await asyncio.to_thread(store.waiting.wait, 10)
        hub.daemon.stop()
        await until(lambda: hub.daemon.hall.is_draining)
        store.gate.set()
        assert results((await alba.results(item))[0]) == ["accepted"]
        assert (await alba.ended()).code == "draining"


class Failing(SqliteStore):
    """A store whose commits fail from a given moment on."""

    broken = False

    def begin(self) -> Any:
        transaction = super().begin()
        if self.broken:
            transaction.commit = _fail  # type: ignore[method-assign]
        return transaction


def _fail() -> None:
    raise OSError(5, "Input/output error")


async def test_a_commit_that_fails_is_fatal_and_answers_nobody(tmp_path: Path, world: World) -> None:
    async with (
        running(make_home(tmp_path / "hub", world, extra=NARROW), store=Failing) as hub,
        connected(hub.url, world, ALBA) as alba,
        connected(hub.url, world, BERTA) as berta,
    ):
        await berta.publish()
        hub.core._store.broken = True  # type: ignore[attr-defined]
        await alba.send(Submit((alba.envelope([BERTA]),)))
        await until(lambda: bool(hub.failures))
        assert isinstance(hub.failures[0], OSError)
        assert not alba.events
        # This process lives on only because the test took the fatal function away.
        hub.core.writer._thread.join()


async def test_over_tls(tmp_path: Path, world: World) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_pem.write_to_path(tmp_path / "key.pem")
    issued.cert_chain_pems[0].write_to_path(tmp_path / "certificate.pem")
    tls = Tls(str(tmp_path / "certificate.pem"), str(tmp_path / "key.pem"))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with running(make_home(tmp_path / "hub", world, tls=tls)) as hub:
        async with connected(hub.url, world, ALBA, tls=context) as alba:
            assert alba.socket.get_extra_info("ssl_object").version() == "TLSv1.3"
            await alba.publish()
        old = ssl.create_default_context()
        authority.configure_trust(old)
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises(aiohttp.ClientConnectionError):
            await mirror(hub.url, world, old)


async def test_sessions_are_sent_without_delay_and_uncompressed(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba:
        assert "Sec-WebSocket-Extensions" not in alba.socket._response.headers
        transport = hub.daemon.hall.sessions[ALBA].line._transport
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
