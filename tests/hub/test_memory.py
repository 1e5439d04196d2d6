"""What a session leaves in the hub's memory: nothing of what was said, and nothing of itself once it is over."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hub.sessions import Session
from protocol.session.frames import Publish
from tests.support.hub_client import connected
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.world import World

ALBA = "ar-mpf"


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world)) as started:
        yield started


@pytest.fixture
def no_collector() -> Iterator[None]:
    """What only the search for circles would free stays."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def alive(kind: type) -> int:
    return sum(isinstance(each, kind) for each in gc.get_objects())


@pytest.mark.usefixtures("no_collector")
async def test_a_session_that_waits_holds_nothing_of_its_last_message(hub: Running, world: World) -> None:
    before = alive(Publish)
    async with connected(hub.url, world, ALBA) as alba:
        await alba.publish()
        assert alive(Session) == 1
        assert alive(Publish) == before


@pytest.mark.usefixtures("no_collector")
async def test_a_session_that_is_over_is_gone_at_once(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA):
        assert alive(Session) == 1
    async with asyncio.timeout(10):
        while alive(Session):  # noqa: ASYNC110 - the hub tells nobody that it forgot
            await asyncio.sleep(0.01)
