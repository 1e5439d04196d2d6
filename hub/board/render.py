"""Pages from templates; everything that is not ours is text, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

import jinja2
from aiohttp import web

from hub.board.doors import Visitor
from hub.board.parts import PARTS, Parts
from hub.status import age
from keys.assets import Assets
from keys.guard import harden
from keys.times import show_time
from protocol.errors import (
    ConflictError,
    ForbiddenError,
    LimitError,
    LoginError,
    StandingError,
    StoreError,
    TooManyError,
    TransportError,
    UnknownMemberError,
    UsageError,
    ValijaError,
)
from protocol.limits import KIB, MIB

ASSETS: Final = Assets("hub.board", "static")
_VISITOR: Final = web.RequestKey("visitor", object)
_GIB: Final = 1024 * MIB
_RFC3339_CHARS: Final = len("2026-11-22T09:30:00Z")
# The first class that fits decides.
_STATUS: Final[tuple[tuple[type[ValijaError], int], ...]] = (
    (LimitError, 413),
    (LoginError, 401),
    (ForbiddenError, 403),
    (TooManyError, 429),
    (UnknownMemberError, 404),
    (StandingError, 403),
    (ConflictError, 409),
    (UsageError, 400),
    (TransportError, 503),
    (StoreError, 503),
)


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("hub.board"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"asset": ASSETS.path_of}
    environment.filters |= {
        "age": age,
        "size": size,
        "time": moment,
        "runway": runway,
        "delay": delay,
        "number": number,
    }
    return environment


def moment(at: int) -> str:
    """A time in UTC, to the minute."""
    written = show_time(at)
    return f"{written[:10]} {written[11:16]}" if len(written) == _RFC3339_CHARS else written


def runway(until: int, now: int) -> str:
    """How long something still holds, and until when."""
    left = f"{age(until - now)} left, " if until > now else "over, "
    return f"{left}until {moment(until)}"


def size(size_bytes: int) -> str:
    """So many bytes, in the unit that suits."""
    for unit, each in (("GiB", _GIB), ("MiB", MIB), ("KiB", KIB)):
        if size_bytes >= each:
            return f"{size_bytes / each:.1f} {unit}"
    return f"{size_bytes} B"


def delay(seconds: float | None) -> str:
    """A delay, in the unit that suits; a dash for none."""
    if seconds is None:
        return "-"
    if seconds < 1:
        return f"{seconds * 1_000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else age(int(seconds))


def number(value: float) -> str:
    """A count or a rate, short."""
    return f"{value:.0f}" if value == int(value) or value >= 10 else f"{value:.1f}"


def visitor_of(request: web.Request) -> Visitor | None:
    """Who asks, if they are logged in."""
    visitor = request.get(_VISITOR)
    return visitor if isinstance(visitor, Visitor) else None


def set_visitor(request: web.Request, visitor: Visitor | None) -> None:
    """Afterwards this is who asks."""
    request[_VISITOR] = visitor


def page(
    request: web.Request, template: str, values: Mapping[str, Any] | None = None, status: int = 200
) -> web.Response:
    """The page that `template` makes of `values`."""
    told = {"visitor": visitor_of(request), "path": request.path} | dict(values or {})
    return _page(request.config_dict[PARTS], template, told, status)


def _page(parts: Parts, template: str, values: dict[str, Any], status: int) -> web.Response:
    with parts.core.reading() as registry:
        association = registry.charter.name
    frame: dict[str, Any] = {
        "association": association,
        "now": parts.core.now(),
        "draining": parts.hall.is_draining,
    }
    body = _environment().get_template(template).render(frame | values)
    return web.Response(text=body, content_type="text/html", status=status)


def status_of(error: ValijaError) -> int:
    """With which status a page tells of `error`."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def mistake(request: web.Request, error: ValijaError, status: int | None = None) -> web.Response:
    """The page that tells of `error`: what is wrong, what to do, and its code."""
    return page(request, "error.html", {"sentence": str(error), "code": error.code}, status or status_of(error))


def unread(parts: Parts, error: ValijaError, status: int) -> web.Response:
    """The same where no request came to be, hardened as the others are."""
    told = {"visitor": None, "path": "", "sentence": str(error), "code": error.code}
    response = _page(parts, "error.html", told, status)
    harden(response, parts.origin)
    return response
