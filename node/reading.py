"""What callers read of the archive, beside the loop: what is asked while something is read is read together after it.

Each view of the archive costs the decryption of every page that it touches, because somebody wrote in between; under
load one view serves many, and a single caller waits for nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from node.store import Store, Transaction

T = TypeVar("T")

# So that one view does not hold up the log's checkpoints for long.
MOST: Final = 64
_Job = Callable[[Transaction], Any]


class Reading:
    """Carries out jobs in the order in which they came; used on the loop's thread."""

    def __init__(self, store: Store) -> None:
        """Nothing was asked."""
        self._store = store
        self._thread = ThreadPoolExecutor(1, "reader")
        self._asked: list[tuple[_Job, asyncio.Future[Any]]] = []
        self._is_busy = False

    async def __call__(self, job: Callable[[Transaction], T]) -> T:
        """What `job` gives on a view of what is durable; raises what it raises."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.append((job, answer))
        self._go()
        return await answer

    def close(self) -> None:
        """Afterwards nothing is read any more."""
        self._thread.shutdown()

    def _go(self) -> None:
        if self._is_busy:
            return
        # Nothing is read for whoever is gone by now.
        self._asked = [each for each in self._asked if not each[1].done()]
        if not self._asked:
            return
        self._is_busy = True
        group, self._asked = self._asked[:MOST], self._asked[MOST:]
        jobs = [job for job, _answer in group]
        done = asyncio.get_running_loop().run_in_executor(self._thread, self._read, jobs)
        done.add_done_callback(lambda done: self._tell(group, done))

    def _read(self, jobs: list[_Job]) -> list[tuple[Any, Exception | None]]:
        return self._store.read(lambda tx: [_attempt(tx, job) for job in jobs])

    def _tell(
        self, group: list[tuple[_Job, asyncio.Future[Any]]], done: asyncio.Future[list[tuple[Any, Exception | None]]]
    ) -> None:
        self._is_busy = False
        failed = done.exception()
        told = [(None, failed)] * len(group) if failed else done.result()
        for (_job, answer), (value, error) in zip(group, told, strict=True):
            if answer.done():
                continue  # whoever asked is gone
            if error is None:
                answer.set_result(value)
            else:
                answer.set_exception(error)
        self._go()


def _attempt(tx: Transaction, job: _Job) -> tuple[Any, Exception | None]:
    try:
        return job(tx), None
    except Exception as error:  # noqa: BLE001 - whatever a job raises belongs to whoever asked
        return None, error
