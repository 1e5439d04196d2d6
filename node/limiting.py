"""How fast a token may ask: a bucket for each, that fills steadily and is emptied by requests.

Told by the headers `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers) and, where a request was
refused, by `Retry-After` (RFC 9110).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

_POLICY: Final = "token"


@dataclass(frozen=True, slots=True)
class Pace:
    """How many requests a bucket holds, and how many flow in each second."""

    burst: int
    per_second: int


@dataclass(frozen=True, slots=True)
class Left:
    """What a bucket holds after a request: so many more, full again in so many seconds, and how long to wait if empty."""

    pace: Pace
    requests: int
    full_in_seconds: int
    wait_seconds: int

    @property
    def headers(self) -> dict[str, str]:
        """What the answer says of it."""
        window = math.ceil(self.pace.burst / self.pace.per_second)
        return {
            "RateLimit-Policy": f'"{_POLICY}";q={self.pace.burst};w={window}',
            "RateLimit": f'"{_POLICY}";r={self.requests};t={self.full_in_seconds}',
        }


class Buckets:
    """The bucket of each token that asked, held in memory; `clock` tells seconds and never goes back."""

    __slots__ = ("_clock", "_held", "_pace")

    def __init__(self, pace: Pace, clock: Callable[[], float]) -> None:
        """Every bucket is full."""
        self._pace, self._clock = pace, clock
        self._held: dict[str, tuple[float, float]] = {}

    def take(self, name: str) -> Left:
        """One request of this token; `wait_seconds` is 0 if it may be carried out."""
        now, pace = self._clock(), self._pace
        held, at = self._held.get(name, (float(pace.burst), now))
        held = min(float(pace.burst), held + (now - at) * pace.per_second)
        taken = held >= 1
        held -= taken
        self._held[name] = held, now
        wait = 0 if taken else max(1, math.ceil((1 - held) / pace.per_second))
        return Left(pace, int(held), math.ceil((pace.burst - held) / pace.per_second), wait)
