"""The operators' console: one application, served on an address of its own.

headers -> mistakes become pages -> the site's own pages only -> who is logged in -> the page
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog
from aiohttp import web

from hub.board import acts, assets, pages
from hub.board.doors import Doors
from hub.board.parts import PARTS, Parts
from hub.board.render import mistake, set_visitor, visitor_of
from hub.board.requests import BY_ITSELF, cookie_name
from hub.board.settings import Console
from hub.config import Home
from hub.core import Core
from hub.hall import Hall
from hub.operators import Operators
from hub.steering import Steering
from keys.guard import guarding, harden
from protocol.errors import ForbiddenError, LimitError, UsageError, ValijaError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_FORM_BYTES: Final = 16 * 1024
_PUBLIC: Final = (acts.ask, acts.login, assets.serve)
_log: Final = structlog.get_logger("hub")


def assemble(home: Home, core: Core, hall: Hall, steering: Steering, console: Console, origin: str) -> Parts:
    """What the console of this hub works with."""
    operators = Operators(core)
    doors = Doors(core, operators, steering, console.idle_minutes * 60, console.session_hours * 3_600)
    return Parts(home, core, hall, steering, operators, doors, origin)


def application(parts: Parts) -> web.Application:
    """The console, over these parts."""
    app = web.Application(middlewares=[_telling, guarding(parts.origin), _recognizing], client_max_size=MAX_FORM_BYTES)
    app[PARTS] = parts

    async def hardened(_request: web.Request, response: web.StreamResponse) -> None:
        harden(response, parts.origin)

    app.on_response_prepare.append(hardened)
    app.add_routes([web.get(assets.ROOT + "{digest}/{name}", assets.serve), *acts.routes(), *pages.routes()])
    return app


@web.middleware
async def _telling(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except ValijaError as error:
        return mistake(request, error)
    except web.HTTPRequestEntityTooLarge:
        return mistake(request, LimitError(f"a form of over {MAX_FORM_BYTES} bytes"))
    except web.HTTPException as error:
        if error.status < 400:
            raise
        return mistake(request, UsageError(error.reason), error.status)
    except Exception as error:  # noqa: BLE001 - a page's own failure must not show its inside
        _log.error("page_failed", kind=type(error).__name__, path=_name(request))
        return mistake(request, ValijaError())


def _name(request: web.Request) -> str:
    return str(getattr(request.match_info.handler, "__name__", "unknown"))


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
