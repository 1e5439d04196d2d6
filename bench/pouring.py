"""Handing in as fast as receipts come, and the proof afterwards that every message arrived exactly once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.client import BenchError, CaseSystem
from bench.letters import Letters

PATIENCE_SECONDS: Final = 180.0
WARM_UP_SECONDS: Final = 60.0
WARM_UP: Final = 8


@dataclass(frozen=True, slots=True)
class Load:
    """How much one sender hands in, how much of it may wait for receipts, and in what batches."""

    count: int
    window: int
    batch: int


@dataclass(slots=True)
class Sent:
    """What was handed in: when its call began, and to whom it goes, by message id; and which was written last."""

    last: str = ""
    began: dict[str, float] = field(default_factory=dict)
    to: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def note(self, ids: Sequence[str], recipients: Sequence[tuple[str, ...]], at: float) -> None:
        """These were handed in by a call that began at this time."""
        self.began.update(dict.fromkeys(ids, at))
        self.to.update(zip(ids, recipients, strict=True))

    def expected(self) -> dict[str, set[str]]:
        """The ids that each recipient must hold."""
        held: dict[str, set[str]] = {}
        for identifier, recipients in self.to.items():
            for member in recipients:
                held.setdefault(member, set()).add(identifier)
        return held

    def delays(self, systems: Mapping[str, CaseSystem]) -> list[float]:
        """Seconds from each call until each recipient's stream told of the message."""
        arrived = {member: systems[member].told.arrived for members in set(self.to.values()) for member in members}
        return [arrived[each][identifier] - at for identifier, at in self.began.items() for each in self.to[identifier]]


async def pour(system: CaseSystem, letters: Letters, load: Load) -> Sent:
    """Hand in whenever the window has room for a batch, and return when every recipient of every message has signed."""
    pouring = _Pouring(system, letters, load)
    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(load.window // load.batch):
                group.create_task(pouring.run())
    except* BenchError as refused:
        raise refused.exceptions[0] from None
    await system.until(lambda: pouring.signed >= pouring.wanted, PATIENCE_SECONDS)
    return pouring.sent


class _Pouring:
    """What the connections of one sender share: what is handed in, and what was signed for."""

    def __init__(self, system: CaseSystem, letters: Letters, load: Load) -> None:
        self.sent = Sent()
        # Messages, not signatures, are counted: one to many counts until the last of them signed.
        self.wanted = 0
        self._system, self._letters, self._load = system, letters, load
        self._before, self._handed = system.told.receipts, 0

    @property
    def signed(self) -> int:
        """Signatures of recipients since this began."""
        return self._system.told.receipts - self._before

    @property
    def _unsigned(self) -> int:
        return self._handed - (self.signed * self._handed // self.wanted if self.wanted else 0)

    async def run(self) -> None:
        """One connection: a batch whenever the window has room for it."""
        while (left := self._load.count - self._handed) > 0:
            size = min(self._load.batch, left)
            if self._unsigned + size > self._load.window:
                await self._news()
                continue
            body, recipients = self._letters.some(size)
            self._handed += size
            self.wanted += sum(map(len, recipients))
            is_last, at = self._handed == self._load.count, time.perf_counter()
            ids = await self._system.batch(body, size)
            self.sent.note(ids, recipients, at)
            if is_last:
                self.sent.last = ids[-1]

    async def _news(self) -> None:
        seen = self.signed
        await self._system.until(lambda: self.signed > seen, PATIENCE_SECONDS)


async def warm_up(system: CaseSystem, letters: Letters, count: int = WARM_UP) -> Sent:
    """A few messages that open the way before a clock starts: calendars, first links."""
    return await asyncio.wait_for(pour(system, letters, Load(count, count, count)), WARM_UP_SECONDS)


# -- exactly once ----------------------------------------------------------------------------------------
async def cursors(systems: Mapping[str, CaseSystem]) -> dict[str, str]:
    """Where every inbox ends now."""
    return {member: await system.cursor() for member, system in systems.items()}


async def require_once(systems: Mapping[str, CaseSystem], before: Mapping[str, str], *sent: Sent) -> None:
    """`BenchError` unless behind these cursors every inbox holds what was sent to it, once, and nothing else."""
    expected: dict[str, set[str]] = {}
    for each in sent:
        for member, ids in each.expected().items():
            expected.setdefault(member, set()).update(ids)
    for member, system in systems.items():
        await _told_of(system, expected.get(member, set()))
        judge(member, await system.received(before[member]), expected.get(member, set()), system.told.twice)


async def _told_of(system: CaseSystem, expected: set[str]) -> None:
    # The last receipt may overtake the recipient's own stream.
    if system.listens:
        await system.until(lambda: expected <= system.told.arrived.keys(), WARM_UP_SECONDS)


def judge(member: str, held: Sequence[str], expected: set[str], told_twice: int) -> None:
    """`BenchError` if this inbox lacks something, holds it twice or something else, or its stream told twice of one."""
    found = set(held)
    twice = len(held) - len(found) + told_twice
    if found != expected or twice:
        raise BenchError(f"{member}: {len(expected - found)} lost, {twice} twice, {len(found - expected)} unknown")
