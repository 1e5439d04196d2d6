"""Sessions of real clients with a hub in this process: every rule that the shell adds to machine and relay."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from protocol.envelope import AttestationData
from tests.support.hub_client import connected, mirror
from tests.support.hub_home import Running, make_home, running, young_world
from tests.support.world import World

ALBA, BERTA, CARLA, DORA = "ar-mpf", "br-mpf", "co-fgn", "es-fge"


@pytest.fixture
def world() -> World:
    return young_world()


@pytest.fixture
async def hub(tmp_path: Path, world: World) -> AsyncIterator[Running]:
    async with running(make_home(tmp_path / "hub", world)) as started:
        yield started


async def test_an_envelope_crosses_and_is_erased(hub: Running, world: World) -> None:
    async with connected(hub.url, world, ALBA) as alba, connected(hub.url, world, BERTA) as berta:
        await berta.publish()
        await berta.acknowledge(0)
        item = alba.envelope([BERTA])
        (result,) = await alba.submit(item)
        registry = await mirror(hub.url, world)
        assert [each.verify(registry).result for each in result.attestations] == ["accepted"]
        (delivered,) = await berta.deliveries(1)
        assert (delivered.position, delivered.core, delivered.ciphertext) == (1, item.core, item.ciphertext)
        assert delivered.slot == item.slots[0]
        assert delivered.attestation == result.attestations[0]
        assert AttestationData.from_bytes(delivered.attestation.data).envelope_id == item.id
        await berta.acknowledge(1)
        assert await alba.submit(item) == [result]
    async with connected(hub.url, world, BERTA) as berta:
        assert berta.welcome is not None
        assert berta.welcome.cursor == 1
    assert await hub.core.queues() == []
