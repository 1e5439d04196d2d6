"""Where the pages for people are, as their browsers know it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Site:
    """`origin` as browsers write it, and the host name for which passkeys are made."""

    origin: str
    host: str
