"""One's own account: ways in, recovery codes, open sessions, language and theme."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from keys import passwords
from keys.guard import paced
from node import problems
from node.i18n import LANGUAGES
from node.problems import Problem
from node.web import guard
from node.web.pages_login import check_same, offered, prove_again
from node.web.parts import PARTS, Parts
from node.web.render import THEMES, page
from node.web.requests import form_of, go, json_of, require
from protocol.errors import UsageError

ACCOUNT: Final = "/account"
PASSWORD: Final = "/account/password"  # noqa: S105 - an address


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [
        web.get(ACCOUNT, account),
        web.post(f"{ACCOUNT}/look", look),
        web.post(f"{ACCOUNT}/passkey/ask", ask_passkey),
        web.post(f"{ACCOUNT}/passkey", new_passkey),
        web.post(f"{ACCOUNT}/passkey/remove", drop_passkey),
        web.get(PASSWORD, password),
        web.post(PASSWORD, renew_password),
        web.post(f"{ACCOUNT}/codes", renew_codes),
        web.post(f"{ACCOUNT}/sessions/close", close_session),
    ]


def _parts(request: web.Request) -> Parts:
    return request.config_dict[PARTS]


async def account(request: web.Request) -> web.Response:
    """How the visitor logs in, and where they are logged in."""
    keys, has_password, codes, sessions = await _parts(request).accounts.show(require(request))
    values = {"passkeys": keys, "has_password": has_password, "codes": codes, "sessions": sessions, "themes": THEMES}
    return page(request, "account.html", values)


async def look(request: web.Request) -> web.Response:
    """Choose language and theme."""
    form = await form_of(request)
    chosen, theme = form.text("language"), form.text("theme")
    if chosen not in LANGUAGES or theme not in THEMES:
        raise UsageError("no language or theme of this site")
    await _parts(request).accounts.prefer(require(request), chosen, theme)
    return go(ACCOUNT)


async def ask_passkey(request: web.Request) -> web.Response:
    """What the browser is asked, so that it makes a further passkey."""
    asked = await _parts(request).accounts.ask_new_passkey(prove_again(request, ACCOUNT))
    return web.Response(text=asked, content_type="application/json")


async def new_passkey(request: web.Request) -> web.Response:
    """Register the passkey that the browser made."""
    label, visitor = request.query.get("label", ""), prove_again(request, ACCOUNT)
    await _parts(request).accounts.new_passkey(visitor, label, await json_of(request))
    return web.Response(status=204)


async def drop_passkey(request: web.Request) -> web.Response:
    """Remove a passkey."""
    visitor, form = prove_again(request, ACCOUNT), await form_of(request)
    await _parts(request).accounts.drop_passkey(visitor, _hex(form.text("id")))
    return go(ACCOUNT)


async def password(request: web.Request) -> web.Response:
    """The page to choose a new password, with a new authenticator."""
    return _password(request, passwords.draw_totp())


def _password(request: web.Request, totp: str, problem: Problem | None = None) -> web.Response:
    # Opened again, it would offer another key than the one that was scanned.
    values = {"problem": problem, "here": ""} | offered(request, prove_again(request, PASSWORD).person, totp)
    return page(request, "password.html", values, problem.status if problem else 200)


async def renew_password(request: web.Request) -> web.Response:
    """Choose a new password, with a new authenticator."""
    visitor, form, parts = prove_again(request, PASSWORD), await form_of(request), _parts(request)
    totp, where = form.totp(), guard.where(request, parts.proxy)
    try:
        check_same(form)
        await parts.doors.renew_password(visitor, form.raw("password"), totp, form.text("code"), where)
    except UsageError as error:
        return paced(_password(request, totp, problems.problem(error)), error)
    return go(ACCOUNT)


async def renew_codes(request: web.Request) -> web.Response:
    """Fresh recovery codes, shown this once."""
    visitor = prove_again(request, ACCOUNT)
    return page(request, "codes.html", {"codes": await _parts(request).accounts.renew_codes(visitor)})


async def close_session(request: web.Request) -> web.Response:
    """Log out another browser."""
    form = await form_of(request)
    await _parts(request).accounts.close_session(require(request), _hex(form.text("session")))
    return go(ACCOUNT)


def _hex(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise UsageError("no id of this page") from None
