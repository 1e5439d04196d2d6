"""The pages for people: one application, served on an address of its own.

headers -> mistakes become pages -> the site's own pages only -> who is logged in -> the page
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from keys.guard import telling
from keys.sites import UNREAD
from node.web import (
    pages_account,
    pages_compose,
    pages_live,
    pages_login,
    pages_mail,
    pages_members,
    pages_node,
    pages_people,
    pages_webhooks,
)
from node.web.guard import guarding, harden
from node.web.parts import PARTS, Parts
from node.web.render import ASSETS, mistake, page, set_visitor, unread, visitor_of
from node.web.requests import PUBLIC, cookie_name, is_by_itself

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

MAX_FORM_BYTES: Final = 1024 * 1024


def application(parts: Parts) -> web.Application:
    """The pages, over these parts."""
    app = web.Application(
        middlewares=[telling(mistake, parts.log, MAX_FORM_BYTES), guarding(parts.site), _recognizing(parts)],
        client_max_size=MAX_FORM_BYTES,
    )
    app[PARTS] = parts
    app[UNREAD] = lambda error, status: unread(parts, error, status)
    PUBLIC.add(ASSETS.serve)
    app.on_response_prepare.append(_hardening(parts))
    mail = (pages_compose, pages_mail, pages_members, pages_live)
    rooms = (pages_login, pages_account, pages_people, pages_webhooks, pages_node, *mail)
    app.add_routes([ASSETS.route()])
    for room in rooms:
        app.add_routes(room.routes())
    return app


def _hardening(parts: Parts) -> Callable[[web.Request, web.StreamResponse], Awaitable[None]]:
    async def hardened(_request: web.Request, response: web.StreamResponse) -> None:
        harden(response, parts.site)

    return hardened


def _recognizing(parts: Parts) -> Any:
    @web.middleware
    async def recognizing(request: web.Request, handler: Handler) -> web.StreamResponse:
        cookie = request.cookies.get(cookie_name(parts.site))
        # What a page does by itself keeps no session alive.
        set_visitor(request, await parts.register.visitor(cookie, counts=not is_by_itself(request)))
        if visitor_of(request) is None and request.match_info.handler not in PUBLIC:
            # A script has no use for the door: it is told.
            if request.method == "GET" and not is_by_itself(request):
                raise web.HTTPSeeOther(pages_login.address(request.path_qs))
            return page(request, "ended.html", status=401)
        return await handler(request)

    return recognizing
