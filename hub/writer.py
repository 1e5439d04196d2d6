"""The one thread that writes: whatever jobs arrived while it was busy go into the next commit together.

Nothing is answered before its commit returned, and nothing is answered at all if a commit failed: then nobody knows
what the disk holds, and the process ends (`fatal`).  A job that fails is undone alone.  If the store had to undo the
whole transaction because of one job, as SQLite does on a full disk, the jobs of the group are run again one by one.

Under load groups form by themselves; a lone job waits for nothing, and an idle writer for nothing but a job.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Final, Generic, Protocol, TypeVar

from hub.store import Store, Transaction
from protocol.errors import DrainingError, StoreError, ValijaError

MAX_GROUP_JOBS: Final = 64
"""What a group carries is in memory until its commit: with 22 busy members a quarter as many cost nothing but 6 MiB less."""


class JobGroup(Protocol):
    """What the writer asks of a group, of which it knows nothing else."""

    def job(self) -> AbstractContextManager[None]:
        """A block whose effects are undone if it raises."""

    def close(self) -> None:
        """Write what was gathered."""

    def abandon(self) -> None:
        """The transaction was undone."""


G = TypeVar("G", bound=JobGroup)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Job(Generic[G]):
    run: Callable[[G], Any]
    answer: asyncio.Future[Any]
    then: Callable[[Any], object] | None

    @property
    def is_alone(self) -> bool:
        return self.then is not None


@dataclass(frozen=True, slots=True)
class _Outcome:
    answer: asyncio.Future[Any]
    value: Any
    error: BaseException | None

    def resolve(self) -> None:
        if self.answer.done():
            return
        if self.error is None:
            self.answer.set_result(self.value)
        else:
            self.answer.set_exception(self.error)


class Writer(Generic[G]):
    """Runs jobs on `store`, in the order in which they came, in groups that `open_group` makes of a transaction.

    `committed` is called on the event loop after each commit, with the group and the number of its jobs, and before
    their answers are given.  `fatal` ends the process; it is called on the writing thread.
    """

    def __init__(
        self,
        store: Store,
        open_group: Callable[[Transaction], G],
        *,
        committed: Callable[[G, int], None],
        fatal: Callable[[BaseException], None],
    ) -> None:
        """The thread runs from `start` to `stop`."""
        self._store = store
        self._open_group = open_group
        self._committed = committed
        self._fatal = fatal
        self._queue: SimpleQueue[_Job[G] | None] = SimpleQueue()
        # A process that ends without `stop` must end: what it leaves behind is what a crash would.
        self._thread = threading.Thread(target=self._work, name="hub-writer", daemon=True)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False

    def start(self) -> None:
        """Begin; called on the event loop that gets the answers."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    async def run(self, job: Callable[[G], T]) -> T:
        """What `job` returned, once it is durable; raises what it raised, and then it left no trace.

        Raises `DrainingError` after `stop`.
        """
        return await self._enqueue(job, None)

    async def run_alone(self, job: Callable[[G], T], then: Callable[[T], object]) -> T:
        """The same in a commit of its own, after which the thread calls `then` before it takes another job.

        For what changes memory that the store cannot undo: `then` does that, knowing that it is durable.
        """
        return await self._enqueue(job, then)

    async def _enqueue(self, job: Callable[[G], T], then: Callable[[T], object] | None) -> T:
        if self._is_stopping or self._loop is None:
            raise DrainingError
        answer: asyncio.Future[T] = self._loop.create_future()
        self._queue.put(_Job(job, answer, then))
        return await answer

    async def stop(self) -> None:
        """Take no more jobs, and return when those taken are done."""
        if self._loop is None or self._is_stopping:
            return
        self._is_stopping = True
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join)

    # -- on the thread ---------------------------------------------------------------------------------
    def _work(self) -> None:
        waiting: _Job[G] | None = None
        while True:
            jobs, waiting, is_last = self._take(waiting)
            try:
                self._run(jobs)
            except BaseException as error:  # noqa: BLE001 - whatever it was, nobody knows what is durable
                self._fatal(error)
                return
            # While it waits for the next ones, the thread holds nothing of what these carried.
            jobs.clear()
            if is_last:
                return

    def _take(self, first: _Job[G] | None) -> tuple[list[_Job[G]], _Job[G] | None, bool]:
        # A job that wants to be alone ends the group before it.
        head = first or self._queue.get()
        if head is None:
            return [], None, True
        jobs = [head]
        while not head.is_alone and len(jobs) < MAX_GROUP_JOBS:
            try:
                following = self._queue.get_nowait()
            except Empty:
                break
            if following is None:
                return jobs, None, True
            if following.is_alone:
                return jobs, following, False
            jobs.append(following)
        return jobs, None, False

    def _run(self, jobs: list[_Job[G]]) -> None:
        if not jobs:
            return
        if not self._run_together(jobs):
            for job in jobs:
                if not self._run_together([job]):
                    self._post([_Outcome(job.answer, None, StoreError("the store is full or failing"))], None)

    def _run_together(self, jobs: list[_Job[G]]) -> bool:
        tx = self._store.begin()
        group = self._open_group(tx)
        outcomes: list[_Outcome] = []
        for job in jobs:
            outcomes.append(_attempt(job, group))
            if not tx.alive:
                tx.rollback()
                group.abandon()
                return False
        try:
            group.close()
        except ValijaError:
            tx.rollback()
            group.abandon()
            return False
        tx.commit()
        for job, outcome in zip(jobs, outcomes, strict=True):
            if job.then is not None and outcome.error is None:
                job.then(outcome.value)
        self._post(outcomes, group)
        return True

    def _post(self, outcomes: list[_Outcome], group: G | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._resolve, outcomes, group)

    # -- on the event loop -----------------------------------------------------------------------------
    def _resolve(self, outcomes: list[_Outcome], group: G | None) -> None:
        if group is not None:
            self._committed(group, len(outcomes))
        for outcome in outcomes:
            outcome.resolve()


def _attempt(job: _Job[G], group: G) -> _Outcome:
    try:
        with group.job():
            return _Outcome(job.answer, job.run(group), None)
    except Exception as error:  # noqa: BLE001 - it belongs to whoever asked
        return _Outcome(job.answer, None, error)
