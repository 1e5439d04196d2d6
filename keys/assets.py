"""What pages load besides themselves: style, script, font, sign; each under a name that changes with its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from importlib.resources.abc import Traversable
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


class Assets:
    """The files in these folders of a package, as the pages of that package load them."""

    def __init__(self, package: str, *folders: str) -> None:
        """Nothing is read before it is asked for."""
        self._package, self._folders = package, folders

    @cached_property
    def all(self) -> dict[str, Asset]:
        """Every file that pages load, by its name in the source."""
        found = {name: _asset(name, kind, each.read_bytes()) for name, kind, each in self._files()}
        for name, style in found.items():
            if style.content_type == "text/css":
                found[name] = _asset(name, style.content_type, _resolved(style.data, found))
        return found

    def _files(self) -> Iterable[tuple[str, str, Traversable]]:
        for folder in self._folders:
            for each in files(self._package).joinpath(folder).iterdir():
                kind = _TYPES.get(each.name.rpartition(".")[2])
                if kind and each.is_file():
                    yield each.name, kind, each

    def path_of(self, name: str) -> str:
        """Where the file of this name is served (`KeyError`)."""
        return self.all[name].path

    async def serve(self, request: web.Request) -> web.Response:
        """The file whose path is asked; 404 for anything else."""
        for each in self.all.values():
            if each.path == request.path:
                return web.Response(body=each.data, content_type=each.content_type, headers=_HEADERS)
        raise web.HTTPNotFound

    def route(self) -> web.RouteDef:
        """The route under which all of them are served."""
        return web.get(ROOT + "{digest}/{name}", self.serve)


def _asset(name: str, kind: str, data: bytes) -> Asset:
    digest = hashlib.sha256(data).hexdigest()[:_DIGEST_CHARS]
    return Asset(f"{ROOT}{digest}/{name}", kind, data)


def _resolved(style: bytes, others: dict[str, Asset]) -> bytes:
    """The style sheet, with the files that it names where they are served."""
    for name, each in others.items():
        style = style.replace(f'url("{name}")'.encode(), f'url("{each.path}")'.encode())
    return style
