"""Who is connected: one session for each member, the newest; what every commit brings them; and how all of it ends."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

import structlog
from aiohttp import web

from hub.config import Sessions as Settings
from hub.door import Door
from hub.line import Line, Socket, websocket
from hub.porch import STRANGER_BYTES, Porch
from hub.rounds import Demand, Desk, Round
from hub.sessions import Session
from hub.writer import Writer
from protocol.errors import DrainingError, FencedError, LimitError, StandingError, TransportError, ValijaError
from protocol.limits import CLOCK_TELL_SECONDS
from protocol.names import StatementId
from protocol.session.items import Window
from protocol.session.machine import Closed, HubSession, Source

T = TypeVar("T")
_CLOCK_SET: Final = "the hub's clock was set"
_log: Final = structlog.get_logger("hub")


class Standing(Protocol):
    """Whether a certificate is in standing at a time; else raises `StandingError`."""

    def __call__(self, certificate: StatementId, at: int, /) -> object:
        """What is known of the certificate."""


class Hall:
    """The sessions of one hub; everything here happens on the event loop."""

    def __init__(
        self,
        settings: Settings,
        desk: Desk,
        writer: Writer[Round],
        *,
        greet: Callable[[], HubSession],
        standing: Standing,
        reading: Callable[[], AbstractContextManager[object]],
        refused: Callable[[str], None],
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
        last_seen: dict[str, int] | None = None,
    ) -> None:
        """Nobody is here; `last_seen` is kept up to date, and says when each member was (Unix seconds).

        `greet` makes the machine of a new connection, `reading` holds the registry still for a block, and `refused`
        hears the code of each refusal.  `steady` runs on however the `clock` is set.
        """
        self.settings = settings
        self.sessions: dict[str, Session] = {}
        self.last_seen = {} if last_seen is None else last_seen
        self.door = Door(settings.strangers, settings.strangers_per_address, settings.connections_per_minute)
        self.submit_window = Window(settings.submit_envelopes, settings.submit_bytes)
        self.is_draining = False
        self.grown_to = 0
        self._desk = desk
        self._writer = writer
        self._greet, self._standing, self._reading = greet, standing, reading
        self._refused, self._clock, self._steady = refused, clock, steady
        self._clock_began = clock() - steady()
        self._tasks: set[asyncio.Task[None]] = set()
        self._jobs: set[asyncio.Task[None]] = set()

    # -- a connection
    async def receive(self, request: web.Request) -> web.StreamResponse:
        """The whole life of one connection to `/session`.

        Raises `LimitError` if too many strangers stand at the door or one comes too often, `DrainingError` while the hub stops.
        """
        if self.is_draining:
            raise DrainingError
        with self.door.place(request.remote or ""):
            session, transport, ws = await self._admit(request)
            try:
                is_open = await self._opened(session, transport)
            except BaseException:
                await session.close()
                raise
        try:
            if is_open:
                await session.talk()
        finally:
            await session.close()
        return ws

    async def _admit(self, request: web.Request) -> tuple[Session, asyncio.Transport, Socket]:
        ws = websocket()
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            raise TransportError("the connection is gone")
        line = Line(ws, transport, self.settings.pending_bytes, self._keep)
        session = Session(self._greet(), line, self)
        line.on_room = session.catch_up
        return session, transport, ws

    async def _opened(self, session: Session, transport: asyncio.Transport) -> bool:
        loop, seconds = asyncio.get_running_loop(), self.settings.handshake_seconds
        limit = asyncio.timeout(seconds)
        porch = Porch(transport, lambda: limit.reschedule(loop.time()))
        try:
            async with limit:
                return await session.open()
        except TimeoutError:
            flood = LimitError(f"over {STRANGER_BYTES} bytes from who has not proved itself")
            session.end(flood if porch.is_flooded else TransportError(f"not opened within {seconds} seconds"))
            return False
        finally:
            porch.leave()

    # -- what a session finds around it
    @property
    def demands(self) -> dict[str, Demand]:
        """See `hub.sessions.House`."""
        return self._desk.demands

    def now(self) -> int:
        """See `hub.sessions.House`."""
        return int(self._clock())

    def reading(self) -> AbstractContextManager[object]:
        """See `hub.sessions.House`."""
        return self._reading()

    async def run(self, job: Callable[[Round], T]) -> T:
        """See `hub.sessions.House`."""
        return await self._writer.run(job)

    def spawn(self, job: Callable[[Round], T], then: Callable[[T | ValijaError], None]) -> None:
        """See `hub.sessions.House`."""
        task = self._keep(self._run(job, then))
        self._jobs.add(task)
        task.add_done_callback(self._jobs.discard)

    async def _run(self, job: Callable[[Round], T], then: Callable[[T | ValijaError], None]) -> None:
        try:
            result: T | ValijaError = await self._writer.run(job)
        except ValijaError as error:
            result = error
        except Exception as error:  # noqa: BLE001 - a fault of ours ends the session that met it, not the hub
            _log.exception("job_failed", error=type(error).__name__)
            result = ValijaError()
        then(result)

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task_failed", error=type(error).__name__, exc_info=error)

    def enter(self, session: Session) -> None:
        """See `hub.sessions.House`."""
        older = self.sessions.get(session.member)
        if older is not None:
            self._forget(older)
            older.end(FencedError())
            self._keep(older.close())
        self.sessions[session.member] = session
        self._desk.readers[session.member] = session
        self.last_seen[session.member] = self.now()
        _log.info("session_opened", member=session.member)
        if self.is_draining:
            # It was at the door when that was shut.
            session.end(DrainingError())
        if abs(self.now() - session.opened_at) > CLOCK_TELL_SECONDS:
            session.end(DrainingError(_CLOCK_SET))

    def leave(self, session: Session, closed: Closed | None) -> None:
        """See `hub.sessions.House`."""
        self._forget(session)
        code = "" if closed is None else closed.code
        if closed is not None and closed.source is Source.HERE:
            self._refused(code)
        if session.member:
            self.last_seen[session.member] = self.now()
        _log.info("session_closed", member=session.member or None, code=code or None)

    def _forget(self, session: Session) -> None:
        if self.sessions.get(session.member) is session:
            del self.sessions[session.member]
            self._desk.readers.pop(session.member, None)
            self._desk.demands.pop(session.member, None)

    # -- what concerns all of them
    def committed(self, round_: Round) -> None:
        """Pass on what this round put into mailboxes."""
        self._compare_clocks()
        for delivery in round_.deliveries:
            delivery.demand.reader.deliver(delivery)
        for member in round_.unread:
            reader = self._desk.readers.get(member)
            if reader is not None:
                reader.wake()

    def grown(self, size: int) -> None:
        """Tell everybody that the registry log has `size` entries, and close who is no longer in standing."""
        self.grown_to = size
        for session in list(self.sessions.values()):
            session.grown(size)
        self.review()

    def review(self) -> None:
        """Close the sessions whose certificates are no longer in standing."""
        for session in list(self.sessions.values()):
            if session.hello is None:
                continue
            try:
                self._standing(session.hello.certificate, self.now())
            except StandingError as error:
                session.end(error)
                self._keep(session.close())

    def _compare_clocks(self) -> None:
        """End all sessions if the clock was set: node and hub compare theirs in the hellos, and go by that until the end."""
        began = self._clock() - self._steady()
        ahead = began - self._clock_began
        if abs(ahead) <= CLOCK_TELL_SECONDS:
            return
        self._clock_began = began
        _log.warning("clock_was_set", ahead_seconds=int(ahead), sessions=len(self.sessions))
        for session in list(self.sessions.values()):
            session.end(DrainingError(_CLOCK_SET))
            self._keep(session.close())

    async def watch(self) -> None:
        """Until cancelled: ask silent members for a sign of life, and cut off who gives none."""
        while True:
            await asyncio.sleep(self.settings.idle_seconds)
            self._compare_clocks()
            self.review()
            for session in list(self.sessions.values()):
                if not session.line.is_alive():
                    session.line.cut()

    async def drain(self) -> None:
        """Answer what was asked, say farewell, and return when all lines are closed; slow readers are cut off."""
        self.is_draining = True
        await self._writer.stop()
        await self._dismiss()

    def shut(self) -> None:
        """Let nobody in from now on, and send away who is here once answered; the hub goes on, and may `open` again."""
        self.is_draining = True
        self._keep(self._dismiss())

    def open(self) -> None:
        """Let members in again."""
        self.is_draining = False

    async def _dismiss(self) -> None:
        if self._jobs:
            await asyncio.wait(set(self._jobs), timeout=self.settings.drain_seconds)
        present = list(self.sessions.values())
        for session in present:
            session.end(DrainingError())
        farewells = [self._keep(session.close(self.settings.drain_seconds)) for session in present]
        if farewells:
            await asyncio.wait(farewells)
