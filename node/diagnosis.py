"""How what was looked at is told: problem, effect and remedy, a row each.

A *problem* needs somebody now, a *warning* soon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keys.levels import Level
from node.speaking import N_, Told, told, told_error
from protocol.errors import ValijaError

_NAMES: Final = {
    "home": N_("home"),
    "disk": N_("disk"),
    "keys": N_("keys"),
    "archive": N_("archive"),
    "journal": N_("journal"),
    "backup": N_("backup"),
    "daemon": N_("daemon"),
    "hub": N_("hub"),
    "clock": N_("clock"),
    "certificate": N_("certificate"),
    "tls": N_("TLS"),
    "incarnation": N_("incarnation"),
    "registry": N_("registry"),
    "charter": N_("charter"),
    "witnesses": N_("witnesses"),
    "prekeys": N_("prekeys"),
    "messages": N_("messages"),
    "held": N_("held"),
    "set aside": N_("set aside"),
    "quarantine": N_("quarantine"),
    "fork": N_("fork"),
    "nudges": N_("nudges"),
    "webhooks": N_("webhooks"),
    "alarms": N_("alarms"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was looked at: what was found, under which error code, what follows and what to do."""

    name: str
    level: Level
    found: str
    code: str = ""
    effect: str = ""
    remedy: str = ""

    @property
    def title(self) -> Told:
        """What was looked at, for a person."""
        return told(_NAMES[self.name])

    def value(self) -> dict[str, str]:
        """What a program reads."""
        return {name: str(getattr(self, name)) for name in ("name", "level", "found", "code", "effect", "remedy")}


def is_healthy(rows: list[Row]) -> bool:
    """Whether nothing needs somebody now."""
    return not any(row.level is Level.PROBLEM for row in rows)


def ok(name: str, found: str) -> Row:
    """Nothing to do."""
    return Row(name, Level.OK, found)


def problem(name: str, error: ValijaError, effect: str, remedy: str) -> Row:
    """What this error keeps from working."""
    return Row(name, Level.PROBLEM, told_error(error), error.code, effect, remedy)
