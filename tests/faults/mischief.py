"""Faults by name: each is suffered by running processes, and leaves behind what only restarts and time put right."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from protocol.errors import DamagedError
from tests.faults.cutting import Way
from tests.faults.disks import KIB, MIB, failing, tear, turn
from tests.faults.earlier import kept, undo
from tests.faults.ground import Ground, NotSettledError, last_code
from tests.faults.trapped import AFTER, BEFORE, HUB, POINTS, Trap

Fault = Callable[["Mischief"], None]


@dataclass
class Mischief:
    """Does one fault after the other, chosen by the seed; `suffered` counts them by name, `diary` keeps their order."""

    ground: Ground
    seed: int
    suffered: Counter[str] = field(default_factory=Counter)
    diary: list[str] = field(default_factory=list)
    backups: dict[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Nothing happened yet."""
        self.random = random.Random(self.seed)

    def once(self, faults: Mapping[str, tuple[int, Fault]]) -> str:
        """Do one of these, each with its weight; gives its name."""
        names = list(faults)
        name = self.random.choices(names, [faults[each][0] for each in names])[0]
        self.diary.append(f"{time.strftime('%H:%M:%S')} {name}")
        faults[name][1](self)
        self.suffered[name] += 1
        self.ground.supervise()
        return name

    # -- choosing
    def member(self) -> str:
        """One of the nodes."""
        chosen = self.random.choice(self.ground.members)
        self.diary[-1] += f" {chosen}"
        return chosen

    def pause(self, least: float, most: float) -> None:
        """The moment is what varies here; nothing is waited for."""
        time.sleep(self.random.uniform(least, most))

    # -- doing
    def kill(self, name: str, down: float) -> None:
        """SIGKILL; it lies for at most so many seconds, then starts again."""
        daemon = self.ground.daemon(name)
        daemon.kill()
        self.pause(0, down)
        daemon.start()

    def until_it_ends(self, name: str, seconds: float) -> None:
        """Return once the process has ended by itself, or this time is over."""
        daemon, deadline = self.ground.daemon(name), time.monotonic() + seconds
        while daemon.is_running() and time.monotonic() < deadline:
            time.sleep(0.05)

    def end(self, name: str) -> None:
        """SIGTERM under load; it must drain and end well."""
        daemon = self.ground.daemon(name)
        if not daemon.is_running():
            return
        status = daemon.stop()
        # Between its start and the moment at which it listens to signals, the system's answer to one is to end it.
        if status not in {0, -signal.SIGTERM}:
            raise NotSettledError(f"{name} ended with {status} on SIGTERM\n{daemon.last_words()}")
        daemon.start()


def _kill_node(mischief: Mischief) -> None:
    mischief.kill(mischief.member(), 1.0)


def _kill_hub(mischief: Mischief) -> None:
    mischief.kill("hub", 1.0)


def _end_node(mischief: Mischief) -> None:
    mischief.end(mischief.member())


def _end_hub(mischief: Mischief) -> None:
    mischief.end("hub")


def _kill_hub_in_a_loop(mischief: Mischief) -> None:
    for _ in range(mischief.random.randint(3, 6)):
        mischief.kill("hub", 0.1)
        mischief.pause(0.1, 2.5)


def _kill_node_in_a_loop(mischief: Mischief) -> None:
    name = mischief.member()
    for _ in range(mischief.random.randint(3, 6)):
        mischief.kill(name, 0.1)
        mischief.pause(0.1, 2.5)


def _kill_everything(mischief: Mischief) -> None:
    daemons = mischief.ground.daemons.all
    for daemon in daemons:
        if daemon.is_running() and daemon.process is not None:
            daemon.process.send_signal(signal.SIGKILL)
    for daemon in daemons:
        daemon.kill()
    mischief.pause(0, 1)
    mischief.random.shuffle(daemons)
    for daemon in daemons:
        daemon.start()


def _node_is_away(mischief: Mischief) -> None:
    mischief.kill(mischief.member(), 25.0)


def _freeze(mischief: Mischief) -> None:
    daemon = mischief.ground.daemon(mischief.random.choice(mischief.ground.names))
    mischief.diary[-1] += f" {daemon.name}"
    if not daemon.is_running():
        return
    os.kill(daemon.pid, signal.SIGSTOP)
    mischief.pause(0.5, 8)
    os.kill(daemon.pid, signal.SIGCONT)


# -- lines -----------------------------------------------------------------------------------------------
def _interrupt(mischief: Mischief) -> None:
    mischief.ground.cutters[mischief.member()].interrupt()


