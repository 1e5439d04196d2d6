"""What happened since the hub started, in a few numbers for `valija-hub status`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hub.drafts import Tally


@dataclass(slots=True)
class Totals:
    """Slots by what became of them, refusals by code, commits and the jobs in them."""

    accepted: int = 0
    recalled: int = 0
    expired: int = 0
    refusals: Counter[str] = field(default_factory=Counter)
    commits: int = 0
    jobs: int = 0

    def add(self, tally: Tally, jobs: int) -> None:
        """One more commit, of so many jobs."""
        self.accepted += tally.accepted
        self.recalled += tally.recalled
        self.expired += tally.expired
        self.refusals.update(tally.refusals)
        self.commits += 1
        self.jobs += jobs

    def value(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "accepted": self.accepted,
            "recalled": self.recalled,
            "expired": self.expired,
            "refusals": dict(self.refusals),
            "commits": self.commits,
            "jobs": self.jobs,
        }
