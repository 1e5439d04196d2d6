"""Seeds: a few in every run, two thousand in the full one; each the same wherever and however often it runs."""

from __future__ import annotations

import gc
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.simulator.__main__ import replay_command
from tests.simulator.faults import FAULTS, Strike
from tests.simulator.noticing import LEFT_OUT
from tests.simulator.states import COLUMNS, cannot_be
from tests.simulator.story import tell
from tests.simulator.town import town

CHUNK = 50
ALL = 2_000
FEW = 6
AGAIN = tuple(range(16))
REAL = (2, 5)

_ELSEWHERE = """
import json, sys
from tests.simulator.story import tell
print(json.dumps({seed: tell(int(seed)).digest for seed in sys.argv[1:]}))
"""


@pytest.fixture(autouse=True)
def _uncollected() -> Iterator[None]:
    """Looking for cycles takes a sixth of the time of a seed; once after all of them is enough."""
    gc.disable()
    yield
    gc.enable()
    gc.collect()


def _hold(seeds: range) -> None:
    outcomes = [tell(seed) for seed in seeds]
    broken = [outcome for outcome in outcomes if outcome.broken]
    assert not broken, "\n".join(f"{each.broken}\n    {replay_command(each.seed)}" for each in broken)
    assert not [cell for outcome in outcomes for cell in outcome.struck if cannot_be(*cell)]


def test_a_few_seeds_hold() -> None:
    _hold(range(FEW))


@pytest.mark.full
@pytest.mark.parametrize("first", range(0, ALL, CHUNK))
def test_two_thousand_seeds_hold(first: int) -> None:
    _hold(range(first, first + CHUNK))


@pytest.mark.full
def test_a_seed_is_the_same_again_and_in_another_process_with_other_hashes() -> None:
    here = {str(seed): tell(seed).digest for seed in AGAIN}
    assert here == {str(seed): tell(seed).digest for seed in AGAIN}
    assert len(set(here.values())) == len(AGAIN)
    environment = os.environ | {"PYTHONHASHSEED": "20261122"}
    told = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE, *map(str, AGAIN)], env=environment, capture_output=True, check=True
    )
    assert json.loads(told.stdout) == here


@pytest.mark.full
@pytest.mark.parametrize("seed", REAL)
def test_with_the_real_cryptography_a_seed_takes_the_same_course(seed: int) -> None:
    assert tell(seed, real=True).digest == tell(seed).digest


def test_what_struck_is_told_by_state_and_a_broken_seed_says_how_to_see_it_again() -> None:
    outcomes = [tell(seed) for seed in range(2)]
    struck = {cell for outcome in outcomes for cell in outcome.struck}
    assert struck
    assert {fault for fault, _column in struck} <= FAULTS.keys()
    assert {column for _fault, column in struck} <= set(COLUMNS)


def test_a_fault_that_finds_nothing_to_break_is_not_counted() -> None:
    with town(1, ("ar-mpf", "br-mpf")) as here:
        told: list[str] = []

        def strike(name: str) -> None:
            FAULTS[name](Strike(here, "ar-mpf", random.Random(0), 60.0, lambda: told.append(name)))

        idle = ("line cut", "frame lost", "node killed", "node restored", "hub restored", "hub drops an item")
        for name in idle:
            strike(name)
        assert told == []
        here.start()
        here.run(10)
        strike("node dies before commit")
        strike("frame lost")
        assert told == []
        here.people.write("ar-mpf", "k", "br-mpf")
        here.run(60)
        assert sorted(told) == ["frame lost", "node dies before commit"]


def test_what_the_model_leaves_out_happens_and_is_told() -> None:
    met = {seed: tell(seed).met for seed in range(FEW)}
    assert {"batches"} <= set().union(*met.values()) <= set(LEFT_OUT)


@pytest.mark.full
def test_all_that_the_model_leaves_out_happens() -> None:
    met: set[str] = set()
    for seed in range(ALL):
        met |= tell(seed).met
        if met == set(LEFT_OUT):
            return
    raise AssertionError(f"never: {set(LEFT_OUT) - met}")


def test_the_command_that_shows_a_seed_again_runs_where_it_is_printed() -> None:
    command = replay_command(1, real=True)
    assert command.endswith("-m tests.simulator --replay 1 --real")
    shown = subprocess.run(command.split(), capture_output=True, check=True, text=True)
    assert "starts" in shown.stdout
