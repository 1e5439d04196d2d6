"""Guessing is slowed: after a few failures each further attempt waits twice as long, by login and by address."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

FREE_FAILURES: Final = 5
FIRST_SECONDS: Final = 1
LONGEST_SECONDS: Final = 15 * 60
FORGET_SECONDS: Final = 24 * 3_600
_NAMES: Final = 10_000


class Throttle:
    """How often each name failed of late, and until when it has to wait; held in memory, bounded."""

    __slots__ = ("_failures",)

    def __init__(self) -> None:
        """Nobody has failed."""
        self._failures: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def wait_seconds(self, names: Iterable[str], now: float) -> int:
        """How long whoever goes by these names has to wait from `now` (Unix seconds) until the next attempt."""
        return max(0, *(self._until(name) - int(now) for name in names))

    def _until(self, name: str) -> int:
        failures, at = self._failures.get(name, (0, 0.0))
        if failures < FREE_FAILURES:
            return 0
        return int(at) + min(LONGEST_SECONDS, FIRST_SECONDS << min(failures - FREE_FAILURES, 20))

    def failed(self, names: Iterable[str], now: float) -> None:
        """Afterwards each of these names failed once more."""
        for name in names:
            failures, at = self._failures.pop(name, (0, now))
            self._failures[name] = (1 if now - at > FORGET_SECONDS else failures + 1, now)
            if len(self._failures) > _NAMES:
                self._failures.popitem(last=False)

    def succeeded(self, names: Iterable[str]) -> None:
        """Afterwards these names have not failed."""
        for name in names:
            self._failures.pop(name, None)
