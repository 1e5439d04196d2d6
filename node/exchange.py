"""One session with the hub: `protocol.session.machine` between a WebSocket and the rounds.

    bytes -> NodeSession -> frame -> work of the next round -> commit -> answer -> bytes

Sending never waits: messages stand in a queue that one task empties.  How much may stand there is bounded by the two
windows of the session, not here.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final

import aiohttp
from structlog.typing import FilteringBoundLogger

from node.engine import CLOCK_SET, Engine, Going
from node.lookups import Lookups
from node.rounds import Rounds
from node.withdrawal import Recalling
from protocol.errors import ClockSkewError, HubGoneError, MalformedError, TransportError, UsageError, ValijaError
from protocol.limits import MAX_LOOKUP_MEMBERS, MAX_REQUESTS, MIB
from protocol.names import EnvelopeId
from protocol.session.channel import Ephemeral
from protocol.session.frames import (
    Acknowledge,
    Calendars,
    Deliver,
    Frame,
    Lookup,
    Publish,
    Published,
    Recall,
    Recalled,
    Registry,
    Results,
    Submit,
)
from protocol.session.items import SubmitItem, Window, fitting
from protocol.session.machine import Answer, Closed, Event, FrameReceived, NodeIdentity, NodeSession, Opened

WINDOW: Final = Window(1_024, 32 * MIB)
OPENING_SECONDS: Final = 20
SILENT_SECONDS: Final = 300
"""Long enough for the largest message on a slow line."""

CLOSING_SECONDS: Final = 2
_SECRET_BYTES: Final = 32
_NO_ENVELOPE: Final = EnvelopeId(bytes(32))


class Exchange:
    """One session, from hello to close; `number` tells it from the one before."""

    def __init__(
        self,
        number: int,
        engine: Engine,
        rounds: Rounds,
        identity: NodeIdentity,
        now: Callable[[], float],
        log: FilteringBoundLogger,
    ) -> None:
        """Nothing said yet."""
        self.number = number
        self._engine, self._rounds, self._now, self._log = engine, rounds, now, log
        ephemeral = Ephemeral(os.urandom(_SECRET_BYTES), os.urandom(_SECRET_BYTES))
        self._machine = NodeSession(identity, ephemeral, engine.mirror.registry)
        self._queue: deque[bytes] = deque()
        self._queued = asyncio.Event()
        self._questions: deque[Callable[[int], Frame]] = deque()
        self._asked: set[int] = set()
        self._last_request = 0
        self._lookups = Lookups()
        self._again: asyncio.TimerHandle | None = None
        self.opened = asyncio.Event()
        self.carried = asyncio.Event()
        """Set once something was delivered and is durable, or the hub answered what was submitted."""
        self.registry_grew: Callable[[int], None] = _nobody
        self._end: Closed | None = None

    # -- the line --------------------------------------------------------------------------------------
    async def run(self, socket: aiohttp.ClientWebSocketResponse) -> Closed:
        """Speak until the session ends; gives how.  Raises `TransportError` for a line that breaks without a word."""
        self._queue.append(self._machine.start(int(self._now())))
        self._queued.set()
        sender = asyncio.create_task(self._send_all(socket), name="exchange-sender")
        try:
            await self._receive_all(socket)
        finally:
            await self._stop(sender)
            self._cancel_timer()
            self._rounds.ask(self._engine.session_closed).add_done_callback(_forget)
        if self._end is None:
            raise HubGoneError("the line broke")
        return self._end

    async def _receive_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while self._end is None:
            message = await self._next(socket)
            if message.type is aiohttp.WSMsgType.BINARY:
                self._take(self._machine.receive(message.data, int(self._now())))
            elif message.type is aiohttp.WSMsgType.TEXT:
                self._take(self._machine.close(MalformedError("text where binary messages belong")))
            else:
                return

    async def _next(self, socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
        """The next message; `HubGoneError` if the hub says nothing.

        The heartbeat tells that somebody is there, not that all arrived: what was dropped shows at the next message of its
        direction alone, and where all is quiet a question of ours brings one in both.
        """
        seconds = SILENT_SECONDS if self.opened.is_set() else OPENING_SECONDS
        with suppress(TimeoutError):
            return await _within(seconds, socket)
        if self.opened.is_set():
            self._ask(partial(_recall, Recalling(_NO_ENVELOPE, self._engine.me)))
            with suppress(TimeoutError):
                return await _within(seconds, socket)
        raise HubGoneError("no answer in time")

    async def _send_all(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                try:
                    await socket.send_bytes(self._queue.popleft())
                except (ConnectionError, RuntimeError, aiohttp.ClientError):
                    return  # the receiving side learns of it too
            if self._end is not None:
                # The last word is said: whoever waits for the hub's next one is woken.
                await socket.close()
                return

    async def _stop(self, sender: asyncio.Task[None]) -> None:
        # A last Close may still stand in the queue.
        if self._end is not None:
            await asyncio.wait([sender], timeout=CLOSING_SECONDS)
        sender.cancel()
        await asyncio.wait([sender])

    def close(self, error: ValijaError) -> None:
        """End the session because of `error`."""
        self._take(self._machine.close(error))

    # -- events ----------------------------------------------------------------------------------------
    def _take(self, events: Sequence[Event]) -> None:
        for event in events:
            match event:
                case Answer():
                    self._queue.append(event.data)
                    self._queued.set()
                case Opened():
                    self._open(event)
                case FrameReceived():
                    self._frame(event.frame)
                case Closed():
                    self._end = event
                    self._queued.set()
                case _:
                    raise UsageError("an event of the hub's end")

    def _open(self, event: Opened) -> None:
        work = partial(self._session_opened, event)
        self._then(self._rounds.ask(work), self._start_reading)
        self.opened.set()

    def _session_opened(self, event: Opened, ctx: Any) -> int:
        return self._engine.session_opened(ctx, event.hello, event.welcome, self.number)

    def _start_reading(self, position: int) -> None:
        self._say(Acknowledge(position, WINDOW))

    def _frame(self, frame: Frame) -> None:
        match frame:
            case Results():
                self._then(self._rounds.ask(lambda ctx: self._engine.answered(ctx, frame.items)), self._carried)
            case Deliver():
                self._then(self._rounds.ask(lambda ctx: self._engine.deliver(ctx, frame.items)), self._archived)
            case Calendars():
                self._answered(frame.request)
                self._lookups.answered([member for member, _calendar in frame.calendars], self._now())
                self._then(self._rounds.ask(lambda ctx: self._engine.calendars(ctx, frame.calendars)), _nobody)
            case Recalled():
                self._answered(frame.request)
                self._then(self._rounds.ask(lambda ctx: self._engine.recalled(ctx, frame.attestation)), _nobody)
            case Published():
                self._answered(frame.request)
                if frame.code is not None:
                    self._log.warning("calendar_refused", code=frame.code)
                self._then(self._rounds.ask(lambda ctx: self._engine.published(ctx, frame.code)), _nobody)
            case Registry():
                self._lookups.hurry(self._now())
                self._wait_for_lookup()
                self.registry_grew(frame.size)
            case _:
                raise UsageError("a frame that no hub sends")

    def _archived(self, position: int) -> None:
        self.carried.set()
        self._say(Acknowledge(position, WINDOW))

    def _carried(self, _nothing: None) -> None:
        self.carried.set()

    def _then(self, answer: Awaitable[Any], done: Callable[[Any], None]) -> None:
        """When the round is durable, do what follows from it; a work that failed ends the session."""
        future = asyncio.ensure_future(answer)
        future.add_done_callback(lambda each: self._follow(each, done))

    def _follow(self, future: asyncio.Future[Any], done: Callable[[Any], None]) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is None:
            done(future.result())
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        self._log.error("work_failed", code=getattr(error, "code", ValijaError.code), kind=type(error).__name__)
        self.close(error if isinstance(error, ValijaError) else TransportError("internal"))

    # -- what the rules want sent ------------------------------------------------------------------------
    def go(self, going: Going) -> None:
        """Send what a round prepared for this session."""
        if going.session != self.number or self._end is not None:
            return
        if going.blocked == ClockSkewError.code:
            # Node and hub compare their clocks when a session opens, and go by that for as long as it lasts.
            self.close(ClockSkewError(CLOCK_SET))
            return
        items: Sequence[SubmitItem] = going.items
        while items:
            count = max(1, fitting(items))
            self._say(Submit(tuple(items[:count])))
            items = items[count:]
        if going.calendar is not None:
            calendar = going.calendar
            self._ask(lambda request: Publish(request, calendar))
        self._look_up(going.wanted)

    def _look_up(self, wanted: frozenset[str]) -> None:
        members = self._lookups.want(wanted, self._now())
        for start in range(0, len(members), MAX_LOOKUP_MEMBERS):
            self._ask(partial(_lookup, tuple(members[start : start + MAX_LOOKUP_MEMBERS])))
        self._wait_for_lookup()

    def _wait_for_lookup(self) -> None:
        self._cancel_timer()
        if (next_at := self._lookups.next_at) is not None:
            self._again = asyncio.get_running_loop().call_later(max(next_at - self._now(), 0.1), self._rounds.wake)

    def _cancel_timer(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    def recall(self, recalling: Sequence[Recalling]) -> None:
        """Ask the hub to drop these slots, if they are still there."""
        for each in recalling:
            self._ask(partial(_recall, each))

    def _ask(self, question: Callable[[int], Frame]) -> None:
        self._questions.append(question)
        self._ask_more()

    def _ask_more(self) -> None:
        while self._questions and len(self._asked) < MAX_REQUESTS:
            self._last_request += 1
            self._asked.add(self._last_request)
            self._say(self._questions.popleft()(self._last_request))

    def _answered(self, request: int) -> None:
        self._asked.discard(request)
        self._ask_more()

    def _say(self, frame: Frame) -> None:
        if self._end is not None or not self.opened.is_set():
            return
        try:
            self._queue.append(self._machine.send(frame))
        except TransportError:
            return  # it closed meanwhile; everything is said again in the next session
        except UsageError as error:
            # What the session's own rules forbid never left, and its sender counts it as said.
            self._fail(error)
        self._queued.set()


async def _within(seconds: float, socket: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
    # Not `receive(seconds)`, which counts anew from each pong on.
    async with asyncio.timeout(seconds):
        return await socket.receive()


def _lookup(members: tuple[str, ...], request: int) -> Frame:
    return Lookup(request, members)


def _recall(each: Recalling, request: int) -> Frame:
    return Recall(request, each.envelope_id, each.recipient)


def _nobody(_answer: object) -> None:
    """Nothing follows."""


def _forget(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()  # a store that failed is told of elsewhere
