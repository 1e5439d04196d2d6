"""The works that are measured: each says what it does, and is void unless every message arrived exactly once.

Before a clock starts, a few messages have opened sessions, fetched calendars and made the first links.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

import msgspec

from bench.client import BenchError, CaseSystem
from bench.machine import cores
from tests.support.association import Association
from tests.support.processes import Daemon, Daemons

BODY_BYTES: Final = 1_024
WINDOW: Final = 4_096
BATCH: Final = 512
FAN_OUT_WINDOW: Final = 256
FAN_OUT_BATCH: Final = 64
PER_SECOND: Final = 20
WARM_UP_SECONDS: Final = 30.0
PATIENCE_SECONDS: Final = 120.0
_WORDS: Final = "Se remite el informe de la diligencia practicada en la causa y se solicita su agregacion al legajo. "

Run = dict[str, Any]


# -- messages ------------------------------------------------------------------------------------------
class Letters:
    """Numbered messages of 1 KiB to the same recipients; no two have the same key."""

    def __init__(self, name: str, to: Sequence[str]) -> None:
        self._name, self._to, self._written = name, list(to), 0

    def key(self) -> str:
        self._written += 1
        return f"{self._name}-{self._written}"

    def one(self, key: str | None = None) -> bytes:
        """The next message as the API takes it; with its own key where the batch form is meant."""
        given = self.key() if key is None else key
        asked: dict[str, Any] = {"to": self._to, "subject": f"Actuacion {given}", "body": _filled(given)}
        return msgspec.json.encode(asked if key else asked | {"idempotency_key": given})

    def some(self, count: int) -> list[bytes]:
        """The lines of a batch."""
        return [self.one() for _each in range(count)]


def _filled(start: str) -> str:
    return (f"{start} " + _WORDS * (BODY_BYTES // len(_WORDS) + 1))[:BODY_BYTES]


# -- the house -----------------------------------------------------------------------------------------
class House:
    """Running daemons of one association, and the case systems that speak to them."""

    def __init__(self, association: Association, daemons: Daemons) -> None:
        self.association, self.daemons = association, daemons
        self.hub: Daemon = daemons.hub(association)

    def start(self, members: Sequence[str]) -> None:
        """Return once these members' nodes have a session, besides those that had one."""
        for member in members:
            if member not in self.daemons.nodes:
                self.daemons.node(self.association, member)
        self.daemons.ready(PATIENCE_SECONDS)

    def processor_seconds(self) -> dict[str, float]:
        """What each process has used so far."""
        return {daemon.name: daemon.cpu_seconds() for daemon in self.daemons.all}

    @asynccontextmanager
    async def systems(self, members: Sequence[str]) -> AsyncIterator[dict[str, CaseSystem]]:
        """One case system at each of these members."""
        async with AsyncExitStack() as stack:
            found = {}
            for member in members:
                system = CaseSystem(member, self.daemons.apis[member], self.association.tokens[member])
                found[member] = await stack.enter_async_context(system)
            yield found


# -- works ---------------------------------------------------------------------------------------------
async def one_to_one(house: House, sender: str, recipient: str, count: int) -> Run:
    """Batches from one member to another, at most `WINDOW` messages without a receipt."""
    async with house.systems([sender, recipient]) as systems:
        return await _pour(house, systems, sender, [recipient], Load("one_to_one", count, WINDOW, BATCH))


async def fan_out(house: House, sender: str, recipients: Sequence[str], count: int) -> Run:
    """Batches from one member to all others; the window counts messages of which some recipient has not signed."""
    async with house.systems([sender, *recipients]) as systems:
        load = Load(f"fan_out_{len(recipients)}", count, FAN_OUT_WINDOW, FAN_OUT_BATCH)
        run = await _pour(house, systems, sender, recipients, load)
    return run | {"deliveries_per_s": round(run["messages_per_s"] * len(recipients), 1), "nodes": len(recipients) + 1}


class Load(msgspec.Struct, frozen=True):
    """How much is sent, how much of it may wait for receipts, and in what batches."""

    work: str
    count: int
    window: int
    batch: int


