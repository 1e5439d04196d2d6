"""A hub, or whoever holds its keys, as attacker: what it shows must not blind a node, lead it elsewhere, or fill it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import structlog

from node import fetching, reception
from node.fetching import bundle_path, fetch
from node.hubline import HubLine
from node.memory_store import MemoryStore
from node.mirror import Extension, Leaves
from node.tables import inbox
from node.uplink import Uplink
from protocol.errors import LimitError, StoreError, ValijaError
from protocol.messages.envelope import Submission
from protocol.names import Incarnation
from protocol.session.machine import Closed, Source
from protocol.trust.statements import Role
from tests.node.lab import Lab
from tests.node.test_exchange import deliver, submit
from tests.node.test_mirror import mirrored, note
from tests.node.test_reception import set_aside
from tests.support.world import DAY, World

AHEAD = 10 * 365 * DAY


@pytest.fixture
def world() -> World:
    return World(members=("ar-mpf", "co-fgn"))


# -- a checkpoint ahead of its time ---------------------------------------------------------------------
def test_a_checkpoint_ahead_of_its_time_makes_no_old_view_fresh(world: World) -> None:
    store = MemoryStore()
    mirror = mirrored(world, store)
    now = world.now + 60
    assert mirror.age(now) == 60
    store.run(lambda tx: mirror.extend(tx, now, note(world, at=AHEAD), Leaves()))
    assert mirror.age(now) == mirror.age(now + DAY) == float("inf")
    # It shuts out no honest one either.
    assert store.run(lambda tx: mirror.extend(tx, now, note(world, at=30), Leaves())) == Extension()
    assert mirror.age(now) == 30
    store.run(lambda tx: mirror.extend(tx, now, note(world, at=10), Leaves()))
    assert mirror.age(now) == 30


def test_a_clock_that_is_a_little_ahead_does_no_harm(world: World) -> None:
    store = MemoryStore()
    mirror = mirrored(world, store)
    assert mirror.age(world.now - 3_600) == -3_600
    assert mirror.age(world.now - 3_601) == float("inf")


# -- a view that is never shown ---------------------------------------------------------------------------
def test_only_so_much_waits_for_a_view_that_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reception, "MAX_HELD_AHEAD", 2)
    lab = Lab("ar-mpf", "co-fgn")
    sender, reader = lab["ar-mpf"], lab["co-fgn"]
    reader.blind = True
    lab.log(lab.world.roster("rfai", ["ar-mpf"]))
    sender.mirror_now()
    texts = [f"texto {number}" for number in range(4)]
    for text in texts:
        sender.write(text, text, "co-fgn")
        submit(lab, sender)
    deliver(lab, reader)
    assert reader.run(lambda ctx: inbox.held_codes(ctx.tx)) == {"view_ahead": 2}
    assert set_aside(reader) == ["limit_exceeded"] * 2
    # Nothing is lost by it: their sender is told, and seals them again.
    reader.blind = False
    lab.settle()
    assert sorted(reader.texts) == texts
    assert reader.count("held") == 0


# -- a log that never ends --------------------------------------------------------------------------------
class Endless:
    """A hub whose log holds this world's entries, each with a statement of this size."""

    def __init__(self, world: World, size: int) -> None:
        self.world, self.size, self.asked = world, size, 0

    async def get(self, path: str, _max_bytes: int) -> bytes:
        entries = self.world.entries
        if path == "/log/checkpoint":
            return note(self.world)
        if path == bundle_path(0, len(entries)):
            return b"".join(len(each).to_bytes(2, "big") + each for each in entries)
        self.asked += 1
        return bytes(self.size)


async def test_a_log_is_fetched_up_to_a_number_of_bytes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "MAX_NEW_BYTES", 1_000)
    monkeypatch.setattr(fetching, "AT_ONCE", 1)
    small, large = Endless(world, 10), Endless(world, 600)
    await fetch(small, 0)  # type: ignore[arg-type]
    with pytest.raises(LimitError):
        await fetch(large, 0)  # type: ignore[arg-type]
    assert large.asked == 2


# -- a hub that points elsewhere ------------------------------------------------------------------------------
@asynccontextmanager
async def listening(answer: bytes, seen: list[bytes]) -> AsyncIterator[int]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield int(server.sockets[0].getsockname()[1])


@pytest.mark.attack("SSRF")
async def test_a_session_is_never_led_to_another_address() -> None:
    inside: list[bytes] = []
    async with listening(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", inside) as secret:
        redirect = f"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:{secret}/admin?do=it\r\nContent-Length: 0\r\n\r\n"
        async with listening(redirect.encode(), []) as port, HubLine(f"http://127.0.0.1:{port}", None, None) as line:
            with pytest.raises(ValijaError) as caught:
                async with line.session():
                    raise AssertionError("no session")
            assert caught.value.code == "hub_gone"
            with pytest.raises(ValijaError):
                await line.get("/log/checkpoint")
    assert inside == []


# -- a submission that nobody can have made -------------------------------------------------------------------
def test_a_submission_of_an_incarnation_that_was_never_opened_shows_no_rollback() -> None:
    lab = Lab("ar-mpf", "co-fgn")
    node = lab["ar-mpf"]
    # Whoever held the node's key for a minute could leave it at an honest hub for ever.
    lab.hub.memory.highest["ar-mpf"] = Submission(Incarnation((1 << 63) - 1, 1), 1)
    for _session in range(3):
        node.cut()
        node.connect()
    assert lab.world.registry.incarnations(Role.NODE, "ar-mpf") == [lab.world.incarnations["ar-mpf"]]
    # One that was is a reason to start anew, once.
    lab.hub.memory.highest["ar-mpf"] = Submission(node.incarnation, (1 << 63) - 1)
    for _session in range(3):
        node.cut()
        node.connect()
    assert len(lab.world.registry.incarnations(Role.NODE, "ar-mpf")) == 2


# -- a hub that names a failure of ours ---------------------------------------------------------------------------
@pytest.mark.parametrize("code", ["store", "damaged"])
@pytest.mark.parametrize("source", list(Source))
def test_no_word_of_a_hub_ends_the_node(code: str, source: Source) -> None:
    """What broke at the hub, or what somebody between says, is no failure of this node's disk, which ends the process."""
    absent: Any = None
    uplink = Uplink(absent, absent, absent, absent, absent, time.time, structlog.get_logger())
    with pytest.raises(ValijaError) as caught:
        uplink._closed(Closed(code, "", source))
    assert not isinstance(caught.value, StoreError)
    assert code in caught.value.detail


async def test_a_hub_whose_disk_is_full_ends_no_node() -> None:
    body = b'{"code":"store","title":"The store is full.","status":503}'
    head = b"HTTP/1.1 503 Gone\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with listening(head + body, []) as port, HubLine(f"http://127.0.0.1:{port}", None, None) as line:
        with pytest.raises(ValijaError) as caught:
            await line.post_statement(b"x")
    assert not isinstance(caught.value, StoreError)


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize(
    "body", [b'{"x":' + b"[" * 100_000, b'{"code":"\xff","index":1}', b'{"x":"\xff","index":1}', b"\xff", b"", b"[]"]
)
async def test_an_answer_of_any_bytes_is_an_error_of_ours(status: int, body: bytes) -> None:
    head = b"HTTP/1.1 %d Odd\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    async with listening(head + body, []) as port, HubLine(f"http://127.0.0.1:{port}", None, None) as line:
        with suppress(ValijaError):
            assert await line.post_statement(b"x") == 1
