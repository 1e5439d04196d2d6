"""The works between two members, and from one to many: each is void unless every message arrived exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Final

from bench import figures
from bench.client import BenchError, CaseSystem
from bench.figures import Run
from bench.house import House, Meter
from bench.letters import Letters
from bench.pouring import PATIENCE_SECONDS, WARM_UP, Load, Sent, cursors, pour, require_once, warm_up

WINDOW: Final = 4_096
BATCH: Final = 512
FAN_OUT_WINDOW: Final = 256
FAN_OUT_BATCH: Final = 64
PER_SECOND: Final = 20
SEARCH_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1


def named(work: str) -> str:
    """A word that no message of an earlier run holds."""
    return f"{work.replace('_', '')}t{time.time_ns():x}"


# -- loaded ----------------------------------------------------------------------------------------------
async def one_to_one(
    house: House, sender: str, recipient: str, count: int, work: str = "one_to_one", warm: int = WARM_UP
) -> Run:
    """Batches from one member to another, at most `WINDOW` messages without a receipt; the first `warm` do not count."""
    async with house.systems([sender, recipient]) as systems:
        letters = Letters.to(named(work), [recipient])
        return await _poured(house, systems, sender, letters, Load(count, WINDOW, BATCH), work, warm, is_searched=True)


async def fan_out(house: House, sender: str, recipients: Sequence[str], count: int) -> Run:
    """Batches from one member to all others; the window counts messages of which some recipient has not signed."""
    work = f"fan_out_{len(recipients)}"
    async with house.systems([sender, *recipients]) as systems:
        letters = Letters.to(named(work), recipients)
        load = Load(count, FAN_OUT_WINDOW, FAN_OUT_BATCH)
        run = await _poured(house, systems, sender, letters, load, work)
    return run | {"deliveries_per_s": round(run["messages_per_s"] * len(recipients), 1), "nodes": len(recipients) + 1}


async def _poured(
    house: House,
    systems: Mapping[str, CaseSystem],
    sender: str,
    letters: Letters,
    load: Load,
    work: str,
    warm: int = WARM_UP,
    *,
    is_searched: bool = False,
) -> Run:
    system, recipients = systems[sender], [member for member in systems if member != sender]
    before = await cursors(systems)
    first = await warm_up(system, letters, warm)
    meter, began = Meter(house), time.perf_counter()
    sent = await pour(system, letters, load)
    seconds = system.told.last_receipt_at - began
    shares = meter.shares({"sender": [sender], "recipients": recipients}, load.count)
    peak = meter.hub_peak_mib
    # Before everything is read back, which would hold up the index.
    lag = {}
    if is_searched:
        lag["search_lag_s"] = await _search_lag(systems, sent, letters.last_key, system.told.last_receipt_at)
    await require_once(systems, before, first, sent)
    run = figures.run(
        work,
        messages=load.count,
        seconds=seconds,
        delays=sent.delays(systems),
        window=load.window,
        hub_peak_mib=peak,
        cpu_us_per_message=shares,
    )
    return run | lag


async def _search_lag(systems: Mapping[str, CaseSystem], sent: Sent, word: str, since: float) -> float:
    """Seconds from the last receipt until both nodes find the last message and their indexes are behind nothing."""
    last, deadline = sent.last, since + SEARCH_SECONDS
    for member, system in systems.items():
        while await system.search(word) != ([last], 0):
            if time.perf_counter() > deadline:
                raise BenchError(f"{member}: the search index is behind after {SEARCH_SECONDS:.0f} s")
            await asyncio.sleep(_LOOK_SECONDS)
    return round(time.perf_counter() - since, 2)


# -- unhurried -------------------------------------------------------------------------------------------
async def latency(house: House, sender: str, recipient: str, count: int) -> Run:
    """Single messages, `PER_SECOND`, whether earlier ones have arrived or not; from the call to the recipient's event."""
    async with house.systems([sender, recipient]) as systems:
        here, there = systems[sender], systems[recipient]
        letters = Letters.to(named("latency"), [recipient])
        before = await cursors(systems)
        first, sent = await warm_up(here, letters), Sent()
        meter, began = Meter(house), time.perf_counter()
        calls = [asyncio.create_task(_call(here, letters, began + n / PER_SECOND, sent)) for n in range(count)]
        await asyncio.gather(*calls)
        await there.until(lambda: sent.began.keys() <= there.told.arrived.keys(), PATIENCE_SECONDS)
        seconds = max(there.told.arrived[identifier] for identifier in sent.began) - began
        shares = meter.shares({"sender": [sender], "recipients": [recipient]}, count)
        peak = meter.hub_peak_mib
        await require_once(systems, before, first, sent)
        return figures.run(
            "latency",
            messages=count,
            seconds=seconds,
            delays=sent.delays(systems),
            window=None,
            hub_peak_mib=peak,
            cpu_us_per_message=shares,
        )


async def _call(system: CaseSystem, letters: Letters, at: float, sent: Sent) -> None:
    await asyncio.sleep(at - time.perf_counter())
    key = letters.key()
    body, recipients = letters.one(key)
    began = time.perf_counter()
    sent.note([await system.send(body, key)], [recipients], began)
