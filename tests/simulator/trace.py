"""What happened in one seed, line by line; what is random has an ordinal instead of its value."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

_KEPT: Final = 400_000


class Trace:
    """Lines of (virtual seconds, who, what)."""

    def __init__(self, clock: Callable[[], float], show: Callable[[str], None] | None = None) -> None:
        """Empty; `show` sees each line as it is written."""
        self._clock, self._show = clock, show
        self.lines: list[str] = []
        self._names: dict[tuple[str, bytes], str] = {}
        self._counts: dict[str, int] = {}

    def say(self, who: str, what: str) -> None:
        """One more line."""
        line = f"{self._clock():.6f} {who}: {what}"
        if len(self.lines) < _KEPT:
            self.lines.append(line)
        if self._show is not None:
            self._show(line)

    def name(self, kind: str, value: bytes) -> str:
        """What this value is called: its kind and the ordinal of its first appearance."""
        known = self._names.get((kind, value))
        if known is None:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            known = self._names[kind, value] = f"{kind}{self._counts[kind]}"
        return known

    @property
    def digest(self) -> str:
        """What two equal traces share."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()
