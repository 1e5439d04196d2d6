"""The pages that show: the hub, its members, one of them, refusals, sessions, the journal."""

from __future__ import annotations

import shutil
from functools import cache
from typing import Any, Final

from aiohttp import web

from hub.board import charts, guidance
from hub.board.render import page
from hub.board.requests import parts_of
from hub.metrics import stored_bytes
from hub.status import Status, snapshot
from keys.last_backup import last, overdue
from protocol import errors
from protocol.errors import UnknownMemberError, ValijaError
from protocol.names import show_id

_PAGE: Final = 50
_NEWEST: Final = (1 << 63) - 1


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [
        web.get("/", overview),
        web.get("/members", members),
        web.get("/members/{member}", member),
        web.get("/refusals", refusals),
        web.get("/sessions", sessions),
        web.get("/journal", journal),
    ]


async def _told(request: web.Request) -> Status:
    parts = parts_of(request)
    return await snapshot(parts.core, parts.hall)


async def overview(request: web.Request) -> web.Response:
    """How the hub stands, and what needs a look."""
    parts, told = parts_of(request), await _told(request)
    free = shutil.disk_usage(parts.home.folder).free
    kept = last(parts.home.folder)
    found, is_overdue = overdue(parts.home.folder, told["now"])
    values = {
        "told": told,
        "free_bytes": free,
        "store_bytes": stored_bytes(parts.home.database),
        "last_backup": None if kept is None else kept.at,
        "alarms": list(guidance.of_hub(told, free, found if is_overdue else "")),
        "noted": [each for each in _noted(told) if each["notes"]],
        "charts": charts.day(parts.core.trend.minutes, told["now"]),
        "width": charts.WIDTH,
        "height": charts.HEIGHT,
    }
    return page(request, "overview.html", values)


def _noted(told: Status) -> list[dict[str, Any]]:
    return [guidance.noted(each, told["now"]) for each in told["members"]]


async def members(request: web.Request) -> web.Response:
    """Every member, a row each."""
    return page(request, "members.html", {"members": _noted(await _told(request))})


async def member(request: web.Request) -> web.Response:
    """One member, and what an operator may do."""
    parts, name = parts_of(request), request.match_info["member"]
    told = next((each for each in _noted(await _told(request)) if each["member"] == name), None)
    if told is None:
        raise UnknownMemberError
    with parts.core.reading() as registry:
        record, limits = registry.member(name), registry.charter.limits
        titles, country = sorted(dict(record.titles).items()), record.country
    values = {"member": told, "titles": titles, "country": country, "limits": limits}
    return page(request, "member.html", values)


async def refusals(request: web.Request) -> web.Response:
    """What was refused, by code, in a day and since the start."""
    core = parts_of(request).core
    day, ever = core.trend.refusals(), core.totals.refusals
    rows = [(code, _sentences().get(code, ""), day[code], ever[code]) for code in sorted(ever, key=lambda c: -ever[c])]
    return page(request, "refusals.html", {"rows": rows, "since": core.started_at})


@cache
def _sentences() -> dict[str, str]:
    kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ValijaError)]
    return {kind.code: str(kind()) for kind in kinds}


async def sessions(request: web.Request) -> web.Response:
    """Who is connected, and who is logged in here."""
    parts = parts_of(request)
    rows = [
        {
            "member": session.member,
            "since": session.opened_at,
            "certificate": "" if session.hello is None else show_id("stm", session.hello.certificate),
            "is_slow": session.line.is_clogged,
        }
        for _member, session in sorted(parts.hall.sessions.items())
    ]
    values = {"rows": rows, "strangers": parts.hall.door.strangers, "present": parts.doors.present()}
    return page(request, "sessions.html", values)


async def journal(request: web.Request) -> web.Response:
    """What operators did, newest first."""
    before = request.query.get("before", "")
    start = int(before) if before.isascii() and before.isdigit() and len(before) < len(str(_NEWEST)) else _NEWEST
    entries = await parts_of(request).steering.journal(start, _PAGE)
    return page(request, "journal.html", {"entries": entries, "more": len(entries) == _PAGE})
