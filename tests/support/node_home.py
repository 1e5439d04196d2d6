"""A node for tests: the home of one member of an association, and a node that runs on it inside this process."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from keys.logs import configure
from node import config
from node.config import Home
from node.daemon import Daemon, running
from node.founding import open_custody
from node.uplink import Phase

PATIENCE = 30.0
POLL_SECONDS = 0.01


@asynccontextmanager
async def node(
    home: Home, environment: Mapping[str, str] | None = None, now: Callable[[], float] = time.time
) -> AsyncIterator[Daemon]:
    """The node of this home, serving on its socket and on a free port of loopback."""
    given = {"VALIJA_NODE_API_LISTEN": "127.0.0.1:0", **(environment or {})}
    settings = config.load(home, given)
    async with running(home, settings, open_custody(home, settings, given), given, configure("error"), now) as daemon:
        yield daemon


async def eventually(what: str, ready: Callable[[], Any], seconds: float = PATIENCE) -> Any:
    """The first true answer of `ready`, which may be a coroutine function; an `AssertionError` if there is none."""
    deadline, answer = time.monotonic() + seconds, None
    while time.monotonic() < deadline:
        answer = ready()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        await asyncio.sleep(POLL_SECONDS)
    raise AssertionError(f"{what}: not within {seconds:.0f} s, last {answer!r}")


async def connected(daemon: Daemon) -> None:
    """Return once the node has a session."""
    await eventually("a session", lambda: daemon.service.uplink.state.phase is Phase.CONNECTED)


async def stuck(daemon: Daemon, code: str) -> str:
    """The detail, once the line waits because of this error."""

    def error() -> Any:
        told = daemon.service.uplink.state.error
        return told if told is not None and told.code == code else None

    return str((await eventually(code, error)).detail)


@asynccontextmanager
async def operator(home: Home) -> AsyncIterator[aiohttp.ClientSession]:
    """The operator's way to the API: the Unix socket."""
    connector = aiohttp.UnixConnector(_short(home.socket))
    async with aiohttp.ClientSession("http://node", connector=connector) as client:
        yield client


@asynccontextmanager
async def case_system(daemon: Daemon, token: str) -> AsyncIterator[aiohttp.ClientSession]:
    """A case system's way to the API: TCP, and the token of a desk."""
    assert daemon.address
    host, port = daemon.address
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession(f"http://{host}:{port}", headers=headers) as client:
        yield client


def _short(path: Path) -> str:
    assert len(str(path)) < 108, "use a shorter folder"
    return str(path)
