"""An hour, or as long as you like, under all faults at once: `make soak MINUTES=60`.

A hub and four nodes as processes of their own, over TLS, two of them in networks of their own; authors and readers who
keep journals; a fault every few seconds.  Then everything heals, all that is under way must end, and the checker says what became of it.  Exit status
1 for anything lost, duplicated, out of order without a mark, unverifiable, strange, or stuck; then everything is kept.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.apart import apart
from tests.faults.ground import Ground, NotSettledError, table
from tests.faults.mischief import FAULTS, NETWORKS, Fault, Mischief
from tests.faults.trapped import Prelude

MEMBERS: Final = ("ar-mpf", "br-mpf", "co-fgn", "es-fge")
APART: Final = MEMBERS[:2]
_MINUTE: Final = 60.0
_SETTLE_SECONDS: Final = 600.0
_CALM_SECONDS: Final = 30.0
_DISK_BYTES: Final = 2 << 30
_WAITS: Final = 5.0
_REFILL_SECONDS: Final = 45
"""More than a node waits and a line is cut: a hub that goes on before the only one who holds a leaf is back has forked."""
CALM: Final = 0.4


class UnsoundError(Exception):
    """The checker found something."""


@dataclass(frozen=True)
class Plan:
    """What to do: for how long, how many messages a second, how many seconds between faults, drawn from which seed."""

    minutes: float
    rate: float
    every: float
    seed: int
    faults: Mapping[str, tuple[int, Fault]]

    @classmethod
    def of_environment(cls) -> Plan:
        """MINUTES (10), RATE (20 messages/s of all together), EVERY (3 s between faults), SEED (drawn), ONLY (all).

        ONLY names faults, with commas between them, or beginnings of their names.
        """

        def number(name: str, default: float) -> float:
            return float(os.environ.get(name) or default)

        seed = int(os.environ.get("SEED") or 0) or int.from_bytes(os.urandom(4), "big")
        wanted = tuple(filter(None, os.environ.get("ONLY", "").split(",")))
        faults = {name: fault for name, fault in FAULTS.items() if not wanted or name.startswith(wanted)}
        return cls(number("MINUTES", 10), number("RATE", 20), number("EVERY", 3), seed, faults)


def main() -> int:
    """Run as the environment says."""
    plan = Plan.of_environment()
    folder = Path(tempfile.mkdtemp(prefix="valija-soak-"))
    _say(f"soak: {plan.minutes:g} minutes, {plan.rate:g} messages/s, seed {plan.seed}, in {folder}")
    status = 1
    try:
        status = run(plan, folder)
    except UnsoundError:
        _say("NOT SOUND")
    except (NotSettledError, AssertionError, OSError) as error:
        traceback.print_exception(error)
        _say(f"FAILED: {error}")
    finally:
        if status:
            _say(f"journals, logs and homes are kept in {folder}")
        else:
            shutil.rmtree(folder)
    return status


def run(plan: Plan, folder: Path) -> int:
    """Suffer, heal, judge; the exit status."""
    with (
        apart(APART) as networks,
        Ground(
            folder,
            MEMBERS,
            rate=plan.rate,
            seed=plan.seed,
            prelude=Prelude(waits=_WAITS),
            refill_seconds=_REFILL_SECONDS,
            disk_bytes=_DISK_BYTES,
            disks_sync=True,
            networks=networks,
        ) as ground,
    ):
        ground.start()
        mischief = Mischief(ground, plan.seed)
        try:
            _suffer(plan, ground, mischief)
            _say("healing")
            verdict = ground.settle(_SETTLE_SECONDS, _say)
        finally:
            (folder / "faults.txt").write_text("\n".join(mischief.diary) + "\n")
            _say(f"faults suffered: {mischief.suffered.total()}\n{table(mischief.suffered)}")
            _say(f"processes that ended by themselves: {len(ground.deaths)} {sorted({d.code for d in ground.deaths})}")
        _say(str(verdict))
        if not verdict.is_sound:
            # Within the block: the homes are on disks of their own, which end with it.
            raise UnsoundError
    _say("sound")
    return 0


def _suffer(plan: Plan, ground: Ground, mischief: Mischief) -> None:
    began = told = time.monotonic()
    faults = {name: fault for name, fault in plan.faults.items() if ground.networks or not name.startswith(NETWORKS)}
    ground.traffic.start()
    while time.monotonic() < began + plan.minutes * _MINUTE:
        mischief.once(faults)
        mischief.pause(0, 2 * plan.every)
        if mischief.random.random() < CALM:
            # Faults alone would keep everybody waiting for the hub: now and then the exchange runs at its load.
            ground.recovers(_CALM_SECONDS)
        if ground.traffic.clock.errors:
            return
        if time.monotonic() >= told + _MINUTE:
            told = time.monotonic()
            _progress(began, ground, mischief)


def _progress(began: float, ground: Ground, mischief: Mischief) -> None:
    clock = ground.traffic.clock
    _say(
        f"{(time.monotonic() - began) / _MINUTE:5.1f} min: {clock.acknowledged} acknowledged, {clock.handed} handed over, "
        f"{mischief.suffered.total()} faults, {len(ground.deaths)} ended by themselves"
    )


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
