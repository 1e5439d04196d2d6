"""Everybody writes to everybody: each message to one peer that is drawn by chance, the same in every run."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from typing import Final

from bench import figures
from bench.figures import Run
from bench.house import House, Meter
from bench.letters import Letters
from bench.pouring import Load, cursors, pour, require_once, warm_up
from bench.works import named

SEED: Final = "valija mesh"
WINDOW: Final = 64
BATCH: Final = 16


async def mesh(house: House, members: Sequence[str], count: int) -> Run:
    """About `count` messages, as many from each member; at most `WINDOW` of each without a receipt."""
    work, each = f"mesh_{len(members)}", -(-count // len(members))
    async with house.systems(members) as systems:
        before, name = await cursors(systems), named("mesh")
        firsts = await asyncio.gather(
            *(
                warm_up(systems[member], _to_each(f"{name}w{member}", members, member), len(members) - 1)
                for member in members
            )
        )
        writers = {member: _by_chance(f"{name}m{member}", members, member) for member in members}
        meter, began = Meter(house), time.perf_counter()
        load = Load(each, WINDOW, BATCH)
        poured = await asyncio.gather(*(pour(systems[member], writers[member], load) for member in members))
        seconds = max(system.told.last_receipt_at for system in systems.values()) - began
        messages = each * len(members)
        shares = meter.shares({"nodes": members}, messages)
        peak = meter.hub_peak_mib
        await require_once(systems, before, *firsts, *poured)
        return figures.run(
            work,
            messages=messages,
            seconds=seconds,
            delays=[delay for sent in poured for delay in sent.delays(systems)],
            window=WINDOW,
            hub_peak_mib=peak,
            cpu_us_per_message=shares,
            nodes=len(members),
            batch=BATCH,
        )


def _to_each(name: str, members: Sequence[str], sender: str) -> Letters:
    peers = iter([(member,) for member in members if member != sender])
    return Letters(name, lambda: next(peers))


def _by_chance(name: str, members: Sequence[str], sender: str) -> Letters:
    draw = random.Random(f"{SEED} {sender}")
    peers = [(member,) for member in members if member != sender]
    return Letters(name, lambda: draw.choice(peers))
