"""A node that only seems to be one: it answers as the API does, and loses, doubles or invents what a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import msgspec
from aiohttp import web

from bench.client import CaseSystem

Held = Callable[[list[str]], list[str]]


@dataclass
class FakePair:
    """Sender and recipient in one: what is handed in is delivered, signed for and shown in the inbox as `held` says.

    No call is answered before as many came as open the `gate`; `most` messages waited for an answer at one time.
    """

    held: Held
    refuses: bool = False
    gate: asyncio.Barrier = field(default_factory=lambda: asyncio.Barrier(1))
    most: int = 0
    waiting: int = 0
    calls: list[int] = field(default_factory=list)
    inbox: list[str] = field(default_factory=list)
    streams: list[asyncio.Queue[bytes]] = field(default_factory=list)

    async def hand_in(self, request: web.Request) -> web.Response:
        if self.refuses:
            return web.json_response({"code": "no"}, status=503)
        lines = (await request.read()).splitlines()
        ids = [msgspec.json.decode(line)["idempotency_key"] for line in lines]
        await self._gather(len(ids))
        self.inbox += ids
        for each in ids:
            self.tell("message", {"id": each, "subject": "event: delivery"})
            self.tell("delivery", {"id": each, "deliveries": [{"state": "relayed"}]})
            self.tell("delivery", {"id": each, "deliveries": [{"state": "delivered"}]})
        return web.Response(body=b"\n".join(msgspec.json.encode({"id": each}) for each in ids) + b"\n")

    async def _gather(self, messages: int) -> None:
        self.waiting += messages
        self.most = max(self.most, self.waiting)
        self.calls.append(messages)
        await self.gate.wait()
        self.waiting -= messages

    def tell(self, name: str, value: Any) -> None:
        data = b"id: 1-0\nevent: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(value))
        for stream in self.streams:
            # In two pieces, as a network may cut it.
            stream.put_nowait(data[:17])
            stream.put_nowait(data[17:])

    async def events(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        queue: asyncio.Queue[bytes] = asyncio.Queue()
        await response.prepare(request)
        self.streams.append(queue)
        while True:
            await response.write(await queue.get())

    async def list(self, request: web.Request) -> web.Response:
        shown = self.held(self.inbox)
        if "before" in request.query:
            return web.json_response({"items": [], "next": str(len(shown)) if shown else None})
        after, limit = int(request.query["after"] or 0), int(request.query["limit"])
        page = shown[after : after + limit]
        return web.json_response({"items": [{"id": each} for each in page], "next": str(after + len(page))})


@asynccontextmanager
async def pair(fake: FakePair) -> AsyncIterator[CaseSystem]:
    """A case system at this fake, listening."""
    app = web.Application()
    app.add_routes(
        [
            web.post("/api/v1/messages", fake.hand_in),
            web.get("/api/v1/messages", fake.list),
            web.get("/api/v1/events", fake.events),
        ]
    )
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        async with CaseSystem("br-mpf", f"http://127.0.0.1:{runner.addresses[0][1]}", "token") as system:
            yield system
    finally:
        await runner.cleanup()
