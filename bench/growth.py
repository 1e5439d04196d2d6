"""What a message costs when much has passed already: the same work with 10^3, 10^5 and 10^6 queued and archived.

The archives are filled by real messages through the running daemons; the hub's queue by its store's own writes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench import filling, works
from bench.figures import Run
from bench.house import House
from bench.letters import Letters
from bench.members import MEMBERS, RECIPIENT, SENDER
from bench.pouring import Load, pour
from tests.support.association import found
from tests.support.processes import Daemons

MEASURED: Final = 6_000
# Daemons that were just started need more than a few messages until each costs what it always does.
WARM_UP: Final = 1_024
FILL_SECONDS: Final = 420.0
"""So long at most archives are filled for one level; a run says how much they held in the end."""

_STEP: Final = 20_000
_PAIR: Final = (SENDER, RECIPIENT)
_ABSENT: Final = MEMBERS[2:]


async def growth(folder: Path, levels: Sequence[int], measured: int = MEASURED) -> list[Run]:
    """A run at each level, the processor time of all daemons together as a ratio to the first."""
    association = found(folder / "association", MEMBERS)
    runs: list[Run] = []
    archived = queued = 0
    with Daemons(folder / "logs", ["node"]) as daemons:
        house = House(association, daemons)
        house.start(_PAIR)
        for level in levels:
            archived += await _archive(house, level - archived)
            _stop(house)
            queued += await asyncio.to_thread(
                filling.fill, association.hub_home.database, _ABSENT[0], _ABSENT, level - queued
            )
            began = time.perf_counter()
            await asyncio.to_thread(_start, house)
            started = time.perf_counter() - began
            run = await works.one_to_one(house, *_PAIR, measured, f"growth_{level}", WARM_UP)
            runs.append(_told(run, runs, queued=queued, archived=archived, start_s=round(started, 2)))
            archived += WARM_UP + measured
    return runs


async def _archive(house: House, count: int) -> int:
    """Send so many messages, as far as the time allows; how many arrived."""
    deadline, done = time.perf_counter() + FILL_SECONDS, 0
    async with house.systems(_PAIR) as systems:
        letters = Letters.to(works.named("fill"), [RECIPIENT])
        while done < count and time.perf_counter() < deadline:
            step = min(_STEP, count - done)
            await pour(systems[SENDER], letters, Load(step, works.WINDOW, works.BATCH))
            done += step
    return done


def _stop(house: House) -> None:
    for daemon in house.daemons.all:
        daemon.stop()


def _start(house: House) -> None:
    for daemon in reversed(house.daemons.all):
        daemon.start()
    house.start(_PAIR)


def _told(run: Run, before: Sequence[Run], **own: float) -> Run:
    spent = run["cpu_us_per_message"]
    cost = round(sum(spent[each] for each in ("hub", "sender", "recipients")), 1)
    first = before[0]["cost_us"] if before else cost
    return run | {"cost_us": cost, "cost_ratio": round(cost / first, 3), **own}
