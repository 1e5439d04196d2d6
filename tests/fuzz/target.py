"""What a fuzz target is, and what every one of its inputs must keep to.

A target's `check` gives an input to the code and raises nothing but `FindingError`: what the code may refuse with is caught
inside, everything else is one.  `attempt` adds what holds for all: bounded processor time and memory for each input.
"""

from __future__ import annotations

import resource
import time
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from protocol.errors import HeldError, OpenError, PeerError, StandingError, ValijaError
from tests.fuzz.mutate import Shape

CORPUS: Final = Path(__file__).parent / "corpus"
# Processor seconds, whoever else is busy here: a thousand times what any input of these sizes takes.
MAX_CPU_SECONDS: Final = 3.0
MAX_GROWTH_BYTES: Final = 32 << 20
# What an input may make of itself: objects around each of its bytes, and what a session or a registry holds anyway.
BASE_BYTES: Final = 6 << 20
BYTES_FOR_EACH: Final = 400

T = TypeVar("T")
Errors = type[ValijaError] | tuple[type[ValijaError], ...]
RECEIVING: Final[tuple[type[ValijaError], ...]] = (PeerError, StandingError, OpenError, HeldError)


class FindingError(AssertionError):
    """The code did with an input what it never should."""


@dataclass(frozen=True, slots=True)
class Target:
    """One way into the code; `head` bytes of each input choose among readers, the rest is of this `shape`."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]] = field(repr=False)
    shape: Shape = Shape.TREE
    head: int = 0
    words: Sequence[bytes] = field(default=(), repr=False)
    max_bytes: int = 8_192
    growth_bytes: int = MAX_GROWTH_BYTES

    def corpus(self) -> list[bytes]:
        """What was found worth keeping, each file one input."""
        folder = CORPUS / self.name
        return [path.read_bytes() for path in sorted(folder.iterdir())] if folder.is_dir() else []


def require(holds: bool, what: str) -> None:
    """Raise `FindingError` unless it holds."""
    if not holds:
        raise FindingError(what)


def refused_or(read: Callable[[], T], declared: Errors = PeerError) -> T | None:
    """What `read` gives; None if it refuses with an error that it declares, which then says something."""
    try:
        return read()
    except declared as error:
        require(bool(str(error)) and bool(error.code), "an error without code or sentence")
        return None


def attempt(target: Target, data: bytes) -> None:
    """Check one input, and that it took neither long nor much; raises `FindingError`, or what the code should not."""
    before, started = _peak_bytes(), time.process_time()
    target.check(data)
    spent, grown = time.process_time() - started, _peak_bytes() - before
    require(spent <= MAX_CPU_SECONDS, f"{spent:.1f} processor seconds for {len(data)} bytes")
    require(grown <= target.growth_bytes + BYTES_FOR_EACH * len(data), f"{grown} bytes more for {len(data)}")


def attempt_traced(target: Target, data: bytes) -> None:
    """The same, every allocation counted; slower."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        attempt(target, data)
        used = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    require(used <= BASE_BYTES + BYTES_FOR_EACH * len(data), f"{used} bytes of memory for {len(data)}")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
