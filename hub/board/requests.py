"""What the console reads from a request, and how it answers one: forms, the cookie, addresses to go on to."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from hub.board.doors import Visitor
from hub.board.parts import PARTS, Parts
from hub.board.render import visitor_of
from keys.guard import posted
from protocol.errors import ForbiddenError, UsageError

BY_ITSELF: Final = "Valija-By-Itself"
"""The header of a request that a page makes without its reader doing anything."""


def parts_of(request: web.Request) -> Parts:
    """The hub behind the page."""
    return request.config_dict[PARTS]


def require(request: web.Request) -> Visitor:
    """Who asks; `ForbiddenError` if nobody is logged in."""
    visitor = visitor_of(request)
    if visitor is None:
        raise ForbiddenError("log in")
    return visitor


async def form_of(request: web.Request) -> dict[str, str]:
    """The fields of the form that was sent; `UsageError` for what is none, or has one field twice."""
    sent = await posted(request)
    fields = {name: value for name, value in sent.items() if isinstance(value, str)}
    if len(fields) != len(sent):
        raise UsageError("a field stands there twice")
    return fields


def cookie_name(parts: Parts) -> str:
    """What the session's cookie is called: over TLS browsers keep this prefix to one host and to TLS."""
    return "__Host-valija-console" if parts.is_secure else "valija-console"


def give_cookie(response: web.StreamResponse, parts: Parts, value: str) -> None:
    """Afterwards the browser is logged in with this."""
    name = cookie_name(parts)
    response.set_cookie(name, value, path="/", httponly=True, secure=parts.is_secure, samesite="Strict")


def take_cookie(response: web.StreamResponse, parts: Parts) -> None:
    """Afterwards the browser is not."""
    response.del_cookie(cookie_name(parts), path="/", httponly=True, secure=parts.is_secure, samesite="Strict")


def go(address: str) -> web.Response:
    """On to a page of this site, by GET."""
    return web.Response(status=303, headers={"Location": address})
