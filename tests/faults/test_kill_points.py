"""kill -9 at every named point of a sending node, a receiving node and the hub, before and after it, while messages go.

Some points are set again for the restart that follows: so what recovers dies there too.  At the end everything that was
acknowledged is where it belongs, once, in order and receipted.
"""

from __future__ import annotations

import http.client
import shutil
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

import pytest

from protocol.limits import DAY_SECONDS
from tests.faults.cutting import Way
from tests.faults.ground import NETWORK, Ground
from tests.faults.trapped import AFTER, BEFORE, HUB, NODE, POINTS, Prelude, Trap, TrappedDaemon
from tests.system.house import Api, eventually, post

pytestmark = pytest.mark.full
AR, BR, NEW = "ar-mpf", "br-mpf", "co-fgn"
REACH_SECONDS: Final = 20.0
SETTLE_SECONDS: Final = 90.0
# Whoever recovers from these dies there again, and once more.
LOOPED: Final = frozenset(
    {"node: a commit", "node: a commit of messages", "node: a delivery is taken", "hub: a commit"}
)
DAYS_LATER: Final = 3
SEALED_AGAIN: Final = "node: envelopes are sealed again"
RECALLED: Final = "hub: a slot is recalled"
# What happens once in a node's life, or on another day, has its own test below.
ONCE: Final = ("node: an incarnation is posted", "node: an incarnation begins")
DATED: Final = frozenset({"node: a prekey is made", "node: a prekey is destroyed"})
LOGGED: Final = frozenset(
    {
        "node: the registry is mirrored",
        "hub: a checkpoint is signed",
        "hub: the log grows",
        "hub: the log in memory grows",
    }
)


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    with Ground(tmp_path, [AR, BR], rate=40, forked=True, tls=False, prelude=Prelude(quick=True)) as ground:
        ground.start()
        ground.traffic.start()
        yield ground


def names(program: str) -> list[str]:
    return [name for name, point in POINTS.items() if point.program == program and name not in DATED | LOGGED | {*ONCE}]


def suffer(ground: Ground, member: str, point: str) -> None:
    """Die there, before and after; at some points whoever recovers dies there again."""
    daemon = ground.daemon(member)
    for side in (BEFORE, AFTER):
        for _time in range(3 if point in LOOPED else 1):
            if point == SEALED_AGAIN:
                leave_unanswered(ground, member)
            set_trap(daemon, Trap(point, side))
            assert daemon.dies(REACH_SECONDS), (point, side, ground.traffic.clock.errors, daemon.last_words())
    daemon.start()


def leave_unanswered(ground: Ground, member: str) -> None:
    """Afterwards the node has submitted what no hub will ever answer; its line is whole again."""
    cutter, author = ground.cutters[member], ground.traffic.authors[member]
    if not ground.daemon(member).is_running():
        ground.daemon(member).start()
    ground.daemon(member).wait()
    cutter.silence(Way.BOTH)
    before = author.acknowledged
    eventually("messages without an answer", lambda: author.acknowledged >= before + 3)
    cutter.interrupt()
    ground.daemon(member).kill()
    cutter.heal()


def settle(ground: Ground) -> None:
    verdict = ground.settle(SETTLE_SECONDS, least=80)
    assert verdict.is_sound, str(verdict)
    assert verdict.deliveries > 50
    assert not ground.deaths
    # Nobody forgot anything that others saw of it: else it would have begun another life.
    (size,) = {len(each.leaves) for each in ground.archived}
    assert size == len(ground.association.papers) + len(ground.members) + 1


def test_nodes_die_at_every_point_and_nothing_is_lost_or_doubled(ground: Ground) -> None:
    for number, point in enumerate(names(NODE)):
        # Both send and receive: each dies at every second point.
        suffer(ground, (AR, BR)[number % 2], point)
    settle(ground)


def test_the_hub_dies_at_every_point_and_nothing_is_lost_or_doubled(ground: Ground) -> None:
    for point in names(HUB):
        if point == RECALLED:
            # What is delivered at once cannot be recalled.
            ground.daemon(BR).kill()
        suffer(ground, "hub", point)
        if point == RECALLED:
            ground.daemon(BR).start()
    settle(ground)


def test_the_log_and_its_mirrors_survive_death_at_every_point(ground: Ground) -> None:
    papers = (ground.association.network(NETWORK, [AR, BR], version).raw for version in count(2))
    for point in sorted(LOGGED):
        daemon = ground.daemon(BR if POINTS[point].program == NODE else "hub")
        for side in (BEFORE, AFTER):
            paper = next(papers)
            set_trap(daemon, Trap(point, side))
            while daemon.is_running():
                publish(ground, paper)
            assert daemon.dies(0), (point, side, daemon.last_words())
            daemon.start()
            eventually("the roster in the log", partial(publish, ground, paper), REACH_SECONDS)
    settle(ground)


def publish(ground: Ground, paper: bytes) -> bool:
    try:
        return post(ground.association.url, "/log/statements", paper).status == 200
    except (OSError, http.client.HTTPException, ValueError):
        return False


def test_a_new_node_dies_at_every_point_of_its_first_start(ground: Ground) -> None:
    daemon = ground.join(NEW)
    for point in ONCE:
        for side in (BEFORE, AFTER):
            set_trap(daemon, Trap(point, side))
            assert daemon.dies(REACH_SECONDS), (point, side, daemon.last_words())
    for side in (BEFORE, AFTER):
        # Each key is a file of its own: it dies in the middle of making them.
        shutil.rmtree(ground.association.homes[NEW].prekeys)
        set_trap(daemon, Trap("node: a prekey is made", side, 5))
        assert daemon.dies(REACH_SECONDS), (side, daemon.last_words())
    daemon.start()
    daemon.wait()
    new, old = (Api(member, ground.association.homes[member].socket) for member in (NEW, AR))
    new.settled(new.send(AR, body="primero", urgency="urgent"))
    old.settled(old.send(NEW, body="bienvenidos", urgency="urgent"))
    assert ground.supervise() == []


def test_keys_are_destroyed_whoever_dies_meanwhile(ground: Ground) -> None:
    """Three days later the keys of the first day are to die; a node that dies before, or in the middle, comes to it again."""
    eventually("messages", lambda: ground.traffic.clock.handed > 60)
    settle(ground)
    folder = ground.association.homes[BR].prekeys
    first = min(int(path.name.partition(".")[0].partition("-")[0]) for path in folder.glob("*.prekey"))
    daemons = [ground.daemon(name) for name in ground.names]
    for daemon in daemons:
        daemon.prelude = replace(daemon.prelude, ahead=DAYS_LATER * DAY_SECONDS)
        daemon.start()
    ground.daemons.ready()
    br, ar = (Api(member, ground.association.homes[member].socket) for member in (BR, AR))
    ar.settled(ar.send(BR, body="tres días después", urgency="urgent"))
    for side in (BEFORE, AFTER):
        daemon = ground.daemon(BR)
        set_trap(daemon, Trap("node: a prekey is destroyed", side))
        assert daemon.dies(REACH_SECONDS), (side, daemon.last_words())
    ground.daemon(BR).start()
    ground.daemon(BR).wait()
    eventually("the first key is gone", lambda: not list(folder.glob(f"{first}*")))
    ar.settled(ar.send(BR, body="y después", urgency="urgent"))
    assert br.inbox()


def set_trap(daemon: TrappedDaemon, trap: Trap) -> None:
    """It runs anew, and dies there."""
    daemon.kill()
    daemon.traps = (trap,)
    daemon.start()
