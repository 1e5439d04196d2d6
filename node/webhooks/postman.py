"""Tells webhooks what happened: at least once, in order within each thread, until it is taken or for thirty days.

A task for each webhook, so that a slow one holds up no other.  Events become notices in the transaction that moves the
cursor, and a notice is done only once its outcome is written: who is killed between sending and writing sends again.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import aiohttp
import msgspec
from structlog.typing import FilteringBoundLogger

from node.api_requests import message_id_of, show_time
from node.desks import AtDesk
from node.event_views import Place, Rendered
from node.model import Record
from node.service import Service
from node.store import Transaction
from node.tables import finding, state
from node.tables import webhooks as table
from node.tables.webhooks import Notice, Webhook
from node.webhooks import calling, signing
from node.webhooks.guard import Guard

TAKEN_AT_ONCE: Final = 256
WAITING_MOST: Final = 2_048
"""So many notices of a webhook wait at most: what is behind them stays an event until there is room."""
PATIENCE_SECONDS: Final = 30 * 86_400
FIRST_SECONDS: Final = 5
LONGEST_SECONDS: Final = 12 * 3_600
_REST_SECONDS: Final = 60.0
_GONE: Final = 410
TEST: Final = "webhook.test"
DISABLED: Final = "webhook_disabled"
GIVEN_UP: Final = "webhook_notice_given_up"


def pause_seconds(attempts: int, jitter: Callable[[], float] = random.random) -> int:
    """How long to wait after so many failures: twice as long each time up to twelve hours, a quarter more or less."""
    # Longer than this no shift grows it: a notice is tried some seventy times in thirty days.
    wait = min(LONGEST_SECONDS, FIRST_SECONDS << min(attempts, 20))
    return max(1, round(wait * (0.75 + 0.5 * jitter())))


class _Brief(Record, frozen=True, gc=False):
    urgency: str
    thread: str | None = None


class _About(Record, frozen=True, gc=False):
    id: str


_BRIEF: Final = msgspec.json.Decoder(_Brief)
_ABOUT: Final = msgspec.json.Decoder(_About)


class Postman:
    """Sends what webhooks are to be told; used on the loop's thread."""

    def __init__(
        self,
        service: Service,
        guard: Guard,
        log: FilteringBoundLogger,
        failed: Callable[[Exception], None],
        seconds: float = 15.0,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Nothing is sent yet.  An endpoint has `seconds` for its answer; `failed` is told what ends the node."""
        self.guard = guard
        self._service, self._log, self._failed, self._jitter = service, log, failed, jitter
        self._seconds = seconds
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._news: dict[int, asyncio.Event] = {}
        self._client: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        """Afterwards every webhook in force is told what it missed, and what comes."""
        self._client = calling.session(self.guard, self._seconds)
        await self.refresh()

    async def close(self) -> None:
        """Afterwards nothing is sent any more."""
        tasks = [*self._tasks.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._client is not None:
            await self._client.close()

    def notify(self) -> None:
        """Something may have happened."""
        for news in self._news.values():
            news.set()

    async def refresh(self) -> None:
        """Afterwards whatever changed about the webhooks counts."""
        for hook in await self._service.read(table.all_of):
            task = self._tasks.get(hook.id)
            if hook.disabled_at is None and (task is None or task.done()):
                self._news[hook.id] = asyncio.Event()
                self._tasks[hook.id] = asyncio.create_task(self._keep_telling(hook.id), name=hook.name)
        self.notify()

    # -- one webhook -----------------------------------------------------------------------------------
    async def _keep_telling(self, webhook: int) -> None:
        news = self._news[webhook]
        try:
            while True:
                news.clear()
                hook = await self._service.read(lambda tx: _in_force(tx, webhook))
                if hook is not None:
                    await self._round(hook, news)
                # Who puts it in force again sets the news, and counts on a task that has not ended.
                elif not news.is_set():
                    return
        except Exception as error:  # noqa: BLE001 - a store that fails, or a fault of ours, ends the node
            self._failed(error)

    async def _round(self, known: Webhook, news: asyncio.Event) -> None:
        has_more = await self._take(known)
        # Read together: what was made after a change of secrets or of standing is told by what holds since.
        hook, heads = await self._service.read(
            lambda tx: (_in_force(tx, known.id), table.heads(tx, known.id, calling.AT_ONCE))
        )
        due = [each for each in heads if (each.next_at or 0) <= self._service.now()]
        if hook is not None and due:
            await asyncio.gather(*(self._tell(hook, each) for each in due))
        elif hook is not None and not has_more:
            await self._rest(news, heads)

    async def _rest(self, news: asyncio.Event, heads: list[Notice]) -> None:
        first = min((each.next_at or 0 for each in heads), default=None)
        wait = _REST_SECONDS if first is None else max(0.0, min(_REST_SECONDS, first - self._service.now()))
        with suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await news.wait()

    async def _take(self, hook: Webhook) -> bool:
        """Make notices of what happened; whether there may be more at once."""
        service = self._service
        if await service.read(lambda tx: table.waiting(tx, hook.id)) >= WAITING_MOST:
            return False
        desk, after = AtDesk(hook.desk), Place(hook.row, hook.part)
        found, reached, more = await service.feed.page(
            after, TAKEN_AT_ONCE, lambda each: each.is_for(desk, service.writer.desk)
        )
        if reached != after:
            now = int(service.now())

            def job(tx: Transaction) -> None:
                table.take(tx, hook, reached, [_notice(tx, each) for each in found], now)

            await service.write(job)
        return more

    # -- one notice ------------------------------------------------------------------------------------
    async def _tell(self, hook: Webhook, notice: Notice) -> None:
        status, outcome = await self._post(hook, notice)
        now = int(self._service.now())
        is_taken = status is not None and status // 100 == 2
        why = None if is_taken else "gone" if status == _GONE else self._given_up(hook, now)
        # A thread that its endpoint never takes is given up; of an endpoint that takes nothing all is kept.
        is_old = now - max(notice.created_at, hook.enabled_at) >= PATIENCE_SECONDS
        is_over = is_taken or (why is None and is_old)
        next_at = None if is_over else now + pause_seconds(notice.attempts, self._jitter)

        def job(tx: Transaction) -> None:
            table.told(tx, notice, now, status, outcome, next_at)
            if is_taken:
                table.worked(tx, hook.id)
                return
            table.failed(tx, hook.id, now)
            if is_over:
                state.alarm(tx, now, GIVEN_UP, f"{hook.name} of the desk {hook.desk}: notice {notice.id}")
            if why is not None:
                table.disable(tx, hook.id, now, why)
                state.alarm(tx, now, DISABLED, f"{hook.name} of the desk {hook.desk}: {why}")

        await self._service.write(job)
        if why is not None:
            self._log.warning(DISABLED, webhook=hook.name, desk=hook.desk, why=why)

    @staticmethod
    def _given_up(hook: Webhook, now: int) -> str | None:
        return "failing for 30 days" if now - (hook.failing_since or now) >= PATIENCE_SECONDS else None

    async def _post(self, hook: Webhook, notice: Notice) -> tuple[int | None, str]:
        """The status of the answer, if there was one, and the outcome in a word."""
        at = int(self._service.now())
        valid = [hook.secret] + ([hook.old_secret] if hook.old_secret is not None and at < hook.old_until else [])
        marked = signing.headers(valid, f"{hook.name}.{notice.event}", at, notice.body)
        if self._client is None:
            raise ValueError
        return await calling.post(self._client, self.guard, hook.url, notice.body, marked)


def _in_force(tx: Transaction, webhook: int) -> Webhook | None:
    hook = table.find(tx, webhook)
    return hook if hook is not None and hook.disabled_at is None else None


# -- what is told --------------------------------------------------------------------------------------
def _notice(tx: Transaction, told: Rendered) -> tuple[str, str, str, bytes]:
    view = told.view()
    shown, kind = _ABOUT.decode(view["data"]).id, str(view["type"])
    brief = _brief(tx, kind, shown)
    thread = brief.thread or shown
    data = {"id": shown, "thread": thread, "urgency": brief.urgency, "cursor": str(told.place)}
    return str(told.place), kind, thread, payload(kind, state.event_time(tx, told.place.row), data)


def _brief(tx: Transaction, kind: str, shown: str) -> _Brief:
    message_id = message_id_of(shown)
    own = finding.sent_of(tx, message_id) if kind == "delivery" else None
    if own is not None:
        return _BRIEF.decode(own.content)
    arrived = finding.arrivals_of(tx, message_id)
    return _BRIEF.decode(arrived[0].content) if arrived else _Brief("routine")


def payload(kind: str, at: int, data: dict[str, str]) -> bytes:
    """The body of a notice: what happened and when, and where to fetch it; never what was written."""
    return msgspec.json.encode({"type": kind, "timestamp": show_time(at), "data": data})


def trial(hook: Webhook, now: int) -> tuple[str, str, str, bytes]:
    """A notice that tells of nothing."""
    event = f"test-{time.monotonic_ns()}"
    return event, TEST, event, payload(TEST, now, {"id": event, "webhook": hook.name})
