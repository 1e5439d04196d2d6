"""The sessions of a hub: one task for each connection, around the machine of `protocol.session.machine` (SPEC section 11).

    bytes ──► HubSession ──► frame ──► job in the next round ──► answer ──► bytes
                                       mailbox fills ──► delivery ──► bytes

Nothing is polled.  A mailbox is read when something was put into it, when an acknowledgement opened the window, and
when a slow reader caught up; and only while there is reason to believe that something waits (`_behind`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, Protocol, TypeVar

import structlog

from hub.intake import Sender
from hub.line import CLOSE_SECONDS, Line
from hub.rounds import Delivery, Demand, Round
from protocol.errors import ConflictError, PeerError, StandingError, TransportError, UsageError, ValijaError
from protocol.limits import KIB, MAX_ENVELOPES_PER_FRAME, MIB
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
    Welcome,
)
from protocol.session.handshake import ClientHello
from protocol.session.items import DeliverItem, ResultItem, Window, fitting
from protocol.session.machine import Answer, Authenticated, Closed, Event, FrameReceived, HubSession, State

_log: Final = structlog.get_logger("hub")
T = TypeVar("T")
I = TypeVar("I", ResultItem, DeliverItem)  # noqa: E741 - an item
# One reading of one mailbox: as much as the largest item has, and not so much that a crowd of readers fills the memory.
_READ_BYTES: Final = MIB + 128 * KIB


class House(Protocol):
    """What a session finds around it: the writer, the other sessions, and somebody to tell."""

    @property
    def demands(self) -> dict[str, Demand]:
        """What each reader can take now."""

    @property
    def submit_window(self) -> Window:
        """What a member may have submitted and not yet answered."""

    @property
    def grown_to(self) -> int:
        """The size that the registry log last grew to; 0 if it did not since the hub started."""

    def now(self) -> int:
        """The time in Unix seconds."""

    def reading(self) -> AbstractContextManager[object]:
        """Hold the registry still for the length of the block."""

    def spawn(self, job: Callable[[Round], T], then: Callable[[T | ValijaError], None]) -> None:
        """Do `job` in the next round, and `then` with its result, or with the error that refused it."""

    async def run(self, job: Callable[[Round], T]) -> T:
        """The result of `job`, durable."""

    def enter(self, session: Session) -> None:
        """This session is its member's from now on; an older one is closed."""

    def leave(self, session: Session, closed: Closed | None) -> None:
        """It is over, as `closed` says; None if the line just broke."""


