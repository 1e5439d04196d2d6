"""What the last day was like, minute by minute, and the last hour by member: bounded.

The minutes are kept in the store too, so that a hub that is started again knows them; who sent in which, in memory alone.

Delays are counted in classes, each a quarter wider than the one before, so a minute of any load takes the same room; a
quantile is the upper end of its class.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from hub.drafts import Tally
from protocol.limits import DAY_SECONDS

DAY_MINUTES: Final = 24 * 60
HOUR_MINUTES: Final = 60
_SHORTEST_SECONDS: Final = 0.001
_WIDENING: Final = math.log(1.25)
_HALF: Final = 0.5
_NEARLY_ALL: Final = 0.99


@dataclass(frozen=True, slots=True)
class Minute:
    """One minute that ended `at` (Unix seconds): slots by what became of them, refusals by code, delays in seconds.

    `sessions` and `waiting` are how many there were when it ended; the delays are None where nothing was delivered.
    """

    at: int
    accepted: int
    delivered: int
    expired: int
    refusals: Mapping[str, int]
    sessions: int
    waiting: int
    median_seconds: float | None
    slowest_seconds: float | None


_MINUTE: Final = msgspec.json.Decoder(Minute)


@dataclass(frozen=True, slots=True)
class Rate:
    """Slots that one member sent, and that it took, in a time."""

    sent: int = 0
    taken: int = 0


@dataclass(slots=True)
class _Present:
    accepted: int = 0
    expired: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    delays: Counter[int] = field(default_factory=Counter)
    sent: Counter[str] = field(default_factory=Counter)
    taken: Counter[str] = field(default_factory=Counter)


class Trend:
    """The minutes of one hub; used on the event loop."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self.minutes: deque[Minute] = deque(maxlen=DAY_MINUTES)
        self._hour: deque[tuple[Counter[str], Counter[str]]] = deque(maxlen=HOUR_MINUTES)
        self._now = _Present()

    def add(self, tally: Tally) -> None:
        """One more commit."""
        now = self._now
        now.accepted += tally.accepted
        now.expired += tally.expired
        now.refusals.update(tally.refusals)
        now.sent.update(tally.sent)
        now.taken.update(tally.taken)
        now.delays.update(map(_class, tally.delivery_seconds))

    def refused(self, code: str) -> None:
        """A refusal that no commit saw."""
        self._now.refusals[code] += 1

    def restore(self, minutes: Iterable[bytes]) -> None:
        """Afterwards these minutes, as `encode` wrote them, are those before now."""
        self.minutes.extend(map(_MINUTE.decode, minutes))

    def close_minute(self, at: int, sessions: int, waiting: int) -> Minute:
        """The minute ends `at` (Unix seconds), with so many sessions, and items waiting in all mailboxes together."""
        now, self._now = self._now, _Present()
        self._hour.append((now.sent, now.taken))
        delivered = now.delays.total()
        median, slowest = _quantile(now.delays, _HALF), _quantile(now.delays, _NEARLY_ALL)
        told = dict(now.refusals)
        ended = Minute(at, now.accepted, delivered, now.expired, told, sessions, waiting, median, slowest)
        self.minutes.append(ended)
        while self.minutes[0].at <= at - DAY_SECONDS:
            self.minutes.popleft()
        return ended

    def rates(self) -> dict[str, Rate]:
        """What each member sent and took in the last hour, the present minute with it; who did neither is left out."""
        sent, taken = Counter(self._now.sent), Counter(self._now.taken)
        for each_sent, each_taken in self._hour:
            sent.update(each_sent)
            taken.update(each_taken)
        return {member: Rate(sent[member], taken[member]) for member in sorted(sent.keys() | taken.keys())}

    def refusals(self) -> Counter[str]:
        """The refusals of the last day, by code."""
        counted = Counter(self._now.refusals)
        for minute in self.minutes:
            counted.update(minute.refusals)
        return counted


def encode(minute: Minute) -> bytes:
    """The minute as the store keeps it."""
    return msgspec.json.encode(minute)


def _class(seconds: float) -> int:
    return math.ceil(math.log(max(seconds, _SHORTEST_SECONDS) / _SHORTEST_SECONDS) / _WIDENING)


def _quantile(delays: Counter[int], share: float) -> float | None:
    wanted, seen = math.ceil(delays.total() * share), 0
    for number in sorted(delays):
        seen += delays[number]
        if seen >= wanted:
            return _SHORTEST_SECONDS * math.exp(number * _WIDENING)
    return None
