"""`python -m bench`: all works over real daemons, and the floor of this machine, in one run.

QUICK=1 takes under 45 seconds; JSON=1 prints one object on standard output; WORKS="one_to_one latency" chooses.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path

from bench import floor, machine, programme
from bench.client import BenchError
from bench.report import show
from tests.support.processes import NotReadyError


def wish(name: str) -> str:
    """A wish from the environment, empty if there is none or it is 0."""
    value = os.environ.get(name, "").strip()
    return "" if value == "0" else value


def main() -> int:
    """Measure, print, and 0; 1 with the reason if a run is void; 2 if there is no such work, or words besides."""
    if len(sys.argv) > 1:
        print(__doc__, file=sys.stderr)
        return 2
    size = programme.QUICK if wish("QUICK") else programme.FULL
    chosen = wish("WORKS").split() or list(size.works)
    if unknown := set(chosen) - set(programme.WORKS):
        print(f"no such work: {' '.join(sorted(unknown))}; there are {' '.join(programme.WORKS)}", file=sys.stderr)
        return 2
    floor_told = floor.measure(quick=bool(wish("QUICK")))
    with tempfile.TemporaryDirectory(prefix="valija-bench-", dir=machine.durable_folder()) as folder:
        told = machine.describe(Path(folder))
        try:
            runs = programme.measure(Path(folder), size, chosen)
        except (BenchError, NotReadyError, TimeoutError) as error:
            print(f"void: {str(error) or 'it took too long'}", file=sys.stderr)
            return 1
    report = {"runs": runs, "floor": floor_told, "machine": told}
    if wish("JSON"):
        print(json.dumps(report))
    else:
        show(report)
    return 0


if __name__ == "__main__":
    sys.exit(main())
