"""The target of the hub's pages, behind which stands its real log over a store in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, cast

from aiohttp import web

from hub.attesting import Attestor
from hub.core import Core
from hub.hall import Hall
from hub.log import Log
from hub.memory_store import MemoryStore
from hub.metrics import Metrics
from hub.relay import Mailbox, Relay
from hub.store import transaction
from hub.tiles import TilePath
from hub.web import public_app
from keys.logs import configure
from protocol.codec import encode
from protocol.errors import DrainingError, UsageError
from protocol.trust.registry import Registry
from tests.fuzz.reading import chosen, one_of
from tests.fuzz.target import Target, refused_or, require
from tests.fuzz.wire import WORDS, Server, check_answer, request_of
from tests.node.lab import Lab
from tests.support.letters import log_key

AR, BR = "ar-mpf", "br-mpf"


class HubScene:
    """A hub's log over a store in memory, as `hub.web` asks it."""

    def __init__(self) -> None:
        self.lab = Lab(AR, BR)
        self.store, world = MemoryStore(), self.lab.world
        self.log = Log(world.association, log_key(world))
        for signed in world.statements:
            self.log.record(self.store, signed.raw, world.now)
        self.metrics, self.writer, self.is_draining = Metrics(), self, False
        self.sessions: dict[str, Any] = {}
        self.certificate = self.log.registry.hub_certificates(self.now())[0]

    def refused(self, code: str) -> None:
        require(code.replace("_", "").isalpha(), "a code that is none")

    def clock(self) -> float:
        return self.lab.now

    def now(self) -> int:
        return self.lab.second

    @contextmanager
    def reading(self) -> Iterator[Registry]:
        yield self.log.registry

    @property
    def checkpoint(self) -> bytes:
        with transaction(self.store) as tx:
            return tx.checkpoint() or b""

    def tile(self, path: TilePath) -> bytes | None:
        return self.log.tiles.read(path)

    async def statement(self, statement_hash: bytes) -> bytes | None:
        with transaction(self.store) as tx:
            return tx.statement(statement_hash)

    async def publish(self, raw: bytes) -> tuple[int, int]:
        tx, size = self.store.begin(), self.log.registry.size
        try:
            appended = self.log.append(tx, raw, self.lab.second)
        finally:
            tx.rollback()
        require(self.log.registry.size == size, "the log grew before it was durable")
        return appended.index, appended.size

    async def queues(self) -> list[Any]:
        return []

    async def mailboxes(self, members: Sequence[str]) -> dict[str, Mailbox]:
        with transaction(self.store) as tx:
            group = Relay(cast("Attestor", None)).group(tx, self.log.registry, self.lab.now)
            return {each: group.mailbox(each) for each in members}

    async def run(self, job: Callable[[Any], Any]) -> Any:
        return job(None)

    async def receive(self, _request: web.Request) -> web.StreamResponse:
        raise DrainingError


@cache
def _hub() -> Server:
    configure("error")
    it = HubScene()
    return Server(lambda _faults: public_app(cast("Core", it), cast("Hall", it), figures=True))


def hub_pages(data: bytes) -> None:
    check_answer(_hub(), request_of(data))


def hub_paths(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    tile = refused_or(lambda: TilePath.parse(text), UsageError)
    require(tile is None or (1 <= tile.width <= 256 and tile.index >= 0), "a tile of no width")


def hub_seeds() -> Iterator[bytes]:
    world = Lab(AR, BR).world
    statement = world.admit("pt-pgr")
    paths = [
        "log/checkpoint",
        "log/tile/0/000.p/3",
        "log/tile/entries/000.p/9",
        "log/tile/1/x001/000",
        "livez",
        "readyz",
    ]
    paths += [
        f"log/statement/{statement.hash.hex()}",
        f"log/statement/{world.statements[0].hash.hex()}",
        "metrics",
        "session",
    ]
    yield from chosen(0, (encode(["GET", f"/{path}", [], b""]) for path in paths))
    for each in (statement, world.statements[0], world.suspend(BR, world.now), world.certify(AR, not_before=world.now)):
        yield b"\x00" + encode(["POST", "/log/statements", [], each.raw])
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    yield b"\x00" + encode(["GET", "/session", upgrade, b""])
    yield b"\x00GET /log/tile/%2e%2e/000 HTTP/1.1\r\nHost: [::1\r\n\r\n"
    yield from chosen(1, (path.removeprefix("log/tile/").encode() for path in paths if "tile" in path))


TARGETS: Final = (Target("hub_pages", one_of(hub_pages, hub_paths), hub_seeds, head=1, words=WORDS, max_bytes=16_384),)
