"""Which addresses webhooks may reach although they are not public."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import Final

import msgspec

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", re.IGNORECASE)


class Webhooks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Addresses, networks and names that webhooks may reach, by plain http too, although they are not public."""

    allow: tuple[str, ...] = ()


def read_allowed(allow: Iterable[str]) -> tuple[tuple[Network, ...], frozenset[str]]:
    """The networks and the names in `allow`; `ValueError` for what is neither."""
    networks: list[Network] = []
    names: set[str] = set()
    for each in allow:
        try:
            networks.append(ipaddress.ip_network(each))
        except ValueError:
            if _NAME.fullmatch(each) is None:
                raise ValueError(each) from None
            names.add(each.lower())
    return tuple(networks), frozenset(names)


def mistakes(settings: Webhooks) -> list[str]:
    """What is wrong with these settings."""
    try:
        read_allowed(settings.allow)
    except ValueError as error:
        return [f"webhooks.allow: {str(error)!r} is neither an address, a network such as 10.1.0.0/16, nor a name"]
    return []
