"""HTTP at a hub that refills its registry: the log, the offers, and that there is no session yet."""

from __future__ import annotations

import asyncio
import signal
from contextlib import AsyncExitStack, closing
from functools import partial
from typing import Final

import structlog
from aiohttp import web

from hub.config import Home, HubConfig, tls_context
from hub.refill import Refill
from hub.sites import Site, listener_at, serving, unix_listener
from hub.tiles import TilePath
from hub.web import FOREVER, NOTE, OCTETS, Handler, hash_of, offer_of, problem
from keys.notify import keep_alive, notify
from keys.sites import UNREAD
from protocol.errors import RefillingError, ValijaError

REFILL: Final = web.AppKey("refill", Refill)
_log: Final = structlog.get_logger("hub")


def refill_app(refill: Refill) -> web.Application:
    """What nodes see meanwhile."""
    app = web.Application(middlewares=[_problems])
    app[REFILL], app[UNREAD] = refill, problem
    app.add_routes([
        web.get("/log/checkpoint", checkpoint),
        web.get("/log/tile/{path:.+}", tile),
        web.get("/log/statement/{hash}", statement),
        web.post("/log/offers", offers),
        web.get("/livez", livez),
        web.route("*", "/{rest:.*}", later),
    ])  # fmt: skip
    return app


@web.middleware
async def _problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValijaError as error:
        return problem(error)


async def checkpoint(request: web.Request) -> web.Response:
    """GET /log/checkpoint, with which every node begins."""
    request.app[REFILL].asked()
    return web.Response(
        body=request.app[REFILL].checkpoint, headers={"Content-Type": NOTE, "Cache-Control": "no-cache"}
    )


async def tile(request: web.Request) -> web.Response:
    """GET /log/tile/…, hashes or entries."""
    data = request.app[REFILL].log.tiles.read(TilePath.parse(request.match_info["path"]))
    if data is None:
        raise web.HTTPNotFound
    return web.Response(body=data, headers={"Content-Type": OCTETS, "Cache-Control": FOREVER})


async def statement(request: web.Request) -> web.Response:
    """GET /log/statement/<hash>."""
    data = request.app[REFILL].statement(hash_of(request.match_info["hash"]))
    if data is None:
        raise web.HTTPNotFound
    return web.Response(body=data, headers={"Content-Type": OCTETS, "Cache-Control": FOREVER})


async def offers(request: web.Request) -> web.Response:
    """POST /log/offers."""
    return web.json_response({"size": request.app[REFILL].offered(await offer_of(request))})


async def livez(_request: web.Request) -> web.Response:
    """GET /livez: the process answers."""
    return web.json_response({"status": "ok"})


async def later(request: web.Request) -> web.Response:
    """Everything else has to wait."""
    refill = request.app[REFILL]
    held = f"it holds {refill.log.registry.size} of {refill.largest} entries that it is known to have signed"
    raise RefillingError(held if refill.was_asked else f"{held}, and no member's node has reached it yet")


async def run(home: Home, config: HubConfig, refill: Refill) -> bool:
    """Take in what is offered until the log is whole and all is quiet; False if the process shall end before that."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
            stack.callback(loop.remove_signal_handler, number)
        public = stack.enter_context(closing(listener_at(config.listen.host, config.listen.port)))
        own = stack.enter_context(closing(unix_listener(home.socket)))
        for site in (Site(refill_app(refill), public, tls_context(home, config)), Site(refill_app(refill), own)):
            await stack.enter_async_context(serving(site))
        _log.warning("refilling", size=refill.log.registry.size, quiet_seconds=config.restore.quiet_seconds)
        notify("READY=1\nSTATUS=put back from a backup: taking in the registry from the members' nodes")
        waits = [loop.create_task(refill.quiet()), loop.create_task(stopping.wait())]
        # No other thread writes yet: that this loop turns is all there is to prove.
        beating = loop.create_task(keep_alive(partial(asyncio.sleep, 0)))
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for task in (*waits, beating):
            task.cancel()
    return not stopping.is_set()
