"""Messages over HTTP: hand in one or many, list, show, take back, acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final

import msgspec
from aiohttp import web

from node import api_answers as answers
from node import api_requests, api_views, faults, paging, problems
from node.acceptance import Accepted
from node.api import SERVICE, answer, body_of, caller_of, parameter, refusal
from node.api_requests import KEY_HEADER, Asked, Writer
from node.desks import Caller
from node.faults import FieldError
from node.routes import AFTER, BEFORE, DESK, FROM, ID, LIMIT, Media, Parameter, Route, registered
from node.scopes import Scope
from node.service import Handed, Service
from protocol.errors import ValijaError

NDJSON: Final = "application/x-ndjson"
_CHECKED: Final = 200
_ACCEPTED: Final = 202
_LARGE: Final = 64 * 1024
"""A body that takes long enough to parse for other callers to notice is parsed beside the loop."""


async def hand_in(request: web.Request) -> web.Response:
    """Accept one message, or with NDJSON many; 202 once it is safe, with everybody who will be able to read it."""
    if request.content_type == NDJSON:
        return await hand_in_many(request)
    return await _handed(request, request.app[SERVICE].send, _ACCEPTED)


async def check(request: web.Request) -> web.Response:
    """Say whether a message would be accepted, and who would be able to read it; nothing is stored and nothing goes."""
    return await _handed(request, request.app[SERVICE].check, _CHECKED)


async def _handed(request: web.Request, how: Callable[[Asked, Caller], Awaitable[Handed]], status: int) -> web.Response:
    asked = await _single(request)
    try:
        handed = await how(asked, caller_of(request))
    except ValijaError as error:
        return refusal(error, fault=api_requests.fault_of(error, asked, alone=True))
    told = await _told(request.app[SERVICE], asked, handed)
    shown = {"id": api_views.show_message_id(handed.message_id)} if status == _ACCEPTED else {}
    return answer(shown | told, status)


async def _single(request: web.Request) -> Asked:
    asked = api_requests.read_message(await body_of(request, api_requests.MAX_SINGLE_BYTES))
    if asked.idempotency_key is not None:
        raise faults.field("idempotency_key", f"the idempotency key stands in the {KEY_HEADER} header")
    return api_requests.message_of(asked, _key(request), caller_of(request), request.app[SERVICE].writer)


async def _told(service: Service, asked: Asked, handed: Handed) -> dict[str, Any]:
    readers, warnings = await service.readers(handed), api_requests.warnings_of(asked, int(service.now()))
    return {"fresh": handed.fresh, "readers": readers, "warnings": warnings}


def _key(request: web.Request) -> str | None:
    keys = request.headers.getall(KEY_HEADER, [])
    if len(keys) > 1:
        raise faults.header(KEY_HEADER, f"the {KEY_HEADER} header stands there twice")
    return keys[0] if keys else None


async def hand_in_many(request: web.Request) -> web.Response:
    """Accept a batch, one message a line with its own `idempotency_key`; the answer has a line for each, in order."""
    service, caller = request.app[SERVICE], caller_of(request)
    body = await body_of(request, api_requests.MAX_BATCH_BYTES)
    parse = partial(_parse_batch, body, caller, service.writer)
    batch = await asyncio.to_thread(parse) if len(body) > _LARGE else parse()
    results = await service.send_all(batch, caller)
    numbers = api_requests.line_numbers(body) if any(isinstance(each, ValijaError) for each in results) else ()
    now = int(service.now())
    data = _ENCODER.encode_lines([_line(place, each, batch, numbers, now) for place, each in enumerate(results)])
    return web.Response(body=data, content_type=NDJSON)


_ENCODER: Final = msgspec.json.Encoder()


def _parse_batch(body: bytes, caller: Caller, writer: Writer) -> list[Asked | ValijaError]:
    return [_parse_line(line, caller, writer) for line in api_requests.split_batch(body)]


def _parse_line(line: bytes, caller: Caller, writer: Writer) -> Asked | ValijaError:
    try:
        asked = api_requests.read_message(line)
        if asked.idempotency_key is None:
            raise faults.field("idempotency_key", "idempotency_key is missing")
        return api_requests.message_of(asked, asked.idempotency_key, caller, writer)
    except FieldError as error:
        # In a batch the key is a field like others.
        return error if error.fault.header is None else faults.field("idempotency_key", error.detail)
    except ValijaError as error:
        return error


def _line(
    place: int, result: Accepted | ValijaError, batch: Sequence[Asked | ValijaError], numbers: Sequence[int], now: int
) -> dict[str, Any]:
    asked = batch[place]
    if isinstance(result, ValijaError):
        fault = api_requests.fault_of(result, asked) if isinstance(asked, Asked) else None
        return problems.line(result, numbers[place], fault)
    warnings = api_requests.warnings_of(asked, now) if isinstance(asked, Asked) else []
    told = {"id": api_views.show_message_id(result.message_id), "fresh": result.fresh}
    return told | {"warnings": warnings} if warnings else told


# -- lists ---------------------------------------------------------------------------------------------
async def inbox(request: web.Request) -> web.Response:
    """What was received, in archive order behind `after`; with `before` the newest first."""
    page = paging.page_of(_once(request, ("after", "before", "limit")))
    return answer(await request.app[SERVICE].inbox(page, caller_of(request), parameter(request, "desk")))


async def outbox(request: web.Request) -> web.Response:
    """What was sent, oldest first behind `after`; with `before` the newest first."""
    page = paging.page_of(_once(request, ("after", "before", "limit")))
    return answer(await request.app[SERVICE].outbox(page, caller_of(request), parameter(request, "desk")))


def _once(request: web.Request, names: Sequence[str]) -> dict[str, str]:
    for name in names:
        if len(request.query.getall(name, [])) > 1:
            raise faults.parameter(name, f"{name} stands there twice")
    return {name: request.query[name] for name in names if name in request.query}


# -- one message ---------------------------------------------------------------------------------------
async def show(request: web.Request) -> web.Response:
    """One message in full, by its id or the start of it; `from` names its sender where several used the id."""
    service, caller = request.app[SERVICE], caller_of(request)
    message_id = await service.identify(request.match_info["id"], caller)
    return answer(await service.message(message_id, caller, parameter(request, "from")))


async def withdraw(request: web.Request) -> web.Response:
    """Take a message back wherever it is not delivered; the answer shows it as it stands now."""
    service, caller = request.app[SERVICE], caller_of(request)
    message_id = await service.identify(request.match_info["id"], caller)
    await service.withdraw(message_id, caller)
    return answer(await service.message(message_id, caller, service.writer.member), _ACCEPTED)


async def acknowledge(request: web.Request) -> web.Response:
    """Tell the sender by a signed receipt that a desk took the message in hand; `from` as for showing it."""
    service, caller = request.app[SERVICE], caller_of(request)
    asked = api_requests.read_acknowledge(await body_of(request, _LARGE))
    message_id = await service.identify(request.match_info["id"], caller)
    action = await service.acknowledge(message_id, asked, caller, parameter(request, "from"))
    return answer({"id": api_views.show_message_id(message_id), "action": action}, _ACCEPTED)


async def receipts(request: web.Request) -> web.Response:
    """The newest signed receipt of each recipient of a message of ours, with what proves it; bytes in base64."""
    service, caller = request.app[SERVICE], caller_of(request)
    message_id = await service.identify(request.match_info["id"], caller)
    return answer({"items": await service.receipts(message_id, caller)})


# -- the table -----------------------------------------------------------------------------------------
_SENDING: Final = (
    *("unknown_recipient", "unknown_network", "recipient_suspended", "not_in_standing", "unknown_desk"),
    *("unknown_message", "handling_forbids", "conflict", "limit_exceeded", "charter_expired"),
)
_KEY: Final = Parameter(
    KEY_HEADER,
    "Names this message for ever: the same again is the same message.  Required for a single message.",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "header",
)
_BATCH: Final = Media(answers.BatchLine, NDJSON, has_lines=True)
_LINES: Final = Media(api_requests.MessageRequest, NDJSON, has_lines=True)
_LISTED: Final = (AFTER, BEFORE, LIMIT, DESK)

TABLE: Final = (
    Route(
        *("POST", "/messages", hand_in, Scope.SEND, (Media(answers.Accepted),), _ACCEPTED),
        asks=(Media(api_requests.MessageRequest), _LINES),
        also=((200, (_BATCH,)),),
        parameters=(_KEY,),
        codes=_SENDING,
    ),
    Route(
        *("POST", "/messages:check", check, Scope.SEND, (Media(answers.Checked),)),
        asks=(Media(api_requests.MessageRequest),),
        parameters=(_KEY,),
        codes=_SENDING,
    ),
    Route(
        *("POST", "/messages:batch", hand_in_many, Scope.SEND, (_BATCH,)),
        asks=(_LINES,),
        codes=("limit_exceeded",),
    ),
    Route("GET", "/messages", inbox, Scope.READ, (Media(answers.Page[answers.Received]),), parameters=_LISTED,
          codes=("unknown_desk",)),
    Route("GET", "/messages/{id}", show, Scope.READ, (Media(answers.ReceivedInFull | answers.SentInFull),),
          parameters=(ID, FROM), codes=("unknown_message", "damaged")),
    Route("GET", "/messages/{id}/receipts", receipts, Scope.READ, (Media(answers.Receipts),), parameters=(ID,),
          codes=("unknown_message",)),
    Route("POST", "/messages/{id}/withdraw", withdraw, Scope.SEND, (Media(answers.SentInFull),), _ACCEPTED,
          parameters=(ID,), codes=("unknown_message", "too_late")),
    Route("POST", "/messages/{id}/acknowledge", acknowledge, Scope.ACKNOWLEDGE, (Media(answers.Acknowledged),),
          _ACCEPTED, asks=(Media(api_requests.AcknowledgeRequest),), is_body_required=False, parameters=(ID, FROM),
          codes=("unknown_message", "unknown_desk", "damaged", "limit_exceeded")),
    Route("GET", "/outbox", outbox, Scope.READ, (Media(answers.Page[answers.Sent]),), parameters=_LISTED,
          codes=("unknown_desk",)),
)  # fmt: skip


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return registered(TABLE)
