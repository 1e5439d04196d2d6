"""A real aiohttp application at the end of a line in memory: what bytes come to it, and what it says.

`request_of` writes the request that an input tells as [method, path, [[name, value]…], body]; bytes that tell none are
sent as they are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from tests.fuzz.mutate import unpack
from tests.fuzz.target import require

TURNS: Final = 400


class Pipe(asyncio.Transport):
    """What the server writes, kept; nobody else is on the line."""

    def __init__(self) -> None:
        super().__init__()
        self.written = bytearray()
        self.closing = False

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 80), "peername": ("127.0.0.1", 5)}.get(name, default)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    abort = close

    def write(self, data: Any) -> None:
        self.written += data

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass


class Faults(logging.Handler):
    """What a handler raised that it should not have."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        if kind is None or not issubclass(kind, HttpProcessingError):  # what is no HTTP gets its 400 from aiohttp
            self.seen.append(f"{record.getMessage()} {kind}")

    def error(self, event: str, **told: Any) -> None:
        """As the structured log of a node."""
        self.seen.append(f"{event} {told}")

    exception = warning = info = error


Made = web.Application | Awaitable[web.Application]


class Server:
    """An application on a loop of its own, asked one request at a time."""

    def __init__(self, make: Callable[[Faults], Made], **options: Any) -> None:
        self.loop, self.faults, self.options = asyncio.new_event_loop(), Faults(), options
        self.loop.set_exception_handler(lambda _loop, context: self.faults.seen.append(str(context.get("message"))))
        self.runner = self.loop.run_until_complete(self._started(make))

    async def _started(self, make: Callable[[Faults], Made]) -> web.AppRunner:
        made = make(self.faults)
        app = made if isinstance(made, web.Application) else await made
        runner = web.AppRunner(app, access_log=None, logger=_logger(self.faults), **self.options)
        await runner.setup()
        return runner

    def ask(self, request: bytes) -> bytes:
        """All that the server says to these bytes, the line then being cut."""
        return self.loop.run_until_complete(self._ask(request))

    def end(self) -> None:
        """What was left to other threads is done, and nothing is asked any more."""
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    async def _ask(self, request: bytes) -> bytes:
        assert self.runner.server is not None
        protocol, pipe = self.runner.server(), Pipe()
        protocol.connection_made(pipe)
        protocol.data_received(request)
        for _turn in range(TURNS):
            await asyncio.sleep(0)
            if pipe.closing:
                break
        protocol.connection_lost(None)
        await asyncio.sleep(0)
        return bytes(pipe.written)


def _logger(faults: Faults) -> logging.Logger:
    logger = logging.Logger("fuzz")  # noqa: LOG001 - known to nobody else
    logger.addHandler(faults)
    return logger


def check_answer(server: Server, request: bytes) -> None:
    """Ask, and see that no fault of ours and no 500 came of it."""
    server.faults.seen.clear()
    answer = server.ask(request)
    require(not server.faults.seen, "; ".join(server.faults.seen)[:300])
    status = answer[9:12]
    require(not answer or answer.startswith(b"HTTP/"), "an answer that is none")
    require(status != b"500" and b'"code":"internal"' not in answer, f"status {status!r}")


def request_of(data: bytes) -> bytes:
    """The request that an input tells; the bytes themselves if it tells none."""
    try:
        method, path, headers, body = unpack(data)
        lines = [(_line(name), _line(value)) for name, value in headers[:12]]
        start = b" ".join((_line(method), _line(path), b"HTTP/1.1"))
        size = [(b"Content-Length", str(len(body)).encode())] if body else []
        whole = [(b"Host", b"127.0.0.1"), (b"Connection", b"close"), *lines, *size]
        return start + b"".join(b"\r\n" + name + b": " + value for name, value in whole) + b"\r\n\r\n" + bytes(body)
    except (ValueError, TypeError):
        return data


def _line(text: Any) -> bytes:
    return text if isinstance(text, bytes) else str(text).encode("utf-8", "replace")


WORDS: Final = tuple(
    word.encode()
    for word in (
        *(
            "\r\n",
            "\r\n\r\n",
            "Content-Length: 5\r\n",
            "Transfer-Encoding: chunked\r\n",
            "Expect: 100-continue\r\n",
            "%00",
        ),
        *(
            "%2e%2e/",
            "%ff",
            "?limit=",
            "?after=",
            "&",
            "=",
            "/",
            "//",
            "?q=",
            "'",
            '"',
            "*",
            "NEAR(",
            "OR",
            "HTTP/1.0",
            "{}",
        ),
        *(
            "Bearer ",
            "vlj_",
            "Host: [",
            "Origin: http://x",
            "\\ud800",
            "null",
            "-1",
            "1e9",
            "9223372036854775808",
            "msg_",
        ),
        *(
            "Content-Type: application/x-ndjson",
            "Idempotency-Key: \x7f",
            "x000/",
            ".p/256",
            ".p/0",
            "entries/",
            "\u202e",
            "é",
        ),
    )
)
