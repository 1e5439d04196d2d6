"""The pages before the door: log in, use an invitation, see recovery codes once."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable
from typing import Final
from urllib.parse import quote

from aiohttp import web

from keys import passwords
from keys.guard import paced
from node import problems
from node.i18n import LANGUAGES
from node.people.doors import LoggedIn, Where
from node.people.register import Visitor
from node.people.site import Site
from node.tables.people import Person
from node.web import guard
from node.web.forms import Form
from node.web.parts import PARTS, Parts
from node.web.render import LANGUAGE_COOKIE, page, visitor_of
from node.web.requests import form_of, give_cookie, go, json_of, public, require, take_cookie, within
from node.web.signs import qr_code
from protocol.errors import UsageError, ValijaError

LOGIN: Final = "/login"
_YEAR_SECONDS: Final = 365 * 24 * 3_600
_HOUR_SECONDS: Final = 3_600
_KEY_COOKIE: Final = "valija_key"
_SEAL_KEY: Final = secrets.token_bytes(32)


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    invited = "/invitation/{text}"
    return [
        web.get(LOGIN, login),
        web.post(LOGIN, login_password),
        web.post(f"{LOGIN}/recovery", login_recovery),
        web.post(f"{LOGIN}/passkey/ask", ask_passkey),
        web.post(f"{LOGIN}/passkey", login_passkey),
        web.post("/logout", logout),
        web.post("/language", language),
        web.get(invited, invitation),
        web.post(invited, enrol_password),
        web.post(f"{invited}/passkey/ask", ask_enrol_passkey),
        web.post(f"{invited}/passkey", enrol_passkey),
    ]


def address(after: str, *, again: bool = False) -> str:
    """Where to log in, `again` although one is, and go on to `after`."""
    if again:
        return f"{LOGIN}?again=1&next={quote(after, safe='')}"
    return LOGIN if after == "/" else f"{LOGIN}?next={quote(after, safe='')}"


def prove_again(request: web.Request, after: str) -> Visitor:
    """Who asks, if they logged in just now; else they are asked to log in again, and go on to `after`.

    It stands before whatever decides who gets in: an open browser that was left alone is no proof of who sits there.
    """
    visitor = require(request)
    if not _parts(request).register.is_fresh(visitor):
        raise web.HTTPSeeOther(address(after, again=True))
    return visitor


def invitation_address(site: Site, text: str) -> str:
    """What somebody invited opens in the browser."""
    return f"{site.origin}/invitation/{text}"


def _parts(request: web.Request) -> Parts:
    return request.config_dict[PARTS]


def _where(request: web.Request) -> Where:
    return guard.where(request, _parts(request).proxy)


# -- logging in ----------------------------------------------------------------------------------------
@public
async def login(request: web.Request) -> web.Response:
    """The page to log in; whoever is, goes on, unless they are asked to do so again."""
    after, again = within(request.query.get("next", "/")), "again" in request.query
    if visitor_of(request) and not again:
        return go(after)
    return page(request, "login.html", {"after": after, "again": again, "problem": None})


@public
async def login_password(request: web.Request) -> web.Response:
    """Log in with a password and a time code."""
    form = await form_of(request)
    doors, name = _parts(request).doors, form.text("login").lower()
    attempt = doors.login_password(name, form.raw("password"), form.text("code"), _where(request))
    return await _tried(request, attempt, within(form.text("next", "/")), again=form.text("again") == "1")


@public
async def login_recovery(request: web.Request) -> web.Response:
    """Log in with a recovery code, and go on to the account, where a new way in is made."""
    form = await form_of(request)
    attempt = _parts(request).doors.login_recovery(form.text("login").lower(), form.text("code"), _where(request))
    return await _tried(request, attempt, "/account")


async def _tried(
    request: web.Request, attempt: Awaitable[LoggedIn], after: str, *, again: bool = False
) -> web.Response:
    try:
        opened = await attempt
    except ValijaError as error:
        problem = problems.problem(error)
        values = {"after": after, "again": again, "problem": problem, "here": address(after, again=again)}
        return paced(page(request, "login.html", values, problem.status), error)
    return await _let_in(request, go(after), opened)


async def _let_in(request: web.Request, response: web.Response, opened: LoggedIn) -> web.Response:
    """The same; the browser is logged in by it, and the language chosen before the door is the person's from now on."""
    if before := visitor_of(request):
        # The session of before is no browser's any more.
        await _parts(request).accounts.logout(before)
    give_cookie(response, request, opened.cookie)
    chosen, person = request.cookies.get(LANGUAGE_COOKIE, ""), opened.visitor.person
    if chosen in LANGUAGES:
        await _parts(request).accounts.prefer(opened.visitor, chosen, person.theme)
        # Whoever comes next to this browser chooses for themselves.
        response.del_cookie(LANGUAGE_COOKIE)
    return response


