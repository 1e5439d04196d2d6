"""What callers read together: each has its own answer or its own error, in order, on one view."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from node.memory_store import MemoryStore
from node.reading import MOST, Reading
from node.store import Transaction
from protocol.errors import StoreError, UnknownMessageError


class Counted(MemoryStore):
    """Counts its views, and is held up until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.views, self.go = 0, threading.Event()

    def read(self, job: Callable[[Transaction], Any]) -> Any:
        self.views += 1
        assert self.go.wait(20)
        return super().read(job)


def one(tx: Transaction) -> Any:
    return (tx.one("SELECT 1") or ())[0]


def unknown(_tx: Transaction) -> Any:
    raise UnknownMessageError


async def test_what_is_asked_meanwhile_is_read_together_and_each_has_its_own_answer() -> None:
    store = Counted()
    reading = Reading(store)
    first = asyncio.create_task(reading(one))
    await asyncio.sleep(0)
    others = [asyncio.create_task(reading(unknown if number == 3 else one)) for number in range(MOST + 6)]
    await asyncio.sleep(0)
    others[5].cancel()
    store.go.set()
    assert await first == 1
    told = await asyncio.gather(*others, return_exceptions=True)
    assert [type(each) for each in told if each != 1] == [UnknownMessageError, asyncio.CancelledError]
    assert store.views == 3
    reading.close()
    store.close()


async def test_nothing_is_read_for_whoever_is_gone() -> None:
    store, read = Counted(), list[int]()
    reading = Reading(store)
    first = asyncio.create_task(reading(one))
    await asyncio.sleep(0)
    others = [asyncio.create_task(reading(lambda _tx: read.append(1))) for number in range(MOST * 3)]
    await asyncio.sleep(0)
    for each in others:
        each.cancel()
    store.go.set()
    assert await first == 1
    await asyncio.wait(others)
    assert await reading(one) == 1
    assert (read, store.views) == ([], 2)
    reading.close()
    store.close()


async def test_a_store_that_fails_is_told_to_everybody_who_asked() -> None:
    class Broken(MemoryStore):
        def read(self, _job: Callable[[Transaction], Any]) -> Any:
            raise StoreError("torn")

    store = Broken()
    reading = Reading(store)
    for asked in [asyncio.create_task(reading(one)) for _each in range(3)]:
        with pytest.raises(StoreError):
            await asked
    reading.close()
    store.close()
