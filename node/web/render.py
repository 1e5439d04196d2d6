"""Pages from templates, in the reader's language; everything written by others is text, whatever it holds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any, Final

import jinja2
from aiohttp import web
from markupsafe import Markup

from keys.assets import Assets
from keys.guard import paced
from node import problems
from node.api_requests import show_time
from node.api_views import action_name
from node.i18n import LANGUAGES, SOURCE, Speech, negotiate, speech
from node.people.register import Visitor
from node.people.roles import Power
from node.web import texts, words
from node.web.guard import harden
from node.web.parts import PARTS, Parts
from protocol.errors import UnknownMemberError, UsageError, ValijaError
from protocol.names import parse_address
from protocol.trust.registry import Registry

ASSETS: Final = Assets("node.web", "static", "static/vendor")
LANGUAGE_COOKIE: Final = "valija_language"
THEMES: Final = ("", "light", "dark")
_VISITOR: Final = web.RequestKey("visitor", object)


@cache
def _environment(language: str, zone: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("node.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=texts.visible,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    told = speech(language, zone)
    environment.install_gettext_translations(told.catalogue, newstyle=True)  # type: ignore[attr-defined]
    environment.globals |= {
        "action_name": action_name,
        "asset": ASSETS.path_of,
        "body": lambda content: texts.body(content.body),
        "iso": show_time,
        "languages": LANGUAGES,
        "Power": Power,
        "reason": reason,
        "rfc3339": rfc3339,
        "speech": told,
        "words": words,
    }
    return environment


def rfc3339(written: str) -> int:
    """The time that is written so, in Unix seconds."""
    return int(datetime.fromisoformat(written).timestamp())


def reason(code: str) -> str:
    """The sentence of the error with this code; the code where none is known."""
    sentence = words.SENTENCES.get(code) or problems.problem(problems.error_of(code, "")).title
    return sentence if code in problems.known_codes() else code


def visitor_of(request: web.Request) -> Visitor | None:
    """Who asks, if they are logged in."""
    visitor = request.get(_VISITOR)
    return visitor if isinstance(visitor, Visitor) else None


def set_visitor(request: web.Request, visitor: Visitor | None) -> None:
    """Afterwards this is who asks."""
    request[_VISITOR] = visitor


def speech_of(request: web.Request) -> Speech:
    """How to speak to whoever asks: as they chose, or as their browser asks."""
    visitor = visitor_of(request)
    chosen = visitor.person.language if visitor else request.cookies.get(LANGUAGE_COOKIE, "")
    language = negotiate(chosen, request.headers.get("Accept-Language", ""))
    return speech(language, request.config_dict[PARTS].zone)


def page(
    request: web.Request, template: str, values: Mapping[str, Any] | None = None, status: int = 200
) -> web.Response:
    """The page that `template` makes of `values`."""
    parts, told, visitor = request.config_dict[PARTS], speech_of(request), visitor_of(request)
    frame: dict[str, Any] = {
        "visitor": visitor,
        "member": parts.member,
        "association": parts.association,
        "path": request.path,
        # What answers a form is on no address: changing the language there would lose it.
        "here": request.path_qs if request.method == "GET" else "",
        "theme": visitor.person.theme if visitor else "",
        "now": int(parts.now()),
    }
    registry = parts.service.registry
    frame |= {
        "flag": lambda member: texts.flag(_country(registry, member)),
        "title": lambda member: told.title(_titles(registry, member), member),
        "named": lambda written: _named(registry, told, parts.association, written),
    }
    body = _environment(told.language, parts.zone).get_template(template).render(frame | dict(values or {}))
    return web.Response(text=body, content_type="text/html", status=status)


def _titles(registry: Registry, member: str) -> dict[str, str]:
    try:
        return dict(registry.member(member).titles)
    except UnknownMemberError:
        return {}


def _named(registry: Registry, told: Speech, association: str, written: str) -> Markup | str:
    """Whom this address names, as people know them, flag and desk included; the address where that is nobody here."""
    try:
        address = parse_address(written, association)
    except UsageError:
        return written
    if address.member is None:
        titles = {each.network: dict(each.titles) for each in registry.networks()}.get(address.network or "", {})
        return f"#{address.network} {told.title(titles, '')}".strip()
    flag = texts.flag(_country(registry, address.member))
    title = texts.visible(told.title(_titles(registry, address.member), address.member))
    return Markup('<span class="member">{} {}{}</span>').format(
        flag, title, f" / {address.desk}" if address.desk else ""
    )


def _country(registry: Registry, member: str) -> str:
    try:
        return registry.member(member).country
    except UnknownMemberError:
        return ""


def mistake(request: web.Request, error: ValijaError, status: int | None = None) -> web.Response:
    """The page that tells of `error`: what is wrong, what to do, and the code for whoever helps."""
    told = problems.problem(error, status)
    return paced(page(request, "error.html", {"problem": told, "sentence": told.title}, told.status), error)


def unread(parts: Parts, error: ValijaError, status: int) -> web.Response:
    """The same where no request came to be, which would name a language: in all of them, and hardened as the others are."""
    told = {"spoken": [speech(each, parts.zone) for each in LANGUAGES], "code": error.code}
    body = _environment(SOURCE, parts.zone).get_template("unread.html").render(told)
    response = web.Response(text=body, content_type="text/html", status=status)
    harden(response, parts.site)
    return response
