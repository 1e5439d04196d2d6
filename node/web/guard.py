"""What stands before every page, and from where it is asked."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from keys import guard
from keys.guard import HEADERS
from node.people.doors import Where
from node.people.site import Site

__all__ = ["HEADERS", "guarding", "harden", "where"]


def guarding(site: Site) -> Any:
    """See `keys.guard.guarding`."""
    return guard.guarding(site.origin)


def harden(response: web.StreamResponse, site: Site) -> None:
    """See `keys.guard.harden`."""
    guard.harden(response, site.origin)


def where(request: web.Request, proxy: str) -> Where:
    """From where a request comes; what the trusted proxy says, if it is the one who asks."""
    address = request.remote or ""
    if proxy and address == proxy:
        # The last entry is the proxy's own; those before it are whatever the browser wrote.
        address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip() or address
    return Where(address, request.headers.get("User-Agent", ""))
