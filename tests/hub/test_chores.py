"""What the hub does by itself: it sleeps until something is due, and a store that refuses once is asked again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hub.chores import Chores
from hub.core import Core
from protocol.errors import DrainingError, StoreError


class Hub:
    """As much of a core as the chores ask for; `answers` are what its writer and its checkpoint do, one after another."""

    def __init__(self, *answers: Exception | None) -> None:
        self.at = 1_000.0
        self.refresh_at = 0
        self.asked: list[float] = []
        self.answers = list(answers)
        self.writer = SimpleNamespace(run=self.run)

    def clock(self) -> float:
        return self.at

    def now(self) -> int:
        return int(self.at)

    async def run(self, _job: Callable[..., Any]) -> None:
        self.asked.append(self.at)
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer

    async def refresh(self) -> None:
        await self.run(lambda: None)

    def chores(self) -> Chores:
        return Chores(cast("Core", self))


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the chores would have slept between attempts."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr("hub.chores.asyncio.sleep", sleep)
    return slept


def left(chores_: Chores, next_expiry: int | None) -> None:
    chores_.committed(cast("Any", SimpleNamespace(next_expiry=next_expiry)))


async def test_it_looks_at_once_and_ends_with_the_writer() -> None:
    hub = Hub(DrainingError())
    await hub.chores().expire()
    assert hub.asked == [1_000.0]


async def test_it_asks_again_after_a_failure(patience: list[float]) -> None:
    hub = Hub(StoreError("full"), None, DrainingError())
    await hub.chores().expire()
    assert (len(hub.asked), patience) == (3, [1])


async def test_it_sleeps_until_the_next_expiry_and_is_woken_by_an_earlier_one() -> None:
    hub = Hub(DrainingError())
    mine = hub.chores()
    left(mine, None)
    waiting = asyncio.ensure_future(mine.expire())
    await asyncio.wait({waiting}, timeout=0.05)
    assert hub.asked == []
    left(mine, 5_000)
    await asyncio.wait({waiting}, timeout=0.05)
    assert hub.asked == []
    hub.at = 6_000.0
    left(mine, 5_500)
    await asyncio.wait_for(waiting, 5)
    assert hub.asked == [6_000.0]


async def test_a_due_time_wakes_it_without_a_commit() -> None:
    hub = Hub(DrainingError())
    mine = hub.chores()
    hub.at = 999.95
    clock = asyncio.get_running_loop().time
    start = clock()
    hub.clock = lambda: 999.95 + clock() - start  # type: ignore[method-assign]
    hub.now = lambda: int(hub.clock())  # type: ignore[method-assign]
    await asyncio.wait_for(mine.expire(), 5)
    assert len(hub.asked) == 1


async def test_the_checkpoint_is_signed_until_the_hub_stops(patience: list[float]) -> None:
    hub = Hub(None, StoreError("full"), DrainingError())
    await hub.chores().refresh()
    assert len(hub.asked) == 3
    assert patience == [0.0, 0.0, 60.0, 0.0]
