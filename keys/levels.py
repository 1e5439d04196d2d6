"""How much what `doctor` finds matters, at a hub and at a node alike."""

from __future__ import annotations

from enum import StrEnum


class Level(StrEnum):
    """A problem needs somebody now, a warning soon."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
