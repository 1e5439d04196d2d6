"""What a mutant is: one rule taken out of the code, or turned round, and the tests that must notice."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Mutant:
    """In `file`, `old`, which stands there exactly once, becomes `new`: then `rule` no longer holds.

    `killers` are test files, or tests within them, of which one must fail.
    """

    name: str
    file: str
    old: str
    new: str
    rule: str
    killers: tuple[str, ...]

    def applied(self, source: str) -> str:
        """The source with the mutation; `ValueError` if the table is out of step with it."""
        if (count := source.count(self.old)) != 1:
            raise ValueError(f"{self.name}: {count} places in {self.file} read {self.old!r}, one must")
        mutated = source.replace(self.old, self.new)
        if mutated.split() == source.split():
            raise ValueError(f"{self.name}: it changes nothing")
        try:
            ast.parse(mutated)
        except SyntaxError as error:
            raise ValueError(f"{self.name}: what comes of it is no Python: {error}") from None
        return mutated