class Session:
    """One connection from its first message to its last; `hello` is None until its member proved itself."""

    __slots__ = (
        "_acknowledged",
        "_behind",
        "_closed",
        "_house",
        "_is_left",
        "_is_looking_up",
        "_last",
        "_lookups",
        "_machine",
        "_offered",
        "_started",
        "hello",
        "line",
        "opened_at",
    )

    def __init__(self, machine: HubSession, line: Line, house: House) -> None:
        """Nobody knows yet who it is."""
        self.hello: ClientHello | None = None
        self.line = line
        self.opened_at = house.now()
        self._machine = machine
        self._house = house
        self._closed: Closed | None = None
        self._started = self._behind = self._offered = self._is_left = False
        self._last = 0
        self._acknowledged = -1
        self._is_looking_up = False
        self._lookups: deque[Lookup] = deque()

    @property
    def member(self) -> str:
        """Whose session it is; empty while nobody knows."""
        return "" if self.hello is None else self.hello.member

    @property
    def is_over(self) -> bool:
        """Whether nothing more is sent."""
        return self._machine.state is State.CLOSED

    # -- the connection
    async def open(self) -> bool:
        """Whether the member proved itself and was let in."""
        while (events := await self._heard()) is not None:
            for event in events:
                if isinstance(event, Authenticated):
                    await self._let_in(event.hello)
                    return not self.is_over
        return False

    async def talk(self) -> None:
        """Do what the member asks, until either side ends it."""
        while (events := await self._heard()) is not None:
            self._attend(events)
            # A session that waits for its next message holds nothing of the last one, which may have had megabytes.
            del events

    def _attend(self, events: Sequence[Event]) -> None:
        for event in events:
            if isinstance(event, FrameReceived):
                self._handle(event.frame)

    async def _heard(self) -> list[Event] | None:
        """What follows from the next message, where it needs knowledge of the session; None once it is over."""
        if self.is_over:
            return None
        try:
            data = await self.line.receive()
        except PeerError as error:
            self.end(error)
            return None
        return None if data is None else [event for event in self._judged(data) if not self._told(event)]

    def _judged(self, data: bytes) -> list[Event]:
        if self._machine.state is State.OPEN:
            return self._machine.receive(data, self._house.now())
        # A stranger is judged by the registry, which grows on another thread.
        with self._house.reading():
            return self._machine.receive(data, self._house.now())

    def _told(self, event: Event) -> bool:
        """Deal with what needs no knowledge of the session; False for everything else."""
        if isinstance(event, Answer):
            self.line.send(event.data)
        elif isinstance(event, Closed):
            self._closed = event
        else:
            return False
        return True

    async def _let_in(self, hello: ClientHello) -> None:
        self.hello = hello
        self._house.enter(self)
        try:
            cursor, highest = await self._house.run(lambda round_: round_.group.welcome(hello.member))
        except ValijaError as error:
            self.end(error)
            return
        self._send(Welcome(cursor, highest, self._house.submit_window))
        # What was logged since the hello was told to open sessions alone.
        if self._house.grown_to > hello.facts.size:
            self.grown(self._house.grown_to)

    def end(self, error: ValijaError) -> None:
        """Close the session because of `error`, and tell the member; nothing if it is over."""
        for event in self._machine.close(error):
            self._told(event)

    async def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Give a slow reader so many seconds to take what is queued, hang up, and let the house know."""
        if not self._is_left:
            self._is_left = True
            self._house.leave(self, self._closed)
            # Nothing is sent on a line that just broke, but the machine must know that it is over.
            self._machine.close(TransportError())
        await self.line.hang_up(seconds)

    def _send(self, frame: Frame) -> None:
        if self.is_over:
            return
        try:
            self.line.send(self._machine.send(frame))
        except UsageError as error:
            # A fault of ours ends the session that met it: of the same round, others still wait for their answers.
            _log.exception("job_failed", error=type(error).__name__)
            self.end(error)

    # -- what a member asks
    def _handle(self, frame: Frame) -> None:
        match frame:
            case Submit():
                self._submit(frame)
            case Acknowledge():
                self._acknowledge(frame)
            case Recall():
                self._recall(frame)
            case Publish():
                self._publish(frame)
            case Lookup():
                self._lookup(frame)
            case _:
                # The machine lets no other frame of a node through.
                raise UsageError(type(frame).__name__)

    def _do(self, job: Callable[[Round], T], then: Callable[[T], None]) -> None:
        def done(result: T | ValijaError) -> None:
            if isinstance(result, ValijaError):
                self.end(result)
            else:
                then(result)

        self._house.spawn(job, done)

    def _submit(self, frame: Submit) -> None:
        hello = self._proven
        sender = Sender(hello.party, hello.certificate)

        def answer(results: Sequence[Any]) -> None:
            for items in _frames([result.item for result in results]):
                self._send(Results(items))

        self._do(lambda round_: round_.group.submit(sender, frame.items), answer)

    def _recall(self, frame: Recall) -> None:
        def answer(promise: Any) -> None:
            self._send(Recalled(frame.request, None if promise is None else promise.attestation))

        member = self.member
        self._do(lambda round_: round_.group.recall(member, frame.envelope_id, frame.recipient), answer)

    def _publish(self, frame: Publish) -> None:
        def answer(result: ValijaError | None) -> None:
            if isinstance(result, (PeerError, StandingError, ConflictError)):
                self._send(Published(frame.request, result.code))
            elif isinstance(result, ValijaError):
                self.end(result)
            else:
                self._send(Published(frame.request, None))

        party = self._proven.party
        self._house.spawn(lambda round_: round_.group.publish(party, frame.calendar), answer)

    def _lookup(self, frame: Lookup) -> None:
        self._lookups.append(frame)
        self._look_up()

    def _look_up(self) -> None:
        # An answer is up to a hundred times its question: one at a time, and only while the reader keeps up.
        if not self._lookups or self._is_looking_up or self.line.is_clogged:
            return
        self._is_looking_up = True
        frame = self._lookups.popleft()

        def answer(calendars: list[tuple[str, bytes | None]]) -> None:
            self._is_looking_up = False
            self._send(Calendars(frame.request, tuple(calendars)))
            self._look_up()

        self._do(lambda round_: round_.group.lookup(frame.members), answer)

    def _acknowledge(self, frame: Acknowledge) -> None:
        if not self._started:
            self._started = self._behind = True
            self._last = frame.position
        self._offer()
        if frame.position <= self._acknowledged:
            # Said before, perhaps with a wider window: nothing is there to be written.
            self._read_on()
            return
        self._acknowledged = frame.position
        asks = self._behind and self._offered
        self._behind = self._behind and not asks
        member = self.member

        def job(round_: Round) -> None:
            round_.group.acknowledge(member, frame.position)
            if asks:
                round_.read(member)

        self._do(job, lambda _nothing: None)

    @property
    def _proven(self) -> ClientHello:
        if self.hello is None:
            raise TransportError("nobody has proved who speaks")
        return self.hello

    # -- what its mailbox holds
    def grown(self, size: int) -> None:
        """The registry log has `size` entries now."""
        if self._machine.state is State.OPEN:
            self._send(Registry(size))

    def wake(self) -> None:
        """See `hub.rounds.Reader`."""
        self._behind = True
        self._read_on()

    def catch_up(self) -> None:
        """The slow reader has taken what was queued."""
        self._look_up()
        if self._started:
            self._offer()
            self._read_on()

    def deliver(self, delivery: Delivery) -> None:
        """See `hub.rounds.Reader`."""
        self._offered = False
        if self.is_over:
            return
        for items in _frames(delivery.items):
            self._send(Deliver(items))
            self._last = items[-1].position
        self._behind = self._behind or delivery.more
        self._offer()
        if delivery.items:
            self._read_on()

    def _read_on(self) -> None:
        if self._behind and self._offered:
            self._behind = False
            member = self.member
            self._do(lambda round_: round_.read(member), lambda _nothing: None)

    def _offer(self) -> None:
        """Say what can be taken now, in place of what was said before, unless that is being answered already."""
        if self.is_over:
            return
        demands = self._house.demands
        if self._offered and demands.pop(self.member, None) is None:
            return
        room = self._machine.flow.delivery_room
        self._offered = room.envelopes > 0 and not self.line.is_clogged
        if self._offered:
            room = Window(min(room.envelopes, MAX_ENVELOPES_PER_FRAME), min(room.max_bytes, _READ_BYTES))
            demands[self.member] = Demand(self, self._last, room)


def _frames(items: Sequence[I]) -> Iterator[tuple[I, ...]]:
    while items:
        count = max(1, fitting(items))
        yield tuple(items[:count])
        items = items[count:]
