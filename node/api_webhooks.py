"""Webhooks over HTTP, for a desk's token and the operator."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from aiohttp import web
from msgspec import Meta

from node import api_answers as answers
from node.api import answer, body_of, caller_of, parameter
from node.api_node import MAX_FORM_BYTES, read_form
from node.paging import page_of
from node.routes import AFTER, LIMIT, Media, Parameter, Route, registered
from node.scopes import Scope
from node.webhooks.book import Book

BOOK: Final = web.AppKey("book", Book)
_CREATED: Final = 201
_ACCEPTED: Final = 202
_MOST_DIGITS: Final = 18


class NewWebhook(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A webhook to make: where to, and for the operator of which desk."""

    url: Annotated[str, Meta(max_length=2_048)]
    desk: Annotated[str, Meta(max_length=64)] | None = None


async def add(request: web.Request) -> web.Response:
    """Make a webhook, told what happens from now on; its secret is shown here and never again."""
    asked = read_form(await body_of(request, MAX_FORM_BYTES), NewWebhook)
    return answer(await request.app[BOOK].add(asked.url, asked.desk, caller_of(request)), _CREATED)


async def webhooks(request: web.Request) -> web.Response:
    """The webhooks of the desk."""
    return answer({"webhooks": await request.app[BOOK].listed(caller_of(request))})


async def show_webhook(request: web.Request) -> web.Response:
    """One webhook."""
    return answer(await request.app[BOOK].show(request.match_info["name"], caller_of(request)))


async def rotate(request: web.Request) -> web.Response:
    """Give the webhook a fresh secret, shown here and never again; for a day the old one signs too."""
    return answer(await request.app[BOOK].rotate(request.match_info["name"], caller_of(request)), _CREATED)


async def disable(request: web.Request) -> web.Response:
    """Send nothing to the webhook any more; nothing is lost, it stands where it stood."""
    return answer(await request.app[BOOK].disable(request.match_info["name"], caller_of(request)))


async def enable(request: web.Request) -> web.Response:
    """Go on telling the webhook, from where it stood."""
    return answer(await request.app[BOOK].enable(request.match_info["name"], caller_of(request)))


async def remove(request: web.Request) -> web.Response:
    """Forget the webhook and its log; nothing is sent to it any more."""
    return answer(await request.app[BOOK].remove(request.match_info["name"], caller_of(request)))


async def test_webhook(request: web.Request) -> web.Response:
    """Send the webhook a notice that tells of nothing; the log says what became of it."""
    return answer(await request.app[BOOK].test(request.match_info["name"], caller_of(request)), _ACCEPTED)


async def notices(request: web.Request) -> web.Response:
    """What the webhook was told and is still to be told, oldest first."""
    given = {name: value for name in ("after", "limit") if (value := parameter(request, name)) is not None}
    page = page_of(given)
    name, caller = request.match_info["name"], caller_of(request)
    return answer(await request.app[BOOK].log(name, page.after, page.limit, caller))


async def redeliver(request: web.Request) -> web.Response:
    """Send the webhook a notice of its log once more."""
    number = request.match_info["number"]
    if not number.isascii() or not number.isdigit() or len(number) > _MOST_DIGITS:
        raise web.HTTPNotFound(reason="no notice of this number in the log of this webhook")
    name, caller = request.match_info["name"], caller_of(request)
    return answer(await request.app[BOOK].redeliver(name, int(number), caller), _ACCEPTED)


# -- the table -----------------------------------------------------------------------------------------
_NAME: Final = Parameter("name", "The name of a webhook, `whk_…`.", {"type": "string"}, "path", is_required=True)
_NUMBER: Final = Parameter(
    "number", "The number of a notice in the log.", {"type": "integer"}, "path", is_required=True
)
_ONE: Final = (Media(answers.Webhook),)
_NAMED: Final = (_NAME,)
# Of the codes only the status says that there is no such webhook.
_ABSENT: Final = ("unknown_message",)
_TRIED: Final = (*_ABSENT, "disabled")

TABLE: Final = (
    Route("POST", "/webhooks", add, Scope.WEBHOOKS, (Media(answers.FreshWebhook),), _CREATED, asks=(Media(NewWebhook),),
          codes=("unknown_desk", "limit_exceeded")),
    Route("GET", "/webhooks", webhooks, Scope.WEBHOOKS, (Media(answers.Webhooks),)),
    Route("GET", "/webhooks/{name}", show_webhook, Scope.WEBHOOKS, _ONE, parameters=_NAMED, codes=_ABSENT),
    Route("DELETE", "/webhooks/{name}", remove, Scope.WEBHOOKS, _ONE, parameters=_NAMED, codes=_ABSENT),
    Route("POST", "/webhooks/{name}/rotate", rotate, Scope.WEBHOOKS, (Media(answers.FreshWebhook),), _CREATED,
          parameters=_NAMED, codes=_ABSENT),
    Route("POST", "/webhooks/{name}/disable", disable, Scope.WEBHOOKS, _ONE, parameters=_NAMED, codes=_ABSENT),
    Route("POST", "/webhooks/{name}/enable", enable, Scope.WEBHOOKS, _ONE, parameters=_NAMED, codes=_ABSENT),
    Route("POST", "/webhooks/{name}/test", test_webhook, Scope.WEBHOOKS, _ONE, _ACCEPTED, parameters=_NAMED,
          codes=_TRIED),
    Route("GET", "/webhooks/{name}/notices", notices, Scope.WEBHOOKS, (Media(answers.Page[answers.Notice]),),
          parameters=(_NAME, AFTER, LIMIT), codes=_ABSENT),
    Route("POST", "/webhooks/{name}/notices/{number}/redeliver", redeliver, Scope.WEBHOOKS, _ONE, _ACCEPTED,
          parameters=(_NAME, _NUMBER), codes=_TRIED),
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return registered(TABLE)
