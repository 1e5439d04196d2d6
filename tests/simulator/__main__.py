"""python -m tests.simulator SEEDS [--first N] [--jobs 2] [--real] [--table]      as many seeds, and what they came to
python -m tests.simulator --replay SEED [--real]                                 one seed, with its trace
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from multiprocessing import Pool
from pathlib import Path

from tests.simulator.faults import FAULTS
from tests.simulator.noticing import LEFT_OUT
from tests.simulator.states import COLUMNS, cannot_be
from tests.simulator.story import Outcome, tell

_TOLD = 12


def replay_command(seed: int, *, real: bool = False) -> str:
    """What to type to see this seed again."""
    here, program = Path.cwd(), Path(sys.executable)
    shown = program.relative_to(here) if program.is_relative_to(here) else program
    return f"{shown} -m tests.simulator --replay {seed}{' --real' * real}"


def soak(first: int, seeds: int, jobs: int, *, real: bool = False) -> Iterator[Outcome]:
    """The outcome of each seed, as they end; `real` with the real signatures and HPKE."""
    with Pool(jobs, _uncollected) as pool:
        yield from pool.imap_unordered(partial(_quietly, real=real), range(first, first + seeds), chunksize=8)


def _uncollected() -> None:
    # Looking for cycles takes a sixth of the time; a look now and then is enough.
    gc.disable()


def _quietly(seed: int, *, real: bool) -> Outcome:
    outcome = tell(seed, real=real)
    outcome.lines = []
    if seed % 64 == 0:
        gc.collect()
    return outcome


def table(struck: Counter[tuple[str, str]]) -> str:
    """How often each fault struck in each state, and the cells in which none did."""
    rows = [f"{'':34}" + " ".join(f"{column[2:][:7]:>7}" for column in COLUMNS)]
    rows += [f"{name:34}" + " ".join(f"{struck[name, column]:7}" for column in COLUMNS) for name in sorted(FAULTS)]
    cells = [(name, column) for name in sorted(FAULTS) for column in COLUMNS if not struck[name, column]]
    never = [cell for cell in cells if cannot_be(*cell)]
    empty = [f"  {name} x {column}" for name, column in cells if (name, column) not in never]
    told = f"empty cells: {len(empty)} of {len(FAULTS) * len(COLUMNS)}; {len(never)} more cannot be"
    return "\n".join([*rows, told, *empty])


def main() -> int:
    """Run what was asked for; 1 if a seed broke an invariant."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__)
    parser.add_argument("seeds", nargs="?", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--real", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument("--replay", type=int)
    asked = parser.parse_args()
    if asked.replay is not None:
        tell(asked.replay, real=asked.real, show=print)
        return 0
    began, struck, met, longest, broken = time.monotonic(), Counter[tuple[str, str]](), Counter[str](), 0.0, 0
    for outcome in soak(asked.first, asked.seeds, asked.jobs, real=asked.real):
        struck.update(outcome.struck)
        met.update(outcome.met)
        longest = max(longest, outcome.settled_after)
        if outcome.broken:
            broken += 1
            print(
                f"seed {outcome.seed}: {outcome.broken}\n    {replay_command(outcome.seed, real=asked.real)}",
                flush=True,
            )
    faults = sum(count for (_fault, column), count in struck.items() if column.startswith("m:"))
    print(f"{asked.seeds} seeds in {time.monotonic() - began:.0f} s, {faults} faults, {broken} broken; ")
    print(f"the longest took {longest / 3_600:.1f} hours of virtual time to settle after everything was mended")
    if asked.table:
        print(table(struck))
        print("seeds with what the model leaves out: " + ", ".join(f"{what} {met[what]}" for what in LEFT_OUT))
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
