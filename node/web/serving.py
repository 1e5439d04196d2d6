"""The pages put together over a running node: what `application` serves is made of what `assemble` gives."""

from __future__ import annotations

from collections.abc import Callable

from structlog.typing import FilteringBoundLogger

from node.config import Home
from node.people import heads
from node.people.accounts import Accounts
from node.people.doors import Doors
from node.people.register import Lifetime, Register
from node.service import Service
from node.web.app import application
from node.web.outgoing import Outgoing
from node.web.parts import Parts
from node.web.settings import Web, site
from node.webhooks.book import Book

__all__ = ["application", "assemble", "telling"]


async def telling(pages: Parts) -> None:
    """Tell the heads of the journal that these pages write, in the log, until cancelled."""
    await heads.keep_telling(pages.register, pages.log)


async def assemble(
    home: Home,
    service: Service,
    book: Book,
    settings: Web,
    port: int,
    now: Callable[[], float],
    log: FilteringBoundLogger,
) -> Parts:
    """What the pages of this node work with, served at `port`; people as they stand in its archive."""
    lifetime = Lifetime(settings.session_hours * 3_600, settings.idle_minutes * 60)
    register = Register(service, service.desks, now, lifetime)
    await register.refresh()
    doors = Doors(register, site(settings, port))
    return Parts(
        service=service,
        register=register,
        doors=doors,
        accounts=Accounts(doors),
        outgoing=Outgoing(service, register, settings, now, log),
        book=book,
        home=home,
        site=doors.site,
        member=service.writer.member,
        association=service.writer.association,
        zone=settings.time_zone,
        proxy=settings.trusted_proxy,
        now=now,
        log=log,
    )
