"""What waits for an absent node: stored while it is away, drained when it comes back."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from bench import figures
from bench.client import CaseSystem
from bench.figures import Run
from bench.house import READY_SECONDS, House, Meter
from bench.letters import Letters
from bench.pouring import PATIENCE_SECONDS, Sent, cursors, require_once, warm_up
from bench.works import BATCH, named
from tests.support.processes import Daemon, NotReadyError

_LOOK_SECONDS: Final = 0.005
_READY: Final = 200


async def backlog(house: House, sender: str, recipient: str, count: int) -> Run:
    """`count` messages to a member whose node is stopped, then the node is started again."""
    absent = house.daemons.nodes[recipient]
    async with house.systems([sender, recipient]) as systems:
        letters = Letters.to(named("backlog"), [recipient])
        before = await cursors(systems)
        first = await warm_up(systems[sender], letters)
    absent.stop()
    async with house.system(sender) as system:
        meter, began, told = Meter(house), time.perf_counter(), system.told
        sent = await _store(system, letters, count)
        stored_seconds = told.last_relay_at - began
        stored_shares = meter.shares({"sender": [sender]}, count)
        delays = [told.relayed_at[identifier] - at for identifier, at in sent.began.items()]
        drained, began = Meter(house), await _back(absent)
        await system.until(lambda: told.receipts >= count, PATIENCE_SECONDS)
        drained_seconds = told.last_receipt_at - began
        shares = drained.shares({"sender": [sender], "recipient": [recipient]}, count)
        peaks = meter.hub_peak_mib, drained.hub_peak_mib
    async with house.system(recipient, listens=False) as there:
        await require_once({recipient: there}, before, first, sent)
    return figures.run(
        "backlog",
        messages=count,
        seconds=stored_seconds + drained_seconds,
        delays=delays,
        window=count,
        hub_peak_mib=max(peaks),
        stored_per_s=round(count / stored_seconds, 1),
        drained_per_s=round(count / drained_seconds, 1),
        cpu_us_per_message=shares,
        stored_cpu_us_per_message=stored_shares,
    )


async def _store(system: CaseSystem, letters: Letters, count: int) -> Sent:
    """Hand in one batch after the other, and return when the hub has accepted the last message."""
    sent = Sent()
    while len(sent.began) < count:
        size = min(BATCH, count - len(sent.began))
        body, recipients = letters.some(size)
        at = time.perf_counter()
        sent.note(await system.batch(body, size), recipients, at)
    await system.until(lambda: system.told.relays >= count, PATIENCE_SECONDS)
    return sent


async def _back(absent: Daemon) -> float:
    """Start the node; the last time at which it had no session yet, which is when the clock starts."""
    absent.start()
    deadline = time.perf_counter() + READY_SECONDS
    while (at := time.perf_counter()) < deadline:
        if await asyncio.to_thread(_has_session, absent):
            return at
        await asyncio.sleep(_LOOK_SECONDS)
    raise NotReadyError(f"{absent.name} has no session\n{absent.last_words()}")


def _has_session(daemon: Daemon) -> bool:
    try:
        return bool(daemon.get("/readyz")[0] == _READY)
    except OSError:
        return False  # it does not listen yet
