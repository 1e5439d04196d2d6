"""What pages read from a request, and how they answer it: forms, cookies, addresses to go on to."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from keys.guard import posted
from node.people.passkeys import MAX_ANSWER_BYTES
from node.people.register import Visitor
from node.people.site import Site
from node.web.forms import Form
from node.web.parts import PARTS
from node.web.render import visitor_of
from protocol.errors import ForbiddenError, LimitError, UsageError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
H = TypeVar("H", bound=Handler)

BY_ITSELF: Final = "Valija-By-Itself"
"""The header of a request that a page makes without its reader doing anything."""
LIVE: Final = "/live"
"""The stream of news, for which a browser sets no header."""
PUBLIC: Final[set[Handler]] = set()
"""The pages that somebody who is not logged in may see."""


def public(handler: H) -> H:
    """The same; it may be asked by anybody."""
    PUBLIC.add(handler)
    return handler


def is_by_itself(request: web.Request) -> bool:
    """Whether a page asks this by itself, its reader doing nothing."""
    return request.path == LIVE or BY_ITSELF in request.headers


def require(request: web.Request) -> Visitor:
    """Who asks; `ForbiddenError` if nobody is logged in."""
    visitor = visitor_of(request)
    if visitor is None:
        raise ForbiddenError("log in")
    return visitor


# -- forms ---------------------------------------------------------------------------------------------
async def form_of(request: web.Request) -> Form:
    """The form that was sent; `UsageError` for a file or for what is none."""
    sent = await posted(request)
    fields: dict[str, list[str]] = {}
    for name, value in sent.items():
        if not isinstance(value, str):
            raise UsageError("a file where none was asked for")
        fields.setdefault(name, []).append(value.replace("\r\n", "\n"))
    return Form(fields)


async def json_of(request: web.Request) -> dict[str, Any]:
    """The JSON object that a script of ours sent; `UsageError`, `LimitError`."""
    if request.content_type != "application/json" or (request.content_length or 0) > MAX_ANSWER_BYTES:
        raise LimitError("an answer of this size or kind")
    data = await request.content.read(MAX_ANSWER_BYTES + 1)
    if len(data) > MAX_ANSWER_BYTES:
        raise LimitError(f"an answer of over {MAX_ANSWER_BYTES} bytes")
    try:
        value = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError("not the JSON object expected") from None
    return value


# -- cookies and addresses -------------------------------------------------------------------------------
def cookie_name(site: Site) -> str:
    """What the session's cookie is called: over TLS browsers keep this prefix to one host and to TLS."""
    return "__Host-valija" if site.origin.startswith("https:") else "valija"


def give_cookie(response: web.StreamResponse, request: web.Request, value: str) -> None:
    """Afterwards the browser is logged in with this."""
    site = request.config_dict[PARTS].site
    response.set_cookie(
        cookie_name(site), value, path="/", httponly=True, secure=site.origin.startswith("https:"), samesite="Strict"
    )


def take_cookie(response: web.StreamResponse, request: web.Request) -> None:
    """Afterwards the browser is not."""
    site = request.config_dict[PARTS].site
    response.del_cookie(
        cookie_name(site), path="/", httponly=True, secure=site.origin.startswith("https:"), samesite="Strict"
    )


def within(address: str, otherwise: str = "/") -> str:
    """The same, if it leads to a page of this site; a browser takes `//host` and a backslash for other sites."""
    is_own = address.startswith("/") and not address.startswith("//") and "\\" not in address
    return address if is_own and address.isprintable() else otherwise


def go(address: str) -> web.Response:
    """On to a page of this site, by GET."""
    return web.Response(status=303, headers={"Location": within(address)})
