"""Lines and clocks: network namespaces torn apart, a hub that starts over and over, SIGTERM under load, wrong clocks.

The partition is a real one where this process may make network namespaces: packets vanish, and nobody is told.  Where it
may not, the cutting proxy falls silent in its place, and the test says so.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from tests.faults.apart import apart
from tests.faults.cutting import Way
from tests.faults.ground import Ground
from tests.faults.trapped import Prelude

pytestmark = pytest.mark.full
AR, BR = "ar-mpf", "br-mpf"
MEMBERS: Final = (AR, BR)
READY_SECONDS: Final = 60.0
HOUR: Final = 3_600
SILENT_SECONDS: Final = 2.0


def settle(ground: Ground) -> None:
    verdict = ground.settle(120, least=50)
    assert verdict.is_sound, str(verdict)
    assert verdict.deliveries > 30


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path, MEMBERS, rate=40, forked=True, tls=False, prelude=Prelude(quick=True)) as ground:
        ground.start()
        ground.traffic.start()
        yield ground


# -- the hub ---------------------------------------------------------------------------------------------
def test_a_hub_that_starts_over_and_over_loses_nothing(ground: Ground) -> None:
    for _time in range(8):
        ground.hub.kill()
        ground.hub.start()
        ground.traffic.wait(1)
    settle(ground)


def test_sigterm_under_load_drains_and_ends_well(ground: Ground) -> None:
    for name in (*ground.names, *ground.names):
        ground.traffic.wait(2)
        daemon = ground.daemon(name)
        daemon.wait()
        assert daemon.stop() == 0, daemon.last_words()
        daemon.start()
    assert ground.recovers(READY_SECONDS)
    settle(ground)
    assert not ground.deaths


# -- clocks ----------------------------------------------------------------------------------------------
def test_clocks_that_are_wrong_and_put_back_lose_nothing(ground: Ground) -> None:
    """Half an hour is told of and borne; over an hour the line is down; backwards is nothing else, on either side."""
    for name in (AR, "hub"):
        for ahead in (-HOUR // 2, HOUR // 2, HOUR + 60, -HOUR - 60, 0):
            daemon = ground.daemon(name)
            daemon.kill()
            daemon.prelude = replace(daemon.prelude, ahead=ahead)
            daemon.start()
            if abs(ahead) < HOUR:
                assert ground.recovers(READY_SECONDS), (name, ahead, daemon.last_words())
            ground.traffic.wait(1)
    settle(ground)
    assert not ground.deaths


def test_a_node_put_back_after_its_clock_was_ahead_is_reached_at_once(ground: Ground) -> None:
    """What it published by that clock must not stand before what it publishes with its new keys."""
    backup, daemon = ground.backup(AR), ground.daemon(AR)
    for ahead in (HOUR - 60, 0):
        daemon.kill()
        daemon.prelude = replace(daemon.prelude, ahead=ahead)
        daemon.start()
        assert ground.recovers(READY_SECONDS), daemon.last_words()
        ground.traffic.wait(1)
    ground.restore(AR, backup)
    assert ground.recovers(READY_SECONDS)
    settle(ground)


def test_a_node_put_back_on_a_machine_whose_clock_is_behind_is_reached_at_once(ground: Ground) -> None:
    """What it published by a right clock must not stand before what it publishes with its new keys."""
    ground.traffic.wait(1)
    backup, daemon = ground.backup(AR), ground.daemon(AR)
    daemon.prelude = replace(daemon.prelude, ahead=-HOUR // 2)
    ground.restore(AR, backup)
    assert ground.recovers(READY_SECONDS)
    settle(ground)


# -- partitions ------------------------------------------------------------------------------------------
def test_a_partition_of_networks_is_outlived(tmp_path: Path) -> None:
    with (
        apart([AR]) as networks,
        Ground(tmp_path, MEMBERS, rate=20, tls=True, prelude=Prelude(quick=True), networks=networks) as ground,
    ):
        ground.start()
        ground.traffic.start()
        line = networks.get(AR) or ground.cutters[AR]
        for way in (Way.TO_HUB, Way.FROM_HUB, Way.BOTH):
            ground.traffic.wait(2)
            line.silence(way)
            ground.traffic.wait(1)
            if way is Way.BOTH:
                ground.hub.kill()
                ground.hub.start()
            # Long enough that what is sent meanwhile is sent again by TCP, or given up.
            time.sleep(SILENT_SECONDS)
            line.heal()
            assert ground.recovers(READY_SECONDS)
        settle(ground)
        assert not ground.deaths
