"""The least of HTTP/1.1 that case systems need, so that many of them cost their process little beside what is measured.

It speaks to our own nodes alone: answers carry `Content-Length`, streams of events none.
"""

from __future__ import annotations

import asyncio
from typing import Final, cast

from bench.client import BenchError

_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "
DELIVERED: Final = b'"state":"delivered"'


class _Line(asyncio.Protocol):
    """What a connection and a stream have in common."""

    transport: asyncio.Transport
    closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio's.
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True

    def close(self) -> None:
        """The connection is given up."""
        self.transport.abort()


class Connection(_Line):
    """Carries one request at a time, and is kept."""

    def __init__(self) -> None:
        self._held = b""
        self._answer: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of the answer; `ConnectionError` if there is none."""
        self._held, self._answer = b"", asyncio.get_running_loop().create_future()
        if self.closed:
            raise ConnectionResetError
        self.transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._held += data
        head, end, body = self._held.partition(_END)
        if end and len(body) >= _length(head) and not self._answer.done():
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        if not self._answer.done():
            self._answer.set_exception(error or ConnectionResetError())


def _length(head: bytes) -> int:
    _before, found, after = head.lower().partition(_LENGTH)
    if not found:
        raise BenchError("an answer without its length")
    return int(after.partition(b"\r\n")[0])


class Pool:
    """At most `most` connections to one address; whoever finds none free waits."""

    def __init__(self, host: str, port: int, most: int) -> None:
        self._host, self._port = host, port
        self._turn, self._free = asyncio.Semaphore(most), list[Connection]()

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """See `Connection.ask`."""
        async with self._turn:
            connection = self._free.pop() if self._free else await self._fresh()
            try:
                return await connection.ask(request)
            finally:
                self._free.append(connection)

    async def _fresh(self) -> Connection:
        return (await asyncio.get_running_loop().create_connection(Connection, self._host, self._port))[1]

    def close(self) -> None:
        """Every connection is given up."""
        for each in self._free:
            each.close()


class Listener(_Line):
    """An open stream of events: it counts how often it is told that something was delivered."""

    def __init__(self, asked: bytes) -> None:
        self._asked, self._end = asked, b""
        self.delivered = 0
        self.opened: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.transport.write(self._asked)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self.opened.set_result(data.startswith(b"HTTP/1.1 200"))
        # What stood in the last bytes of the chunk before is not counted twice: they are shorter than the mark.
        data = self._end + data
        self.delivered += data.count(DELIVERED)
        self._end = data[1 - len(DELIVERED) :]
