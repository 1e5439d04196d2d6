"""The node itself over HTTP: its events, members and networks, desks and tokens, state and search."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Annotated, Final, TypeVar

import msgspec
from aiohttp import web
from aiohttp_sse import sse_response
from msgspec import Meta

from node import api_answers as answers
from node import faults
from node.api import SERVICE, answer, body_of, caller_of, parameter
from node.api_requests import read_time, show_time
from node.api_views import View
from node.desks import MAX_LABEL_CHARS, AtDesk, Caller
from node.event_views import Place
from node.paging import DEFAULT_PAGE, page_of
from node.routes import AFTER, FROM, HANDLE, ID, LIMIT, OPERATORS, Media, Parameter, Route, registered
from node.scopes import Scope
from node.service import Service
from node.tables.desks import Token
from node.vitals import session
from protocol.errors import TooManyError, UsageError

T = TypeVar("T")

MAX_FORM_BYTES: Final = 4_096
SLOW_SECONDS: Final = 60
MAX_STREAMS: Final = 256
STREAM_WAIT_SECONDS: Final = 30
"""How long who has too many open is asked to wait: nobody knows when one ends."""
LOOK_SECONDS: Final = 5
NAME: Final = "^[a-z0-9]+(-[a-z0-9]+)*$"
LAST_EVENT: Final = "Last-Event-ID"
_OK: Final = 200
_CREATED: Final = 201
_UNREADY: Final = 503


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
    """Events behind `Last-Event-ID` or `after`: as a stream that goes on, from now on where neither is given.

    Who accepts JSON and no stream is given a page, from the first event on where no cursor is given.  A stream ends
    with its token; a token has 256 of them at most.
    """
    service, caller = request.app[SERVICE], caller_of(request)
    last = request.headers.get(LAST_EVENT)
    shown = last or parameter(request, "after")
    accepted = request.headers.get("Accept", "")
    if "application/json" in accepted and "text/event-stream" not in accepted:
        limit = page_of({"limit": parameter(request, "limit") or str(DEFAULT_PAGE)}).limit
        return answer(await service.events(_place(shown, last) if shown else Place(0), limit, caller))
    # Before the first byte goes out: whoever sees the stream begin sees everything that happens afterwards.
    after = _place(shown, last) if shown else await service.feed.now()
    with _counted(service.streams, caller):
        return await _stream(request, caller, after, is_new=not shown)


@contextmanager
def _counted(streams: Counter[str], caller: Caller) -> Iterator[None]:
    token = caller.token if isinstance(caller, AtDesk) else ""
    if token and streams[token] >= MAX_STREAMS:
        raise TooManyError(f"{MAX_STREAMS} streams of one token at most", STREAM_WAIT_SECONDS)
    streams[token] += 1
    try:
        yield
    finally:
        streams[token] -= 1


@asynccontextmanager
async def _while_it_holds(service: Service, caller: Caller) -> AsyncIterator[None]:
    """What is done meanwhile ends within seconds of the caller's token, though nothing happens."""
    lasting = asyncio.timeout(None)

    async def watch() -> None:
        while service.desks.still_holds(caller, service.now()):  # noqa: ASYNC110 - time alone ends a token
            await asyncio.sleep(LOOK_SECONDS)
        lasting.reschedule(0)

    try:
        async with lasting:
            watching = asyncio.create_task(watch())
            try:
                yield
            finally:
                watching.cancel()
    except TimeoutError:
        if not lasting.expired():
            raise


async def _stream(request: web.Request, caller: Caller, after: Place, *, is_new: bool) -> web.StreamResponse:
    service = request.app[SERVICE]
    async with (
        sse_response(request) as response,
        _while_it_holds(service, caller),
        aclosing(service.feed.follow(after, caller)) as batches,
    ):
        if is_new:
            # Who loses this stream before its first event can still ask for what came behind its beginning.
            await response.write(f"id: {after}\n\n".encode())
        async for batch in batches:
            if not service.desks.still_holds(caller, service.now()):
                break
            # A reader that takes nothing for so long is gone, or will come back behind the last event it saw.
            async with asyncio.timeout(SLOW_SECONDS):
                await response.write(batch.lines(caller))
    return response


