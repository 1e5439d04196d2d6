"""Where a webhook may lead: to public addresses by https alone, unless the operator lists an address or a name.

What counts is the address that is connected to: it is looked at when the name is resolved for that very connection,
so that a name bent to this machine or its neighbours later reaches nothing (server-side request forgery).
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from node import faults
from node.webhooks.settings import read_allowed

MAX_URL_CHARS: Final = 2_048
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
# Of protocols, and of a relay that is no more: what the library says of them changed between its versions.
_SPECIAL: Final = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv4Network("192.88.99.0/24"))
_NAME: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)(\.(?!-)[a-z0-9_-]{1,63}(?<!-))*\.?", re.IGNORECASE)
_PRINTABLE: Final = re.compile(r"[!-~]+")


class ForbiddenAddressError(OSError):
    """The name leads to an address that no webhook may reach."""


def is_public(address: Address) -> bool:
    """Whether anybody may be told something there: no private, loopback, link-local, multicast or tunnelled address."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        if address.sixtofour is not None or address.teredo is not None or address.is_site_local:
            return False
    elif any(address in each for each in _SPECIAL):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


class Guard(AbstractResolver):
    """Resolves names, and lets through what may be reached; `allow` lists addresses, networks and names."""

    def __init__(self, allow: Iterable[str], inner: AbstractResolver | None = None) -> None:
        """Nothing is resolved yet; `ValueError` for what is neither a network nor a name."""
        self._networks, self._names = read_allowed(allow)
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """The addresses of `host` that may be reached; `ForbiddenAddressError` if none of them may."""
        if self._inner is None:
            self._inner = ThreadedResolver()
        found = await self._inner.resolve(host, port, family)
        allowed = [each for each in found if self.may_reach(host, each["host"])]
        if not allowed:
            raise ForbiddenAddressError(host)
        return allowed

    async def close(self) -> None:
        """Afterwards nothing is resolved any more."""
        if self._inner is not None:
            await self._inner.close()

    def may_reach(self, host: str, address: str) -> bool:
        """Whether a connection to `address`, to which `host` leads, is allowed."""
        found = ipaddress.ip_address(address.partition("%")[0])
        return host.lower() in self._names or is_public(found) or any(found in each for each in self._networks)

    def check(self, url: str) -> str:
        """The same address, if a webhook may lead there as far as it can be told without asking for the name.

        Raises `FieldError`.
        """
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:
            raise _wrong("no address such as https://cases.example.org/valija") from None
        is_place = bool(host) and _is_host(host or "") and port != 0 and parts.scheme in {"http", "https"}
        if not host or not is_place or parts.fragment or not _PRINTABLE.fullmatch(url):
            raise _wrong("no address such as https://cases.example.org/valija")
        if parts.username is not None or parts.password is not None or len(url) > MAX_URL_CHARS:
            raise _wrong(f"no user or password in it, and at most {MAX_URL_CHARS} characters")
        literal = _literal(host)
        if literal is not None and not self.may_reach(host, str(literal)):
            raise _wrong("this address is not public; the operator may list it in [webhooks] allow")
        is_listed = host.lower() in self._names or any(literal in each for each in self._networks if literal)
        if parts.scheme == "http" and not is_listed:
            raise _wrong("https alone, unless the operator lists the host in [webhooks] allow")
        return url


def _wrong(detail: str) -> faults.FieldError:
    return faults.field("url", detail)


def _is_host(host: str) -> bool:
    # A zone of an address (`fe80::1%eth0`) means something on this machine alone.
    return _NAME.fullmatch(host) is not None or (":" in host and "%" not in host)


def _literal(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        # 127.1, 0x7f000001 and the like: numbers to those who connect, and to no other reader.
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
