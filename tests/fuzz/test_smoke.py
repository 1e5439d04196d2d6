"""A short walk through every fuzz target, without any fuzzer: seeds and corpus, then neighbours of them.

`make fuzz` searches for longer, guided by coverage.  What it finds is kept in `corpus`, and tried again here.  A walk is
repeated by `pytest -p randomly -p "randomly_seed=…"` with the seed that the run's first lines show.
"""

from __future__ import annotations

import random

import pytest

from protocol.errors import MalformedError
from tests.fuzz.mutate import Mutator, Shape, pack, unpack
from tests.fuzz.target import FindingError, Target, attempt, attempt_traced, refused_or, require
from tests.fuzz.targets import TARGETS

# Neighbours tried, by what one costs: all targets together stay under twenty processor seconds.
WALK = {"opening": 60, "registry": 100, "sight": 25, "session": 40, "node_api": 250, "hub_pages": 250, "chunks": 800}
WALK |= {"peer_word": 250, "hub_word": 250, "node_pages": 200, "hub_console": 200}
USUAL = 1_000


@pytest.mark.parametrize("target", TARGETS.values(), ids=TARGETS)
def test_nothing_but_declared_errors_comes_out(target: Target) -> None:
    known = [*target.seeds(), *target.corpus()]
    for each in known:
        tried(target, each, attempt_traced)
    # pytest-randomly gave the generator its seed.
    mutator = Mutator(random.Random(random.getrandbits(64)), target.shape, target.head, target.words, known)
    for _step in range(WALK.get(target.name, USUAL)):
        tried(target, mutator.mutate(mutator.random.choice(known), target.max_bytes), attempt)


def tried(target: Target, data: bytes, how: object) -> None:
    assert callable(how)
    try:
        how(target, data)
    except Exception as error:  # whatever it is, its input must be told
        raise AssertionError(f"{target.name}: {type(error).__name__}: {error}; input {data.hex()}") from error


# -- the checks see what they are for ----------------------------------------------------------------------
def test_an_undeclared_error_is_a_finding() -> None:
    def broken(_data: bytes) -> None:
        refused_or(lambda: int("x"))

    with pytest.raises(AssertionError, match="ValueError"):
        tried(Target("broken", broken, list), b"x", attempt)


def test_what_takes_much_memory_is_a_finding() -> None:
    held: list[bytes] = []
    greedy = Target("greedy", lambda data: held.append(bytes(len(data) << 20)), list)
    attempt_traced(greedy, b"")
    with pytest.raises(FindingError, match="bytes of memory"):
        attempt_traced(greedy, bytes(100))


def test_a_refusal_is_none_and_a_false_claim_a_finding() -> None:
    def refuse() -> bytes:
        raise MalformedError("x")

    assert refused_or(refuse) is None
    with pytest.raises(FindingError, match="both"):
        require(1 > 2, "both")  # noqa: PLR0133 - any false claim


@pytest.mark.parametrize("shape", list(Shape))
def test_neighbours_keep_to_their_size_and_are_many(shape: Shape) -> None:
    seeds = {Shape.RAW: b"abcdef", Shape.TREE: pack([1, b"\x92\x01\xa1x", ["a"] * 4]), Shape.JSON: b'{"a": [1, "x"]}'}
    mutator = Mutator(random.Random(1), shape, 0, (b"word",), [seeds[shape]])
    made = {mutator.mutate(seeds[shape], 40) for _step in range(300)}
    assert len(made) > 150
    assert all(len(each) <= 40 for each in made)


def test_trees_stay_canonical_so_that_readers_read_on() -> None:
    seed = pack([7, [b"\x92\x01\xa1x", "name"], None])
    mutator = Mutator(random.Random(2), Shape.TREE, 0, (), [seed])
    made = [mutator._again(seed) for _step in range(4_000)]
    assert all(pack(unpack(each)) == each for each in made)
    assert any(b"\xc4\x04\x92\x02\xa1x" in each for each in made)
