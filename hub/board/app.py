"""The operators' console: one application, served on an address of its own.

headers -> mistakes become pages -> the site's own pages only -> who is logged in -> the page
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from hub.board import acts, pages
from hub.board.doors import Doors
from hub.board.parts import PARTS, Parts
from hub.board.render import ASSETS, mistake, set_visitor, unread, visitor_of
from hub.board.requests import BY_ITSELF, cookie_name
from hub.board.settings import Console
from hub.config import Home
from hub.core import Core
from hub.hall import Hall
from hub.operators import Operators
from hub.steering import Steering
from keys.guard import guarding, harden, telling
from keys.sites import UNREAD
from protocol.errors import ForbiddenError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_FORM_BYTES: Final = 16 * 1024
_PUBLIC: Final = (acts.ask, acts.login, ASSETS.serve)
_log: Final = structlog.get_logger("hub")


def assemble(home: Home, core: Core, hall: Hall, steering: Steering, console: Console, origin: str) -> Parts:
    """What the console of this hub works with."""
    operators = Operators(core)
    doors = Doors(core, operators, steering, console.idle_minutes * 60, console.session_hours * 3_600)
    return Parts(home, core, hall, steering, operators, doors, origin)


def application(parts: Parts) -> web.Application:
    """The console, over these parts."""
    app = web.Application(
        middlewares=[telling(mistake, _log, MAX_FORM_BYTES), guarding(parts.origin), _recognizing],
        client_max_size=MAX_FORM_BYTES,
    )
    app[PARTS] = parts
    app[UNREAD] = lambda error, status: unread(parts, error, status)

    async def hardened(_request: web.Request, response: web.StreamResponse) -> None:
        harden(response, parts.origin)

    app.on_response_prepare.append(hardened)
    app.add_routes([ASSETS.route(), *acts.routes(), *pages.routes()])
    return app


@web.middleware
async def _recognizing(request: web.Request, handler: Handler) -> Any:
    parts = request.config_dict[PARTS]
    # What a page does by itself keeps no session alive.
    counts = BY_ITSELF not in request.headers
    set_visitor(request, await parts.doors.visitor(request.cookies.get(cookie_name(parts)), counts=counts))
    if visitor_of(request) is None and request.match_info.handler not in _PUBLIC:
        if request.method == "GET":
            raise web.HTTPSeeOther(acts.LOGIN)
        raise ForbiddenError("log in again")
    return await handler(request)
