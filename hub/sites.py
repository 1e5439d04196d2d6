"""Where a hub listens: sockets, and the applications that answer there."""

from __future__ import annotations

import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import web

from keys import sites
from protocol.errors import ConfigError

_BACKLOG: Final = 1_024
_SHUTDOWN_SECONDS: Final = 2.0
# Without it the library lets a connection that never asks anything stand for an hour.  Nodes that fetch the log come with
# several each, and every one holds its buffers as long as it stands.
_KEEPALIVE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Site:
    """Where an application is served, TLS or plain."""

    app: web.Application
    listener: socket.socket
    tls: ssl.SSLContext | None = None


@asynccontextmanager
async def serving(site: Site) -> AsyncIterator[None]:
    """It is served meanwhile."""
    async with sites.serving(
        site.app,
        site.listener,
        site.tls,
        backlog=_BACKLOG,
        keepalive_seconds=_KEEPALIVE_SECONDS,
        shutdown_seconds=_SHUTDOWN_SECONDS,
    ):
        yield


def listener_at(host: str, port: int) -> socket.socket:
    """A socket that listens there; `ConfigError` if it cannot."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise ConfigError(f"cannot listen on {host} port {port}: {reason}") from None


def unix_listener(path: Path) -> socket.socket:
    """A socket that listens at `path`, which this process alone may use; `ConfigError` if it cannot."""
    # What a killed process left behind; the lock says that no living one needs it.
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
    except OSError as error:
        listener.close()
        raise ConfigError(f"cannot listen on {path}: {error.strerror or error}") from None
    return listener
