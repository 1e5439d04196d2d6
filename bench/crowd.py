"""What a session costs the hub: 500 members connected at once from one process, idle, and then all of them speaking.

The members are names in a real registry with keys of their own; what they say is the session machine's, over TLS.
Their prekeys and envelopes hold noise, which the hub cannot tell from anything else.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import figures
from bench.client import BenchError
from bench.figures import Run
from bench.house import READY_SECONDS
from hub.config import Home, Tls
from hub.sqlite_store import SqliteStore
from hub.store import transaction
from protocol.session.items import SubmitItem, Window
from protocol.trust.registry import Entry, Registry
from tests.support import hub_client, hub_home
from tests.support.association import authority, free_port
from tests.support.hub_client import HubClient
from tests.support.processes import Daemon
from tests.support.world import World

SESSIONS: Final = 500
# What nodes say.
WINDOW: Final = Window(1_024, 32 << 20)
_AT_ONCE: Final = 16
_STILL_KIB: Final = 64
_LOOK_SECONDS: Final = 0.25
_LOOKS: Final = 80
_ENTRIES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Place:
    """A hub that is about to run, who may connect to it, and how they trust it."""

    hub: Daemon
    url: str
    world: World
    registry: Registry
    tls: ssl.SSLContext


def place(folder: Path, members: Sequence[str]) -> Place:
    """A hub's home below `folder` whose registry admits all of these."""
    folder.mkdir(parents=True)
    papers = authority(folder)
    world = hub_home.young_world(members=tuple(members))
    home = hub_home.make_home(folder / "hub", world, tls=Tls(str(papers.certificate), str(papers.key)))
    port = free_port()
    hub = Daemon(
        "hub", "hub", ["serve", "--home", str(home.folder)], home.socket, folder / "hub.log", _is_ready,
        {"VALIJA_HUB_LISTEN_PORT": str(port)},
    )  # fmt: skip
    trust = ssl.create_default_context(cafile=str(papers.authority))
    return Place(hub, f"https://127.0.0.1:{port}", world, _registry(home, world), trust)


def _is_ready(hub: Daemon) -> bool:
    return bool(hub.get("/readyz")[0] == 200)


def _registry(home: Home, world: World) -> Registry:
    """What each node would have mirrored by now: the hub's log, replayed once for all of them."""
    store = SqliteStore(home.database)
    try:
        with transaction(store) as tx:
            entries = tx.entries(0, _ENTRIES)
            statements = [tx.statement(Entry.parse(entry).hash) or b"" for entry in entries]
    finally:
        store.close()
    registry = Registry(world.association)
    for entry, statement in zip(entries, statements, strict=True):
        registry.append(entry, statement)
    return registry


async def sessions(folder: Path, count: int = SESSIONS) -> Run:
    """`count` sessions: the hub's memory with all of them idle, then one envelope from each to the next at once."""
    members = [f"member-{number:03}" for number in range(count)]
    where = place(folder, members)
    where.hub.start()
    try:
        await asyncio.to_thread(where.hub.wait, READY_SECONDS)
        return await _measured(where, members)
    finally:
        where.hub.stop()


async def _measured(where: Place, members: Sequence[str]) -> Run:
    hub, count = where.hub, len(members)
    hub.forget_peak()
    empty_kib = await _settled_kib(hub)
    async with AsyncExitStack() as stack:
        used, began = hub.cpu_seconds(), time.perf_counter()
        clients = await _all_open(stack, where, members)
        opened = time.perf_counter() - began
        opening_us = 1e6 * (hub.cpu_seconds() - used) / count
        idle_kib = await _settled_kib(hub)
        _require(hub, clients)
        await _all_publish(clients)
        used, began = hub.cpu_seconds(), time.perf_counter()
        delays = await _round(clients)
        seconds = time.perf_counter() - began
        share = 1e6 * (hub.cpu_seconds() - used) / count
        after_kib = await _settled_kib(hub)
    return figures.run(
        f"sessions_{count}",
        messages=count,
        seconds=seconds,
        delays=delays,
        window=count,
        hub_peak_mib=hub.peak_rss_mib(),
        sessions=count,
        kib_per_session=round((idle_kib - empty_kib) / count, 1),
        kib_per_session_after=round((after_kib - empty_kib) / count, 1),
        hub_empty_rss_mib=round(empty_kib / 1024, 1),
        hub_idle_rss_mib=round(idle_kib / 1024, 1),
        opened_per_s=round(count / opened, 1),
        cpu_us_per_session={"hub": round(opening_us, 1)},
        cpu_us_per_message={"hub": round(share, 1)},
    )


async def _all_open(stack: AsyncExitStack, where: Place, members: Sequence[str]) -> list[HubClient]:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(member: str) -> HubClient:
        async with gate:
            client = await stack.enter_async_context(
                hub_client.connected(where.url, where.world, member, registry=where.registry, tls=where.tls)
            )
            # As every node does when it comes: its cursor, and how much it takes.
            cursor = client.welcome.cursor if client.welcome else 0
            await client.acknowledge(cursor, WINDOW)
            return client

    return list(await asyncio.gather(*(one(member) for member in members)))


async def _all_publish(clients: Sequence[HubClient]) -> None:
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(client: HubClient) -> None:
        async with gate:
            await client.publish()

    await asyncio.gather(*(one(client) for client in clients))


def _require(hub: Daemon, clients: Sequence[HubClient]) -> None:
    _status, told = hub.get("/status")
    present = sum(each["session_since"] is not None for each in told["members"])
    if present != len(clients):
        raise BenchError(f"{present} of {len(clients)} sessions are open")


async def _round(clients: Sequence[HubClient]) -> list[float]:
    """Each submits one envelope to the next, all at once; seconds until each was delivered."""
    items = [here.envelope([there.member]) for here, there in zip(clients, [*clients[1:], clients[0]], strict=True)]
    began = time.perf_counter()
    return await asyncio.gather(
        *(
            _one(client, own, came, began)
            for client, own, came in zip(clients, items, [items[-1], *items], strict=False)
        )
    )


async def _one(client: HubClient, own: SubmitItem, expected: SubmitItem, began: float) -> float:
    (result,) = await client.submit(own)
    if result.code is not None or len(result.attestations) != 1:
        raise BenchError(f"{client.member}: the hub refuses an envelope: {result.code}")
    (delivered,) = await client.deliveries(1)
    took = time.perf_counter() - began
    if (delivered.core, delivered.ciphertext) != (expected.core, expected.ciphertext):
        raise BenchError(f"{client.member}: another envelope came")
    await client.acknowledge(delivered.position, WINDOW)
    return took


async def _settled_kib(hub: Daemon) -> int:
    """What the hub's process holds once that does not change any more."""
    before = _rss_kib(hub)
    for _look in range(_LOOKS):
        await asyncio.sleep(_LOOK_SECONDS)
        now = _rss_kib(hub)
        if abs(now - before) < _STILL_KIB:
            return now
        before = now
    raise BenchError("the hub's memory does not come to rest")


def _rss_kib(hub: Daemon) -> int:
    for line in Path(f"/proc/{hub.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise BenchError("the hub is gone")
