"""The table of the API: each row is one way in, and what is registered, enforced and described is read from it alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

from aiohttp import web

from node.api import ROOT, SERVICE, Handler, caller_of, refusal
from node.desks import AtDesk
from node.faults import Fault
from node.scopes import Scope
from protocol.errors import ForbiddenError, UnknownDeskError

Work = Callable[[web.Request], Awaitable[web.StreamResponse]]
OPERATORS: Final = "operator"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Something that is asked beside the body: where it stands, what it means, and its JSON Schema."""

    name: str
    about: str
    schema: dict[str, Any]
    place: str = "query"
    is_required: bool = False


@dataclass(frozen=True, slots=True)
class Media:
    """A body: its content type, and the type of which it is (of each line of it, where there are several)."""

    type: Any
    content: str = "application/json"
    has_lines: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """One way in: method and path below the root, who may take it, what is asked and answered, and refused.

    `also` is what is answered with another status; `scope` is what a token must be good for; None stands for any token, `OPERATORS` for the Unix socket alone.
    """

    method: str
    path: str
    handler: Work
    scope: Scope | str | None
    answers: tuple[Media, ...]
    status: int = 200
    asks: tuple[Media, ...] = ()
    is_body_required: bool = True
    parameters: tuple[Parameter, ...] = ()
    codes: tuple[str, ...] = ()
    also: tuple[tuple[int, tuple[Media, ...]], ...] = ()


def _query(name: str, about: str, schema: dict[str, Any] | None = None) -> Parameter:
    return Parameter(name, about, schema or {"type": "string"})


ID: Final = Parameter(
    "id",
    "The id of a message, or at least its first four characters.",
    {"type": "string", "pattern": "^(msg_)?[a-z2-7]{4,26}$"},
    "path",
    True,
)
HANDLE: Final = Parameter(
    "handle",
    "The handle of a token, which stands in its text too (`vlj_<handle>_…`), or the start of it.",
    {"type": "string"},
    "path",
    True,
)
AFTER: Final = _query("after", "A cursor: what stands behind it, oldest first.")
BEFORE: Final = _query("before", "A cursor: what stands below it, newest first; empty for the newest of all.")
LIMIT: Final = _query("limit", "How many at most.", {"type": "integer", "minimum": 1, "maximum": 500, "default": 50})
DESK: Final = _query("desk", "This desk alone; a token is its own desk whatever is said.")
FROM: Final = _query("from", "The sender, where several used one message id.")


def registered(table: Iterable[Route]) -> list[web.RouteDef]:
    """The rows as the application takes them, each behind what it asks of a token or of the operator."""
    return [web.route(each.method, ROOT + each.path, _guarded(each)) for each in table]


def _guarded(route: Route) -> Handler:
    needed = route.scope

    @wraps(route.handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        caller = caller_of(request)
        if needed == OPERATORS:
            request.app[SERVICE].require_operator(caller)
        elif needed is not None and isinstance(caller, AtDesk) and needed not in caller.scopes:
            raise ForbiddenError(f"this token is not good for: {needed}")
        try:
            return await route.handler(request)
        except UnknownDeskError as error:
            # A desk is named in the body where there is one, else in the query.
            where = {"pointer": "/desk"} if route.asks else {"parameter": "desk"}
            return refusal(error, fault=Fault(error.detail, **where))

    return guarded
