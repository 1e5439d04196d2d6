"""An application on a socket; it also words what the HTTP library would refuse by itself, quoting what was sent.

Such are a request line (414) or header (431) over 8 KiB, and whatever is no HTTP: no handler ever hears of them.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from keys.tls_line import TlsLines
from protocol.errors import LimitError, UsageError, ValijaError

Unread = Callable[[ValijaError, int], web.Response]
"""The answer that tells of an error with a status, for whom no request says who asks, what and in which language."""

UNREAD: Final[web.AppKey[Unread]] = web.AppKey("unread")
# Two limits, by which alone the library tells which of both was passed.
_MAX_LINE_BYTES: Final = 8_190
_MAX_HEADER_BYTES: Final = 8_192
_LINE_TOO_LONG, _HEADER_TOO_LONG, _FIRST_FAILURE = 414, 431, 500


class _Line(web.RequestHandler):
    """One connection."""

    __slots__ = ("_unread",)

    def __init__(self, server: web.Server, unread: Unread, **options: Any) -> None:
        options |= {"max_line_size": _MAX_LINE_BYTES, "max_field_size": _MAX_HEADER_BYTES}
        super().__init__(server, loop=asyncio.get_running_loop(), **options)
        self._unread = unread

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = _FIRST_FAILURE,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        # It writes to the log, and cuts off an answer that has begun.
        super().handle_error(request, status, exc, message)
        answer = self._unread(*_told(exc, status))
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        # Applications make answers of these; what is left was raised before them.
        if isinstance(resp, web.HTTPClientError):
            resp = self._unread(UsageError(resp.reason), resp.status)
        return await super().finish_response(request, resp, start_time)


def _told(error: BaseException | None, status: int) -> tuple[ValijaError, int]:
    if isinstance(error, LineTooLong):
        if error.args[1] == _MAX_LINE_BYTES:
            return LimitError(f"the address in a request line has at most {_MAX_LINE_BYTES} bytes"), _LINE_TOO_LONG
        return LimitError(f"a header has at most {_MAX_HEADER_BYTES} bytes"), _HEADER_TOO_LONG
    if status >= _FIRST_FAILURE:
        return ValijaError(), status
    return UsageError("this is no request of HTTP/1.1 with a host"), status


@asynccontextmanager
async def serving(
    app: web.Application,
    listener: socket.socket,
    tls: ssl.SSLContext | None = None,
    *,
    backlog: int = 128,
    keepalive_seconds: float = 75.0,
    shutdown_seconds: float = 10.0,
    handler_cancellation: bool = False,
) -> AsyncIterator[None]:
    """`app`, which says under `UNREAD` how it refuses, is served there meanwhile, TLS or plain.

    A connection that asks nothing for `keepalive_seconds` is closed; at the end, answers have `shutdown_seconds` to be given.
    """
    runner = web.AppRunner(app, handler_cancellation=handler_cancellation, shutdown_timeout=shutdown_seconds)
    await runner.setup()
    try:
        # A runner that is set up has one.
        made = cast("web.Server", runner.server)
        line = partial(_Line, made, app[UNREAD], access_log=None, keepalive_timeout=keepalive_seconds)
        factory = line if tls is None else TlsLines(tls, line)
        server = await asyncio.get_running_loop().create_server(factory, sock=listener, backlog=backlog)
        try:
            yield
        finally:
            server.close()
    finally:
        await runner.cleanup()
