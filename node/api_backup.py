"""What `valija-node backup` asks of a running node: a copy of its archive at one moment, in its home."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from node import archive, backup
from node.api import ROOT, SERVICE, answer, caller_of
from node.config import Home


def routes(home: Home, key: bytes) -> list[web.RouteDef]:
    """The route of this room, for the archive of `home` that opens with the 32-byte `key`."""
    return [web.post(f"{ROOT}/snapshot", _snapshot(home, key))]


def _snapshot(home: Home, key: bytes) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def snapshot(request: web.Request) -> web.Response:
        """Make the copy; whoever asked removes it."""
        request.app[SERVICE].require_operator(caller_of(request))
        target = backup.snapshot_place(home)
        version = await asyncio.to_thread(archive.snapshot, home.archive, key, target)
        return answer({"file": target.name, "schema": version})

    return snapshot