@public
async def ask_passkey(request: web.Request) -> web.Response:
    """What the browser asks of a passkey."""
    return web.Response(text=_parts(request).doors.ask_passkey(), content_type="application/json")


@public
async def login_passkey(request: web.Request) -> web.Response:
    """Log in with what the passkey answered; the script goes on by itself."""
    opened = await _parts(request).doors.login_passkey(await json_of(request), _where(request))
    return await _let_in(request, web.Response(status=204), opened)


async def logout(request: web.Request) -> web.Response:
    """Log out."""
    await _parts(request).accounts.logout(require(request))
    response = go(LOGIN)
    take_cookie(response, request)
    return response


@public
async def language(request: web.Request) -> web.Response:
    """Speak another language from now on, and stay where the reader is."""
    form = await form_of(request)
    chosen = form.text("language")
    if chosen not in LANGUAGES:
        raise UsageError("no language of this site")
    response = go(within(form.text("here", "/")))
    visitor = visitor_of(request)
    if visitor is None:
        site = _parts(request).site
        secure = site.origin.startswith("https:")
        response.set_cookie(
            LANGUAGE_COOKIE, chosen, max_age=_YEAR_SECONDS, httponly=True, secure=secure, samesite="Strict"
        )
    else:
        await _parts(request).accounts.prefer(visitor, chosen, visitor.person.theme)
    return response


# -- invitations ---------------------------------------------------------------------------------------
@public
async def invitation(request: web.Request) -> web.Response:
    """The page where somebody invited chooses how to log in."""
    person = await _parts(request).doors.invited(request.match_info["text"])
    # A key that was scanned stays good when the page is opened again, say in another language.
    kept, _, seal = request.cookies.get(_KEY_COOKIE, "").partition(".")
    totp = kept if hmac.compare_digest(seal.encode(), _seal(request, kept)) else passwords.draw_totp()
    response = page(request, "invitation.html", {"person": person, "problem": None} | offered(request, person, totp))
    response.set_cookie(
        _KEY_COOKIE, f"{totp}.{_seal(request, totp).decode()}", path=request.path, max_age=_HOUR_SECONDS, httponly=True,
        secure=_parts(request).site.origin.startswith("https:"), samesite="Strict",
    )  # fmt: skip
    return response


def _seal(request: web.Request, totp: str) -> bytes:
    # Else whoever can set a cookie for a neighbouring name would choose the key.
    return hmac.new(_SEAL_KEY, f"{request.path} {totp}".encode(), "sha256").hexdigest().encode()


def offered(request: web.Request, person: Person, totp: str) -> dict[str, object]:
    """What a page shows of the key for an authenticator."""
    return {"totp": totp, "sign": qr_code(passwords.totp_uri(totp, person.login, _parts(request).member))}


@public
async def enrol_password(request: web.Request) -> web.Response:
    """Choose a password and an authenticator."""
    form, text = await form_of(request), request.match_info["text"]
    doors = _parts(request).doors
    person, totp = await doors.invited(text), form.totp()
    try:
        check_same(form)
        opened, codes = await doors.enrol_password(text, form.raw("password"), totp, form.text("code"), _where(request))
    except UsageError as error:
        problem = problems.problem(error)
        values = {"person": person, "problem": problem, "here": request.path} | offered(request, person, totp)
        return page(request, "invitation.html", values, problem.status)
    return await _welcomed(request, opened, codes)


def check_same(form: Form) -> None:
    """Return if the new password was typed twice alike; else `UsageError`."""
    if form.raw("password") != form.raw("again"):
        raise UsageError("the two passwords differ")


@public
async def ask_enrol_passkey(request: web.Request) -> web.Response:
    """What the browser of somebody invited is asked, so that it makes a passkey."""
    asked = await _parts(request).doors.ask_enrol_passkey(request.match_info["text"])
    return web.Response(text=asked, content_type="application/json")


@public
async def enrol_passkey(request: web.Request) -> web.Response:
    """Register the passkey that the browser made; the answer is the page with the recovery codes."""
    label, answer = request.query.get("label", ""), await json_of(request)
    doors = _parts(request).doors
    opened, codes = await doors.enrol_passkey(request.match_info["text"], label, answer, _where(request))
    return await _welcomed(request, opened, codes)


async def _welcomed(request: web.Request, opened: LoggedIn, codes: list[str]) -> web.Response:
    response = await _let_in(request, page(request, "codes.html", {"codes": codes}), opened)
    # The key was offered, or is of no use: no browser keeps half of a way in.
    response.del_cookie(_KEY_COOKIE, path=f"/invitation/{request.match_info['text']}")
    return response
