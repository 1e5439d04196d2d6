"""A hub, or whoever holds its keys, as attacker: what it shows must not blind a node, lead it elsewhere, or fill it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from node import fetching
from node.fetching import bundle_path, fetch
from node.hubline import HubLine
from node.memory_store import MemoryStore
from node.mirror import Extension, Leaves
from protocol.errors import LimitError, ValijaError
from tests.node.test_mirror import mirrored, note
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
