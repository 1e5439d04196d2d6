"""Works that take much memory each, such as hashing a password: one after the other, and few in line."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from protocol.errors import TooManyError

T = TypeVar("T")


class Turns:
    """A line of works; used on one loop's thread."""

    __slots__ = ("_alone", "_most", "_works")

    def __init__(self, most: int) -> None:
        """Nobody is in line; `most` may be, the one whose turn it is among them."""
        self._alone, self._most = asyncio.Lock(), most
        self._works = set[asyncio.Task[Any]]()

    @property
    def is_full(self) -> bool:
        """Whether nobody may get in line."""
        return len(self._works) >= self._most

    async def take(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """What `work` gives in its turn; `TooManyError` if the line is full.

        Whoever is cancelled meanwhile leaves the work behind: a hash cannot be stopped, and counts until it is done.
        """
        if self.is_full:
            raise TooManyError("many log in just now: wait some seconds")
        task = asyncio.create_task(self._do(work))
        self._works.add(task)
        task.add_done_callback(self._done)
        return await asyncio.shield(task)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._works.discard(task)
        # Asked for here: whoever left asks no more.
        _ = task.cancelled() or task.exception()

    async def _do(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        async with self._alone:
            return await work()
