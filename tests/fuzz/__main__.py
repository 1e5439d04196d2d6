"""`make fuzz`: every target under Atheris, two at a time, and a table of what came of it; exit status 1 for a finding.

SECONDS_EACH=… (600) for each target, TARGETS="codec session" for some of them.  Findings stand in `build/fuzz/<target>`
and are replayed by `python -m tests.fuzz.replay <target> <file>`; what a fixed one looked like belongs into `corpus`.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from tests.fuzz.targets import TARGETS

ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "fuzz"
AT_A_TIME: Final = 2
RSS_LIMIT_MIB: Final = 768
INPUT_SECONDS: Final = 20
MISSING: Final = (
    "make fuzz needs Atheris, which is published for CPython 3.11 to 3.14 on Linux x86-64 alone; "
    "`pytest tests/fuzz` walks the same targets without it"
)


@dataclass(frozen=True)
class Run:
    """What a target's run told."""

    name: str
    status: int
    executions: int
    features: int
    peak_mib: int
    inputs: int
    findings: tuple[Path, ...]


def fuzz(name: str, seconds: int) -> Run:
    """Run one target for so long."""
    folder = BUILD / name
    (folder / "inputs").mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*-*"):
        old.unlink()
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={INPUT_SECONDS}",
        f"-rss_limit_mb={RSS_LIMIT_MIB}",
        f"-artifact_prefix={folder}/",
        "-print_final_stats=1",
        "-use_value_profile=1",
    ]
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(folder / "inputs"), *options]
    with (folder / "log").open("w+") as log:
        status = subprocess.run(command, cwd=ROOT, stdout=log, stderr=log, check=False).returncode
        log.seek(0)
        told = log.read()
    findings = tuple(sorted(folder.glob("*-*")))
    return Run(
        name,
        status,
        _last(r"number_of_executed_units: (\d+)", told) or _last(r"#(\d+)\s", told),
        _last(r" ft: (\d+)", told),
        _last(r"peak_rss_mb: (\d+)", told) or _last(r" rss: (\d+)Mb", told),
        len(list((folder / "inputs").iterdir())),
        findings,
    )


def _last(pattern: str, told: str) -> int:
    found = re.findall(pattern, told)
    return int(found[-1]) if found else 0


def main() -> int:
    """Run what the environment asks for."""
    if find_spec("atheris") is None:
        print(MISSING, file=sys.stderr)
        return 2
    seconds = int(os.environ.get("SECONDS_EACH", "600"))
    names = os.environ.get("TARGETS", "").split() or list(TARGETS)
    if unknown := set(names) - TARGETS.keys():
        print(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    print(f"{'target':<13} {'inputs tried':>12} {'a second':>9} {'features':>9} {'kept':>6} {'peak MiB':>9}  found")
    failed = False
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        for run in pool.map(lambda name: fuzz(name, seconds), names):
            failed |= bool(run.status or run.findings)
            found = ", ".join(str(each.relative_to(ROOT)) for each in run.findings) or ("-" if not run.status else "?")
            rate = run.executions // max(seconds, 1)
            print(
                f"{run.name:<13} {run.executions:>12,} {rate:>9,} {run.features:>9,} {run.inputs:>6,} {run.peak_mib:>9}  {found}",
                flush=True,
            )
            if run.status and not run.findings:
                print(f"  it ended with status {run.status}: see build/fuzz/{run.name}/log", flush=True)
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
