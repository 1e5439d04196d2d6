"""Calls those on duty while something urgent is unopened at their desk.

It looks every few seconds at what waits, which is a handful of rows, and calls what is due at once, each address apart
from the others.  What was called stands in the archive before the next look, so that a restart neither forgets nor
begins anew; who is killed between the call and its record calls once more, under the same id.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, Protocol

from structlog.typing import FilteringBoundLogger

from node.i18n import Speech, speech
from node.nudging import plan
from node.nudging.mail import NotToldError
from node.nudging.settings import Nudges, Rule, rule
from node.nudging.words import Call
from node.service import Service
from node.store import Transaction
from node.tables import state
from node.tables import urgent as table
from node.tables.urgent import Nudging, Step, Waiting

REST_SECONDS: Final = 15.0
UNOPENED: Final = "urgent_unopened"
NOT_CALLED: Final = "nudge_failed"
_ALARM_AFTER: Final = 3


class Channels(Protocol):
    """The ways to those who are called."""

    async def tell(self, call: Call, speech: Speech, now: int) -> None:
        """Return once the call went through; else `NotToldError`."""
        ...


@dataclass(frozen=True, slots=True)
class _Due:
    waiting: Waiting
    step: Step
    rule: Rule
    known: Nudging | None


class Nudger:
    """Calls what is due; used on the loop's thread."""

    def __init__(
        self,
        service: Service,
        nudges: Nudges,
        channels: Channels,
        open_at: str,
        zone: str,
        log: FilteringBoundLogger,
    ) -> None:
        """Nobody is called until `run`.  `open_at` is where the messages are opened, times are told in `zone`."""
        self._service, self._nudges, self._channels = service, nudges, channels
        self._open_at, self._zone, self._log = open_at, zone, log
        self._news = asyncio.Event()
        self.looks = 0

    def notify(self) -> None:
        """Look now."""
        self._news.set()

    async def run(self) -> None:
        """Call what is due, until cancelled; raises `StoreError`."""
        while True:
            self._news.clear()
            await self.look()
            with suppress(TimeoutError):
                async with asyncio.timeout(REST_SECONDS):
                    await self._news.wait()

    async def look(self) -> None:
        """Call what is due now."""
        first, now = self._service.writer.desk, int(self._service.now())
        waiting, known = await self._service.read(lambda tx: (table.waiting(tx, first), table.nudging(tx)))
        quiet = {each.desk for each in known} - {each.desk for each in waiting}
        if quiet:
            await self._service.write(lambda tx: table.forget(tx, quiet))
        due = [each for desk in waiting for each in self._due(desk, known, now)]
        await asyncio.gather(*(self._call(each, now) for each in due))
        self.looks += 1

    async def try_out(self, desk: str) -> dict[Step, str | None]:
        """A trial call to each address of the desk: why it did not go through, None where it did.

        Raises `UnknownDeskError`.
        """
        holds, now = rule(self._nudges, self._service.desks.require(desk)), int(self._service.now())
        writer = self._service.writer
        member = f"{writer.member}@{writer.association}"
        steps = [step for step in Step if plan.address(holds, step)]
        calls = [Call(desk, member, step, holds, 0, 0, now, 0, self._open_at) for step in steps]
        outcomes = await asyncio.gather(*(self._tell(call, now) for call in calls))
        return dict(zip(steps, outcomes, strict=True))

    def _due(self, waiting: Waiting, known: list[Nudging], now: int) -> list[_Due]:
        holds = rule(self._nudges, waiting.desk)
        told = {each.step: each for each in known if each.desk == waiting.desk}
        due: list[_Due] = []
        for step in Step:
            at = plan.due_at(waiting, holds, told, step, now)
            if at is not None and at <= now:
                due.append(_Due(waiting, step, holds, told.get(step)))
        return due

    async def _call(self, due: _Due, now: int) -> None:
        desk, step, first = due.waiting.desk, due.step, self._service.writer.desk
        upto = now - due.rule.escalate_seconds

        def begin(tx: Transaction) -> tuple[int, int, int]:
            table.tried(tx, desk, first, step, now, upto)
            return table.told_before(tx, desk, first, now if step is Step.DUTY else upto)

        counts = await self._service.write(begin)
        if not counts[0]:
            return
        number = (due.known.count if due.known else 0) + 1
        outcome = await self._tell(self._worded(due, counts, number), now)
        await self._service.write(lambda tx: self._settle(tx, due, outcome))
        if outcome is None:
            self._log.info("nudged", desk=desk, step=step.value, count=counts[0])
        else:
            self._log.warning("nudge_failed", desk=desk, step=step.value, why=outcome)

    def _worded(self, due: _Due, counts: tuple[int, int, int], number: int) -> Call:
        writer = self._service.writer
        member = f"{writer.member}@{writer.association}"
        return Call(due.waiting.desk, member, due.step, due.rule, *counts, number, self._open_at)

    async def _tell(self, call: Call, now: int) -> str | None:
        """Why the call did not go through, None if it did."""
        try:
            await self._channels.tell(call, speech(call.rule.language, self._zone), now)
        except NotToldError as error:
            return str(error)
        return None

    def _settle(self, tx: Transaction, due: _Due, outcome: str | None) -> None:
        desk, now = due.waiting.desk, int(self._service.now())
        name = state.NUDGES_SENT if outcome is None else state.NUDGES_FAILED
        state.put(tx, name, int(state.get(tx, name) or 0) + 1)
        if outcome is None:
            table.sent(tx, desk, due.step, now)
        else:
            attempts = due.known.attempts if due.known else 0
            table.failed(tx, desk, due.step, now, now + plan.retry_after(due.rule, attempts), outcome)
            if attempts + 1 >= _ALARM_AFTER:
                state.alarm(tx, now, NOT_CALLED, f"desk {desk}, {due.step}: {outcome}")
        if due.step is Step.ESCALATION:
            state.alarm(tx, now, UNOPENED, f"desk {desk}")


async def keep(nudger: Nudger, failed: Callable[[Exception], None]) -> None:
    """Run it; whatever ends it for good is told to `failed`, which ends the node."""
    try:
        await nudger.run()
    except Exception as error:  # noqa: BLE001 - a store that fails, or a fault of ours, ends the node
        failed(error)
