"""What the commands of this hub's own home ask it to do, over the admin socket: who opens that is its owner."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
from aiohttp import web

from hub.operators import Operators
from hub.steering import BY_COMMAND, Steering
from hub.store import Operator
from protocol.errors import UsageError

STEERING: Final = web.AppKey("steering", Steering)
OPERATORS: Final = web.AppKey("operators", Operators)
S = TypeVar("S", bound=msgspec.Struct)


class Member(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which member's mailbox is meant."""

    member: str


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a mailbox may hold; None: what the charter says."""

    member: str
    messages: int | None = None
    bytes: int | None = None


class NewOperator(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operator: the hash of the password, and the key of the time codes."""

    login: str
    role: str
    password: str
    totp: str


class Login(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which operator is meant."""

    login: str


async def _asked(request: web.Request, model: type[S]) -> S:
    try:
        return msgspec.json.decode(await request.read(), type=model)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise UsageError("not what this asks for") from None


async def drain(request: web.Request) -> web.Response:
    """POST /steer/drain."""
    await request.app[STEERING].drain(BY_COMMAND)
    return _done()


async def reopen(request: web.Request) -> web.Response:
    """POST /steer/reopen."""
    await request.app[STEERING].reopen(BY_COMMAND)
    return _done()


async def suspend(request: web.Request) -> web.Response:
    """POST /steer/suspend."""
    return await _of_member(request, request.app[STEERING].suspend)


async def resume(request: web.Request) -> web.Response:
    """POST /steer/resume."""
    return await _of_member(request, request.app[STEERING].resume)


async def _of_member(request: web.Request, act: Callable[[str, str], Awaitable[None]]) -> web.Response:
    await act(BY_COMMAND, (await _asked(request, Member)).member)
    return _done()


async def quota(request: web.Request) -> web.Response:
    """POST /steer/quota."""
    asked = await _asked(request, Quota)
    await request.app[STEERING].set_quota(BY_COMMAND, asked.member, asked.messages, asked.bytes)
    return _done()


async def operators(request: web.Request) -> web.Response:
    """GET /operators."""
    found = await request.app[OPERATORS].all()
    return web.json_response({"operators": [{"login": each.login, "role": each.role} for each in found]})


async def add_operator(request: web.Request) -> web.Response:
    """POST /operators/add."""
    asked = await _asked(request, NewOperator)
    operator = Operator(asked.login, asked.role, asked.password, asked.totp)
    await request.app[OPERATORS].add(BY_COMMAND, operator)
    return _done()


async def remove_operator(request: web.Request) -> web.Response:
    """POST /operators/remove."""
    await request.app[OPERATORS].remove(BY_COMMAND, (await _asked(request, Login)).login)
    return _done()


def _done() -> web.Response:
    return web.json_response({"done": True})


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [
        web.post("/steer/drain", drain),
        web.post("/steer/reopen", reopen),
        web.post("/steer/suspend", suspend),
        web.post("/steer/resume", resume),
        web.post("/steer/quota", quota),
        web.get("/operators", operators),
        web.post("/operators/add", add_operator),
        web.post("/operators/remove", remove_operator),
    ]
