"""`python -m bench`: all works over real daemons, and the floor of this machine, in one run.

QUICK=1 takes under 45 seconds; JSON=1 prints one object on standard output; WORKS="one_to_one latency" chooses.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import uvloop

from bench import floor, machine, works
from bench.client import BenchError
from bench.report import show
from bench.works import House, Run
from tests.support.association import found
from tests.support.processes import Daemons, NotReadyError

LIMIT_SECONDS: Final = 600
QUICK_SECONDS: Final = 120
SENDER, RECIPIENT = "ar-mpf", "br-mpf"


@dataclass(frozen=True)
class Size:
    """How much of each work is measured, and to how many nodes the fan-out goes."""

    one_to_one: int
    latency: int
    fan_out: int
    recipients: int


FULL: Final = Size(60_000, 1_200, 4_000, 21)
QUICK: Final = Size(8_000, 100, 256, 21)


def wish(name: str) -> str:
    """A wish from the environment, empty if there is none or it is 0."""
    value = os.environ.get(name, "").strip()
    return "" if value == "0" else value


def main() -> int:
    """Measure, print, and 0; 1 with the reason if a run is void."""
    size, limit = (QUICK, QUICK_SECONDS) if wish("QUICK") else (FULL, LIMIT_SECONDS)
    chosen = wish("WORKS").split() or ["one_to_one", "latency", "fan_out"]
    floor_told = floor.measure(quick=bool(wish("QUICK")))
    with tempfile.TemporaryDirectory(prefix="valija-bench-", dir=machine.durable_folder()) as folder:
        told = machine.describe(Path(folder))
        try:
            runs = measure(Path(folder), size, chosen, limit)
        except (BenchError, NotReadyError, TimeoutError) as error:
            print(f"void: {str(error) or 'it took too long'}", file=sys.stderr)
            return 1
    report = {"runs": runs, "floor": floor_told, "machine": told}
    if wish("JSON"):
        print(json.dumps(report))
    else:
        show(report)
    return 0


def measure(folder: Path, size: Size, chosen: list[str], limit: int) -> list[Run]:
    """The works in `chosen` one after the other over one association, within `limit` seconds."""
    others = [RECIPIENT, *(f"member-{number:02}" for number in range(2, size.recipients + 1))]
    members = [SENDER, *(others if "fan_out" in chosen else others[:1])]
    association = found(folder / "association", members)

    async def all_of() -> list[Run]:
        async with asyncio.timeout(limit):
            return [await work(house) for name, work in _works(size, others).items() if name in chosen]

    with Daemons(folder / "logs", ["node"]) as daemons, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        house = House(association, daemons)
        house.start(members[:2])
        return runner.run(all_of())


def _works(size: Size, others: list[str]) -> dict[str, Callable[[House], Coroutine[Any, Any, Run]]]:
    async def fan_out(house: House) -> Run:
        house.start([SENDER, *others])
        return await works.fan_out(house, SENDER, others, size.fan_out)

    return {
        "one_to_one": lambda house: works.one_to_one(house, SENDER, RECIPIENT, size.one_to_one),
        "latency": lambda house: works.latency(house, SENDER, RECIPIENT, size.latency),
        "fan_out": fan_out,
    }


if __name__ == "__main__":
    sys.exit(main())
