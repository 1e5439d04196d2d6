"""What desks and the operator do with webhooks: add, list, rotate, disable, enable, remove, test, log, redeliver.

A desk sees its own; another's does not exist for it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from aiohttp import web

from node.api_requests import desk_of, show_time
from node.api_views import View
from node.desks import Caller, desks_of
from node.paging import show_cursor
from node.service import Service
from node.store import Transaction
from node.tables import webhooks as table
from node.tables.webhooks import Notice, Webhook
from node.webhooks import postman, signing
from node.webhooks.postman import Postman
from protocol.errors import DisabledError, LimitError

T = TypeVar("T")
MOST: Final = 16
ROTATION_SECONDS: Final = 86_400


@dataclass(frozen=True, slots=True)
class Book:
    """The webhooks of this node; used on the loop's thread."""

    service: Service
    postman: Postman

    async def add(self, url: str, desk: str | None, caller: Caller) -> View:
        """A webhook that is told what happens from now on, with its secret, shown this once; `LimitError` beyond 16."""
        service = self.service
        chosen = service.desks.require(desk_of(caller, desk, service.writer.desk))
        self.postman.guard.check(url)
        name, secret, now = f"whk_{secrets.token_hex(8)}", signing.draw_secret(), int(service.now())
        place = await service.feed.now()

        def job(tx: Transaction) -> Webhook:
            if sum(each.desk == chosen for each in table.all_of(tx)) >= MOST:
                raise LimitError(f"{MOST} webhooks of a desk at most")
            table.add(tx, name, chosen, url, secret, now, place)
            return _found(table.named(tx, name))

        made = await self._changed(job)
        return shown(made) | {"secret": signing.show_secret(secret)}

    async def listed(self, caller: Caller) -> list[View]:
        """The webhooks that the caller may know of."""
        own = desks_of(caller)
        return [shown(each) for each in await self.service.read(table.all_of) if own is None or each.desk in own]

    async def show(self, name: str, caller: Caller) -> View:
        """One webhook."""
        return shown(await self.service.read(lambda tx: self._own(tx, name, caller)))

    async def rotate(self, name: str, caller: Caller) -> View:
        """The webhook with a fresh secret, shown this once; for a day the one before signs too."""
        secret, now = signing.draw_secret(), int(self.service.now())

        def job(tx: Transaction) -> Webhook:
            table.rotate(tx, self._own(tx, name, caller).id, secret, now, now + ROTATION_SECONDS)
            return self._own(tx, name, caller)

        return shown(await self._changed(job)) | {"secret": signing.show_secret(secret)}

    async def disable(self, name: str, caller: Caller) -> View:
        """The webhook, to which nothing is sent any more."""
        return await self._act(name, caller, lambda tx, hook, now: table.disable(tx, hook.id, now, table.BY_HAND))

    async def remove(self, name: str, caller: Caller) -> View:
        """The webhook, which is no more: neither it nor its log."""

        def job(tx: Transaction) -> Webhook:
            hook = self._own(tx, name, caller)
            table.remove(tx, hook.id)
            return hook

        return shown(await self._changed(job))

    async def enable(self, name: str, caller: Caller) -> View:
        """The webhook, told again from where it stood."""
        return await self._act(name, caller, lambda tx, hook, now: table.enable(tx, hook.id, now))

    async def test(self, name: str, caller: Caller) -> View:
        """The webhook, which is sent a notice that tells of nothing."""

        def act(tx: Transaction, hook: Webhook, now: int) -> None:
            _require_in_force(hook)
            table.take(tx, hook, (hook.row, hook.part), [postman.trial(hook, now)], now)

        return await self._act(name, caller, act)

    async def _act(self, name: str, caller: Caller, act: Callable[[Transaction, Webhook, int], object]) -> View:
        now = int(self.service.now())

        def job(tx: Transaction) -> Webhook:
            act(tx, self._own(tx, name, caller), now)
            return self._own(tx, name, caller)

        return shown(await self._changed(job))

    async def log(self, name: str, after: int, limit: int, caller: Caller) -> View:
        """A page of what the webhook was told, or will be, oldest first."""

        def job(tx: Transaction) -> list[Notice]:
            return table.log(tx, self._own(tx, name, caller).id, after, limit + 1)

        found = await self.service.read(job)
        items = [_notice(each) for each in found[:limit]]
        return {"items": items, "next": items[-1]["cursor"] if items else None, "more": len(found) > limit}

    async def newest(self, name: str, limit: int, caller: Caller) -> list[View]:
        """The newest of what the webhook was told, or will be, newest first."""
        found = await self.service.read(lambda tx: table.newest(tx, self._own(tx, name, caller).id, limit))
        return [_notice(each) for each in found]

    async def redeliver(self, name: str, notice: int, caller: Caller) -> View:
        """The webhook, which is sent this notice once more."""

        def act(tx: Transaction, hook: Webhook, now: int) -> None:
            _require_in_force(hook)
            if not table.again(tx, hook.id, notice, now):
                raise web.HTTPNotFound(reason="no notice of this number in the log of this webhook")

        return await self._act(name, caller, act)

    def _own(self, tx: Transaction, name: str, caller: Caller) -> Webhook:
        own, hook = desks_of(caller), table.named(tx, name)
        return _found(hook if hook is not None and (own is None or hook.desk in own) else None)

    async def _changed(self, job: Callable[[Transaction], T]) -> T:
        answer = await self.service.write(job)
        await self.postman.refresh()
        return answer


def _require_in_force(hook: Webhook) -> None:
    if hook.disabled_at is not None:
        raise DisabledError(hook.name)


def _found(hook: Webhook | None) -> Webhook:
    if hook is None:
        raise web.HTTPNotFound(reason="no webhook of this name")
    return hook


def shown(hook: Webhook) -> View:
    """A webhook as callers see it, without its secrets."""
    return {
        "name": hook.name,
        "desk": hook.desk,
        "url": hook.url,
        "created_at": show_time(hook.created_at),
        "cursor": f"{hook.row}-{hook.part}",
        "failing_since": None if hook.failing_since is None else show_time(hook.failing_since),
        "disabled_at": None if hook.disabled_at is None else show_time(hook.disabled_at),
        "disabled_why": hook.disabled_why,
    }


def _notice(notice: Notice) -> View:
    return {
        "number": notice.id,
        "cursor": show_cursor(notice.id),
        "event": notice.event,
        "type": notice.type,
        "thread": notice.thread,
        "created_at": show_time(notice.created_at),
        "attempts": notice.attempts,
        "tried_at": None if notice.tried_at is None else show_time(notice.tried_at),
        "next_at": None if notice.next_at is None else show_time(notice.next_at),
        "status": notice.status,
        "outcome": notice.outcome,
    }
