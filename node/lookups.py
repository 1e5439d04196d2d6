"""Whom to ask the hub for calendars, and when again: nobody twice at once, and the absent ever more rarely.

A node that comes for the first time, or after a restore, opens an incarnation in the log before it shows its prekeys:
so when the log has grown everybody who is waited for is asked for soon.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

FIRST_SECONDS: Final = 2.0
LONGEST_SECONDS: Final = 20.0


class Lookups:
    """The questions of one session; times are Unix seconds."""

    __slots__ = ("_asked", "_pauses", "_wanted")

    def __init__(self) -> None:
        """Nobody asked for."""
        self._asked: set[str] = set()
        self._pauses: dict[str, tuple[float, float]] = {}
        self._wanted: frozenset[str] = frozenset()

    def want(self, wanted: frozenset[str], now: float) -> list[str]:
        """Whom to ask for now, by name: those whose calendars are `wanted` and who were not asked for just before."""
        self._wanted = wanted
        # Who is wanted no more is asked for at once when wanted again.
        self._pauses = {member: pause for member, pause in self._pauses.items() if member in wanted}
        due = sorted(each for each in wanted - self._asked if self._pauses.get(each, (0.0, 0.0))[0] <= now)
        self._asked |= set(due)
        return due

    def answered(self, members: Iterable[str], now: float) -> None:
        """The hub answered for these; whoever is still wanted is asked for again after a pause."""
        for member in members:
            self._asked.discard(member)
            _until, before = self._pauses.get(member, (0.0, FIRST_SECONDS / 2))
            pause = min(before * 2, LONGEST_SECONDS)
            self._pauses[member] = (now + pause, pause)

    def hurry(self, now: float) -> None:
        """Somebody may have come: whoever is waited for is asked for again after the shortest pause."""
        soon = now + FIRST_SECONDS
        self._pauses = {member: (min(until, soon), FIRST_SECONDS / 2) for member, (until, _) in self._pauses.items()}

    @property
    def next_at(self) -> float | None:
        """When somebody is to be asked for again; None if nobody waits."""
        return min((self._pauses[each][0] for each in self._wanted - self._asked if each in self._pauses), default=None)
