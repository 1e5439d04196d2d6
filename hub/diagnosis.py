"""How what was looked at is told: problem, effect and remedy, a row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from hub.config import Home, HubConfig
from keys.levels import Level

RESTORE: Final = (
    "stop the hub, check disk and memory of this machine, and put the newest backup back: valija-hub restore"
)


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at."""

    name: str
    level: Level
    found: str
    effect: str = ""
    remedy: str = ""

    def value(self) -> dict[str, str]:
        """For JSON."""
        return asdict(self)


def ok(name: str, found: str) -> Row:
    """Nothing to do."""
    return Row(name, Level.OK, found)


@dataclass(frozen=True, slots=True)
class Visit:
    """What the checks look at; `status` is what the running hub tells, None if none runs.

    `journal_head` is a head of the journal that was noted elsewhere, in hexadecimal; empty if none is given.
    """

    home: Home
    config: HubConfig
    environment: Mapping[str, str]
    now: int
    deep: bool
    status: Mapping[str, Any] | None
    journal_head: str = ""
