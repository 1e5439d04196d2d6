"""One WebSocket as a session uses it: whole messages in, whole messages out, and a bounded queue before a slow reader.

Sending never waits.  What is sent stands in a queue that a task empties, and that task lives only while there is
something in it.  Who sends looks at `is_clogged`: a session whose reader is slow takes nothing more, neither from its
mailbox nor from its own line, until there is room again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Final

from aiohttp import WebSocketError, WSCloseCode, WSMessage, WSMsgType, web
from aiohttp.http import WSMessageTextBytes

from protocol.errors import LimitError, MalformedError
from protocol.limits import MAX_FRAME_BYTES

# A little over the limit still gets a coded answer of the session; far over it, the WebSocket's own.
_MAX_MESSAGE_BYTES: Final = MAX_FRAME_BYTES + 1_024
CLOSE_SECONDS: Final = 2.0
_SILENT_CALLS: Final = 3

Spawn = Callable[[Coroutine[Any, Any, None]], object]
Socket = web.WebSocketResponse[bool]


def websocket() -> Socket:
    """The socket of a session: no compression, which would mix secrets with what others send; no timers of its own."""
    return web.WebSocketResponse(compress=False, autoping=False, max_msg_size=_MAX_MESSAGE_BYTES, timeout=CLOSE_SECONDS)


class Line:
    """A prepared WebSocket, with a queue of at most about `max_pending` bytes before its reader."""

    __slots__ = (
        "_farewell",
        "_max_pending",
        "_pending",
        "_pump",
        "_queue",
        "_room",
        "_seen",
        "_silent",
        "_spawn",
        "_transport",
        "_unsent",
        "_ws",
        "on_room",
    )

    def __init__(self, ws: Socket, transport: asyncio.Transport, max_pending: int, spawn: Spawn) -> None:
        """Nothing queued; `on_room` is called whenever the queue has become short again."""
        self._ws = ws
        self._transport = transport
        self._max_pending = max_pending
        self._spawn = spawn
        self.on_room: Callable[[], None] = _nothing
        self._queue: deque[bytes] = deque()
        self._pending = 0
        self._pump: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._farewell: asyncio.Task[None] | None = None
        self._seen = True
        self._silent = 0
        self._unsent = 0

    # -- out
    @property
    def is_clogged(self) -> bool:
        """Whether so much waits for the reader that nothing more should be taken on for it."""
        return self._pending > self._max_pending

    def send(self, data: bytes) -> None:
        """Queue one message; it is dropped if the line breaks."""
        if self._farewell is not None:
            return
        self._queue.append(data)
        self._pending += len(data)
        if self._pump is None:
            self._pump = asyncio.get_running_loop().create_future()
            self._spawn(self._empty(self._pump))

    async def _empty(self, done: asyncio.Future[None]) -> None:
        try:
            while self._queue:
                data = self._queue.popleft()
                await self._ws.send_bytes(data)
                self._seen = True
                self._sent(len(data))
        except (ConnectionError, RuntimeError):
            # The other end is gone; the reading side learns of it too, and ends the session.
            self._queue.clear()
            self._sent(self._pending)
        finally:
            self._pump = None
            if not done.done():
                done.set_result(None)

    def _sent(self, size: int) -> None:
        was_clogged = self.is_clogged
        self._pending -= size
        if was_clogged and not self.is_clogged:
            if self._room is not None and not self._room.done():
                self._room.set_result(None)
            self.on_room()

    async def flushed(self) -> None:
        """Return once all that was queued is with the operating system, or the line broke."""
        while (pump := self._pump) is not None:
            await asyncio.shield(pump)

    # -- in
    async def receive(self) -> bytes | None:
        """The next message, once its answers would have room; None when the line ended.

        Raises `MalformedError` for text, and `LimitError` for a message far over the limit of a frame.
        """
        while True:
            await self._wait_for_room()
            message = await self._ws.receive()
            self._seen = True
            if message.type is WSMsgType.BINARY:
                data: bytes = message.data
                return data
            if message.type is WSMsgType.PING:
                with suppress(ConnectionError):
                    await self._ws.pong(message.data)
            elif message.type is not WSMsgType.PONG:
                _check_end(message)
                return None

    async def _wait_for_room(self) -> None:
        while self.is_clogged:
            self._room = asyncio.get_running_loop().create_future()
            try:
                await self._room
            finally:
                self._room = None

    # -- ends
    def is_alive(self) -> bool:
        """Whether the other end gave a sign of life since the last calls; when it gave none, it is asked for one."""
        unsent = self._transport.get_write_buffer_size()
        moved, self._unsent = unsent != self._unsent, unsent
        if self._seen or moved:
            self._seen, self._silent = False, 0
            return True
        self._silent += 1
        # A line that is full carries no question; that it empties is the answer.
        if self._pump is None and self._farewell is None:
            self._spawn(self._ping())
        return self._silent < _SILENT_CALLS

    async def _ping(self) -> None:
        with suppress(ConnectionError):
            await self._ws.ping()

    async def hang_up(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what is queued, give a slow reader at most so many seconds for it, and close; return when that is done."""
        if self._farewell is None:
            self._farewell = asyncio.get_running_loop().create_task(self._say_farewell(seconds))
        await asyncio.shield(self._farewell)

    async def _say_farewell(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self.flushed()
                await self._ws.close(code=WSCloseCode.OK)
        except TimeoutError:
            self.cut()
        finally:
            # A circle through the session would keep the connection's buffers until somebody looks for circles.
            self.on_room = _nothing

    def cut(self) -> None:
        """Break the line at once."""
        self._transport.abort()


def _nothing() -> None:
    """Nobody wants to know."""


def _check_end(message: WSMessage | WSMessageTextBytes) -> None:
    if message.type is WSMsgType.TEXT:
        raise MalformedError("text where binary messages belong")
    if isinstance(message.data, WebSocketError) and message.data.code == WSCloseCode.MESSAGE_TOO_BIG:
        raise LimitError(f"a message over {MAX_FRAME_BYTES} bytes")
