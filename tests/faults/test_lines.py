"""Lines and clocks: network namespaces torn apart, a hub that starts over and over, SIGTERM under load, wrong clocks.

The partition is a real one where this process may make network namespaces: packets vanish, and nobody is told.  Where it
may not, the cutting proxy falls silent in its place, and the test says so.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pytest

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
@dataclass(frozen=True)
class Apart:
    """A node in a network of its own, joined to the hub's by one cable, which can be cut, or lose what goes one way."""

    space: str
    here: str
    there: str
    cable: str

    @classmethod
    def named(cls, number: int) -> Apart:
        return cls(f"valija{number}", f"10.{number}.77.1", f"10.{number}.77.2", f"vj{number}")

    def make(self) -> None:
        _ip("netns", "add", self.space)
        _ip("link", "add", self.cable, "type", "veth", "peer", "name", "hub", "netns", self.space)
        _ip("addr", "add", f"{self.here}/30", "dev", self.cable)
        _ip("link", "set", self.cable, "up")
        for words in (("addr", "add", f"{self.there}/30", "dev", "hub"), ("link", "set", "hub", "up")):
            _ip("-n", self.space, *words)
        _ip("-n", self.space, "link", "set", "lo", "up")
        # The certificate of the hub is for localhost: in this network, that is at the other end of the cable.
        hosts = Path("/etc/netns") / self.space / "hosts"
        hosts.parent.mkdir(parents=True, exist_ok=True)
        hosts.write_text(f"{self.here} localhost\n")

    def end(self) -> None:
        _ip("netns", "del", self.space)
        (Path("/etc/netns") / self.space / "hosts").unlink()
        (Path("/etc/netns") / self.space).rmdir()

    def silence(self, way: Way) -> None:
        """Packets that way go to nobody."""
        nobody = ("lladdr", "02:00:00:00:00:01", "nud", "permanent")
        if Way.FROM_HUB & way:
            _ip("neigh", "replace", self.there, "dev", self.cable, *nobody)
        if Way.TO_HUB & way:
            _ip("-n", self.space, "neigh", "replace", self.here, "dev", "hub", *nobody)

    def heal(self) -> None:
        """Whoever is not found is asked for again."""
        _ip("neigh", "del", self.there, "dev", self.cable, check=False)
        _ip("-n", self.space, "neigh", "del", self.here, "dev", "hub", check=False)


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True, timeout=20)


@contextmanager
def apart() -> Iterator[Apart | None]:
    """A network of its own, or None where this process may not make one."""
    made = Apart.named(os.getpid() % 250 + 1)
    try:
        made.make()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no network namespaces here ({error}): a proxy that falls silent stands for them", file=sys.stderr)
        yield None
        return
    try:
        yield made
    finally:
        made.end()


def test_a_partition_of_networks_is_outlived(tmp_path: Path) -> None:
    with apart() as space, Ground(tmp_path, MEMBERS, rate=20, tls=True, prelude=Prelude(quick=True)) as ground:
        if space is not None:
            ground.move(AR, space.space, space.here)
        ground.start()
        ground.traffic.start()
        cutter = ground.cutters[AR]
        for way in (Way.TO_HUB, Way.FROM_HUB, Way.BOTH):
            ground.traffic.wait(2)
            silence, heal = (cutter.silence, cutter.heal) if space is None else (space.silence, space.heal)
            silence(way)
            ground.traffic.wait(1)
            if way is Way.BOTH:
                ground.hub.kill()
                ground.hub.start()
            # Long enough that what is sent meanwhile is sent again by TCP, or given up.
            time.sleep(SILENT_SECONDS)
            heal()
            assert ground.recovers(READY_SECONDS)
        settle(ground)
        assert not ground.deaths
