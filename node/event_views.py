"""What an event of the archive tells a caller: a new message in brief, a delivery as it stands now, an act of a desk.

A link carries up to 256 messages that nearly always fare alike, so their deliveries are asked for once.  Of several
events about one manifest the last alone is told: each would tell what is now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from node.api_requests import show_cursor, show_time
from node.api_views import View, action_name, deliveries, reader, show_message_id
from node.desks import AtDesk, Caller
from node.model import EventKind
from node.store import Transaction
from node.tables import evidence, finding, inbox
from node.tables.finding import Arrival
from node.tables.state import Event
from protocol.errors import UsageError
from protocol.message import message_id_of
from protocol.names import MessageId, Party
from protocol.receipts import Action
from protocol.registry import Registry

LAST_PART: Final = (1 << 31) - 1
_MAX_DIGITS: Final = 19


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where an event stands in the order of all: its row, and its place among what that row tells."""

    row: int
    part: int = LAST_PART

    def __str__(self) -> str:
        """The id that streams carry."""
        return f"{self.row}-{self.part}"

    @classmethod
    def read(cls, shown: str) -> Place:
        """The place that an id names; `UsageError` for anything else."""
        row, _, part = shown.partition("-")
        if not all(each.isascii() and each.isdigit() and len(each) < _MAX_DIGITS for each in (row, part)):
            raise UsageError("no event id of this node")
        return cls(int(row), int(part))


@dataclass(frozen=True, slots=True)
class Rendered:
    """One event as a stream carries it; `desks` may see it, the empty name standing for the member itself."""

    place: Place
    desks: frozenset[str]
    data: bytes = field(repr=False)

    def is_for(self, caller: Caller, default_desk: str) -> bool:
        """Whether this caller sees it; what is for no desk by name is the default desk's."""
        if not isinstance(caller, AtDesk):
            return True
        return caller.desk in self.desks or (caller.desk == default_desk and "" in self.desks)


class _Brief(msgspec.Struct, frozen=True):
    type: str
    subject: str
    urgency: str
    thread: str | None = None
    case_reference: str | None = None
    due_at: str | None = None


_BRIEF: Final = msgspec.json.Decoder(_Brief)


def render(tx: Transaction, registry: Registry, events: Sequence[Event], now: int) -> list[Rendered]:
    """What these events tell, in order."""
    manifests = {each.id: finding.manifest_of_link(tx, each.subject) for each in events if each.kind is EventKind.LINK}
    last = {manifest: event_id for event_id, manifest in manifests.items()}
    told: list[Rendered] = []
    for event in events:
        if event.kind is not EventKind.LINK:
            told += _parts(tx, registry, event, now)
        elif last[manifests[event.id]] == event.id:
            told += _manifest(tx, event.id, manifests[event.id], now)
    return told


def _parts(tx: Transaction, registry: Registry, event: Event, now: int) -> Iterator[Rendered]:
    if event.kind is EventKind.RECEIVED:
        # Without a number it was a void, which hands nothing over.
        yield from _received(tx, registry, event, event.place or 0)
    elif event.kind is EventKind.HANDED_OVER and event.place is not None:
        for arrived in finding.arrivals(tx, event.subject - 1, event.subject + 1, 1, None):
            view: View = {"id": show_message_id(arrived.message_id), "action": action_name(Action(event.place))}
            yield _rendered(Place(event.id, 0), "handover", frozenset(inbox.desks_of(tx, arrived.id)), view)
    else:
        for sent in finding.sent_by_row(tx, [event.subject]):
            told = msgspec.json.encode(deliveries(tx, sent.message_id, now))
            yield _delivery(Place(event.id, 0), sent.desk, sent.message_id, told)


# -- each kind ---------------------------------------------------------------------------------------
def _received(tx: Transaction, registry: Registry, event: Event, count: int) -> Iterator[Rendered]:
    first, beyond = event.subject, event.subject + count
    desks = finding.desks_between(tx, first, beyond - 1) if count else {}
    for arrived in finding.arrivals(tx, first - 1, beyond, count, None) if count else ():
        view = _brief(registry, arrived)
        yield _rendered(Place(event.id, arrived.id - first), "message", desks.get(arrived.id, frozenset()), view)


def _brief(registry: Registry, arrived: Arrival) -> View:
    return {
        "id": show_message_id(arrived.message_id),
        "cursor": show_cursor(arrived.id),
        "sender": reader(registry, Party(registry.association, arrived.sender)),
        "received_at": show_time(arrived.received_at),
        **msgspec.structs.asdict(_BRIEF.decode(arrived.content)),
    }


def _manifest(tx: Transaction, row: int, manifest: int, now: int) -> Iterator[Rendered]:
    _signed, parts = evidence.manifest(tx, manifest)
    ids = [message_id_of(part.signed_part) for part in parts]
    known = finding.authors_of(tx, ids)
    alone = finding.fare_alone(tx, manifest, [message for message, _desk in known.values()])
    shared: bytes | None = None
    for number, message_id in enumerate(ids):
        if message_id not in known:
            continue
        message, desk = known[message_id]
        if message in alone.messages or number in alone.places:
            told = msgspec.json.encode(deliveries(tx, message_id, now))
        else:
            told = shared = shared or msgspec.json.encode(deliveries(tx, message_id, now))
        yield _delivery(Place(row, number), desk, message_id, told)


def _delivery(place: Place, desk: str, message_id: MessageId, told: bytes) -> Rendered:
    view: View = {"id": show_message_id(message_id), "deliveries": msgspec.Raw(told)}
    return _rendered(place, "delivery", frozenset({desk}), view)


def _rendered(place: Place, name: str, desks: frozenset[str], view: View) -> Rendered:
    # JSON on one line holds no line break, which alone would end a field of the stream.
    data = b"id: %s\nevent: %s\ndata: %s\n\n" % (str(place).encode(), name.encode(), msgspec.json.encode(view))
    return Rendered(place, desks, data)
