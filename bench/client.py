"""A case system at one member's node: batches and single messages in, its stream of events out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import msgspec

PAGE: Final = 500
_READ_BYTES: Final = 1 << 20


class BenchError(Exception):
    """The measurement is void; the reason is the message."""


@dataclass
class Told:
    """What the stream of one node told so far: when each message arrived there, and who signed for which of ours."""

    arrived: dict[str, float] = field(default_factory=dict)
    twice: int = 0
    signed: dict[str, int] = field(default_factory=dict)
    receipts: int = 0
    last_receipt_at: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def message(self, identifier: str, now: float) -> None:
        """A message of others is in the archive."""
        self.twice += identifier in self.arrived
        self.arrived[identifier] = now

    def delivery(self, identifier: str, signed: int, now: float) -> None:
        """So many recipients of a message of ours have signed for it."""
        more = signed - self.signed.get(identifier, 0)
        if more > 0:
            self.signed[identifier] = signed
            self.receipts += more
            self.last_receipt_at = now


class CaseSystem:
    """Speaks to one node for the length of a block; `told` grows while it does."""

    def __init__(self, member: str, base: str, token: str) -> None:
        self.member, self._base = member, base
        self._headers = {"Authorization": f"Bearer {token}"}
        self.told = Told()
        self._listener: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            self._base,
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=5),
            connector=aiohttp.TCPConnector(limit=0),
        )
        ready = asyncio.Event()
        self._listener = asyncio.create_task(self._listen(ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({self._listener, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if self._listener.done():
            self._listener.result()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.wait({self._listener})
        await self._http.close()

    # -- sending ---------------------------------------------------------------------------------------
    async def batch(self, lines: Sequence[bytes]) -> list[str]:
        """The ids of these messages, each stored at the node when this returns."""
        headers = {"Content-Type": "application/x-ndjson"}
        async with self._http.post("/api/v1/messages", data=b"\n".join(lines) + b"\n", headers=headers) as answer:
            body = await answer.read()
            if answer.status >= 300:
                raise BenchError(f"{self.member} refuses a batch: {answer.status} {body[:300]!r}")
        ids = [msgspec.json.decode(line).get("id") for line in body.splitlines()]
        if None in ids or len(ids) != len(lines):
            raise BenchError(f"{self.member} refuses a message of a batch: {body[:300]!r}")
        return ids

    async def send(self, body: bytes, key: str) -> str:
        """The id of one message, stored at the node when this returns."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        async with self._http.post("/api/v1/messages", data=body, headers=headers) as answer:
            told = await answer.read()
            if answer.status >= 300:
                raise BenchError(f"{self.member} refuses a message: {answer.status} {told[:300]!r}")
        identifier: str = msgspec.json.decode(told)["id"]
        return identifier

    # -- hearing ---------------------------------------------------------------------------------------
    async def _listen(self, ready: asyncio.Event) -> None:
        async with self._http.get("/api/v1/events") as answer:
            if answer.status != 200:
                raise BenchError(f"{self.member} shows no events: {answer.status}")
            ready.set()
            rest = b""
            async for chunk in answer.content.iter_any():
                *whole, rest = (rest + chunk.replace(b"\r\n", b"\n")).split(b"\n\n")
                self._hear(whole, time.perf_counter())
        raise BenchError(f"{self.member} ended its stream")

    def _hear(self, events: Sequence[bytes], now: float) -> None:
        for event in events:
            head, found, data = event.partition(b"\ndata: ")
            if not found:
                continue
            if head.endswith(b"event: message"):
                self.told.message(_ITEM.decode(data).id, now)
            elif head.endswith(b"event: delivery"):
                told = _DELIVERY.decode(data)
                self.told.delivery(told.id, sum(each.state in _SIGNED for each in told.deliveries), now)
        self.told.changed.set()

    async def until(self, what: Any, seconds: float) -> None:
        """Return once `what()` holds; `BenchError` if it does not within these seconds, or the stream ended."""
        deadline = time.perf_counter() + seconds
        while not what():
            self.told.changed.clear()
            if self._listener is not None and self._listener.done():
                self._listener.result()
            left = deadline - time.perf_counter()
            if left <= 0:
                raise BenchError(
                    f"{self.member}: {self.told.receipts} receipts, {len(self.told.arrived)} messages came"
                )
            try:
                async with asyncio.timeout(min(left, 1.0)):
                    await self.told.changed.wait()
            except TimeoutError:
                continue

    # -- counting --------------------------------------------------------------------------------------
    async def received(self) -> list[str]:
        """The ids of everything in this desk's inbox, in archive order."""
        found: list[str] = []
        after = ""
        while True:
            query = {"limit": str(PAGE), "after": after} if after else {"limit": str(PAGE)}
            async with self._http.get("/api/v1/messages", params=query) as answer:
                page = msgspec.json.decode(await answer.read(), type=_Page)
            if not page.items:
                return found
            found += [item.id for item in page.items]
            after = page.next or ""


class _Item(msgspec.Struct):
    id: str


class _Page(msgspec.Struct):
    items: list[_Item]
    next: str | None = None


class _State(msgspec.Struct):
    state: str


class _Delivery(msgspec.Struct):
    id: str
    deliveries: list[_State]


_SIGNED: Final = frozenset(("delivered", "acknowledged"))
_ITEM: Final = msgspec.json.Decoder(_Item)
_DELIVERY: Final = msgspec.json.Decoder(_Delivery)
