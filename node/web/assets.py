"""What pages load besides themselves: style, script, font, sign; each under a name that changes with its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Final

from aiohttp import web

ROOT: Final = "/static/"
_DIGEST_CHARS: Final = 12
_TYPES: Final = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}
_HEADERS: Final = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is served."""

    path: str
    content_type: str
    data: bytes = field(repr=False)


@cache
def assets() -> dict[str, Asset]:
    """Every file that pages load, by its name in the source."""
    found: dict[str, Asset] = {}
    static = files("node.web").joinpath("static")
    for folder in (static, static.joinpath("vendor")):
        for each in sorted(folder.iterdir(), key=lambda item: item.name):
            kind = _TYPES.get(each.name.rpartition(".")[2])
            if kind and each.is_file():
                found[each.name] = _asset(each.name, kind, each.read_bytes())
    for name, style in found.items():
        if style.content_type == "text/css":
            found[name] = _asset(name, style.content_type, _resolved(style.data, found))
    return found


def _asset(name: str, kind: str, data: bytes) -> Asset:
    digest = hashlib.sha256(data).hexdigest()[:_DIGEST_CHARS]
    return Asset(f"{ROOT}{digest}/{name}", kind, data)


def _resolved(style: bytes, others: dict[str, Asset]) -> bytes:
    """The style sheet, with the files that it names where they are served."""
    for name, each in others.items():
        style = style.replace(f'url("{name}")'.encode(), f'url("{each.path}")'.encode())
    return style


def path_of(name: str) -> str:
    """Where the file of this name is served (`KeyError`)."""
    return assets()[name].path


async def serve(request: web.Request) -> web.Response:
    """The file whose path is asked; 404 for anything else."""
    for each in assets().values():
        if each.path == request.path:
            return web.Response(body=each.data, content_type=each.content_type, headers=_HEADERS)
    raise web.HTTPNotFound


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    return [web.get(ROOT + "{digest}/{name}", serve)]
