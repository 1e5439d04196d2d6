"""A node as a process: the real `Engine`, `Rounds`, `Exchange` and `Uplink`; without threads, sockets and the API.

Ours are only: `Way`, which stands where `HubLine` speaks HTTP; and callers, who ask of the rounds what `Service` asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol

from node import acceptance, withdrawal
from node.acceptance import Accepted, Request
from node.context import Context
from node.engine import Engine, Going
from node.founding import Anchor
from node.rounds import Rounds
from node.uplink import Uplink
from protocol.errors import StoreError, ValijaError
from protocol.names import MessageId, Party
from protocol.signing import PrivateKey
from tests.simulator.disks import Drawer, NodeDisk, NodeStore
from tests.simulator.loop import Process
from tests.simulator.network import End


class Roads(Protocol):
    """What leads from a node to the hub."""

    async def connect(self, member: str, process: Process) -> End:
        """A new line; `HubGoneError` if nobody answers."""

    async def get(self, member: str, path: str) -> tuple[bytes, int]:
        """What GET gives, and the hub's clock; `HubGoneError` if nobody answers, or says no."""

    async def post(self, member: str, raw: bytes) -> int:
        """The leaf of this statement."""


class Way:
    """See `node.hubline.HubLine`."""

    def __init__(self, roads: Roads, member: str, process: Process) -> None:
        """Always open."""
        self._roads, self._member, self._process = roads, member, process
        self.clock: int | None = None

    async def get(self, path: str, _max_bytes: int = 0) -> bytes:
        """See `HubLine.get`."""
        body, self.clock = await self._roads.get(self._member, path)
        return body

    async def post_statement(self, raw: bytes) -> int:
        """See `HubLine.post_statement`."""
        return await self._roads.post(self._member, raw)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[End]:
        """See `HubLine.session`."""
        end = await self._roads.connect(self._member, self._process)
        try:
            yield end
        finally:
            await end.close()


class Log:
    """What the daemon writes to its log, as lines of the trace."""

    def __init__(self, say: Callable[[str], None]) -> None:
        """Tell `say`."""
        self._say = say

    def __getattr__(self, level: str) -> Callable[..., None]:
        """A line of this level."""
        return lambda event, **words: self._say(
            f"{level} {event} " + " ".join(f"{name}={value}" for name, value in sorted(words.items()))
        )


class NodeProcess:
    """One life of a node, from start to end."""

    def __init__(
        self,
        process: Process,
        disk: NodeDisk,
        party: Party,
        key: PrivateKey,
        anchor: Anchor,
        roads: Roads,
        clock: Callable[[], float],
        steady: Callable[[], float],
        later: Callable[[Callable[[], None]], object],
        ended: Callable[[str], None],
        committed: Callable[[], None],
        log: Log,
    ) -> None:
        """Nothing is opened yet."""
        self.process, self.disk, self.clock, self.log = process, disk, clock, log
        self.engine = Engine(party, key, anchor, Drawer(disk.prekeys, party), clock, steady)
        self.store = NodeStore(
            disk, later, lambda error: ended(f"{type(error).__name__}"), lambda: ended("power"), committed
        )
        self._ended, self._key = ended, key
        self._line: Any = Way(roads, party.member, process)
        self.rounds: Rounds | None = None
        self.uplink: Uplink | None = None
        self._asked: list[tuple[Callable[[Context], Any], Callable[[Any], None]]] = []

    def begin(self) -> None:
        """Serve, until something breaks for good."""
        self.process.spawn(self._live())

    async def _live(self) -> None:
        try:
            await self._serve()
        except ValijaError as error:
            self._ended(error.code)

    async def _serve(self) -> None:
        """As `node.daemon` puts the parts together."""
        await asyncio.wrap_future(self.store.submit(self.engine.load))
        self.rounds = Rounds(self.store, self.engine, self.clock, self._gone, self._failed)
        log: Any = self.log
        self.uplink = Uplink(self._line, self.engine, self.rounds, self.store, self._key, self.clock, log)
        for work, done in self._asked:
            self._ask(work, done)
        self._asked.clear()
        await self.uplink.run()

    def _gone(self, going: Going) -> None:
        if self.uplink is not None:
            self.uplink.go(going)

    def _failed(self, error: Exception) -> None:
        if not isinstance(error, StoreError):
            raise error
        self._ended(type(error).__name__)

    # -- callers ---------------------------------------------------------------------------------------
    def ask(self, work: Callable[[Context], Any], done: Callable[[Any], None]) -> None:
        """`done` is told what `work` gave once it is durable, or the error that it raised; never, if the process ends."""
        if self.rounds is None:
            self._asked.append((work, done))
        else:
            self.process.call(partial(self._ask, work, done))

    def _ask(self, work: Callable[[Context], Any], done: Callable[[Any], None]) -> None:
        if self.rounds is not None:
            self.rounds.ask(work).add_done_callback(lambda future: done(future.exception() or future.result()))

    def send(self, request: Request, done: Callable[[Accepted | Exception], None]) -> None:
        """As `Service.send` does."""
        self.ask(lambda ctx: acceptance.accept(ctx, request), done)

    def withdraw(self, message: MessageId, done: Callable[[Any], None]) -> None:
        """As `Service.withdraw` does."""

        def answered(answer: Any) -> None:
            if self.uplink is not None and isinstance(answer, list):
                self.uplink.recall(answer)
            done(answer)

        self.ask(lambda ctx: withdrawal.withdraw(ctx, message), answered)
