"""Webhooks of this node's desks, for administrators: how each fares, what it was told, and trying it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from node.desks import Operator
from node.people.acts import Act
from node.people.register import Visitor
from node.people.roles import Power
from node.web.parts import PARTS
from node.web.render import page
from node.web.requests import Handler, form_of, go, require
from node.webhooks.book import Book

WEBHOOKS: Final = "/webhooks"
_PAGE: Final = 100
# A webhook tells what happens and never what was written: whoever administers the node sees those of all desks.
_ALL: Final = Operator()


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    one = f"{WEBHOOKS}/{{name:whk_[0-9a-f]+}}"
    return [
        web.get(WEBHOOKS, webhooks),
        web.get(one, webhook),
        web.post(f"{one}/test", _doing("test")),
        web.post(f"{one}/disable", _doing("disable")),
        web.post(f"{one}/enable", _doing("enable")),
        web.post(f"{one}/notices/{{number:[0-9]{{1,18}}}}/redeliver", redeliver),
    ]


def _book(request: web.Request) -> Book:
    return request.config_dict[PARTS].book


def _by(request: web.Request) -> Visitor:
    visitor = require(request)
    visitor.require(Power.ADMINISTER)
    return visitor


async def webhooks(request: web.Request) -> web.Response:
    """Every webhook."""
    _by(request)
    return page(request, "webhooks.html", {"webhooks": await _book(request).listed(_ALL)})


async def webhook(request: web.Request) -> web.Response:
    """One webhook, and the newest of what it was told and is still to be told."""
    _by(request)
    book, name = _book(request), request.match_info["name"]
    found = {"webhook": await book.show(name, _ALL), "notices": await book.newest(name, _PAGE, _ALL)}
    return page(request, "webhook.html", found)


def _doing(what: str) -> Handler:
    async def do(request: web.Request) -> web.Response:
        visitor, name = _by(request), request.match_info["name"]
        await form_of(request)
        await getattr(_book(request), what)(name, _ALL)
        return await _done(request, visitor, what)

    return do


async def redeliver(request: web.Request) -> web.Response:
    """Send a notice of the log once more."""
    visitor, number = _by(request), request.match_info["number"]
    await form_of(request)
    await _book(request).redeliver(request.match_info["name"], int(number), _ALL)
    return await _done(request, visitor, f"redeliver {number}")


async def _done(request: web.Request, visitor: Visitor, what: str) -> web.Response:
    name = request.match_info["name"]
    await request.config_dict[PARTS].register.record(visitor, Act.WEBHOOK_HANDLED, name, what)
    return go(f"{WEBHOOKS}/{name}")
