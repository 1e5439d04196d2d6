"""The lines between nodes and hub: whole messages in order, each with its delay, and everything that breaks a line.

A line is a WebSocket as `node.exchange` and `hub.line` use it, without TCP.  Between two lines nothing is in order.
Within one, TCP and TLS below us keep the order or break: so a message that is lost, doubled, turned round or damaged
on the way is a fault that the session must notice, and a line that went silent in one direction looks alive until the
heartbeat says otherwise.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType

from tests.simulator.loop import Loop, Process

HEARTBEAT_SECONDS = 30.0
BUFFER_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Message:
    """What `receive` gives, as aiohttp does."""

    type: WSMsgType
    data: Any = None


CLOSED = Message(WSMsgType.CLOSED)


@dataclass(slots=True)
class Weather:
    """How lines are just now: seconds from end to end, and bytes per second to a slow reader."""

    least_delay: float = 0.005
    most_delay: float = 0.05
    bytes_per_second: float = 1e8


class End:
    """One end of a line: the WebSocket that the process at it holds."""

    def __init__(self, line: Wire, owner: Process) -> None:
        """Open."""
        self.line = line
        self.owner = owner
        self.peer: End = self
        self.is_open = True
        self.is_deaf = False
        self.in_flight = 0
        self.damage: Callable[[bytes], list[bytes]] | None = None
        self._free_at = 0.0
        self._protocol: Any = self
        self._inbox: deque[Message] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None

    # -- what the daemons use --------------------------------------------------------------------------
    async def receive(self, timeout: float | None = None) -> Message:
        """The next message; CLOSED once the line is gone.  `TimeoutError` after so many seconds."""
        async with asyncio.timeout(timeout):
            while not self._inbox:
                if not self.is_open:
                    return CLOSED
                self._waiting = self.line.loop.create_future()
                await self._waiting
        message = self._inbox.popleft()
        if message.type is WSMsgType.BINARY:
            self.peer.taken(len(message.data))
        return message

    async def send_bytes(self, data: bytes) -> None:
        """Send one message, once there is room in the buffers; `ConnectionError` on a line that is gone."""
        while self.is_open and self.in_flight > BUFFER_BYTES:
            self._room = self.line.loop.create_future()
            await self._room
        if not self.is_open or not self.owner.is_alive:
            raise ConnectionResetError
        for each in self.damage(data) if self.damage else [data]:
            self._send(Message(WSMsgType.BINARY, each), len(each))

    async def ping(self, _data: bytes = b"") -> None:
        """Ask the other end for a sign of life; aiohttp's client answers by itself."""
        if self.is_open:
            self.line.after_delay(self, self.peer._pong)

    async def pong(self, _data: bytes = b"") -> None:
        """Nothing to say: the answer to a ping needs nobody."""

    async def close(self, *, code: int = 1000) -> bool:
        """Say goodbye and hang up; what was sent before still arrives."""
        if self.is_open and self.owner.is_alive:
            self.say_goodbye()
        return True

    def say_goodbye(self) -> None:
        """The other end learns, in its turn, that this one is gone."""
        self._send(CLOSED, 0)
        self.shut()

    # -- the transport, as `hub.line` and `hub.porch` see it ---------------------------------------------
    def get_protocol(self) -> Any:
        """Who is told of what arrives."""
        return self._protocol

    def set_protocol(self, protocol: Any) -> None:
        """From now on this one is."""
        self._protocol = protocol

    def data_received(self, data: bytes) -> None:
        """A message for whoever waits at this end."""
        self._inbox.append(Message(WSMsgType.BINARY, data))

    def get_write_buffer_size(self) -> int:
        """The bytes that the other end has not taken."""
        return self.in_flight

    def abort(self) -> None:
        """Break the line."""
        self.line.cut("aborted")

    # -- the way ---------------------------------------------------------------------------------------
    def _send(self, message: Message, size: int) -> None:
        self.in_flight += size
        weather = self.line.weather()
        delay = self.line.chance.uniform(weather.least_delay, weather.most_delay) + size / weather.bytes_per_second
        self._free_at = max(self._free_at, self.line.loop.time() + delay)
        self.line.loop.call_at(self._free_at, self.peer._arrive, message, context=Context())

    def _arrive(self, message: Message) -> None:
        if self.is_open and not self.is_deaf:
            self.line.tell(self, message)
            if message.type is WSMsgType.BINARY:
                self._protocol.data_received(message.data)
            else:
                self._inbox.append(message)
            self._wake()
            if message.type is WSMsgType.CLOSED:
                self.is_open = False

    def _pong(self) -> None:
        if self.is_open and not self.is_deaf:
            self.line.after_delay(self, lambda: self.peer._arrive(Message(WSMsgType.PONG)))

    def taken(self, size: int) -> None:
        """The other end took so many bytes."""
        self.in_flight -= size
        if self._room is not None and not self._room.done() and self.in_flight <= BUFFER_BYTES:
            self._room.set_result(None)

    def shut(self) -> None:
        """This end is gone; whoever waits at it is told."""
        self.is_open = False
        self._wake()
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


@dataclass(eq=False)
class Wire:
    """One line between a node and the hub."""

    loop: Loop
    chance: random.Random
    weather: Callable[[], Weather]
    name: str
    say: Callable[[str, str], None]
    ends: tuple[End, End] = field(init=False)

    def join(self, node: Process, hub: Process) -> tuple[End, End]:
        """The two ends: the node's and the hub's."""
        ours, theirs = End(self, node), End(self, hub)
        ours.peer, theirs.peer = theirs, ours
        self.ends = (ours, theirs)
        return self.ends

    @property
    def is_open(self) -> bool:
        """Whether either end thinks so."""
        return any(end.is_open for end in self.ends)

    def tell(self, end: End, message: Message) -> None:
        """A message arrives."""
        if message.type is WSMsgType.BINARY:
            way = "<" if end is self.ends[0] else ">"
            self.say(self.name, f"{way} {len(message.data)} bytes")

    def after_delay(self, end: End, work: Callable[[], object]) -> None:
        """Do `work` at the other side, if the way there is open."""
        weather = self.weather()
        if not end.peer.is_deaf:
            self.loop.plan(self.chance.uniform(weather.least_delay, weather.most_delay), work)

    def cut(self, why: str) -> None:
        """Both ends learn at once that the line is gone; what is under way is lost."""
        if self.is_open:
            self.say(self.name, f"cut: {why}")
        for end in self.ends:
            end.shut()

    def silence(self, *deaf: int) -> None:
        """Nothing reaches these ends (0 the node's, 1 the hub's) any more; the node's heartbeat notices."""
        for number in deaf:
            self.ends[number].is_deaf = True
        self.loop.plan(HEARTBEAT_SECONDS, self._unheard)

    def _unheard(self) -> None:
        # A heartbeat needs both ways.  The hub's end may go on in the belief that somebody is there.
        if any(end.is_deaf for end in self.ends) and self.ends[0].is_open:
            self.say(self.name, "no heartbeat")
            self.ends[0].say_goodbye()
