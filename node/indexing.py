"""Search follows behind delivery: a few rows at a time, when something came, until nothing is left."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from node import search
from node.search import ROWS_A_STEP
from node.store import Store
from protocol.errors import StoreError

PAUSE_SECONDS: Final = 1.0
STEP_PAUSE_SECONDS: Final = 0.01


class Indexer:
    """Runs while there is something to index; used on the loop's thread."""

    def __init__(self, store: Store) -> None:
        """Nothing runs."""
        self._store = store
        self._task: asyncio.Task[None] | None = None
        self._again = True

    def notify(self) -> None:
        """Something may have come."""
        self._again = True
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="indexing")

    async def close(self) -> None:
        """Afterwards it stands still."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _follow(self) -> None:
        try:
            while self._again:
                self._again = False
                # What comes together is indexed together, and an urgent message is past before this begins.
                await asyncio.sleep(PAUSE_SECONDS)
                await self._catch_up()
        except StoreError:
            return  # the store told its owner
        finally:
            self._task = None

    async def _catch_up(self) -> None:
        done = 1
        while done:
            done = await asyncio.wrap_future(self._store.submit(partial(search.follow, limit=ROWS_A_STEP)))
            # Between two steps whoever waits for the store has its turn.
            await asyncio.sleep(STEP_PAUSE_SECONDS)
