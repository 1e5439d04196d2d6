"""What a hub does by itself: let envelopes expire when their time comes, keep its checkpoint young, count minutes.

Each chore sleeps until there is something to do.  A sleep is cut into hours, because the clock of the wall, by which
things expire, may be set while we sleep by another.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Final

import structlog

from hub.core import Core
from hub.rounds import Round
from protocol.errors import DrainingError, ValijaError

_HOUR: Final = 3_600.0
_MINUTE: Final = 60.0
_log: Final = structlog.get_logger("hub")


class Chores:
    """The chores of one hub; `committed` tells them what each round left."""

    def __init__(self, core: Core) -> None:
        """Nothing is known to expire: the first look tells."""
        self._core = core
        self._next_expiry: int | None = core.now()
        self._changed = asyncio.Event()

    def committed(self, round_: Round) -> None:
        """Something may expire at another time than was thought."""
        if round_.next_expiry != self._next_expiry:
            self._next_expiry = round_.next_expiry
            self._changed.set()

    async def expire(self) -> None:
        """Until cancelled: expire what is overdue, as soon as it is."""
        while True:
            self._changed.clear()
            if self._next_expiry is None or self._next_expiry > self._core.now():
                await self._sleep_until(self._next_expiry)
                continue
            try:
                await self._core.writer.run(lambda round_: round_.group.expire())
            except DrainingError:
                return
            except ValijaError as error:
                _log.error("expiry_failed", code=error.code)
                await asyncio.sleep(1)

    async def _sleep_until(self, at: int | None) -> None:
        seconds = _HOUR if at is None else min(_HOUR, max(0.0, at - self._core.clock()))
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def sample(self, present: Collection[str]) -> None:
        """Until cancelled: close each minute of the trend when it is over; `present` are the members who are here then."""
        while True:
            await asyncio.sleep(_MINUTE - self._core.clock() % _MINUTE)
            try:
                await self._core.close_minute(present)
            except DrainingError:
                return
            except ValijaError as error:
                _log.error("minute_failed", code=error.code)

    async def refresh(self) -> None:
        """Until cancelled: sign the checkpoint anew when it is due."""
        while True:
            await asyncio.sleep(min(_HOUR, max(0.0, self._core.refresh_at - self._core.clock())))
            try:
                await self._core.refresh()
            except DrainingError:
                return
            except ValijaError as error:
                _log.error("checkpoint_failed", code=error.code)
                await asyncio.sleep(_HOUR / 60)
