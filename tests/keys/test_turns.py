"""One work at a time, whoever goes away, and no long line."""

from __future__ import annotations

import asyncio

import pytest

from keys.turns import Turns
from protocol.errors import TooManyError


class Hashing:
    """A work that ends when it is told; how many are done at one time."""

    def __init__(self) -> None:
        self.ends = asyncio.Event()
        self.begun = self.now = self.most = 0

    async def __call__(self) -> int:
        self.begun += 1
        self.now += 1
        self.most = max(self.most, self.now)
        await self.ends.wait()
        self.now -= 1
        return self.begun


async def turns_of_the_loop() -> None:
    for _turn in range(10):
        await asyncio.sleep(0)


async def test_one_after_the_other() -> None:
    turns, hashing = Turns(4), Hashing()
    tasks = [asyncio.create_task(turns.take(hashing)) for _each in range(3)]
    await turns_of_the_loop()
    assert hashing.begun == 1
    hashing.ends.set()
    assert await asyncio.gather(*tasks) == [1, 2, 3]
    assert hashing.most == 1


async def test_whoever_leaves_leaves_the_work_in_line() -> None:
    turns, hashing = Turns(2), Hashing()
    for _each in range(2):
        leaves = asyncio.create_task(turns.take(hashing))
        await turns_of_the_loop()
        leaves.cancel()
        await asyncio.wait([leaves])
        assert leaves.cancelled()
    assert (hashing.begun, hashing.most) == (1, 1)
    with pytest.raises(TooManyError):
        await asyncio.wait_for(turns.take(hashing), 5)
    hashing.ends.set()
    await turns_of_the_loop()
    assert (hashing.begun, hashing.most) == (2, 1)
    assert await turns.take(hashing) == 3


async def test_an_error_is_for_whoever_asked() -> None:
    turns = Turns(1)

    async def fails() -> None:
        raise ValueError("this one")

    for _each in range(2):
        with pytest.raises(ValueError, match="this one"):
            await turns.take(fails)
