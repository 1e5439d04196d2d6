"""What stands before every page: the name it is asked under, the site that asks, what a mistake becomes, what browsers may."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web
from structlog.typing import FilteringBoundLogger

from protocol.errors import LimitError, TooManyError, UsageError, ValijaError

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Mistake = Callable[[web.Request, ValijaError, int | None], web.StreamResponse]
"""The page that tells of an error, with this status, else with the error's own."""

FORM_SECONDS: Final = 20
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


def telling(mistake: Mistake, log: FilteringBoundLogger, max_form_bytes: int) -> Any:
    """The middleware that makes a page of whatever a handler raises; forms may have `max_form_bytes`."""

    @web.middleware
    async def tell(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except ValijaError as error:
            return mistake(request, error, None)
        except web.HTTPRequestEntityTooLarge:
            return mistake(request, LimitError(f"a form of over {max_form_bytes} bytes"), None)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            return mistake(request, UsageError(error.reason), error.status)
        except Exception as error:  # noqa: BLE001 - a page's own failure must not show its inside
            # Not its traceback either: frames of a page hold what was written.
            log.error("page_failed", kind=type(error).__name__, path=_page_name(request))  # noqa: TRY400
            return mistake(request, ValijaError(), None)

    return tell


def paced(response: web.Response, error: ValijaError) -> web.Response:
    """The same; where `error` is that somebody is too fast, it says how long to wait (RFC 9110, 10.2.3)."""
    if isinstance(error, TooManyError):
        response.headers["Retry-After"] = str(error.wait_seconds)
    return response


async def posted(request: web.Request) -> Mapping[str, str | bytearray | bytes | web.FileField]:
    """The fields of the form that was sent; `UsageError` for what is none, 408 for one that takes longer than 20 seconds."""
    if request.content_type != "application/x-www-form-urlencoded":
        raise UsageError("not a form of this site")
    try:
        async with asyncio.timeout(FORM_SECONDS):
            return await request.post()
    except TimeoutError:
        raise web.HTTPRequestTimeout(reason="the form did not arrive in time") from None
    except (ValueError, UnicodeDecodeError, LookupError):
        raise UsageError("a form that is not UTF-8") from None


def _page_name(request: web.Request) -> str:
    return str(getattr(request.match_info.handler, "__name__", "unknown"))


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
