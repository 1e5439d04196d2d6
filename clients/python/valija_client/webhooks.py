"""The webhooks of a desk: made, looked at, changed and tried out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import quote

import msgspec

from valija_client.calls import Calls
from valija_client.types import FreshWebhook, Notice, Page, Webhook
from valija_client.wire import Asked


class _Listed(msgspec.Struct):
    webhooks: list[Webhook]


_ROOT: Final = "webhooks"
_LISTED: Final = msgspec.json.Decoder(_Listed)
_ONE: Final = msgspec.json.Decoder(Webhook)
_FRESH: Final = msgspec.json.Decoder(FreshWebhook)
_NOTICES: Final = msgspec.json.Decoder(Page[Notice])


class Webhooks:
    """`client.webhooks`; a token needs the scope `webhooks` for them."""

    def __init__(self, calls: Calls) -> None:
        """Nothing is asked yet."""
        self._calls = calls

    async def listed(self) -> list[Webhook]:
        """The webhooks of the desk."""
        return (await self._calls.get(_ROOT, _LISTED)).webhooks

    async def show(self, name: str) -> Webhook:
        """The webhook of this name, `whk_…`."""
        return await self._calls.get(_path(name), _ONE)

    async def add(self, url: str) -> FreshWebhook:
        """A webhook that is told what happens from now on; keep its secret, it is shown this once."""
        return await self._calls.post(_ROOT, _FRESH, {"url": url}, is_repeatable=False)

    async def rotate(self, name: str) -> FreshWebhook:
        """The webhook with a new secret; for a day the one before signs too."""
        return await self._calls.post(_path(name, "rotate"), _FRESH, is_repeatable=False)

    async def disable(self, name: str) -> Webhook:
        """The webhook, to which nothing is sent any more; it stands where it stood."""
        return await self._calls.post(_path(name, "disable"), _ONE)

    async def remove(self, name: str) -> Webhook:
        """The webhook, which is no more: neither it nor its log."""
        return await self._calls.read(Asked("DELETE", _path(name), {}), _ONE)

    async def enable(self, name: str) -> Webhook:
        """The webhook, told again from where it stood."""
        return await self._calls.post(_path(name, "enable"), _ONE)

    async def test(self, name: str) -> Webhook:
        """The webhook, which is sent a notice that tells of nothing."""
        return await self._calls.post(_path(name, "test"), _ONE, is_repeatable=False)

    def notices(self, name: str, after: str | None = None) -> AsyncGenerator[Notice]:
        """What the webhook was told and is still to be told, oldest first, behind this cursor."""
        return self._calls.pages(_path(name, "notices"), _NOTICES, after)

    async def redeliver(self, name: str, number: int) -> Webhook:
        """The webhook, which is sent the notice of this number once more."""
        return await self._calls.post(_path(name, f"notices/{number}/redeliver"), _ONE, is_repeatable=False)


def _path(name: str, act: str = "") -> str:
    return f"{_ROOT}/{quote(name, safe='')}" + (f"/{act}" if act else "")
