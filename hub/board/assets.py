"""What the console loads besides its pages: style and script, each under a name that changes with its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

ROOT: Final = "/static/"
_DIGEST_CHARS: Final = 12
_TYPES: Final = {"console.css": "text/css", "console.js": "text/javascript"}
_HEADERS: Final = {"Cache-Control": "public, max-age=31536000, immutable"}


@dataclass(frozen=True, slots=True)
class _Asset:
    path: str
    content_type: str
    data: bytes = field(repr=False)


@cache
def _assets() -> dict[str, _Asset]:
    static = files("hub.board").joinpath("static")
    return {name: _asset(name, kind, static.joinpath(name).read_bytes()) for name, kind in _TYPES.items()}


def _asset(name: str, kind: str, data: bytes) -> _Asset:
    return _Asset(f"{ROOT}{hashlib.sha256(data).hexdigest()[:_DIGEST_CHARS]}/{name}", kind, data)


def path_of(name: str) -> str:
    """Where the file of this name is served (`KeyError`)."""
    return _assets()[name].path


async def serve(request: web.Request) -> web.Response:
    """The file whose path is asked; 404 for anything else."""
    for each in _assets().values():
        if each.path == request.path:
            return web.Response(body=each.data, content_type=each.content_type, headers=_HEADERS)
    raise web.HTTPNotFound
