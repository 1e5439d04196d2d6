"""The API's own description, and a viewer for it: read by anybody who reaches the address, because it holds no secret."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Final

import msgspec
from aiohttp import web

from keys.program import program_version
from node import openapi
from node.api import DESCRIPTION, ROOT, VIEWER, Handler
from node.routes import Route

# Redoc writes its own styles; nothing else from elsewhere is run, loaded or asked.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
# The viewer would ask its makers for their logo, in vain: it is told of an empty one.
_LOGO: Final = (b"https://cdn.redoc.ly/redoc/logo-mini.svg", b"data:,")
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
_FILES: Final = {
    VIEWER: ("docs.html", "text/html"),
    f"{VIEWER}/start.js": ("docs.js", "text/javascript"),
    f"{VIEWER}/redoc.js": ("vendor/redoc.standalone.js", "text/javascript"),
}


def routes(table: Sequence[Route]) -> list[web.RouteDef]:
    """The routes of this room, which describes `table`."""

    @cache
    def described() -> bytes:
        return msgspec.json.encode(openapi.document(table, ROOT, program_version()))

    async def description(_request: web.Request) -> web.Response:
        return web.Response(body=described(), content_type="application/json", headers=_HEADERS)

    pages = [web.get(ROOT + path, _serve(*each)) for path, each in _FILES.items()]
    return [web.get(ROOT + DESCRIPTION, description), *pages]


def _serve(name: str, content_type: str) -> Handler:
    @cache
    def data() -> bytes:
        return files("node").joinpath("static", *name.split("/")).read_bytes().replace(*_LOGO)

    async def serve(_request: web.Request) -> web.Response:
        return web.Response(body=data(), content_type=content_type, charset="utf-8", headers=_HEADERS)

    return serve
