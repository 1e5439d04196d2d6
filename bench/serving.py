"""One node under its case systems: many streams of events open, and requests at a steady rate whether answered or not.

A request's delay counts from the moment when it was due, so that one that held others up counts for all of them.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bench import figures
from bench.client import BenchError
from bench.figures import Run
from bench.house import House, Meter
from bench.letters import Letters
from bench.pouring import PATIENCE_SECONDS, Sent, cursors, require_once
from bench.wire import DELIVERED, Listener, Pool
from bench.works import named
from node.client import NodeClient
from node.scopes import Scope

STREAMS: Final = 200
DESKS: Final = 20
PER_SECOND: Final = 1_000
LISTED: Final = 20
SEND, LIST, READ = "send", "list", "read"
# Of twenty requests.
MIX: Final = {SEND: 1, LIST: 9, READ: 10}
_CONNECTIONS: Final = 256
_LOOK_SECONDS: Final = 0.05
_SEED: Final = 4127


@dataclass(frozen=True, slots=True)
class Place:
    """The address of a node, as its name stands in requests and as it is reached."""

    netloc: str
    host: str
    port: int

    @classmethod
    def of(cls, base: str) -> Place:
        """Where this URL leads."""
        found = urlsplit(base)
        return cls(found.netloc, found.hostname or "", found.port or 0)


async def listen(place: Place, desk: Desk, count: int) -> list[Listener]:
    """So many streams of the events of this desk, all open."""
    loop, found = asyncio.get_running_loop(), []
    for _each in range(count):
        _transport, listener = await loop.create_connection(
            lambda: Listener(desk.get("/api/v1/events")), place.host, place.port
        )
        if not await asyncio.wait_for(listener.opened, PATIENCE_SECONDS):
            raise BenchError("a stream of events was refused")
        found.append(listener)
    return found


@dataclass
class Visits:
    """What became of the requests: the delay of each in seconds, by kind, and what failed."""

    delays: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    failed: list[str] = field(default_factory=list)

    @property
    def all(self) -> list[float]:
        """Every delay."""
        return [each for delays in self.delays.values() for each in delays]


@dataclass
class Desk:
    """A desk's case system, that sends, lists and reads; `held` are messages that it may read."""

    netloc: str
    token: str
    letters: Letters
    sent: Sent = field(default_factory=Sent)
    held: Sequence[str] = ()

    def get(self, path: str) -> bytes:
        """A request for this."""
        return f"GET {path} HTTP/1.1\r\n{self._head()}\r\n".encode()

    def listing(self) -> bytes:
        """The request for the list of its first messages."""
        return self.get(f"/api/v1/outbox?after=&limit={LISTED}")

    def _head(self) -> str:
        return f"Host: {self.netloc}\r\nAuthorization: Bearer {self.token}\r\n"

    def _post(self, key: str, body: bytes) -> bytes:
        about = f"Content-Type: application/json\r\nIdempotency-Key: {key}\r\nContent-Length: {len(body)}\r\n"
        return f"POST /api/v1/messages HTTP/1.1\r\n{self._head()}{about}\r\n".encode() + body

    async def visit(self, pool: Pool, kind: str, draw: random.Random) -> str:
        """One request; what was wrong with its answer, or nothing."""
        return await {SEND: self._send, LIST: self._list, READ: self._read}[kind](pool, draw)

    async def _send(self, pool: Pool, _draw: random.Random) -> str:
        key = self.letters.key()
        body, recipients = self.letters.one(key)
        began = time.perf_counter()
        status, told = await pool.ask(self._post(key, body))
        if status != 202:
            return f"{status} {told[:200]!r}"
        self.sent.note([told.split(b'"', 4)[3].decode()], [recipients], began)
        return ""

    async def _list(self, pool: Pool, _draw: random.Random) -> str:
        status, told = await pool.ask(self.listing())
        return "" if status == 200 and told.count(b'"cursor"') == LISTED else f"{status} {told[:200]!r}"

    async def delivered(self, pool: Pool) -> int:
        """How many of its first messages were delivered."""
        return (await pool.ask(self.listing()))[1].count(DELIVERED)

    async def _read(self, pool: Pool, draw: random.Random) -> str:
        wanted = draw.choice(self.held)
        status, told = await pool.ask(self.get(f"/api/v1/messages/{wanted}"))
        return "" if status == 200 and wanted.encode() in told else f"{status} {told[:200]!r}"