def _place(shown: str, last: str | None) -> Place:
    try:
        return Place.read(shown)
    except UsageError as error:
        raise (faults.header(LAST_EVENT, error.detail) if last else faults.parameter("after", error.detail)) from None


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
class NewDesk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A desk to make."""

    name: Annotated[str, Meta(extra_json_schema={"minLength": 2, "maxLength": 32, "pattern": NAME})]


class NewToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A token to make: of which desk, what it is called, what it is good for, and until when (for ever if null)."""

    desk: Annotated[str, Meta(max_length=64)]
    label: Annotated[str, Meta(max_length=MAX_LABEL_CHARS)] = ""
    scopes: Annotated[tuple[Scope, ...], Meta(min_length=1, max_length=len(Scope))] = tuple(Scope)
    expires_at: answers.Time | None = None


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
        "handle": token.handle,
        "label": token.label,
        "scopes": token.scopes.split(),
        "created_at": show_time(token.created_at),
        "expires_at": None if token.expires_at is None else show_time(token.expires_at),
        "revoked_at": revoked,
    }


async def add_desk(request: web.Request) -> web.Response:
    """Make a desk."""
    service = request.app[SERVICE]
    asked: NewDesk = read_form(await body_of(request, MAX_FORM_BYTES), NewDesk)
    await service.add_desk(asked.name)
    return answer({"name": asked.name}, _CREATED)


async def add_token(request: web.Request) -> web.Response:
    """Make a token of a desk; its text is shown here and never again."""
    service = request.app[SERVICE]
    asked: NewToken = read_form(await body_of(request, MAX_FORM_BYTES), NewToken)
    expires_at = read_time("expires_at", asked.expires_at)
    if expires_at is not None and expires_at <= service.now():
        raise faults.field("expires_at", "expires_at is past")
    fresh = await service.add_token(asked.desk, asked.label, asked.scopes, expires_at)
    return answer(_token(fresh.token) | {"desk": asked.desk, "token": fresh.text}, _CREATED)


async def revoke_token(request: web.Request) -> web.Response:
    """End a token, named by its handle."""
    token = await request.app[SERVICE].revoke_token(request.match_info["handle"])
    return answer(_token(token) | {"desk": token.desk})


def read_form(data: bytes, kind: type[T]) -> T:
    """The form in a body; `UsageError` naming the field for anything else."""
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise faults.misfit(error, kind) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError("the body is not the JSON object expected") from None


# -- the table -----------------------------------------------------------------------------------------
_STREAM: Final = Media(str, "text/event-stream")
_LAST: Final = Parameter(LAST_EVENT, "As `after`; browsers send it.", {"type": "string"}, "header")
_WORDS: Final = Parameter(
    "q", "Words to look for, or part of a case reference.", {"type": "string", "minLength": 1}, is_required=True
)

TABLE: Final = (
    Route("GET", "/events", events, Scope.EVENTS, (_STREAM, Media(answers.Events)), parameters=(AFTER, LIMIT, _LAST)),
    Route("GET", "/members", members, Scope.READ, (Media(answers.Members),)),
    Route("GET", "/networks", networks, Scope.READ, (Media(answers.Networks),)),
    Route("GET", "/status", status, None, (Media(answers.Status),)),
    Route("GET", "/search", search, Scope.READ, (Media(answers.Found),), parameters=(_WORDS, LIMIT)),
    Route("GET", "/threads/{id}", thread, Scope.READ, (Media(answers.Thread),), parameters=(ID, FROM),
          codes=("unknown_message", "damaged")),
    Route("GET", "/desks", desks, None, (Media(answers.Desks),)),
    Route("POST", "/desks", add_desk, OPERATORS, (Media(answers.DeskName),), _CREATED, asks=(Media(NewDesk),),
          codes=("already_exists", "limit_exceeded")),
    Route("POST", "/tokens", add_token, OPERATORS, (Media(answers.FreshToken),), _CREATED, asks=(Media(NewToken),),
          codes=("unknown_desk", "limit_exceeded")),
    Route("DELETE", "/tokens/{handle}", revoke_token, OPERATORS, (Media(answers.NamedToken),), parameters=(HANDLE,)),
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return registered(TABLE)
