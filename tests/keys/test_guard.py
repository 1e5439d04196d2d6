"""What becomes of a mistake before a page is there to tell of it."""

from __future__ import annotations

import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from structlog.testing import capture_logs

from keys.guard import telling
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