def _cut(mischief: Mischief) -> None:
    cutter = mischief.ground.cutters[mischief.member()]
    cutter.cut()
    mischief.pause(0.5, 10)
    cutter.heal()


def _silence(way: Way) -> Fault:
    def fault(mischief: Mischief) -> None:
        cutter = mischief.ground.cutters[mischief.member()]
        cutter.silence(way)
        mischief.pause(0.5, 30 if mischief.random.random() < 0.2 else 6)
        # What waited may pass after all, or be lost with its line.
        if mischief.random.random() < 0.5:
            cutter.interrupt()
        cutter.heal()

    return fault


def _parted(way: Way) -> Fault:
    def fault(mischief: Mischief) -> None:
        networks = mischief.ground.networks
        member = mischief.random.choice(sorted(networks))
        mischief.diary[-1] += f" {member}"
        networks[member].silence(way)
        # Beyond twenty seconds the session itself gives up.
        mischief.pause(0.5, 30 if mischief.random.random() < 0.2 else 6)
        networks[member].heal()

    return fault


def _cut_everybody(mischief: Mischief) -> None:
    for cutter in mischief.ground.cutters.values():
        cutter.cut()
    mischief.pause(0.5, 8)
    for cutter in mischief.ground.cutters.values():
        cutter.heal()


# -- points, disks, clocks -----------------------------------------------------------------------------------
def _named_point(mischief: Mischief) -> None:
    point = mischief.random.choice([name for name in POINTS if name not in RARE])
    name = "hub" if POINTS[point].program == HUB else mischief.member()
    trap = Trap(point, mischief.random.choice((BEFORE, AFTER)), mischief.random.randint(1, 20))
    mischief.diary[-1] += f" {name}: {trap.side} {point}, time {trap.nth}"
    daemon = mischief.ground.daemon(name)
    daemon.kill()
    daemon.traps = (trap,)
    daemon.start()
    if not daemon.dies(15):
        daemon.kill()  # it never came there; no later fault is to meet this trap
    daemon.start()


def _torn(mischief: Mischief) -> None:
    name = mischief.random.choice(mischief.ground.names)
    daemon = mischief.ground.daemon(name)
    daemon.kill()
    mischief.diary[-1] += f" {name}: {tear(mischief.ground.database(name), mischief.random)}"
    daemon.start()


def _failing(calls: str, error: str) -> Fault:
    def fault(mischief: Mischief) -> None:
        name = mischief.random.choice(mischief.ground.names)
        daemon = mischief.ground.daemon(name)
        mischief.diary[-1] += f" {name}"
        if not daemon.is_running():
            return
        with failing(daemon.pid, calls, f"error={error}:when={mischief.random.randint(1, 40)}+"):
            mischief.until_it_ends(name, 10)

    return fault


def _full(mischief: Mischief) -> None:
    name = mischief.random.choice(mischief.ground.names)
    mischief.diary[-1] += f" {name}"
    disk = mischief.ground.disks[name]
    disk.fill(mischief.random.choice((0, 4 * KIB, 64 * KIB, 1 * MIB)))
    try:
        mischief.until_it_ends(name, 10)
        # It is started again by its service manager, whether there is room or not.
        mischief.ground.supervise()
        mischief.pause(0, 3)
    finally:
        disk.empty()


def _clock(mischief: Mischief) -> None:
    name = mischief.random.choice(mischief.ground.names)
    ahead = mischief.random.choice((-3_600, -600, -60, 60, 600, 3_600)) + mischief.random.randint(-30, 30)
    mischief.diary[-1] += f" {name} {ahead:+} s"
    daemon = mischief.ground.daemon(name)
    for wrong in (ahead, 0):
        daemon.kill()
        daemon.prelude = replace(daemon.prelude, ahead=wrong)
        daemon.start()
        if wrong:
            mischief.pause(2, 12)


def _dies(name: str | None) -> Fault:
    def fault(mischief: Mischief) -> None:
        chosen = name or mischief.member()
        backup = mischief.backups.pop(chosen, None)
        if backup is None:
            # Some of what happens until the disk dies is not in it.
            backup = mischief.ground.backup(chosen)
            mischief.pause(1, 6)
        mischief.ground.restore(chosen, backup)

    return fault


