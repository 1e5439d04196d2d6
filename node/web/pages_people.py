"""People and the journal, for administrators and auditors."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from aiohttp import web

from node import problems
from node.people import heads
from node.people.acts import Act
from node.people.register import FRESH_SECONDS
from node.people.roles import Power, Role
from node.tables import people as table
from node.web import words
from node.web.forms import Form
from node.web.pages_login import invitation_address, prove_again
from node.web.parts import PARTS, Kept, Parts
from node.web.render import page, speech_of
from node.web.requests import form_of, go, require
from protocol.errors import StoreError, UsageError, ValijaError

PEOPLE: Final = "/people"
JOURNAL: Final = "/journal"
_PAGE: Final = 100
_MAX_KEPT_CHARS: Final = 1_000
_NEWEST: Final = (1 << 63) - 1


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    one = f"{PEOPLE}/{{login}}"
    return [
        web.get(PEOPLE, people),
        web.post(PEOPLE, add),
        web.get(one, person),
        web.post(one, change),
        web.post(f"{one}/invite", invite),
        web.post(f"{one}/disable", disable),
        web.post(f"{one}/enable", enable),
        web.get(JOURNAL, journal),
    ]


def _parts(request: web.Request) -> Parts:
    return request.config_dict[PARTS]


def _by(request: web.Request) -> str:
    visitor = require(request)
    visitor.require(Power.ADMINISTER)
    return visitor.person.login


def _by_now(request: web.Request) -> str:
    """The same, who logged in just now: an invitation is a way in, and a role or a desk is a way to what others wrote."""
    by, login = _by(request), request.match_info.get("login")
    prove_again(request, PEOPLE if login is None else f"{PEOPLE}/{quote(login, safe='')}")
    return by


async def _filled_in(request: web.Request) -> tuple[str, Form]:
    """Who asks, as `_by_now`, and the form that they sent; who has to log in first finds it as they filled it in."""
    visitor, parts = require(request), _parts(request)
    visitor.require(Power.ADMINISTER)
    form = await form_of(request)
    if not _is_fresh(request):
        parts.kept[visitor.person.id] = _typed(request, form)
    return _by_now(request), form


def _kept(request: web.Request) -> Kept | None:
    """What the visitor typed into this page's form before they logged in again; shown once, and not long afterwards."""
    parts, person = _parts(request), require(request).person.id
    kept = parts.kept.get(person)
    if kept is None or kept.path != request.path or not _is_fresh(request):
        return None
    del parts.kept[person]
    return kept if parts.register.at < kept.at + FRESH_SECONDS else None


def _typed(request: web.Request, form: Form) -> Kept:
    chosen = tuple(each for each in sorted(_parts(request).service.desks.names) if each in form.every("desk"))
    login, name, role = (form.raw(each)[:_MAX_KEPT_CHARS] for each in ("login", "name", "role"))
    return Kept(request.path, _parts(request).register.at, login, name, role, chosen)


def _is_fresh(request: web.Request) -> bool:
    return _parts(request).register.is_fresh(require(request))


async def people(request: web.Request) -> web.Response:
    """Everybody of this member."""
    _by(request)
    return _people(request, _kept(request))


def _people(request: web.Request, typed: Kept | None = None, error: ValijaError | None = None) -> web.Response:
    """The page of everybody; with what was typed into its form, and why nobody was invited, if somebody tried."""
    told = problems.problem(error) if error else None
    values = {
        "people": _parts(request).register.everybody,
        "desks": sorted(_parts(request).service.desks.names),
        "roles": list(Role),
        "typed": typed,
        "is_fresh": _is_fresh(request),
        "problem": told,
    }
    return page(request, "people.html", values, told.status if told else 200)


async def person(request: web.Request) -> web.Response:
    """One person."""
    _by(request)
    return _person(request, _kept(request))


def _person(request: web.Request, typed: Kept | None = None, error: ValijaError | None = None) -> web.Response:
    """The page of one person; with what was typed into its form, and why nothing was changed, if somebody tried."""
    told = problems.problem(error) if error else None
    values = {
        "person": _parts(request).register.named(request.match_info["login"]),
        "desks": sorted(_parts(request).service.desks.names),
        "roles": list(Role),
        "typed": typed,
        "is_fresh": _is_fresh(request),
        "problem": told,
    }
    return page(request, "person.html", values, told.status if told else 200)


async def add(request: web.Request) -> web.Response:
    """Invite somebody new."""
    by, form = await _filled_in(request)
    login = form.text("login")
    try:
        text = await _parts(request).register.add(by, login, form.text("name"), _role(form), form.every("desk"))
    except StoreError:
        raise
    except ValijaError as error:
        return _people(request, _typed(request, form), error)
    return _invitation(request, login, text)


async def change(request: web.Request) -> web.Response:
    """Change somebody's name, role or desks."""
    by, form = await _filled_in(request)
    login = request.match_info["login"]
    try:
        role = _role(form)
        if login == by and role is not Role.ADMINISTRATOR:
            raise UsageError("nobody takes the administration from themselves: ask another administrator")
        await _parts(request).register.assign(by, login, form.text("name"), role, form.every("desk"))
    except StoreError:
        raise
    except ValijaError as error:
        return _person(request, _typed(request, form), error)
    return go(PEOPLE)


async def invite(request: web.Request) -> web.Response:
    """A fresh invitation: whoever uses it replaces every earlier way in."""
    by, login = _by_now(request), request.match_info["login"]
    return _invitation(request, login, await _parts(request).register.invite(by, login))


async def disable(request: web.Request) -> web.Response:
    """Log somebody out everywhere, and let them in no more."""
    by, login = _by(request), request.match_info["login"]
    if login == by:
        raise UsageError("nobody shuts themselves out: ask another administrator")
    await _parts(request).register.disable(by, login)
    return go(PEOPLE)


async def enable(request: web.Request) -> web.Response:
    """Let somebody in again, by a fresh invitation."""
    by, login = _by_now(request), request.match_info["login"]
    return _invitation(request, login, await _parts(request).register.enable(by, login))


def _invitation(request: web.Request, login: str, text: str) -> web.Response:
    shown = invitation_address(_parts(request).site, text)
    return page(request, "invited.html", {"login": login, "address": shown})


def _role(form: Form) -> Role:
    try:
        return Role(form.text("role"))
    except ValueError:
        raise UsageError("choose a role") from None


async def journal(request: web.Request) -> web.Response:
    """What people did at this node, newest first; an auditor sees it all, as an administrator does."""
    visitor = require(request)
    visitor.require(Power.READ_LOG)
    before = request.query.get("before", "")
    start = int(before) if before.isascii() and before.isdigit() and len(before) < len(str(_NEWEST)) else _NEWEST
    register = _parts(request).register
    entries = await register.read(lambda tx: table.journal_newest(tx, start, _PAGE))
    check = await heads.checked(register) if start == _NEWEST else None
    await register.record(visitor, Act.JOURNAL_READ, str(entries[0][0]) if entries else "")
    shown = [(number, entry, words.more(entry, speech_of(request))) for number, entry in entries]
    return page(request, "journal.html", {"entries": shown, "more": len(entries) == _PAGE, "check": check})
