"""`make mutants`: every mutant of the table, each in a copy of the tree, and which test killed it.

A copy holds what stands in the work tree now, and all killers pass on it before any mutant is judged: else they would
kill whatever they meet.  Then those that the table names run, until the first that fails; a mutant that they all let
live has survived, whoever else might notice.  Exit status 1 for a survivor; 2 for a mutant that applies no longer, and
for killers that fail by themselves or are not run at all.  MUTANTS="name name…" for some of them, JOBS=… (2) copies at once.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from tempfile import TemporaryDirectory
from typing import Final

from tests.mutants.mutant import ROOT, Mutant
from tests.mutants.table import MUTANTS

LIMIT_SECONDS: Final = 180
BASELINE_SECONDS: Final = 1_800
FAILED: Final = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.MULTILINE)
PYTEST: Final = ("-m", "pytest", "-x", "-q", "--no-header", "--tb=no", "-p", "no:randomly", "-p", "no:cacheprovider")


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: `killer` is empty for a survivor, and `broken` says why nothing was learnt of it."""

    mutant: Mutant
    killer: str
    broken: str
    seconds: float

    @property
    def line(self) -> str:
        """One row of the table."""
        noticed = self.broken or self.killer or "SURVIVED"
        return f"{self.mutant.name:<26} {self.mutant.rule:<62} {noticed:<100} {self.seconds:>6.1f}"


class BrokenError(Exception):
    """Pytest said nothing of what it was asked."""


def copied(folder: Path) -> Path:
    """The tree as it stands, without what is ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    return folder


@contextmanager
def mutated(tree: Path, mutant: Mutant) -> Iterator[None]:
    """The copy with this mutant, and as it was afterwards."""
    path = tree / mutant.file
    source = path.read_text(encoding="utf-8")
    path.write_text(mutant.applied(source), encoding="utf-8")
    try:
        yield
    finally:
        path.write_text(source, encoding="utf-8")


def judge(tree: Path, mutant: Mutant) -> Verdict:
    """Run the mutant's killers until one notices."""
    started, killer, broken = time.monotonic(), "", ""
    try:
        with mutated(tree, mutant):
            killer = _failing(tree, mutant.killers)
    except (ValueError, BrokenError) as error:
        broken = f"BROKEN: {error}"
    return Verdict(mutant, killer, broken, time.monotonic() - started)


def _failing(tree: Path, suites: Sequence[str], limit_seconds: int = LIMIT_SECONDS) -> str:
    """The first test of these that fails; empty if all pass.  Raises `BrokenError` where none was run to its end."""
    # No stale bytecode: a mutant may be of the same size and second as what it replaced.
    environment = os.environ | {
        "PYTHONPATH": str(tree),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HYPOTHESIS_PROFILE": "default",
    }
    command = [sys.executable, *PYTEST, "--hypothesis-seed=0", *suites]
    with subprocess.Popen(
        command, cwd=tree, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    ) as process:
        try:
            told = process.communicate(timeout=limit_seconds)[0].decode("utf-8", "replace")
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.communicate()
            return f"hangs: {' '.join(suites)}"
    if process.returncode == 0:
        return ""
    found = FAILED.findall(told)
    # Exit status 1 means that tests failed, 2 that one could not be imported; anything else says nothing of the mutant.
    if not found or process.returncode not in {1, 2}:
        raise BrokenError(f"pytest ended with {process.returncode}: {told[-200:]!r}")
    return str(found[0])


def check_killers(trees: Sequence[Path], mutants: Sequence[Mutant]) -> None:
    """Return if all killers pass while there is no mutant; else `SystemExit`."""
    killers = sorted({killer for mutant in mutants for killer in mutant.killers})
    shares = [(tree, killers[number :: len(trees)]) for number, tree in enumerate(trees)]
    with ThreadPoolExecutor(len(trees)) as pool:
        failing = [each for each in pool.map(_baseline, shares) if each]
    if failing:
        print(f"without any mutant: {'; '.join(failing)}", file=sys.stderr)
        raise SystemExit(2)


def _baseline(share: tuple[Path, Sequence[str]]) -> str:
    try:
        return _failing(*share, BASELINE_SECONDS) if share[1] else ""
    except BrokenError as error:
        return str(error)


def check_copy(tree: Path) -> None:
    """Return if what would run is the copy; else `SystemExit`."""
    asked = [sys.executable, "-c", "import protocol, node; print(protocol.__file__, node.__file__)"]
    environment = os.environ | {"PYTHONPATH": str(tree)}
    told = subprocess.run(asked, cwd=tree, env=environment, capture_output=True, text=True, check=True).stdout
    if told.count(str(tree)) != 2:
        raise SystemExit(f"the copy is not what runs: {told}")


def main() -> int:
    """Judge what the environment asks for."""
    names = os.environ.get("MUTANTS", "").split()
    chosen = [each for each in MUTANTS if not names or each.name in names]
    if unknown := set(names) - {each.name for each in chosen}:
        print(f"no such mutant: {', '.join(sorted(unknown))}", file=sys.stderr)
        return 2
    survivors = broken = 0
    with TemporaryDirectory(prefix="valija-mutants-") as folder:
        copies = [copied(Path(folder) / f"copy-{number}") for number in range(int(os.environ.get("JOBS") or "2"))]
        check_copy(copies[0])
        check_killers(copies, chosen)
        trees: SimpleQueue[Path] = SimpleQueue()
        for copy in copies:
            trees.put(copy)

        def one(mutant: Mutant) -> Verdict:
            tree = trees.get()
            try:
                return judge(tree, mutant)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(len(copies)) as pool:
            for verdict in pool.map(one, chosen):
                broken += bool(verdict.broken)
                survivors += not (verdict.killer or verdict.broken)
                print(verdict.line, flush=True)
    killed = len(chosen) - survivors - broken
    print(f"{len(chosen)} mutants, {killed} killed, {survivors} survived, {broken} broken")
    return 2 if broken else int(survivors > 0)


if __name__ == "__main__":
    raise SystemExit(main())
