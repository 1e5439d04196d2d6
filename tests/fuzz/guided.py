"""One target under Atheris: `python -m tests.fuzz.guided <target> <folder> [options of libFuzzer]`; see `tests.fuzz`.

New inputs that reach further are written into the folder; an input that breaks a promise ends the run and is written
beside it.  Only the code under test is instrumented: what makes the inputs should not draw the search to itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from random import Random
from typing import Any, Final

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

with atheris.instrument_imports(include=["protocol", "keys", "node", "hub"]):
    from tests.fuzz.target import Target, attempt
    from tests.fuzz.targets import TARGETS

from tests.fuzz.mutate import Mutator

# So often libFuzzer's own mutation is used, which knows what the code compared with.
PLAIN: Final = 0.3


def main() -> None:
    """Fuzz until libFuzzer's limits are reached."""
    target, folder = TARGETS[sys.argv[1]], Path(sys.argv[2])
    seeds = [*target.seeds(), *target.corpus()]
    for number, each in enumerate(seeds):
        (folder / f"seed-{number:04}").write_bytes(each)
    mutator = Mutator(Random(0), target.shape, target.head, target.words, seeds)

    def mutate(data: bytes, max_bytes: int, seed: int) -> bytes:
        mutator.random = Random(seed)
        if mutator.random.random() < PLAIN:
            plain: bytes = atheris.Mutate(data, max_bytes)
            return plain
        return mutator.mutate(data, max_bytes)

    options: Any = [sys.argv[0], str(folder), f"-max_len={longest(target, seeds)}", *sys.argv[3:]]
    atheris.Setup(options, lambda data: attempt(target, data), custom_mutator=mutate)
    atheris.Fuzz()


def longest(target: Target, seeds: list[bytes]) -> int:
    """What an input may measure: as much as the target allows, and every seed."""
    return max(target.max_bytes, *map(len, seeds))


if __name__ == "__main__":
    main()