async def _pour(
    house: House, systems: Mapping[str, CaseSystem], sender: str, recipients: Sequence[str], load: Load
) -> Run:
    system, letters = systems[sender], Letters(f"{load.work}-{time.time_ns()}", recipients)
    before = {member: len(await systems[member].received()) for member in recipients}
    sent = await _warm_up(system, letters, len(recipients))
    house.hub.forget_peak()
    used = house.processor_seconds()
    began = time.perf_counter()
    started: dict[str, float] = {}
    done = system.told.receipts
    while len(started) < load.count:
        waiting = len(started) - (system.told.receipts - done) // len(recipients)
        if waiting + load.batch > load.window:
            await _news(system)
            continue
        at = time.perf_counter()
        started |= dict.fromkeys(await system.batch(letters.some(min(load.batch, load.count - len(started)))), at)
    wanted = done + load.count * len(recipients)
    await system.until(lambda: system.told.receipts >= wanted, PATIENCE_SECONDS)
    seconds = system.told.last_receipt_at - began
    spent = _shares(house, used, sender, recipients, load.count)
    arrived = [systems[member].told.arrived for member in recipients]
    await _require_once(systems, recipients, [*sent, *started], before)
    delays = sorted(each[identifier] - at for each in arrived for identifier, at in started.items())
    return {
        "work": load.work,
        "messages": load.count,
        "messages_per_s": round(load.count / seconds, 1),
        "p50_ms": _percentile(delays, 50),
        "p99_ms": _percentile(delays, 99),
        "hub_peak_rss_mib": round(house.hub.peak_rss_mib(), 1),
        "window": load.window,
        "cores": cores(),
        "seconds": round(seconds, 2),
        "cpu_us_per_message": spent,
    }


async def latency(house: House, sender: str, recipient: str, count: int) -> Run:
    """Single messages, `PER_SECOND`, whether earlier ones have arrived or not; from the call to the recipient's event."""
    async with house.systems([sender, recipient]) as systems:
        here, there = systems[sender], systems[recipient]
        letters = Letters(f"latency-{time.time_ns()}", [recipient])
        before = {recipient: len(await there.received())}
        sent = await _warm_up(here, letters, 1)
        house.hub.forget_peak()
        used = house.processor_seconds()
        began = time.perf_counter()
        calls = [asyncio.create_task(_call(here, letters, began + n / PER_SECOND)) for n in range(count)]
        started = dict([await call for call in calls])
        await there.until(lambda: started.keys() <= there.told.arrived.keys(), PATIENCE_SECONDS)
        seconds = max(there.told.arrived[identifier] for identifier in started) - began
        spent = _shares(house, used, sender, [recipient], count)
        delays = sorted(there.told.arrived[identifier] - at for identifier, at in started.items())
        await _require_once(systems, [recipient], [*sent, *started], before)
    return {
        "work": "latency",
        "messages": count,
        "messages_per_s": round(count / seconds, 1),
        "p50_ms": _percentile(delays, 50),
        "p99_ms": _percentile(delays, 99),
        "hub_peak_rss_mib": round(house.hub.peak_rss_mib(), 1),
        "window": None,
        "cores": cores(),
        "seconds": round(seconds, 2),
        "cpu_us_per_message": spent,
    }


async def _call(system: CaseSystem, letters: Letters, at: float) -> tuple[str, float]:
    await asyncio.sleep(at - time.perf_counter())
    key = letters.key()
    body = letters.one(key)
    began = time.perf_counter()
    return await system.send(body, key), began


# -- parts of them -------------------------------------------------------------------------------------
async def _warm_up(system: CaseSystem, letters: Letters, recipients: int) -> list[str]:
    before = system.told.receipts
    ids = await system.batch(letters.some(8))
    await system.until(lambda: system.told.receipts >= before + len(ids) * recipients, WARM_UP_SECONDS)
    return ids


async def _news(system: CaseSystem) -> None:
    seen = system.told.receipts
    await system.until(lambda: system.told.receipts > seen, PATIENCE_SECONDS)


async def _require_once(
    systems: Mapping[str, CaseSystem], recipients: Sequence[str], sent: Sequence[str], before: Mapping[str, int]
) -> None:
    for member in recipients:
        system = systems[member]
        await system.until(lambda system=system: len(system.told.arrived) >= len(sent), WARM_UP_SECONDS)
        held = (await system.received())[before[member] :]
        if len(held) != len(set(held)) or set(held) != set(sent) or system.told.twice:
            lost, twice = len(set(sent) - set(held)), len(held) - len(set(held)) + system.told.twice
            raise BenchError(f"{member}: {lost} lost, {twice} twice, {len(set(held) - set(sent))} unknown")


def _percentile(ordered: Sequence[float], percent: int) -> float:
    return round(1e3 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 2)


def _shares(
    house: House, before: Mapping[str, float], sender: str, recipients: Sequence[str], count: int
) -> dict[str, float]:
    spent = {name: seconds - before[name] for name, seconds in house.processor_seconds().items()}
    shares = {"hub": spent["hub"], "sender": spent[sender], "recipients": sum(spent[each] for each in recipients)}
    return {name: round(1e6 * seconds / count, 1) for name, seconds in shares.items()}
