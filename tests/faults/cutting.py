"""A TCP proxy before the hub whose lines can be cut, or fall silent in one direction or both, and heal.

Bytes are passed on as they are: the TLS of the session goes through it.  One thread serves all lines of one proxy.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Flag
from types import TracebackType
from typing import Any, Final, Self

LOOPBACK: Final = "127.0.0.1"
_CHUNK: Final = 1 << 16


class Way(Flag):
    """Directions in which nothing passes."""

    NONE = 0
    TO_HUB = 1
    FROM_HUB = 2
    BOTH = TO_HUB | FROM_HUB


@dataclass
class _Lines:
    """What the proxy's own thread works with."""

    port: int
    refuses: bool = False
    silent: Way = Way.NONE
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    healed: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self.tasks.add(task)
        self.writers.add(writer)
        try:
            if not self.refuses:
                await self._pass_on(reader, writer)
        except (OSError, asyncio.CancelledError):
            pass  # either end is gone, or the line was cut
        finally:
            self.writers.discard(writer)
            writer.transport.abort()
            if task is not None:
                self.tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub_reader, hub_writer = await asyncio.open_connection(LOOPBACK, self.port)
        self.writers.add(hub_writer)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(reader, hub_writer, Way.TO_HUB))
                group.create_task(self._pump(hub_reader, writer, Way.FROM_HUB))
        except* OSError:
            pass  # as above
        finally:
            self.writers.discard(hub_writer)
            hub_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Way) -> None:
        while data := await reader.read(_CHUNK):
            while way & self.silent:
                await self.healed.wait()
            writer.write(data)
            await writer.drain()
        with suppress(OSError, RuntimeError):  # the other end may be gone already
            writer.write_eof()

    def cut(self) -> None:
        for writer in list(self.writers):
            writer.transport.abort()

    def hear(self, silent: Way) -> None:
        self.silent = silent
        self.healed.set()
        self.healed = asyncio.Event()


class Cutter:
    """The way of one node to the hub at `port`; open from the beginning, whole until something is said."""

    def __init__(self, port: int, host: str = LOOPBACK) -> None:
        """Listening on a free port of `host`."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._lines = _Lines(port)
        self._server = self._do(asyncio.start_server(self._lines.serve, host, 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def _do(self, work: Coroutine[Any, Any, Any]) -> Any:
        done: Future[Any] = asyncio.run_coroutine_threadsafe(work, self._loop)
        return done.result(10)

    def cut(self) -> None:
        """Afterwards every line is broken and none can be opened."""
        self._lines.refuses = True
        self._loop.call_soon_threadsafe(self._lines.cut)

    def interrupt(self) -> None:
        """Every line is broken once; new ones can be opened at once."""
        self._loop.call_soon_threadsafe(self._lines.cut)

    def silence(self, way: Way) -> None:
        """Lines stay open and nothing passes that way any more; it waits, as in a network that drops packets."""
        self._loop.call_soon_threadsafe(self._lines.hear, way)

    def heal(self) -> None:
        """Afterwards everything passes, what waited too."""
        self._lines.refuses = False
        self._loop.call_soon_threadsafe(self._lines.hear, Way.NONE)

    def close(self) -> None:
        """Nothing listens any more."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        self._lines.cut()
        for task in list(self._lines.tasks):
            task.cancel()
        await asyncio.gather(*self._lines.tasks, return_exceptions=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
