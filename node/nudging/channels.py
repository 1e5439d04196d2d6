"""The ways to those who are called: mail by SMTP, and HTTPS with the guard and the signature of webhooks."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, Self

import aiohttp

from node.i18n import Speech
from node.nudging import words
from node.nudging.mail import NotToldError, Post, compose
from node.nudging.settings import MAILTO
from node.nudging.words import Call
from node.webhooks import calling, signing
from node.webhooks.guard import Guard
from protocol.errors import ConfigError

SECONDS: Final = 15.0
_SUCCESS: Final = 2


class Channels:
    """Mail and HTTPS; used on the loop's thread, within `async with`."""

    def __init__(self, post: Post, sender: str, guard: Guard, secret: bytes) -> None:
        """Nothing is opened yet."""
        self._post, self._sender, self._guard, self._secret = post, sender, guard, secret
        self._client: aiohttp.ClientSession | None = None
        self._parts = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Afterwards calls can be made."""
        self._parts.callback(self._post.close)
        self._client = await self._parts.enter_async_context(calling.session(self._guard, SECONDS))
        return self

    async def __aexit__(self, *_error: object) -> None:
        """Afterwards none is."""
        await self._parts.aclose()

    async def tell(self, call: Call, speech: Speech, now: int) -> None:
        """Return once the call went through; else `NotToldError`."""
        if call.address.startswith(MAILTO):
            await self._post.send(compose(call, speech, self._sender, now))
            return
        if self._client is None:
            raise NotToldError("closed")
        body = words.payload(call, speech, now)
        marked = signing.headers([self._secret], call.id, now, body)
        status, outcome = await calling.post(self._client, self._guard, call.address, body, marked)
        if status is None or status // 100 != _SUCCESS:
            raise NotToldError(outcome if status is None else f"status {status}")


def read_secret(path: Path) -> bytes:
    """The secret in this file, written `whsec_…` as the other side is given it; `ConfigError` if there is none."""
    try:
        return signing.read_secret(path.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        raise ConfigError(f"nudges.signing_secret_file {path}: whsec_ and 32 random bytes in base64") from None
