"""Which works there are, how much of each is measured, and on what they run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from bench import backlog, crowd, growth, mesh, serving, works
from bench.figures import Run
from bench.house import House
from bench.members import MEMBERS, RECIPIENT, SENDER
from tests.support.association import found
from tests.support.processes import Daemons


@dataclass(frozen=True, slots=True)
class Size:
    """Which works are measured unless others are chosen, how much of each, and how long one of them may take."""

    works: tuple[str, ...]
    one_to_one: int
    latency: int
    api: int
    backlog: int
    fan_out: int
    mesh: int
    sessions: int
    growth: tuple[int, ...]
    limit_seconds: int


Work = Callable[[House, Size], Coroutine[Any, Any, Run]]
Apart = Callable[[Path, Size], Coroutine[Any, Any, list[Run]]]

# In this order: those of two members run before there are 22.
PAIRS: Final[Mapping[str, Work]] = {
    "one_to_one": lambda house, size: works.one_to_one(house, SENDER, RECIPIENT, size.one_to_one),
    "latency": lambda house, size: works.latency(house, SENDER, RECIPIENT, size.latency),
    "api": lambda house, size: serving.api(house, SENDER, RECIPIENT, size.api),
    "backlog": lambda house, size: backlog.backlog(house, SENDER, RECIPIENT, size.backlog),
}
CROWDS: Final[Mapping[str, Work]] = {
    "fan_out_21": lambda house, size: works.fan_out(house, SENDER, MEMBERS[1:], size.fan_out),
    "mesh_22": lambda house, size: mesh.mesh(house, MEMBERS, size.mesh),
}


async def _sessions(folder: Path, size: Size) -> list[Run]:
    return [await crowd.sessions(folder, size.sessions)]


async def _growth(folder: Path, size: Size) -> list[Run]:
    return await growth.growth(folder, size.growth)


# Each of these has a hub of its own.
ALONE: Final[Mapping[str, Apart]] = {"sessions_500": _sessions, "growth": _growth}
WORKS: Final = (*PAIRS, *CROWDS, *ALONE)

FULL: Final = Size(WORKS, 60_000, 1_200, 30, 20_000, 4_000, 44_000, 500, (1_000, 100_000, 1_000_000), 900)
QUICK: Final = Size(
    ("one_to_one", "latency", "fan_out_21"), 8_000, 100, 10, 4_000, 256, 2_200, 500, (1_000, 20_000), 300
)


def measure(folder: Path, size: Size, chosen: Sequence[str]) -> list[Run]:
    """The runs of the chosen works."""
    runs = _together(folder, size, [name for name in (*PAIRS, *CROWDS) if name in chosen])
    for name, work in ALONE.items():
        if name in chosen:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runs += runner.run(_within(size, work(folder / name, size)))
    return runs


async def _within(size: Size, work: Coroutine[Any, Any, Any]) -> Any:
    async with asyncio.timeout(size.limit_seconds):
        return await work


def _together(folder: Path, size: Size, chosen: Sequence[str]) -> list[Run]:
    """These works one after the other over one association."""
    if not chosen:
        return []
    is_crowded = not CROWDS.keys().isdisjoint(chosen)
    association = found(folder / "association", MEMBERS if is_crowded else MEMBERS[:2])
    with Daemons(folder / "logs", ["node"]) as daemons, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        house = House(association, daemons)
        house.start(MEMBERS[:2])
        return [runner.run(_within(size, _one(house, size, name))) for name in chosen]


async def _one(house: House, size: Size, name: str) -> Run:
    if name in PAIRS:
        return await PAIRS[name](house, size)
    house.start(MEMBERS)
    return await CROWDS[name](house, size)
