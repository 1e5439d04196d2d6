"""The node itself over HTTP: its events, members and networks, desks and tokens, state and search."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Annotated, Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp_sse import sse_response
from msgspec import Meta

from node import faults
from node.api import ROOT, SERVICE, answer, body_of, caller_of, parameter
from node.api_requests import page_of, show_time
from node.api_views import View
from node.desks import AtDesk, handle
from node.event_views import Place
from node.events import lines
from node.service import Service
from node.tables.desks import Token
from node.vitals import session
from protocol.errors import UsageError

T = TypeVar("T")

MAX_FORM_BYTES: Final = 4_096
SLOW_SECONDS: Final = 60
_OK: Final = 200
_CREATED: Final = 201
_UNREADY: Final = 503


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [
        web.get(f"{ROOT}/events", events),
        web.get(f"{ROOT}/members", members),
        web.get(f"{ROOT}/networks", networks),
        web.get(f"{ROOT}/status", status),
        web.get(f"{ROOT}/search", search),
        web.get(f"{ROOT}/threads/{{id}}", thread),
        web.get(f"{ROOT}/desks", desks),
        web.post(f"{ROOT}/desks", add_desk),
        web.post(f"{ROOT}/tokens", add_token),
        web.delete(f"{ROOT}/tokens/{{handle}}", revoke_token),
    ]


def health() -> list[web.RouteDef]:
    """What supervisors ask on the Unix socket."""
    return [web.get("/livez", livez), web.get("/readyz", readyz)]


async def livez(_request: web.Request) -> web.Response:
    """200 while this node answers at all."""
    return answer({"live": True})


async def readyz(request: web.Request) -> web.Response:
    """200 while a session with the hub is open, else 503; messages are taken in either case."""
    opened = session(request.app[SERVICE].uplink)
    return answer({"session": opened}, _OK if opened == "open" else _UNREADY)


# -- events --------------------------------------------------------------------------------------------
async def events(request: web.Request) -> web.StreamResponse:
    """Server-sent events behind `Last-Event-ID` or `after`, or from now on; they go on until the caller leaves."""
    service, caller = request.app[SERVICE], caller_of(request)
    shown = request.headers.get("Last-Event-ID") or parameter(request, "after")
    # Before the first byte goes out: whoever sees the stream begin sees everything that happens afterwards.
    after = Place.read(shown) if shown else await service.feed.now()
    async with sse_response(request) as response, aclosing(service.feed.follow(after)) as batches:
        async for batch in batches:
            data = lines(batch, lambda each: each.is_for(caller, service.writer.desk))
            if data:
                # A reader that takes nothing for so long is gone, or will come back behind the last event it saw.
                async with asyncio.timeout(SLOW_SECONDS):
                    await response.write(data)
    return response


# -- the association -----------------------------------------------------------------------------------
async def members(request: web.Request) -> web.Response:
    """Every member of the association, in standing or not."""
    return answer({"members": await request.app[SERVICE].members()})


async def networks(request: web.Request) -> web.Response:
    """Every network with its members."""
    return answer({"networks": await request.app[SERVICE].networks()})


async def status(request: web.Request) -> web.Response:
    """How this node is; a desk learns whose node it is and whether it is connected."""
    return answer(await request.app[SERVICE].status(caller_of(request)))


# -- finding -------------------------------------------------------------------------------------------
async def search(request: web.Request) -> web.Response:
    """The messages that hold the words of `q`, newest first."""
    query = parameter(request, "q")
    if query is None:
        raise faults.parameter("q", "q is missing: the words to look for")
    limit = page_of({"limit": parameter(request, "limit") or "50"}).limit
    return answer(await request.app[SERVICE].search(query, limit, caller_of(request)))


async def thread(request: web.Request) -> web.Response:
    """The messages of the thread in which this message stands, oldest first; `from` as for showing it."""
    service, caller = request.app[SERVICE], caller_of(request)
    message_id = await service.identify(request.match_info["id"], caller)
    return answer(await service.thread(message_id, caller, parameter(request, "from")))


# -- desks ---------------------------------------------------------------------------------------------
class _NewDesk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[str, Meta(max_length=64)]


class _NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    desk: Annotated[str, Meta(max_length=64)]
    label: str = ""


async def desks(request: web.Request) -> web.Response:
    """The desks of this node with their tokens; a desk sees itself."""
    service, caller = request.app[SERVICE], caller_of(request)
    own = caller.desk if isinstance(caller, AtDesk) else None
    listed = [_desk(*each) for each in await service.listed_desks() if own in {None, each[0]}]
    return answer({"desks": listed})


def _desk(name: str, created_at: int, tokens: list[Token]) -> View:
    return {"name": name, "created_at": show_time(created_at), "tokens": [_token(each) for each in tokens]}


def _token(token: Token) -> View:
    revoked = None if token.revoked_at is None else show_time(token.revoked_at)
    return {
        "handle": handle(token),
        "label": token.label,
        "created_at": show_time(token.created_at),
        "revoked_at": revoked,
    }


async def add_desk(request: web.Request) -> web.Response:
    """Make a desk."""
    service = _operators(request)
    asked: _NewDesk = _form(await body_of(request, MAX_FORM_BYTES), _NewDesk)
    await service.add_desk(asked.name)
    return answer({"name": asked.name}, _CREATED)


async def add_token(request: web.Request) -> web.Response:
    """Make a token of a desk; its text is shown here and never again."""
    service = _operators(request)
    asked: _NewToken = _form(await body_of(request, MAX_FORM_BYTES), _NewToken)
    fresh = await service.add_token(asked.desk, asked.label)
    return answer(_token(fresh.token) | {"desk": asked.desk, "token": fresh.text}, _CREATED)


async def revoke_token(request: web.Request) -> web.Response:
    """End a token, named by its handle."""
    token = await _operators(request).revoke_token(request.match_info["handle"])
    return answer(_token(token) | {"desk": token.desk})


def _operators(request: web.Request) -> Service:
    service = request.app[SERVICE]
    service.require_operator(caller_of(request))
    return service


def _form(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise faults.misfit(error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError("the body is not the JSON object expected") from None
