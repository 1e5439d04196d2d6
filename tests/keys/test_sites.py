"""What a server says of itself, before or behind its application: in the application's own form, and none of what was sent."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from keys import sites
from protocol.errors import ValijaError
from tests.support.unread import REQUESTS, SECRET, STATUSES, TOO_LONG, ask

Address = tuple[str, int]


def told(error: ValijaError, status: int) -> web.Response:
    return web.Response(text=f"{error.code}: {error.detail}", status=status, headers={"X-Ours": "yes"})


async def fine(_request: web.Request) -> web.Response:
    return web.Response(text="fine")


async def broken(_request: web.Request) -> web.Response:
    raise RuntimeError(SECRET)


async def begun(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(b"begun")
    raise RuntimeError(SECRET)


@pytest.fixture
async def address() -> AsyncIterator[Address]:
    app = web.Application()
    app[sites.UNREAD] = told
    app.add_routes([web.get("/", fine), web.get("/broken", broken), web.get("/begun", begun)])
    listener = socket.create_server(("127.0.0.1", 0))
    async with sites.serving(app, listener):
        host, port = listener.getsockname()
        yield host, port


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()


async def test_what_can_be_read_is_answered_by_the_application(address: Address) -> None:
    answer = await ask(address, request("/"))
    assert (answer.status, answer.body) == (200, "fine")


@pytest.mark.parametrize("name", REQUESTS)
async def test_what_never_becomes_a_request_is_refused_in_the_applications_form(address: Address, name: str) -> None:
    answer = await ask(address, REQUESTS[name])
    code = "limit_exceeded" if name in TOO_LONG else "invalid_request"
    assert answer.status == STATUSES[name]
    assert (answer.headers.get("x-ours"), answer.body.partition(":")[0]) == ("yes", code)
    assert SECRET not in str(answer)
    assert "aaaa" not in answer.body


async def test_only_what_is_too_long_is_refused_for_that(address: Address) -> None:
    # Of a line the address counts, of a header what it says, and by the way of its parsing its name.
    for size, status in ((8_190, 200), (8_191, 414)):
        assert (await ask(address, request("/?" + "a" * (size - 2)))).status == status
    for size, status in ((8_192, 200), (8_200, 431)):
        given = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nCookie: " + b"a" * (size - 6) + b"\r\n\r\n"
        assert (await ask(address, given)).status == status


async def test_the_connection_of_what_cannot_be_read_ends(address: Address) -> None:
    # `ask` reads until then.
    answer = await ask(address, REQUESTS["no host"] + request("/"))
    assert answer.body.count("invalid_request") == 1


async def test_a_failure_that_no_handler_caught_shows_nothing_of_its_inside(address: Address) -> None:
    answer = await ask(address, request("/broken"))
    assert (answer.status, answer.headers.get("x-ours"), answer.body) == (500, "yes", "internal: ")


async def test_an_answer_that_began_is_cut_off(address: Address) -> None:
    answer = await ask(address, request("/begun"))
    assert (answer.status, "internal" in answer.body) == (200, False)


async def test_who_comes_when_it_ended_is_not_let_in() -> None:
    app = web.Application()
    app[sites.UNREAD] = told
    listener = socket.create_server(("127.0.0.1", 0))
    where = listener.getsockname()
    async with sites.serving(app, listener):
        pass
    with pytest.raises(ConnectionError):
        await ask(where, request("/"))
