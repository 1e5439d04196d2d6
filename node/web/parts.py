"""What the pages work with; put into the application once, and asked for by name."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from aiohttp import web
from structlog.typing import FilteringBoundLogger

from node.config import Home
from node.people.accounts import Accounts
from node.people.doors import Doors
from node.people.register import Register
from node.people.site import Site
from node.service import Service
from node.web.outgoing import Outgoing
from node.webhooks.book import Book


@dataclass(frozen=True, slots=True)
class Kept:
    """What was typed about a person into the form of this path, at a time (Unix seconds)."""

    path: str
    at: int
    login: str
    name: str
    role: str
    desks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """The node behind the pages; `zone` is a name of the tz database, `proxy` the address that may stand before us.

    `kept` is what each person had typed when they were asked to log in again first, `streams` are the open streams of
    news of each, oldest first.
    """

    service: Service
    register: Register
    doors: Doors
    accounts: Accounts
    outgoing: Outgoing
    book: Book
    home: Home
    site: Site
    member: str
    association: str
    zone: str
    proxy: str
    now: Callable[[], float]
    log: FilteringBoundLogger
    kept: dict[int, Kept] = field(default_factory=dict)
    streams: defaultdict[int, deque[asyncio.Timeout]] = field(default_factory=lambda: defaultdict(deque))


PARTS: Final = web.AppKey("parts", Parts)
