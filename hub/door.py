"""How many strangers may stand at the door: connections that have not yet proved who they are.

Members are counted by nobody here; once a session is proven its place at the door is free again.
"""

from __future__ import annotations

import ipaddress
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from protocol.errors import LimitError

_IPV6_NETWORK_BITS: Final = 64


class Door:
    """Lets in at most `total` strangers at a time, and `per_address` of one address."""

    __slots__ = ("_per_address", "_places", "_total")

    def __init__(self, total: int, per_address: int) -> None:
        """Nobody stands there."""
        self._total, self._per_address = total, per_address
        self._places: Counter[str] = Counter()

    @property
    def strangers(self) -> int:
        """How many stand there now."""
        return self._places.total()

    @contextmanager
    def place(self, address: str) -> Iterator[None]:
        """A place at the door for the length of the block; `LimitError` if there is none."""
        key = _key(address)
        # A proxy on this machine speaks for everybody: only the total binds it.
        is_crowd = bool(key) and self._places[key] >= self._per_address
        if is_crowd or self.strangers >= self._total:
            raise LimitError("too many connections that have not proved who they are; wait a few seconds")
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
