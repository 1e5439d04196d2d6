"""What stands before every page: the name it is asked under, the site that asks, and what the browser may do with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_SAFE: Final = frozenset({"GET", "HEAD"})
_POLICY: Final = (
    "default-src 'none'; "
    "script-src 'self'; "
    "style-src 'self'; "
    "font-src 'self'; "
    "img-src 'self' data:; "
    "connect-src 'self'; "
    "form-action 'self'; "
    "base-uri 'none'; "
    "frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; "
    "trusted-types valija"
)
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    # Not `no-referrer`: with it browsers hide from us which site a form was sent from.
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_HSTS: Final = "max-age=31536000"


def guarding(origin: str) -> Any:
    """The middleware that lets through what is asked under the site's own name, and changes by its own pages alone."""
    name = urlsplit(origin).netloc

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.host != name:
            # Under another name a page of somebody else's could be bent to this address.
            raise web.HTTPMisdirectedRequest(reason="this site has another name")
        if request.method not in _SAFE and not _is_own(request, origin):
            raise web.HTTPForbidden(reason="asked by a page of another site")
        return await handler(request)

    return guard


def _is_own(request: web.Request, here: str) -> bool:
    """Whether a page of this site asks; a request that says nothing of its origin is not taken for one."""
    origin, fetch = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    if origin is None and fetch is None:
        return False
    return origin in {None, here} and fetch in {None, "same-origin"}


def harden(response: web.StreamResponse, origin: str) -> None:
    """Afterwards the response says what the browser may do with it, unless it says so itself."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if origin.startswith("https:"):
        response.headers.setdefault("Strict-Transport-Security", _HSTS)