def _turned(mischief: Mischief) -> None:
    """One bit of what was committed turns round: it is named, nothing runs on it, and the backup is put back."""
    ground, name = mischief.ground, mischief.random.choice(mischief.ground.names)
    daemon, backup = ground.daemon(name), ground.backup(name)
    mischief.backups.pop(name, None)
    mischief.pause(1, 6)
    daemon.kill()
    where = turn(ground.database(name), mischief.random)
    mischief.diary[-1] += f" {name}: {where or 'nothing is in its log'}"
    if where and ("store" if name == "hub" else "archive") not in ground.problems(name):
        raise NotSettledError(f"{name}: {where} turned round, and its doctor finds nothing")
    daemon.start()
    if not where:
        return
    mischief.until_it_ends(name, 20)
    if daemon.is_running() or last_code(daemon.log) != DamagedError.code:
        raise NotSettledError(f"{name}: {where} turned round, and it does not refuse\n{daemon.last_words()}")
    ground.restore(name, backup)


def _upgraded(mischief: Mischief) -> None:
    """The home is as an earlier release left it: it is brought up to date, once, with the old file beside it."""
    ground, name = mischief.ground, mischief.random.choice(mischief.ground.names)
    daemon, database = ground.daemon(name), ground.database(name)
    daemon.kill()
    before = kept(database)
    version = undo(database, None if name == "hub" else ground.association.homes[name], mischief.random)
    mischief.diary[-1] += f" {name}: to version {version}"
    daemon.start()
    if mischief.random.random() < 0.5:
        mischief.pause(0, 1.5)
        daemon.kill()
        daemon.start()
    deadline = time.monotonic() + _UPGRADED_SECONDS
    while not ground.is_ready(name):
        if time.monotonic() > deadline:
            raise NotSettledError(f"{name} of version {version} is not brought up to date\n{daemon.last_words()}")
        ground.supervise()
        time.sleep(0.05)
    made = kept(database) - before
    if [path.name for path in made] != [f"{database.name}.version-{version}.backup"]:
        raise NotSettledError(f"{name} was of version {version}; beside it now: {sorted(made)}")
    for path in made:
        path.unlink()


def _backup(mischief: Mischief) -> None:
    name = mischief.random.choice(mischief.ground.names)
    mischief.diary[-1] += f" {name}"
    mischief.backups[name] = mischief.ground.backup(name)


_UPGRADED_SECONDS: Final = 180.0

RARE: Final = frozenset(
    {"node: an incarnation is posted", "node: an incarnation begins", "node: a prekey is made"}
    | {"node: a prekey is destroyed", "node: the registry is mirrored", "hub: the log grows"}
    | {"hub: the log in memory grows"}
)
"""Points that are not reached without news in the registry, or before another day."""

NETWORKS: Final = "networks apart"
_WAYS: Final = {"to the hub": Way.TO_HUB, "from the hub": Way.FROM_HUB, "both ways": Way.BOTH}

FAULTS: Final[Mapping[str, tuple[int, Fault]]] = {
    "kill -9 node": (12, _kill_node),
    "kill -9 hub": (8, _kill_hub),
    "kill -9 everything": (2, _kill_everything),
    "kill -9 hub in a loop": (3, _kill_hub_in_a_loop),
    "kill -9 node in a loop": (3, _kill_node_in_a_loop),
    "SIGTERM node": (4, _end_node),
    "SIGTERM hub": (3, _end_hub),
    "SIGSTOP": (3, _freeze),
    "node away": (2, _node_is_away),
    "line interrupted": (6, _interrupt),
    "line cut": (4, _cut),
    "silent to the hub": (2, _silence(Way.TO_HUB)),
    "silent from the hub": (2, _silence(Way.FROM_HUB)),
    "silent both ways": (2, _silence(Way.BOTH)),
    "all lines cut": (2, _cut_everybody),
    **{f"{NETWORKS}, {name}": (2, _parted(way)) for name, way in _WAYS.items()},
    "kill -9 at a named point": (12, _named_point),
    "torn write-ahead log": (4, _torn),
    "EIO on fsync": (3, _failing("fsync,fdatasync", "EIO")),
    "EIO on write": (3, _failing("pwrite64", "EIO")),
    "ENOSPC on write": (2, _failing("pwrite64", "ENOSPC")),
    "disk full": (3, _full),
    "wrong clock": (3, _clock),
    "(a backup is made)": (2, _backup),
    "node's disk dies": (1, _dies(None)),
    "hub's disk dies": (1, _dies("hub")),
    "a bit turns round": (2, _turned),
    "upgrade": (2, _upgraded),
}
