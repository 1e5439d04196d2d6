"""An event loop of our own: a clock that jumps to the next thing to do, and processes that can be killed.

The daemons' own coroutines run on it, unchanged.  Nothing waits for real: when nothing is ready, the clock stands at
the time of the nearest timer.  Whatever a callback or task belongs to is its *process*, found by its context; when a
process is killed, nothing of it runs any more, not even what its `finally` blocks would have liked to say.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")
OWNER: ContextVar[Process | None] = ContextVar("OWNER", default=None)
MANY_TASKS = 64


class Process:
    """Everything that runs on one machine between a start and an end."""

    def __init__(self, loop: Loop, name: str) -> None:
        """Alive, with nothing to do."""
        self.name = name
        self.is_alive = True
        self._loop = loop
        self._tasks: list[asyncio.Task[Any]] = []
        self._context = copy_context()
        self._context.run(OWNER.set, self)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begin `work` as a task of this process."""
        if not self.is_alive:
            work.close()
            raise RuntimeError(f"{self.name} is dead")
        return self._context.copy().run(self._loop.create_task, work)

    def call(self, work: Callable[[], T]) -> T:
        """What `work` gives; whatever it begins belongs to this process."""
        return self._context.copy().run(work)

    def adopt(self, task: asyncio.Task[Any]) -> None:
        """The task ends with this process."""
        if len(self._tasks) > MANY_TASKS:
            self._tasks = [each for each in self._tasks if not each.done()]
        self._tasks.append(task)

    def kill(self) -> None:
        """Afterwards nothing of this process ever runs; called by nothing of the process itself."""
        self.is_alive = False
        for task in self._tasks:
            if not task.done():
                task._log_destroy_pending = False  # type: ignore[attr-defined]
                self._context.copy().run(_bury, task)
        self._tasks.clear()


def _bury(task: asyncio.Task[Any]) -> None:
    # Each wait inside a `finally` block takes one more close.
    coroutine = task.get_coro()
    for _wait in range(16):
        try:
            coroutine.close()
        except RuntimeError:
            continue
        except Exception:  # noqa: BLE001, S112 - the last words of the dead
            continue
        return
    raise RuntimeError(f"{task} cannot be buried")


class Loop:
    """Runs callbacks in the order in which they were scheduled, timers in the order of their time."""

    def __init__(self) -> None:
        """The clock stands at 0."""
        self._now = 0.0
        # As much of `asyncio.AbstractEventLoop` as futures, tasks and locks use.
        self._as_asyncio: Any = self
        self._ready: deque[tuple[asyncio.Handle, Process | None]] = deque()
        self._timers: list[tuple[float, int, asyncio.TimerHandle, Process | None]] = []
        self._numbers = itertools.count()
        self.failures: list[BaseException | str] = []
        self.steps = 0

    # -- scheduling ------------------------------------------------------------------------------------
    def time(self) -> float:
        """Seconds since the beginning."""
        return self._now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:
        """See `asyncio`."""
        context = copy_context() if context is None else context
        handle = asyncio.Handle(callback, args, self._as_asyncio, context)
        self._ready.append((handle, context.get(OWNER)))
        return handle

    call_soon_threadsafe = call_soon

    def call_later(
        self, delay: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """See `asyncio`."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> asyncio.TimerHandle:
        """See `asyncio`."""
        context = copy_context() if context is None else context
        handle = asyncio.TimerHandle(when, callback, args, self._as_asyncio, context)
        heapq.heappush(self._timers, (when, next(self._numbers), handle, context.get(OWNER)))
        return handle

    def plan(self, delay: float, callback: Any, *args: Any) -> None:
        """Do this after so many seconds, whoever dies meanwhile: what nature and people do."""
        self.call_later(delay, callback, *args, context=Context())

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are passed over when their time comes."""

    def create_future(self) -> asyncio.Future[Any]:
        """See `asyncio`."""
        return asyncio.Future(loop=self._as_asyncio)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        """See `asyncio`."""
        owner = OWNER.get() if context is None else context.get(OWNER)
        if owner is not None and not owner.is_alive:
            # What the dead would still like to begin.
            coro.close()
            never: Any = self.create_future()
            return never  # type: ignore[no-any-return]
        task = asyncio.Task(coro, loop=self._as_asyncio, name=name or "task", context=context)
        if owner is not None:
            owner.adopt(task)
        return task

    def get_debug(self) -> bool:
        """Never."""
        return False

    def is_running(self) -> bool:
        """Whenever anybody asks."""
        return True

    def is_closed(self) -> bool:
        """Never."""
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep what nobody caught: a finding."""
        self.failures.append(context.get("exception") or str(context.get("message")))

    # -- running ---------------------------------------------------------------------------------------
    @contextmanager
    def current(self) -> Iterator[None]:
        """Whoever asks for the running loop gets this one meanwhile, between its steps too."""
        asyncio._set_running_loop(self._as_asyncio)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def run_until(self, when: float) -> None:
        """Do everything that is due up to `when`, at which the clock stands afterwards."""
        while self._step(when):
            self.steps += 1
            if self.failures:
                raise self._failure()
        self._now = max(self._now, when)

    def _step(self, when: float) -> bool:
        if not self._ready:
            if not self._timers or self._timers[0][0] > when:
                return False
            at, _number, timer, owner = heapq.heappop(self._timers)
            if not timer.cancelled():
                self._now = max(self._now, at)
                self._ready.append((timer, owner))
            return True
        handle, owner = self._ready.popleft()
        if not handle.cancelled() and (owner is None or owner.is_alive):
            handle._run()
        return True

    def _failure(self) -> BaseException:
        first = self.failures[0]
        return first if isinstance(first, BaseException) else AssertionError(first)
