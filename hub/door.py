"""How many strangers may stand at the door, connections that have not yet proved who they are, and how often they come.

Members are counted by nobody here; once a session is proven its place at the door is free again.  But each knock may
cost the hub a signature, so one address may knock only so often.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from protocol.errors import LimitError

_IPV6_NETWORK_BITS: Final = 64
_MINUTE: Final = 60.0
# Addresses whose knocks are remembered; among more than these the one that knocked longest ago is forgotten.
MOST_ADDRESSES: Final = 4_096


class Knocks:
    """At most `per_minute` of one address in any burst, and that many a minute in the long run."""

    __slots__ = ("_clock", "_per_minute", "_spent")

    def __init__(self, per_minute: int, clock: Callable[[], float]) -> None:
        """Nobody knocked yet; `clock` gives seconds."""
        self._per_minute, self._clock = per_minute, clock
        self._spent: dict[str, tuple[float, float]] = {}

    @property
    def wait_seconds(self) -> int:
        """After how long one who knocked too often may knock again."""
        return math.ceil(_MINUTE / self._per_minute)

    def knock(self, key: str) -> bool:
        """Whether this address may; if so, it has."""
        now = self._clock()
        spent, at = self._spent.pop(key, (0.0, now))
        spent = max(0.0, spent - (now - at) * self._per_minute / _MINUTE)
        may = spent + 1 <= self._per_minute
        self._spent[key] = (spent + 1 if may else spent, now)
        if len(self._spent) > MOST_ADDRESSES:
            # The oldest stands first, for each that knocks is put last.
            del self._spent[next(iter(self._spent))]
        return may


class Door:
    """Lets in at most `total` strangers at a time, `per_address` of one address, and that one not too often."""

    __slots__ = ("_knocks", "_per_address", "_places", "_total")

    def __init__(
        self, total: int, per_address: int, per_minute: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Nobody stands there."""
        self._total, self._per_address = total, per_address
        self._knocks = Knocks(per_minute, clock)
        self._places: Counter[str] = Counter()

    @property
    def strangers(self) -> int:
        """How many stand there now."""
        return self._places.total()

    @property
    def wait_seconds(self) -> int:
        """After how many seconds to come again."""
        return max(2, self._knocks.wait_seconds)

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """A place at the door for the length of the block; `LimitError` if there is none."""
        key = _key(address)
        # A proxy on this machine speaks for everybody: only the total binds it.
        is_crowd = bool(key) and self._places[key] >= self._per_address
        if is_crowd or self.strangers >= self._total:
            raise LimitError("too many connections that have not proved who they are; wait a few seconds")
        if key and not self._knocks.knock(key):
            raise LimitError(f"this address connects too often; wait {self.wait_seconds} seconds")
        self._places[key] += 1
        try:
            yield
        finally:
            self._places[key] -= 1
            if not self._places[key]:
                del self._places[key]


def _key(address: str) -> str:
    """Who is counted together: one IPv4 address, one IPv6 network; empty for this machine itself."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return ""
    if ip.is_loopback:
        return ""
    if isinstance(ip, ipaddress.IPv6Address):
        mapped = ip.ipv4_mapped
        return str(mapped or ipaddress.ip_network((ip, _IPV6_NETWORK_BITS), strict=False))
    return str(ip)
