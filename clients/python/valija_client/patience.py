"""How long a call is tried again: exponential backoff with full jitter, never shorter than the node asks for."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Patience:
    """A call is tried `tries` times, the waits between doubling from `first_seconds` to `longest_seconds`.

    A node that wants to be left alone for longer than `longest_seconds` is not waited for.
    """

    tries: int = 6
    first_seconds: float = 0.25
    longest_seconds: float = 60.0

    def waits(self) -> Iterator[float]:
        """Seconds to wait, each drawn below a bound that doubles; without an end."""
        bound = self.first_seconds
        while True:
            yield random.uniform(0, bound)  # noqa: S311 - spreads callers over time, keeps no secret
            bound = min(2 * bound, self.longest_seconds)
