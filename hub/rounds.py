"""One commit as the sessions see it: what they asked is done, and what it put into mailboxes is delivered at once.

A reader that can take items says so beforehand, with a `Demand`.  When the jobs of a round are written, every mailbox
that they filled, and every one that was asked for, is read in the same transaction, as far as a demand stands for it:
so an item waits for one fsync on its way through the hub, not for two.

Demands are made on the event loop and taken on the writing thread.  Taking is one `dict.pop`, which no thread can
interrupt: a demand is answered once, or put back if the round was undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Protocol

from hub.relay import Group, Relay
from hub.store import Transaction
from protocol.limits import MIB
from protocol.session.items import DeliverItem, Window
from protocol.trust.registry import Registry

MAX_ROUND_BYTES: Final = 8 * MIB
"""Once a round carries so much, who is left is read for in the next one: it is all in memory until it is sent."""


class Reader(Protocol):
    """A session that takes what the mailbox of its member holds; called on the event loop."""

    def deliver(self, delivery: Delivery) -> None:
        """The answer to a demand; its items count as handed over."""

    def wake(self) -> None:
        """Something waits that this round did not bring: no demand stood for it, or the round carried enough."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What `reader` can take: items after position `after` that fit into `room`."""

    reader: Reader
    after: int
    room: Window


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a demand got; `more` if the mailbox may hold something beyond."""

    demand: Demand
    items: list[DeliverItem] = field(repr=False)
    more: bool


@dataclass(slots=True)
class Desk:
    """Who is here, by member: the reader of each mailbox, and what it can take now."""

    readers: dict[str, Reader] = field(default_factory=dict)
    demands: dict[str, Demand] = field(default_factory=dict)


class Round:
    """A relay group, and the deliveries that follow from it; what `hub.writer` runs jobs in."""

    def __init__(self, relay: Relay, registry: Registry, tx: Transaction, now: float, desk: Desk) -> None:
        """Begin at `now` (Unix seconds, with fraction)."""
        self.group = relay.group(tx, registry, now)
        self.deliveries: list[Delivery] = []
        self.unread: list[str] = []
        self._relay, self._registry = relay, registry
        self._desk = desk
        self._asked: dict[str, None] = {}
        self._taken: dict[str, Demand] = {}

    def read(self, member: str) -> None:
        """Read this mailbox too when the round closes, whether or not something new came."""
        self._asked[member] = None

    def job(self) -> AbstractContextManager[None]:
        """See `hub.writer.JobGroup`."""
        return self.group.job()

    def close(self) -> None:
        """See `hub.writer.JobGroup`."""
        self.group.close()
        self._deliver([*self._asked, *sorted(self.group.woken - self._asked.keys())])

    def abandon(self) -> None:
        """See `hub.writer.JobGroup`."""
        self.group.abandon()
        for member, demand in self._taken.items():
            self._desk.demands.setdefault(member, demand)
        self._taken.clear()
        self.deliveries.clear()

    @property
    def next_expiry(self) -> int | None:
        """When something expires next (Unix seconds), once the round is closed."""
        return self.group.next_expiry

    def _deliver(self, members: Iterable[str]) -> None:
        reading: Group | None = None
        carried_bytes = 0
        for member in members:
            demand = self._desk.demands.pop(member, None) if carried_bytes < MAX_ROUND_BYTES else None
            if demand is None:
                self.unread.append(member)
                continue
            self._taken[member] = demand
            # What the first group wrote is there to be read by a second one of the same transaction.
            reading = reading or self._relay.group(self.group.tx, self._registry, self.group.now)
            items = reading.deliveries(member, demand.after, demand.room)
            carried_bytes += sum(each.size for each in items)
            last = items[-1].position if items else demand.after
            self.deliveries.append(Delivery(demand, items, more=reading.tx.account(member).last_position > last))
        if reading is not None:
            reading.close()
