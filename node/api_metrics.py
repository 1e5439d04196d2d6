"""GET /metrics: on the Unix socket, and on the address for case systems where only this machine reaches it.

There it needs no token, as a monitor holds none; in return it is told to who asks this machine by its own name, not to
a page of another site, and to nobody behind a proxy.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from node.api import SERVICE, Door, names_loopback
from node.config import Home
from node.desks import Caller, Operator
from node.metrics import measured, render
from node.service import Service

PATH: Final = "/metrics"
_PROMETHEUS: Final = "text/plain; version=0.0.4; charset=utf-8"
_FROM_ELSEWHERE: Final = ("Origin", "Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "Via")


def routes(home: Home, tls_end: Callable[[], int]) -> list[web.RouteDef]:
    """The route of this room, for the node of `home`; `tls_end` says when what it shows ends."""
    return [web.get(PATH, _metrics(home, tls_end))]


def _metrics(home: Home, tls_end: Callable[[], int]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def metrics(request: web.Request) -> web.Response:
        """Every figure, as it stands."""
        return web.Response(
            body=await page(request.app[SERVICE], home, tls_end()), headers={"Content-Type": _PROMETHEUS}
        )

    return metrics


async def page(service: Service, home: Home, tls_end: int) -> bytes:
    """Every figure of this node; it waits its turn behind what is being written."""
    now = int(service.now())
    return render(await service.write(lambda tx: measured(home, service.engine, service.uplink, tx, now, tls_end)))


def beside(door: Door) -> Door:
    """The same door, past which this machine alone may ask for figures."""

    def either(request: web.Request) -> Caller:
        if request.path != PATH:
            return door(request)
        if not _is_local(request):
            raise web.HTTPNotFound
        return Operator()

    return either


def _is_local(request: web.Request) -> bool:
    return names_loopback(request.host) and not any(header in request.headers for header in _FROM_ELSEWHERE)
