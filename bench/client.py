"""A case system at one member's node: batches and single messages in, its stream of events out.

It shares the cores with what is measured, so it does little: an event costs it one split, one decoding of the two
fields that it needs, and one entry in a dictionary.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from types import TracebackType
from typing import Final, Self

import aiohttp
import msgspec

PAGE: Final = 500
_CONNECT_SECONDS: Final = 5
_CHECK_SECONDS: Final = 1.0
_LAST_CHARS: Final = 300
_NDJSON: Final = {"Content-Type": "application/x-ndjson"}


class BenchError(Exception):
    """The measurement is void; the reason is the message."""


@dataclass
class Told:
    """What the stream of one node told so far, by message id and by `time.perf_counter`.

    `arrived` is what others sent; `relayed` and `signed` count, for ours, the recipients at whose hub a message waits
    (or of whom more is known) and those who signed for it; `receipts` is the sum of the latter.
    """

    arrived: dict[str, float] = field(default_factory=dict)
    twice: int = 0
    relayed: dict[str, int] = field(default_factory=dict)
    relays: int = 0
    last_relay_at: float = 0.0
    relayed_at: dict[str, float] = field(default_factory=dict)
    signed: dict[str, int] = field(default_factory=dict)
    receipts: int = 0
    last_receipt_at: float = 0.0

    def message(self, identifier: str, now: float) -> None:
        """A message of others is in the archive."""
        self.twice += identifier in self.arrived
        self.arrived[identifier] = now

    def delivery(self, identifier: str, relayed: int, signed: int, now: float) -> None:
        """So many recipients of a message of ours are served by the hub, and so many have signed for it."""
        more = relayed - self.relayed.get(identifier, 0)
        if more > 0:
            self.relayed[identifier] = relayed
            self.relayed_at[identifier] = self.last_relay_at = now
            self.relays += more
        more = signed - self.signed.get(identifier, 0)
        if more > 0:
            self.signed[identifier] = signed
            self.receipts += more
            self.last_receipt_at = now


class CaseSystem:
    """Speaks to one node for the length of a block; `told` grows while it does, unless it shall not listen."""

    def __init__(self, member: str, base: str, token: str, *, listens: bool = True) -> None:
        self.member, self._base, self.listens = member, base, listens
        self._headers = {"Authorization": f"Bearer {token}"}
        self.told = Told()
        self._changed = asyncio.Event()
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            self._base,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
            connector=aiohttp.TCPConnector(limit=0),
        )
        if self.listens:
            await self._begin_listening()
        return self

    async def _begin_listening(self) -> None:
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._listener, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if self._listener.done():
            waiting.cancel()
            self._listener.result()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait({self._listener})
        await self._http.close()

    # -- sending ---------------------------------------------------------------------------------------
    async def batch(self, body: bytes, count: int) -> list[str]:
        """The ids of the `count` messages of this NDJSON, each stored at the node when this returns."""
        async with self._http.post("/api/v1/messages", data=body, headers=_NDJSON) as answer:
            told = await answer.read()
            if answer.status >= 300:
                raise BenchError(f"{self.member} refuses a batch: {answer.status} {told[:_LAST_CHARS]!r}")
        try:
            ids = [each.id for each in _ACCEPTED.decode_lines(told)]
        except msgspec.DecodeError:
            ids = []
        if len(ids) != count:
            raise BenchError(f"{self.member} refuses a message of a batch: {told[:_LAST_CHARS]!r}")
        return ids

    async def send(self, body: bytes, key: str) -> str:
        """The id of one message, stored at the node when this returns."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        async with self._http.post("/api/v1/messages", data=body, headers=headers) as answer:
            told = await answer.read()
            if answer.status >= 300:
                raise BenchError(f"{self.member} refuses a message: {answer.status} {told[:_LAST_CHARS]!r}")
        return _ACCEPTED.decode(told).id

    # -- hearing ---------------------------------------------------------------------------------------
    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._http.get("/api/v1/events") as answer:
            if answer.status != 200:
                raise BenchError(f"{self.member} shows no events: {answer.status}")
            ready.set()
            rest = b""
            async for chunk in answer.content.iter_any():
                *whole, rest = (rest + chunk).split(b"\n\n")
                self.hear(whole, time.perf_counter())
        raise BenchError(f"{self.member} ended its stream")

    def hear(self, events: Sequence[bytes], now: float) -> None:
        """Take in whole events of the stream."""
        told = self.told
        for event in events:
            head, _, data = event.partition(b"\ndata: ")
            if head.endswith(b"event: message"):
                told.message(_ITEM.decode(data).id, now)
            elif head.endswith(b"event: delivery"):
                delivery = _DELIVERY.decode(data)
                told.delivery(delivery.id, *_standing(bytes(delivery.deliveries)), now)
        self._changed.set()

    async def until(self, what: Callable[[], bool], seconds: float) -> None:
        """Return once `what()` holds; `BenchError` if it does not within these seconds, or the stream ended."""
        deadline = time.perf_counter() + seconds
        while not what():
            self._changed.clear()
            if self._listener is not None and self._listener.done():
                self._listener.result()
            left = deadline - time.perf_counter()
            if left <= 0:
                told = self.told
                raise BenchError(f"{self.member}: {told.receipts} receipts, {len(told.arrived)} messages came")
            try:
                async with asyncio.timeout(min(left, _CHECK_SECONDS)):
                    await self._changed.wait()
            except TimeoutError:
                continue

    # -- counting --------------------------------------------------------------------------------------
    async def cursor(self) -> str:
        """Where the inbox of this desk ends now; empty while nothing is in it."""
        page = await self._page({"before": "", "limit": "1"})
        return page.next or ""

    async def received(self, after: str) -> list[str]:
        """The ids of everything behind this cursor in this desk's inbox, in archive order."""
        found: list[str] = []
        while True:
            page = await self._page({"limit": str(PAGE), "after": after})
            if not page.items:
                return found
            found += [item.id for item in page.items]
            after = page.next or ""

    async def _page(self, query: dict[str, str]) -> _Page:
        async with self._http.get("/api/v1/messages", params=query) as answer:
            return msgspec.json.decode(await answer.read(), type=_Page)

    async def search(self, word: str) -> tuple[list[str], int]:
        """The ids of the newest messages that hold this word, and how many messages the index is behind."""
        async with self._http.get("/api/v1/search", params={"q": word, "limit": "1"}) as answer:
            found = msgspec.json.decode(await answer.read(), type=_Found)
        return [item.id for item in found.items], found.behind


class _Item(msgspec.Struct):
    id: str


class _Page(msgspec.Struct):
    items: list[_Item]
    next: str | None = None


class _Found(msgspec.Struct):
    items: list[_Item]
    behind: int


class _State(msgspec.Struct):
    state: str


class _Delivery(msgspec.Struct):
    id: str
    deliveries: msgspec.Raw


_SIGNED: Final = frozenset(("delivered", "acknowledged"))
_RELAYED: Final = frozenset(("relayed", *_SIGNED))
_ITEM: Final = msgspec.json.Decoder(_Item)
_ACCEPTED: Final = msgspec.json.Decoder(_Item)
_DELIVERY: Final = msgspec.json.Decoder(_Delivery)
_STATES: Final = msgspec.json.Decoder(list[_State])


# Of a manifest's messages nearly all fare alike, and so do its recipients' lists.
@lru_cache(maxsize=4_096)
def _standing(deliveries: bytes) -> tuple[int, int]:
    states = [each.state for each in _STATES.decode(deliveries)]
    return sum(each in _RELAYED for each in states), sum(each in _SIGNED for each in states)
