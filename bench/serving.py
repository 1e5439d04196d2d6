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
from typing import Final, cast
from urllib.parse import urlsplit

import aiohttp

from bench import figures
from bench.client import BenchError
from bench.figures import Run
from bench.house import House, Meter
from bench.letters import Letters
from bench.pouring import PATIENCE_SECONDS, Sent, cursors, require_once, warm_up
from bench.works import named

STREAMS: Final = 200
PER_SECOND: Final = 1_000
LISTED: Final = 20
WARM_UP: Final = 64
SEND, LIST, READ = "send", "list", "read"
# Of twenty requests.
MIX: Final = {SEND: 2, LIST: 9, READ: 9}
_CONNECTIONS: Final = 256
_DELIVERED: Final = b'"state":"delivered"'
_SEED: Final = 4127


class Listener(asyncio.Protocol):
    """An open stream of events that costs its process as little as can be: it counts what it is told was delivered."""

    def __init__(self, asked: bytes) -> None:
        self._asked, self._end = asked, b""
        self.delivered = 0
        self.opened = asyncio.get_running_loop().create_future()
        self.closed = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(data.startswith(b"HTTP/1.1 200"))
        # What stood in the last bytes of the chunk before is not counted twice: they are shorter than the mark.
        data = self._end + data
        self.delivered += data.count(_DELIVERED)
        self._end = data[1 - len(_DELIVERED) :]

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True

    def close(self) -> None:
        """The stream is given up."""
        if self._transport is not None:
            self._transport.abort()


async def listen(base: str, token: str, count: int) -> list[Listener]:
    """So many streams of this node, all open."""
    place = urlsplit(base)
    asked = f"GET /api/v1/events HTTP/1.1\r\nHost: {place.netloc}\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    loop, found = asyncio.get_running_loop(), []
    for _each in range(count):
        _transport, listener = await loop.create_connection(
            lambda: Listener(asked), place.hostname or "", place.port or 0
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
    """A case system that sends, lists and reads; `held` are messages that it may read, `after` a cursor before them."""

    http: aiohttp.ClientSession
    letters: Letters
    held: Sequence[str]
    after: str
    visits: Visits
    sent: Sent

    async def visit(self, kind: str, due: float, draw: random.Random) -> None:
        """One request, answered or noted as failed."""
        try:
            status = await {SEND: self._send, LIST: self._list, READ: self._read}[kind](draw)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            status = type(error).__name__
        if status:
            self.visits.failed.append(f"{kind}: {status}")
        self.visits.delays[kind].append(time.perf_counter() - due)

    async def _send(self, _draw: random.Random) -> str:
        key = self.letters.key()
        body, recipients = self.letters.one(key)
        began = time.perf_counter()
        async with self.http.post("/api/v1/messages", data=body, headers={"Idempotency-Key": key}) as answer:
            told = await answer.read()
            if answer.status != 202:
                return f"{answer.status} {told[:200]!r}"
        self.sent.note([told.split(b'"', 4)[3].decode()], [recipients], began)
        return ""

    async def _list(self, _draw: random.Random) -> str:
        async with self.http.get("/api/v1/outbox", params={"after": self.after, "limit": str(LISTED)}) as answer:
            told = await answer.read()
            is_whole = answer.status == 200 and told.count(b'"cursor"') == LISTED
            return "" if is_whole else f"{answer.status} {told[:200]!r}"

    async def _read(self, draw: random.Random) -> str:
        wanted = draw.choice(self.held)
        async with self.http.get(f"/api/v1/messages/{wanted}") as answer:
            told = await answer.read()
            return "" if answer.status == 200 and wanted.encode() in told else f"{answer.status} {told[:200]!r}"


async def api(house: House, sender: str, recipient: str, seconds: int) -> Run:
    """`STREAMS` streams and `PER_SECOND` requests on the sender's node; void if one fails or a stream lacks something."""
    base, token = house.daemons.apis[sender], house.association.tokens[sender]
    async with house.systems([sender, recipient]) as systems:
        letters = Letters.to(named("api"), [recipient])
        before = await cursors(systems)
        headers = {"Authorization": f"Bearer {token}"}
        connector = aiohttp.TCPConnector(limit=_CONNECTIONS)
        async with aiohttp.ClientSession(base, headers=headers, connector=connector) as http:
            after = await _end_of_outbox(http)
            first = await warm_up(systems[sender], letters, WARM_UP)
            listeners = await listen(base, token, STREAMS)
            desk = Desk(http, letters, list(first.began), after, Visits(), Sent())
            meter, began = Meter(house), time.perf_counter()
            await _visits(desk, seconds)
            spent = time.perf_counter() - began
            count = len(desk.visits.all)
            shares = meter.shares({"node": [sender], "recipient": [recipient]}, count)
        await _heard(listeners, len(desk.sent.began))
        peak = meter.hub_peak_mib
        await require_once(systems, before, first, desk.sent)
    return _run(desk.visits, spent, peak) | {"cpu_us_per_message": shares}


async def _end_of_outbox(http: aiohttp.ClientSession) -> str:
    async with http.get("/api/v1/outbox", params={"before": "", "limit": "1"}) as answer:
        return (await answer.json())["next"] or ""


async def _visits(desk: Desk, seconds: int) -> None:
    draw, kinds = random.Random(_SEED), [kind for kind, share in MIX.items() for _each in range(share)]
    began = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for number in range(seconds * PER_SECOND):
            due = began + number / PER_SECOND
            if due > (now := time.perf_counter()):
                await asyncio.sleep(due - now)
            tasks.create_task(desk.visit(draw.choice(kinds), due, draw))


async def _heard(listeners: Sequence[Listener], count: int) -> None:
    """Return once every stream told of every delivery; `BenchError` if one does not, or has ended."""
    deadline = time.perf_counter() + PATIENCE_SECONDS
    while any(each.delivered < count for each in listeners):
        if any(each.closed for each in listeners) or time.perf_counter() > deadline:
            raise BenchError(f"a stream told of {min(each.delivered for each in listeners)} of {count} deliveries")
        await asyncio.sleep(0.05)
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
