"""Between the loop and the store: what arrived while one round was written makes the next one.

    works (a request, a frame, an answer) -> one job on the store's thread: each work, then what is ready to go -> commit
                                                                                      -> answers, submissions, next wake

So a crowd of requests shares one transaction, one signature and one fsync, and a lone one waits for nothing.  Nothing
that a round says leaves before its commit.  A single timer brings the round that time alone makes necessary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeVar

from node.context import Context
from node.sql import guarded
from node.store import Store, Transaction
from protocol.errors import StoreError, ValijaError

T = TypeVar("T")
Work = Callable[[Context], T]

MAX_WORKS: Final = 1_024
MIN_WAIT_SECONDS: Final = 0.02
MAX_WAIT_SECONDS: Final = 3_600.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What a round leaves to be done: whatever the rules want sent, and when (Unix seconds) they want another round."""

    outcome: Any
    wake_at: float
    more: bool = False


class Rules(Protocol):
    """What a round runs; on the store's thread alone."""

    def context(self, tx: Transaction) -> Context:
        """What every work is given; raises `ValijaError` while this node cannot act."""
        ...

    def turn(self, ctx: Context) -> Turn:
        """What is ready to go, after the works of the round."""
        ...


@dataclass(slots=True)
class _Asked:
    work: Work[Any]
    answer: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class _Done:
    answers: list[tuple[_Asked, Any, Exception | None]]
    turn: Turn | None = field(repr=False)


class Rounds:
    """One round after another; used on the loop's thread alone.

    `on_turn` is called after each round with what the rules left to be done; `on_failure` once, when the store, the
    rules or `on_turn` broke, after which no round runs any more.
    """

    def __init__(
        self,
        store: Store,
        rules: Rules,
        now: Callable[[], float],
        on_turn: Callable[[Any], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        """Nothing runs yet."""
        self._store, self._rules, self._now = store, rules, now
        self._on_turn, self._on_failure = on_turn, on_failure
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Asked] = []
        self._is_running = self._is_wanted = self._is_due = False
        self._failed: Exception | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._idle: asyncio.Future[None] | None = None

    # -- asking ----------------------------------------------------------------------------------------
    def ask(self, work: Work[T]) -> asyncio.Future[T]:
        """What `work` gives, once its writes are durable; it raises what the work raised, its writes undone."""
        answer: asyncio.Future[T] = self._loop.create_future()
        if self._failed is not None:
            answer.set_exception(self._failed)
        else:
            self._waiting.append(_Asked(work, answer))
            self._plan()
        return answer

    def wake(self) -> None:
        """Afterwards a round is on its way, although nothing was asked."""
        self._is_due = True
        self._plan()

    async def close(self) -> None:
        """Afterwards no round runs any more; what is asked later is refused, and what was asked is done."""
        self._cancel_timer()
        while self._failed is None and (self._is_running or self._waiting):
            self._idle = self._loop.create_future()
            await self._idle
        self._failed = self._failed or StoreError("this node stops")

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _plan(self) -> None:
        # One pass of the loop later, everything that arrived in this one is there.
        if not self._is_running and not self._is_wanted and self._failed is None:
            self._is_wanted = True
            self._loop.call_soon(self._start)

    # -- a round ---------------------------------------------------------------------------------------
    def _start(self) -> None:
        self._is_wanted = False
        if self._is_running or not (self._waiting or self._is_due):
            return
        asked, self._waiting = self._waiting[:MAX_WORKS], self._waiting[MAX_WORKS:]
        self._is_running, self._is_due = True, False
        self._store.submit(lambda tx: self._run(tx, asked)).add_done_callback(
            lambda future: self._loop.call_soon_threadsafe(self._finish, asked, future)
        )

    def _run(self, tx: Transaction, asked: list[_Asked]) -> _Done:
        try:
            ctx = self._rules.context(tx)
        except StoreError:
            raise
        except ValijaError as error:
            return _Done([(each, None, error) for each in asked], None)
        return _Done([_attempt(ctx, each) for each in asked], self._rules.turn(ctx))

    def _finish(self, asked: list[_Asked], future: Future[_Done]) -> None:
        self._is_running = False
        self._loop.call_soon(self._tell_idle)
        error = future.exception()
        if error is not None:
            self._break(asked, error if isinstance(error, Exception) else StoreError())
            return
        done = future.result()
        # What goes to others is on its way before whoever asked here goes on.
        if done.turn is not None:
            try:
                self._on_turn(done.turn.outcome)
            except Exception as broken:  # noqa: BLE001 - whatever it is, nobody here shall wait for ever
                self._break(asked, broken)
                return
            self._set_timer(done.turn.wake_at)
            self._is_due = self._is_due or done.turn.more
        for each, answer, refusal in done.answers:
            _tell(each.answer, answer, refusal)
        if self._waiting or self._is_due:
            self._plan()

    def _tell_idle(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    def _set_timer(self, wake_at: float) -> None:
        self._cancel_timer()
        seconds = min(max(wake_at - self._now(), MIN_WAIT_SECONDS), MAX_WAIT_SECONDS)
        self._timer = self._loop.call_later(seconds, self.wake)

    def _break(self, asked: list[_Asked], error: Exception) -> None:
        self._failed = error
        self._cancel_timer()
        for each in (*asked, *self._waiting):
            _tell(each.answer, None, error)
        self._waiting = []
        self._on_failure(error)


def _attempt(ctx: Context, asked: _Asked) -> tuple[_Asked, Any, Exception | None]:
    try:
        return asked, guarded(ctx.tx, lambda _tx: asked.work(ctx)), None
    except StoreError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a work raises belongs to whoever asked
        return asked, None, error


def _tell(answer: asyncio.Future[Any], value: Any, error: Exception | None) -> None:
    if answer.done():  # whoever asked went away
        return
    if error is None:
        answer.set_result(value)
    else:
        answer.set_exception(error)
