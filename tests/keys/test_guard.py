"""What becomes of a mistake before a page is there to tell of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from keys import guard
from keys.guard import posted, telling
from protocol.errors import UnknownMemberError, ValijaError

MAX_FORM_BYTES = 1_024


def told(_request: web.Request, error: ValijaError, status: int | None) -> web.Response:
    return web.Response(text=f"{error.code}: {error.detail}", status=status or 418)


async def broken(_request: web.Request) -> web.Response:
    secret = "the witness"
    raise RuntimeError(secret)


async def unknown(_request: web.Request) -> web.Response:
    raise UnknownMemberError("xx")


async def form(request: web.Request) -> web.Response:
    await request.post()
    return web.Response()


async def elsewhere(_request: web.Request) -> web.Response:
    raise web.HTTPSeeOther("/there")


async def test_every_mistake_is_a_page_and_none_shows_its_inside() -> None:
    middleware = telling(told, structlog.get_logger(), MAX_FORM_BYTES)
    app = web.Application(middlewares=[middleware], client_max_size=MAX_FORM_BYTES)
    app.add_routes([web.get("/broken", broken), web.get("/unknown", unknown), web.post("/form", form)])
    app.add_routes([web.get("/elsewhere", elsewhere)])
    async with TestClient(TestServer(app)) as client:
        with capture_logs() as logs:
            answer = await client.get("/broken")
            assert (answer.status, await answer.text()) == (418, "internal: ")
        assert logs == [{"event": "page_failed", "kind": "RuntimeError", "path": "broken", "log_level": "error"}]
        answer = await client.get("/unknown")
        assert (answer.status, await answer.text()) == (418, "unknown_member: xx")
        answer = await client.get("/nothing")
        assert (answer.status, await answer.text()) == (404, "invalid_request: Not Found")
        answer = await client.post("/form", data={"a": "x" * MAX_FORM_BYTES})
        assert await answer.text() == f"limit_exceeded: a form of over {MAX_FORM_BYTES} bytes"
        assert (await client.get("/elsewhere", allow_redirects=False)).status == 303


async def test_a_form_is_waited_for_a_while_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "FORM_SECONDS", 0.2)

    async def taken(request: web.Request) -> web.Response:
        return web.json_response(dict(await posted(request)))

    async def slow() -> AsyncIterator[bytes]:
        yield b"a=1"
        await asyncio.sleep(30)

    app = web.Application(middlewares=[telling(told, structlog.get_logger(), MAX_FORM_BYTES)])
    app.add_routes([web.post("/form", taken)])
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    async with TestClient(TestServer(app)) as client:
        assert await (await client.post("/form", data={"a": "1"})).json() == {"a": "1"}
        assert (await client.post("/form", data=slow(), headers=kind)).status == 408
        for headers, said in (({"Content-Type": "text/plain"}, "not a form"), (kind, "not UTF-8")):
            answer = await client.post("/form", data=b"a=\xff", headers=headers)
            assert said in await answer.text()
