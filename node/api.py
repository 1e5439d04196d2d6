"""The HTTP API for case systems and commands (`/api/v1`): one application for the Unix socket, one for TCP.

Handlers read with a cap, decode, call and encode.  On the Unix socket the caller is the operator, because nobody else
can open it; elsewhere it shows a desk's token.  A refusal is a problem of RFC 9457 with one of our codes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from keys.guard import paced
from keys.home import is_loopback
from keys.sites import UNREAD
from node import faults, problems
from node.desks import AtDesk, Caller, Colleague, Operator
from node.faults import Fault
from node.limiting import Buckets, Left
from node.service import Service
from protocol.errors import LimitError, TooManyError, UnauthorizedError, UsageError, ValijaError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Door = Callable[[web.Request], Caller]

SERVICE: Final = web.AppKey("service", Service)
ROOT: Final = "/api/v1"
DESCRIPTION: Final = "/openapi.json"
VIEWER: Final = "/docs"
BODY_SECONDS: Final = 60
_OPEN: Final = frozenset(ROOT + each for each in (DESCRIPTION, VIEWER, f"{VIEWER}/start.js", f"{VIEWER}/redoc.js"))
_CHUNK: Final = 64 * 1024
_CALLER: Final = web.RequestKey("caller", object)
_LEFT: Final = web.RequestKey("left", Left)
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'",
}


def application(
    service: Service,
    door: Door,
    log: FilteringBoundLogger,
    routes: list[web.RouteDef],
    buckets: Buckets | None = None,
) -> web.Application:
    """The API, where `door` tells who a request is from, or raises `UnauthorizedError`; tokens ask no faster than `buckets`."""
    app = web.Application(middlewares=[_refusing(log), _admitting(door, buckets)])
    app.on_response_prepare.append(_tell_pace)
    app[SERVICE], app[UNREAD] = service, refusal
    app.add_routes(routes)
    return app


def by_socket(request: web.Request) -> Caller:
    """The door of the Unix socket: the file system let only the operator in; who shows a token is its desk here too."""
    shown = request.headers.get("Authorization")
    service = request.app[SERVICE]
    return Operator() if shown is None else service.desks.caller(shown, service.now())


def by_token(service: Service) -> Door:
    """The door of every other address: a bearer token of a desk."""

    def door(request: web.Request) -> AtDesk:
        _check_site(request)
        return service.desks.caller(request.headers.get("Authorization"), service.now())

    return door


def _check_site(request: web.Request) -> None:
    """Return unless a browser asks for a page of another site, or under a name that was bent to this machine."""
    local = request.transport.get_extra_info("sockname") if request.transport else None
    is_bent = local is not None and is_loopback(local[0]) and not names_loopback(request.host)
    origin = request.headers.get("Origin")
    if is_bent or (origin is not None and _site(origin) != request.host):
        raise web.HTTPForbidden(reason="asked by a page of another site, or under a name that is not this machine's")


def _site(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return None


@lru_cache(maxsize=256)
def names_loopback(netloc: str) -> bool:
    """Whether what a request names as its host, with or without a port, is this machine under its own name."""
    try:
        return is_loopback(urlsplit(f"//{netloc}").hostname or "")
    except ValueError:
        return False


# -- around every handler --------------------------------------------------------------------------------
def _refusing(log: FilteringBoundLogger) -> Any:
    @web.middleware
    async def refusing(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ValijaError as error:
            return refusal(error)
        except web.HTTPException as error:
            return refusal(UsageError(error.reason), error.status, error.headers.get("Allow"))
        except Exception as error:  # noqa: BLE001 - a handler's own failure must not show its inside
            # Not its traceback either: frames of a handler hold what was written.
            log.error("request_failed", kind=type(error).__name__, path=request.match_info.handler.__name__)  # noqa: TRY400
            return refusal(ValijaError())

    return refusing


def _admitting(door: Door, buckets: Buckets | None) -> Any:
    @web.middleware
    async def admitting(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path in _OPEN and request.method in {"GET", "HEAD"}:
            return await handler(request)
        request[_CALLER] = caller = door(request)
        if buckets is not None and isinstance(caller, AtDesk):
            request[_LEFT] = left = buckets.take(caller.token)
            if left.wait_seconds:
                raise TooManyError(f"again in {left.wait_seconds} s", left.wait_seconds)
        return await handler(request)

    return admitting


async def _tell_pace(request: web.Request, response: web.StreamResponse) -> None:
    left = request.get(_LEFT)
    if left is not None:
        response.headers.update(left.headers)


def caller_of(request: web.Request) -> Caller:
    """Who asks."""
    caller = request[_CALLER]
    if not isinstance(caller, Operator | AtDesk | Colleague):
        raise UnauthorizedError
    return caller


def refusal(
    error: ValijaError, status: int | None = None, allow: str | None = None, fault: Fault | None = None
) -> web.Response:
    """The answer that tells of `error`, and where it lies if that is known."""
    told = problems.problem(error, status, fault)
    headers = dict(_HEADERS)
    if isinstance(error, UnauthorizedError):
        headers["WWW-Authenticate"] = "Bearer"
    if allow is not None:
        headers["Allow"] = allow
    body = problems.encode(told)
    return paced(
        web.Response(body=body, status=told.status, content_type=problems.CONTENT_TYPE, headers=headers), error
    )


# -- reading and writing ---------------------------------------------------------------------------------
async def body_of(request: web.Request, max_bytes: int) -> bytes:
    """The body; `LimitError` over `max_bytes`, `UsageError` if it does not arrive in a minute."""
    if (request.content_length or 0) > max_bytes:
        raise LimitError(f"a body of {request.content_length} bytes, at most {max_bytes}")
    data = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.content.iter_chunked(_CHUNK):
                data += chunk
                if len(data) > max_bytes:
                    raise LimitError(f"a body of over {max_bytes} bytes")
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the body did not arrive in time") from None
    return bytes(data)


def answer(value: Any, status: int = 200) -> web.Response:
    """`value` as JSON."""
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json", headers=_HEADERS
    )


def parameter(request: web.Request, name: str) -> str | None:
    """The query parameter of this name, None if it is absent or empty; `UsageError` if it stands there twice."""
    values = request.query.getall(name, [])
    if len(values) > 1:
        raise faults.parameter(name, f"{name} stands there twice")
    return values[0] if values and values[0] else None
