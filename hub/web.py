"""HTTP at the hub: the session's WebSocket, the log, and what an operator watches (SPEC section 15).

What stands in the log is signed by others than the hub, so anybody may read it.  Figures name the members and how
busy they are: they are served on loopback, on the operator's own address, and on the admin socket.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from hub import steering_web
from hub.core import Core
from hub.hall import Hall
from hub.operators import Operators
from hub.status import measure, snapshot
from hub.steering import Steering
from hub.tiles import TilePath
from keys.home import is_loopback
from keys.sites import UNREAD
from protocol.errors import (
    CharterExpiredError,
    ConflictError,
    DrainingError,
    LimitError,
    MalformedError,
    PeerError,
    ReplayError,
    StaleError,
    StandingError,
    StoreError,
    TransportError,
    UsageError,
    ValijaError,
)
from protocol.limits import MAX_OFFER_BYTES, MAX_STATEMENT_BYTES
from protocol.signing import DIGEST_BYTES

CORE: Final = web.AppKey("core", Core)
HALL: Final = web.AppKey("hall", Hall)
BODY_SECONDS: Final = 10
NOTE: Final = "text/plain; charset=utf-8"
OCTETS: Final = "application/octet-stream"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_LATER: Final = frozenset((429, 503))
FOREVER: Final = "public, max-age=31536000, immutable"
_log: Final = structlog.get_logger("hub")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

# The first class that fits decides.
_STATUS: Final[tuple[tuple[type[ValijaError], int], ...]] = (
    (LimitError, 413),
    (MalformedError, 400),
    (ReplayError, 409),
    (StaleError, 409),
    (CharterExpiredError, 403),
    (StandingError, 403),
    (PeerError, 422),
    (ConflictError, 409),
    (UsageError, 400),
    (TransportError, 503),
    (StoreError, 503),
)


def public_app(core: Core, hall: Hall, *, figures: bool) -> web.Application:
    """What nodes see; with `figures` also what an operator does."""
    app = _app(core, hall)
    app.add_routes([web.get("/session", session), *_LOG, *_HEALTH])
    if figures:
        app.add_routes([web.get("/metrics", local_metrics)])
    return app


def operator_app(core: Core, hall: Hall) -> web.Application:
    """Health and figures alone, for monitoring."""
    app = _app(core, hall)
    app.add_routes([*_HEALTH, *_FIGURES])
    return app


def admin_app(core: Core, hall: Hall, steering: Steering) -> web.Application:
    """What the commands of this hub's own home ask: everything but sessions."""
    app = _app(core, hall)
    app[steering_web.STEERING], app[steering_web.OPERATORS] = steering, Operators(core)
    app.add_routes([*_LOG, *_HEALTH, *_FIGURES, web.get("/status", status), *steering_web.routes()])
    return app


def _app(core: Core, hall: Hall) -> web.Application:
    app = web.Application(middlewares=[problems], client_max_size=MAX_STATEMENT_BYTES)
    app[CORE], app[HALL], app[UNREAD] = core, hall, problem
    return app