async def api(house: House, sender: str, recipient: str, seconds: int) -> Run:
    """`STREAMS` streams and `PER_SECOND` requests on the sender's node; void if one fails or a stream lacks something."""
    place = Place.of(house.daemons.apis[sender])
    async with house.systems([recipient]) as systems:
        before = await cursors(systems)
        desks = await asyncio.to_thread(_desks, house, sender, place.netloc, Letters.to(named("api"), [recipient]))
        pool, visits = Pool(place.host, place.port, _CONNECTIONS), Visits()
        for each in desks:
            await _fill(pool, each)
        held = [each.held for each in desks]
        listeners = [await listen(place, each, STREAMS // DESKS) for each in desks]
        meter, began = Meter(house), time.perf_counter()
        await _visits(pool, desks, visits, seconds)
        spent = time.perf_counter() - began
        shares = meter.shares({"node": [sender], "recipient": [recipient]}, len(visits.all))
        for each, heard, first in zip(desks, listeners, held, strict=True):
            await _heard(heard, len(each.sent.began) - len(first))
        peak = meter.hub_peak_mib
        pool.close()
        await require_once(systems, before, *(each.sent for each in desks))
    return _run(visits, spent, peak) | {"cpu_us_per_message": shares}


def _desks(house: House, sender: str, netloc: str, letters: Letters) -> list[Desk]:
    """So many desks at the sender's node, each with a token of its own."""
    client, found = NodeClient(house.association.homes[sender].socket), []
    for number in range(DESKS):
        name = f"desk-{number}"
        client.post("desks", {"name": name})
        made = client.post("tokens", {"desk": name, "label": "", "scopes": list(Scope), "expires_at": None})
        found.append(Desk(netloc, made["token"], letters))
    return found


async def _fill(pool: Pool, desk: Desk) -> None:
    """Return once enough for a list was sent by this desk, and delivered."""
    draw = random.Random(_SEED)
    for told in await asyncio.gather(*(desk.visit(pool, SEND, draw) for _each in range(LISTED))):
        if told:
            raise BenchError(told)
    desk.held = list(desk.sent.began)
    for _look in range(int(PATIENCE_SECONDS / _LOOK_SECONDS)):
        if await desk.delivered(pool) == LISTED:
            return
        await asyncio.sleep(_LOOK_SECONDS)
    raise BenchError("what a desk sent is not delivered")


async def _visits(pool: Pool, desks: Sequence[Desk], visits: Visits, seconds: int) -> None:
    draw, kinds = random.Random(_SEED), [kind for kind, share in MIX.items() for _each in range(share)]
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(seconds * PER_SECOND):
            due = began + number / PER_SECOND
            if due > (now := time.perf_counter()):
                await asyncio.sleep(due - now)
            tasks.create_task(_visit(pool, draw.choice(desks), draw.choice(kinds), due, visits, draw))


async def _visit(pool: Pool, desk: Desk, kind: str, due: float, visits: Visits, draw: random.Random) -> None:
    """One request, answered or noted as failed."""
    try:
        failed = await desk.visit(pool, kind, draw)
    except OSError as error:
        failed = type(error).__name__
    if failed:
        visits.failed.append(f"{kind}: {failed}")
    visits.delays[kind].append(time.perf_counter() - due)


async def _heard(listeners: Sequence[Listener], count: int) -> None:
    """Return once every stream told of every delivery; `BenchError` if one does not, or has ended."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while any(each.delivered < count for each in listeners):
        if any(each.closed for each in listeners) or time.perf_counter() > deadline:
            raise BenchError(f"a stream told of {min(each.delivered for each in listeners)} of {count} deliveries")
        await asyncio.sleep(_LOOK_SECONDS)
    for each in listeners:
        each.close()


def _run(visits: Visits, seconds: float, peak: float) -> Run:
    if visits.failed:
        raise BenchError(f"{len(visits.failed)} requests failed: {visits.failed[0]}")
    ninety = {f"{kind}_p99_ms": figures.percentile(sorted(delays), 99) for kind, delays in visits.delays.items()}
    told = figures.run(
        "api",
        messages=len(visits.all),
        seconds=seconds,
        delays=visits.all,
        window=None,
        hub_peak_mib=peak,
        streams=STREAMS,
    )
    return told | ninety
