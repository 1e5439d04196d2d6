"""The calling of those on duty put together over a running node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from structlog.typing import FilteringBoundLogger

from keys.home import resolve
from node.config import Home, NodeConfig
from node.nudging.channels import Channels, read_secret
from node.nudging.mail import Post
from node.nudging.nudger import Nudger, keep
from node.nudging.settings import MAILTO, Nudges, rule
from node.service import Service
from node.webhooks.guard import Guard
from protocol.errors import ConfigError, UsageError


async def begin(
    home: Home,
    config: NodeConfig,
    service: Service,
    log: FilteringBoundLogger,
    failed: Callable[[Exception], None],
    parts: AsyncExitStack,
) -> Nudger:
    """Call from now on, until `parts` are closed; `ConfigError` for a file or an address that does not serve."""
    guard, mail = Guard(config.webhooks.allow), config.mail
    _check(config.nudges, guard)
    secret = read_secret(resolve(home, config.nudges.signing_secret_file)) if config.nudges.signing_secret_file else b""
    post = Post(mail, _file(home, mail.password_file, "password_file"), _file(home, mail.ca_file, "ca_file"))
    channels = await parts.enter_async_context(Channels(post, mail.sender, guard, secret))
    origin = config.web.public_origin.rstrip("/") if config.web.listen else ""
    open_at = f"{origin}/inbox" if origin else ""
    nudger = Nudger(service, config.nudges, channels, open_at, config.web.time_zone, log)
    task = asyncio.create_task(keep(nudger, failed), name="nudger")
    parts.push_async_callback(_ended, task)
    return nudger


def _check(nudges: Nudges, guard: Guard) -> None:
    rules = [rule(nudges, desk) for desk in ("", *nudges.desks)]
    for url in {address for each in rules for address in (each.duty, each.escalation) if address}:
        if not url.startswith(MAILTO):
            try:
                guard.check(url)
            except UsageError as error:
                # The address itself may hold a secret.
                raise ConfigError(f"nudges: an address over HTTP(S) cannot be called: {error.detail}") from None


def _file(home: Home, named: str, setting: str) -> Path | None:
    if not named:
        return None
    path = resolve(home, named)
    if not path.is_file():
        raise ConfigError(f"mail.{setting} {path} is not there")
    return path


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])
