"""The operator's way to the people of this node, over the Unix socket: the first administrator comes in by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from aiohttp import web

from node.api import ROOT, SERVICE, answer, body_of, caller_of
from node.api_requests import show_time
from node.people.acts import NODE
from node.people.roles import Role
from protocol.errors import ConfigError, UsageError

if TYPE_CHECKING:
    # What makes the pages is in memory only where they are served.
    from node.tables.people import Person
    from node.web.parts import Parts

MAX_FORM_BYTES = 4_096
_CREATED = 201


class _NewPerson(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    login: str
    name: str
    role: str
    desks: list[str] = []


def routes(pages: Callable[[], Parts | None]) -> list[web.RouteDef]:
    """The routes of this room, over the pages once they are served."""

    def of(handler: Callable[[web.Request, Parts], Awaitable[web.Response]]) -> Any:
        async def handle(request: web.Request) -> web.Response:
            request.app[SERVICE].require_operator(caller_of(request))
            found = pages()
            if found is None:
                raise ConfigError("web.listen is empty: this node serves no pages for people")
            return await handler(request, found)

        handle.__name__ = handler.__name__
        return handle

    one = f"{ROOT}/people/{{login}}"
    return [
        web.get(f"{ROOT}/people", of(people)),
        web.post(f"{ROOT}/people", of(add)),
        web.post(f"{one}/invite", of(invite)),
        web.post(f"{one}/disable", of(disable)),
        web.post(f"{one}/enable", of(enable)),
    ]


async def people(_request: web.Request, pages: Parts) -> web.Response:
    """Everybody of this member."""
    return answer({"people": [_shown(each) for each in pages.register.everybody]})


def _shown(person: Person) -> dict[str, Any]:
    return {
        "login": person.login,
        "name": person.name,
        "role": person.role.value,
        "desks": list(person.desks),
        "disabled_at": None if person.disabled_at is None else show_time(person.disabled_at),
    }


async def add(request: web.Request, pages: Parts) -> web.Response:
    """Somebody new, and the address of their invitation, shown this once."""
    try:
        asked = msgspec.json.decode(await body_of(request, MAX_FORM_BYTES), type=_NewPerson)
        role = Role(asked.role)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        raise UsageError("a person has a login, a name, a role and desks") from None
    text = await pages.register.add(NODE, asked.login, asked.name, role, asked.desks)
    return _invited(pages, asked.login, text)


async def invite(request: web.Request, pages: Parts) -> web.Response:
    """A fresh invitation for somebody who lost every way in."""
    return await _again(request, pages, pages.register.invite)


async def enable(request: web.Request, pages: Parts) -> web.Response:
    """Let somebody in again, by a fresh invitation."""
    return await _again(request, pages, pages.register.enable)


async def _again(request: web.Request, pages: Parts, act: Callable[[str, str], Awaitable[str]]) -> web.Response:
    login = request.match_info["login"]
    return _invited(pages, login, await act(NODE, login))


async def disable(request: web.Request, pages: Parts) -> web.Response:
    """Log somebody out everywhere, and let them in no more."""
    login = request.match_info["login"]
    await pages.register.disable(NODE, login)
    return answer({"login": login})


def _invited(pages: Parts, login: str, text: str) -> web.Response:
    return answer({"login": login, "invitation": f"{pages.site.origin}/invitation/{text}"}, _CREATED)
