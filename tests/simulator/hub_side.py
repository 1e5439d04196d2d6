"""The hub as a process: the real `Core`, `Hall`, sessions, lines and chores; without threads, sockets and HTTP.

Ours are only: `Queue`, which stands where the writing thread waits; `Socket`, which stands where aiohttp's WebSocket
does; and `answer`, which is `hub.web` without the web.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace
from typing import Any

from hub.chores import Chores
from hub.config import Sessions
from hub.core import Core
from hub.hall import Hall
from hub.identity import HubKeys
from hub.rounds import Round
from hub.tiles import TilePath
from hub.writer import MAX_GROUP_JOBS, Writer, _Job
from keys.kinds import Kind, OpenKey, PublicPart
from keys.signer import LogSigner, Signer
from protocol.trust.checkpoint import LogPrivateKey
from protocol.trust.statements import Charter
from tests.simulator.disks import HubDisk, PowerCutError
from tests.simulator.loop import Process
from tests.simulator.network import End


@dataclass(frozen=True, slots=True)
class Keys(HubKeys):
    """The hub's keys without a vault."""

    log_seeds: tuple[bytes, bytes] = (b"", b"")

    @classmethod
    def of(cls, hub_seeds: tuple[bytes, bytes], log_seeds: tuple[bytes, bytes], name: str) -> Keys:
        """The keys of these seeds."""
        opened = OpenKey.of(Kind.HUB, name, hub_seeds)
        nothing: Any = None
        return cls(Signer(opened.public, opened.signing()), nothing, nothing, name, log_seeds)

    def log(self, charter: Charter) -> LogSigner:
        """See `HubKeys.log`."""
        part = PublicPart(Kind.LOG, self.name, (charter.hub.log_key, charter.hub.log_ed25519))
        return LogSigner(part, _log_key(charter.hub.origin, *self.log_seeds))


@cache
def _log_key(origin: str, mldsa44_seed: bytes, ed25519_seed: bytes) -> LogPrivateKey:
    return LogPrivateKey(origin, mldsa44_seed, ed25519_seed)


class Queue:
    """What the writing thread would wait for; `pump` is called later, once something is in it."""

    def __init__(self, later: Callable[[], object]) -> None:
        """Empty."""
        self._jobs: deque[Any] = deque()
        self._later = later

    def put(self, job: Any) -> None:
        """See `queue.SimpleQueue`."""
        self._jobs.append(job)
        if len(self._jobs) == 1:
            self._later()

    def take(self) -> list[Any]:
        """What goes into one group, as `Writer._take` chooses it."""
        jobs: list[Any] = []
        while self._jobs and len(jobs) < MAX_GROUP_JOBS:
            if jobs and self._jobs[0].is_alone:
                break
            jobs.append(self._jobs.popleft())
            if jobs[-1].is_alone:
                break
        return jobs

    @property
    def is_waiting(self) -> bool:
        """Whether there is more."""
        return bool(self._jobs)


class Desk(Writer[Round]):
    """`hub.writer.Writer` whose jobs run on the loop, after the time that a commit takes."""

    def begin(self, later: Callable[[Callable[[], None]], object], died: Callable[[], None]) -> None:
        """Begin; `died` is told when the power went at a commit."""
        self._loop = asyncio.get_running_loop()
        self._later, self._died = later, died
        self._queue = Queue(lambda: later(self._pump))  # type: ignore[assignment]

    def _pump(self) -> None:
        queue: Any = self._queue
        try:
            self._run(queue.take())
        except PowerCutError:
            self._died()
        except Exception as error:  # noqa: BLE001 - as the thread does
            self._fatal(error)
        else:
            if queue.is_waiting:
                self._later(self._pump)

    async def stop(self) -> None:
        """Take no more jobs, and return when those taken are done."""
        self._is_stopping = True
        # Jobs are run in order: behind the last one, all are.
        last: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue: Any = self._queue
        queue.put(_Job(lambda _group: None, last, None))
        await last


class Socket:
    """What `hub.line.websocket` makes: a WebSocket that becomes the end of a line once it meets a request."""

    async def prepare(self, request: Any) -> None:
        """See `aiohttp.web.WebSocketResponse`."""
        end: End = request.transport
        self.receive, self.send_bytes, self.close = end.receive, end.send_bytes, end.close
        self.ping, self.pong = end.ping, end.pong


class HubProcess:
    """One life of the hub, from start to end."""

    def __init__(
        self,
        process: Process,
        disk: HubDisk,
        keys: HubKeys,
        settings: Sessions,
        clock: Callable[[], float],
        steady: Callable[[], float],
        later: Callable[[Callable[[], None]], object],
        ended: Callable[[str], None],
        committed: Callable[[Round, int], None],
    ) -> None:
        """Everything is read and checked; `begin` inside of the process."""
        self.process = process
        nothing: Any = SimpleNamespace(sessions=settings)
        self.core = Core(nothing, disk.open(), keys, fatal=lambda error: ended(type(error).__name__), clock=clock)
        core = self.core

        def told(round_: Round, jobs: int) -> None:
            committed(round_, jobs)
            core._committed(round_, jobs)

        self.core.writer = self._writer = Desk(
            self.core._store, self.core._round, committed=told, fatal=lambda error: ended(type(error).__name__)
        )
        self._later, self._ended = later, ended
        self.hall = Hall(
            settings,
            core.desk,
            core.writer,
            greet=core.greet,
            standing=core.standing,
            reading=core.reading,
            refused=core.refused,
            clock=clock,
            steady=steady,
        )
        self._chores = Chores(core)
        core.on_committed, core.on_grown = self._committed, self.hall.grown

    def _committed(self, round_: Round) -> None:
        self.hall.committed(round_)
        self._chores.committed(round_)

    def begin(self) -> None:
        """Serve."""
        self.process.call(lambda: self._writer.begin(self._later, lambda: self._ended("power")))
        for chore in (self._chores.expire(), self._chores.refresh(), self.hall.watch()):
            self.process.spawn(chore)

    def connect(self, end: End) -> None:
        """A line reaches the door; through a proxy of the hub's own machine, for knocks are counted by real time."""
        request: Any = SimpleNamespace(transport=end, remote="127.0.0.1")
        self.process.spawn(self._receive(request))

    async def _receive(self, request: Any) -> None:
        try:
            await self.hall.receive(request)
        finally:
            await request.transport.close()

    async def answer(self, path: str) -> bytes | None:
        """What GET gives; None for 404."""
        what = path.removeprefix("/log/")
        if what == "checkpoint":
            return self.core.checkpoint
        if what.startswith("tile/"):
            return self.core.tile(TilePath.parse(what.removeprefix("tile/")))
        return await self.core.statement(bytes.fromhex(what.removeprefix("statement/")))