@web.middleware
async def problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer refusals as problems (RFC 9457) with our code; never with what was sent."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return problem(LimitError(f"at most {MAX_STATEMENT_BYTES} bytes"))
    except ValijaError as error:
        request.app[CORE].refused(error.code)
        return problem(error)
    except web.HTTPClientError as error:
        response = problem(UsageError(error.reason), error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


def problem(error: ValijaError, fixed: int | None = None) -> web.Response:
    """The answer that tells of `error`."""
    status = fixed or next((status for kind, status in _STATUS if isinstance(error, kind)), 500)
    told = {"type": "about:blank", "title": str(error), "status": status, "code": error.code}
    headers = {"Retry-After": "2"} if status in _LATER else {}
    return web.Response(status=status, text=json.dumps(told), content_type="application/problem+json", headers=headers)


# -- sessions and the log ------------------------------------------------------------------------------
async def session(request: web.Request) -> web.StreamResponse:
    """GET /session; 429 while too many strangers stand at the door, or when one comes too often."""
    try:
        return await request.app[HALL].receive(request)
    except LimitError as error:
        request.app[CORE].refused(error.code)
        response = problem(error, 429)
        response.headers["Retry-After"] = str(request.app[HALL].door.wait_seconds)
        return response


async def checkpoint(request: web.Request) -> web.Response:
    """GET /log/checkpoint."""
    return web.Response(body=request.app[CORE].checkpoint, headers={"Content-Type": NOTE, "Cache-Control": "no-cache"})


async def tile(request: web.Request) -> web.Response:
    """GET /log/tile/…, hashes or entries."""
    data = request.app[CORE].tile(TilePath.parse(request.match_info["path"]))
    if data is None:
        raise web.HTTPNotFound
    return web.Response(body=data, headers={"Content-Type": OCTETS, "Cache-Control": FOREVER})


async def statement(request: web.Request) -> web.Response:
    """GET /log/statement/<hash>."""
    data = await request.app[CORE].statement(hash_of(request.match_info["hash"]))
    if data is None:
        raise web.HTTPNotFound
    return web.Response(body=data, headers={"Content-Type": OCTETS, "Cache-Control": FOREVER})


def hash_of(written: str) -> bytes:
    """The 32 bytes of a statement hash; `UsageError` for what is none."""
    if len(written) != 2 * DIGEST_BYTES or not set(written) <= set("0123456789abcdef"):
        raise UsageError("a statement hash has 64 hexadecimal digits")
    return bytes.fromhex(written)


async def publish(request: web.Request) -> web.Response:
    """POST /log/statements."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            raw = await request.read()
    except TimeoutError:
        raise UsageError("the body took too long") from None
    core = request.app[CORE]
    size_before = core.log.registry.size
    index, size = await core.publish(raw)
    if index >= size_before:
        _log.info("statement_logged", index=index)
    return web.json_response({"index": index, "size": size})


async def offers(request: web.Request) -> web.Response:
    """POST /log/offers."""
    return web.json_response({"size": await request.app[CORE].offered(await offer_of(request))})


async def offer_of(request: web.Request) -> bytes:
    """The body of a request that offers leaves; `LimitError`, `UsageError` if it takes too long."""
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_any():
                data += chunk
                if len(data) > MAX_OFFER_BYTES:
                    raise LimitError(f"at most {MAX_OFFER_BYTES} bytes")
    except TimeoutError:
        raise UsageError("the body took too long") from None
    return bytes(data)


# -- for the operator ----------------------------------------------------------------------------------
async def livez(_request: web.Request) -> web.Response:
    """GET /livez: the process answers."""
    return web.json_response({"status": "ok"})


async def readyz(request: web.Request) -> web.Response:
    """GET /readyz: sessions are let in, and the store commits."""
    if request.app[HALL].is_draining:
        raise DrainingError
    await request.app[CORE].writer.run(lambda _round: None)
    return web.json_response({"status": "ok"})


async def metrics(request: web.Request) -> web.Response:
    """GET /metrics."""
    core, hall = request.app[CORE], request.app[HALL]
    queues = await core.queues()
    await measure(core, hall)
    return web.Response(body=core.metrics.render(queues, core.clock()), headers={"Content-Type": _PROMETHEUS})


async def local_metrics(request: web.Request) -> web.Response:
    """GET /metrics, for who asks this machine by its own name: no page of another site, nobody behind a proxy."""
    if not is_loopback(_name(request)):
        raise web.HTTPNotFound
    return await metrics(request)


async def private_metrics(request: web.Request) -> web.Response:
    """GET /metrics on the operators' own address; where only this machine reaches that, by its own name too."""
    local = request.transport.get_extra_info("sockname") if request.transport else None
    if isinstance(local, tuple) and is_loopback(local[0]):
        return await local_metrics(request)
    return await metrics(request)


def _name(request: web.Request) -> str:
    try:
        return request.url.host or ""
    except ValueError:
        return ""


async def status(request: web.Request) -> web.Response:
    """GET /status: how every member stands."""
    told: dict[str, Any] = await snapshot(request.app[CORE], request.app[HALL])
    return web.json_response(told)


_LOG: Final = (
    web.get("/log/checkpoint", checkpoint),
    web.get("/log/tile/{path:.+}", tile),
    web.get("/log/statement/{hash}", statement),
    web.post("/log/statements", publish),
    web.post("/log/offers", offers),
)
_HEALTH: Final = (web.get("/livez", livez), web.get("/readyz", readyz))
_FIGURES: Final = (web.get("/metrics", private_metrics),)
