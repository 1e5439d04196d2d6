"""The pages that do something: log in and out, and whatever an operator confirms by typing what it is about."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from hub.board.render import page, status_of, visitor_of
from hub.board.requests import form_of, give_cookie, go, parts_of, require, take_cookie
from keys.guard import paced
from protocol.errors import ForbiddenError, UsageError, ValijaError
from protocol.limits import MIB

LOGIN: Final = "/login"
_MAX_DIGITS: Final = 15


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [
        web.get(LOGIN, ask),
        web.post(LOGIN, login),
        web.post("/logout", logout),
        web.post("/drain", drain),
        web.post("/reopen", reopen),
        web.post("/members/{member}/suspend", suspend),
        web.post("/members/{member}/resume", resume),
        web.post("/members/{member}/quota", quota),
    ]


# -- in and out ----------------------------------------------------------------------------------------
async def ask(request: web.Request) -> web.Response:
    """The page to log in; whoever is, goes on."""
    return go("/") if visitor_of(request) else page(request, "login.html", {"problem": None})


async def login(request: web.Request) -> web.Response:
    """Log in with a password and a time code."""
    parts, form = parts_of(request), await form_of(request)
    name, password, code = form.get("login", "").strip().lower(), form.get("password", ""), form.get("code", "")
    try:
        cookie = await parts.doors.login(name, password, code, request.remote or "")
    except ValijaError as error:
        return paced(page(request, "login.html", {"problem": error}, status_of(error)), error)
    response = go("/")
    give_cookie(response, parts, cookie)
    return response


async def logout(request: web.Request) -> web.Response:
    """Log out."""
    visitor = require(request)
    visitor.check_token((await form_of(request)).get("token", ""))
    await parts_of(request).doors.logout(visitor)
    response = go(LOGIN)
    take_cookie(response, parts_of(request))
    return response


# -- what an operator does -----------------------------------------------------------------------------
async def _confirmed(request: web.Request, wanted: str) -> tuple[str, dict[str, str]]:
    """Who acts, and the form, if an operator sent it and typed `wanted`; else nothing was done."""
    visitor, form = require(request), await form_of(request)
    visitor.check_token(form.get("token", ""))
    if not visitor.may_act:
        raise ForbiddenError("viewers look, operators act")
    if form.get("confirm", "").strip() != wanted:
        raise UsageError("what was typed to confirm is not what was asked for: nothing was changed")
    return visitor.login, form


async def drain(request: web.Request) -> web.Response:
    """Let nobody in, and send away who is here."""
    by, _form = await _confirmed(request, "drain")
    await parts_of(request).steering.drain(by)
    return go("/")


async def reopen(request: web.Request) -> web.Response:
    """Let members in again."""
    by, _form = await _confirmed(request, "reopen")
    await parts_of(request).steering.reopen(by)
    return go("/")


async def suspend(request: web.Request) -> web.Response:
    """Hold back what waits for a member."""
    member = request.match_info["member"]
    by, _form = await _confirmed(request, member)
    await parts_of(request).steering.suspend(by, member)
    return go(f"/members/{member}")


async def resume(request: web.Request) -> web.Response:
    """Deliver to the member again."""
    member = request.match_info["member"]
    by, _form = await _confirmed(request, member)
    await parts_of(request).steering.resume(by, member)
    return go(f"/members/{member}")


async def quota(request: web.Request) -> web.Response:
    """Set other limits for a mailbox; an empty field leaves that to the charter."""
    member = request.match_info["member"]
    by, form = await _confirmed(request, member)
    messages, mib = _number(form.get("messages", "")), _number(form.get("mib", ""))
    await parts_of(request).steering.set_quota(by, member, messages, None if mib is None else mib * MIB)
    return go(f"/members/{member}")


def _number(text: str) -> int | None:
    text = text.strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > _MAX_DIGITS:
        raise UsageError("a limit is a whole number, or nothing for the charter's")
    return int(text)
