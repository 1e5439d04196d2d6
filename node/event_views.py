"""What an event of the archive tells a caller: a new message in brief, a delivery as it stands now, an act of a desk.

A link carries up to 256 messages that nearly always fare alike, so one of them answers for all, and what many links
carry is asked for together.  Of several events about one manifest the last alone is told: each would tell what is now.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from node.api_requests import show_time
from node.api_views import View, action_name, deliveries_of, reader, show_message_id
from node.desks import Caller, desks_of
from node.model import EventKind, Record
from node.paging import show_cursor
from node.store import Transaction
from node.tables import evidence, finding, inbox
from node.tables.finding import Arrival
from node.tables.state import Event
from protocol.errors import UsageError
from protocol.messages.receipts import Action
from protocol.names import Party
from protocol.trust.registry import Registry

LAST_PART: Final = (1 << 31) - 1
_MAX_DIGITS: Final = 19
_MANIFESTS: Final = 512
_AT_ONCE: Final = 256
_ENCODER: Final = msgspec.json.Encoder()


class Place(NamedTuple):
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


class Rendered(Record, frozen=True, gc=False):
    """One event as a stream carries it; `desks` may see it, the empty name standing for the member itself."""

    place: Place
    desks: frozenset[str]
    data: bytes

    def view(self) -> View:
        """The same as a page carries it: `id`, `type` and `data`."""
        # Kept as the line of a stream, which is asked for far more often.
        name, _, data = self.data.partition(b"\nevent: ")[2].partition(b"\ndata: ")
        return {"id": str(self.place), "type": name.decode("ascii"), "data": msgspec.Raw(data[:-2])}

    def is_for(self, caller: Caller, default_desk: str) -> bool:
        """Whether this caller sees it; what is for no desk by name is the default desk's."""
        own = desks_of(caller)
        if own is None:
            return True
        return not self.desks.isdisjoint(own) or (default_desk in own and "" in self.desks)


class _Brief(Record, frozen=True, gc=False):
    type: str
    subject: str
    urgency: str
    thread: str | None = None
    case_reference: str | None = None
    due_at: str | None = None


_BRIEF: Final = msgspec.json.Decoder(_Brief)


class _Told(Record, frozen=True, gc=False):
    id: str
    cursor: str
    sender: msgspec.Raw
    received_at: str
    type: str
    subject: str
    urgency: str
    thread: str | None
    case_reference: str | None
    due_at: str | None


class Letter(Record, frozen=True, gc=False):
    """A message in a manifest of ours: its row id, when its author wants it no more, its place, id as shown, and desk."""

    id: int
    expires_at: int
    place: int
    shown: bytes
    desk: frozenset[str]


class Manifests:
    """What the manifests hold that were told of last: each is told of several times, and never changes."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        """None yet."""
        self._held: OrderedDict[int, tuple[Letter, ...]] = OrderedDict()

    def letters(self, tx: Transaction, manifest: int) -> tuple[Letter, ...]:
        """The messages of the manifest with this row id."""
        held = self._held.get(manifest)
        if held is None:
            held = self._held[manifest] = tuple(_letters(tx, manifest))
            if len(self._held) > _MANIFESTS:
                self._held.popitem(last=False)
        return held


def _letters(tx: Transaction, manifest: int) -> Iterator[Letter]:
    ids = evidence.message_ids(tx, manifest)
    known = finding.authors_of(tx, ids)
    desks = {each.desk: frozenset({each.desk}) for each in known.values()}
    for place, message_id in enumerate(ids):
        if message_id in known:
            own = known[message_id]
            yield Letter(own.id, own.expires_at, place, show_message_id(message_id).encode(), desks[own.desk])


def render(
    tx: Transaction, registry: Registry, events: Sequence[Event], now: int, manifests: Manifests
) -> list[Rendered]:
    """What these events tell, in order."""
    links = finding.manifests_of(tx, [each.subject for each in events if each.kind is EventKind.LINK])
    carried = {each.id: links[each.subject] for each in events if each.kind is EventKind.LINK}
    last = {manifest: event_id for event_id, manifest in carried.items()}
    letters = {manifest: manifests.letters(tx, manifest) for manifest in last}
    standing = _standing(tx, letters, now)
    told: list[Rendered] = []
    for event in events:
        if event.kind is not EventKind.LINK:
            told += _parts(tx, registry, event, now)
        elif last[carried[event.id]] == event.id:
            told += [
                _delivery(Place(event.id, letter.place), letter.desk, letter.shown, standing[letter.id])
                for letter in letters[carried[event.id]]
            ]
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
            told = _ENCODER.encode(deliveries_of(tx, [sent], now)[sent.id])
            shown = show_message_id(sent.message_id).encode()
            yield _delivery(Place(event.id, 0), frozenset({sent.desk}), shown, told)


# -- each kind ---------------------------------------------------------------------------------------
def _received(tx: Transaction, registry: Registry, event: Event, count: int) -> Iterator[Rendered]:
    if not count:
        return
    first, beyond = event.subject, event.subject + count
    desks = finding.desks_between(tx, first, beyond - 1)
    senders: dict[str, msgspec.Raw] = {}
    for arrived in finding.arrivals(tx, first - 1, beyond, count, None):
        if arrived.sender not in senders:
            sender = reader(registry, Party(registry.association, arrived.sender))
            senders[arrived.sender] = msgspec.Raw(msgspec.json.encode(sender))
        told = _told(arrived, senders[arrived.sender])
        yield _rendered(Place(event.id, arrived.id - first), "message", desks.get(arrived.id, frozenset()), told)


def _told(arrived: Arrival, sender: msgspec.Raw) -> _Told:
    brief = _BRIEF.decode(arrived.content)
    return _Told(
        show_message_id(arrived.message_id),
        show_cursor(arrived.id),
        sender,
        show_time(arrived.received_at),
        brief.type,
        brief.subject,
        brief.urgency,
        brief.thread,
        brief.case_reference,
        brief.due_at,
    )


def _standing(tx: Transaction, letters: Mapping[int, Sequence[Letter]], now: int) -> dict[int, bytes]:
    """Where each letter of these manifests stands, by row id, as JSON."""
    answering: dict[int, Letter] = {}
    for manifest, own in letters.items():
        answering |= _answering(tx, manifest, own)
    asked = [*{letter.id: letter for letter in answering.values()}.values()]
    told: dict[int, bytes] = {}
    for start in range(0, len(asked), _AT_ONCE):
        found = deliveries_of(tx, asked[start : start + _AT_ONCE], now)
        told |= {row: _ENCODER.encode(standing) for row, standing in found.items()}
    return {row: told[letter.id] for row, letter in answering.items()}


def _answering(tx: Transaction, manifest: int, letters: Sequence[Letter]) -> dict[int, Letter]:
    """For each letter, by row id, one that stands where it does."""
    if len(letters) == 1:
        return {letters[0].id: letters[0]}
    apart = finding.fare_alone(tx, manifest, [letter.id for letter in letters])
    alone = {letter.id for letter in letters if letter.id in apart.messages or letter.place in apart.places}
    shared = [letter for letter in letters if letter.id not in alone]
    return {letter.id: letter if letter.id in alone else shared[0] for letter in letters}


def _delivery(place: Place, desks: frozenset[str], shown: bytes, told: bytes) -> Rendered:
    # Put together as bytes: of a manifest with 256 messages nearly all of it is the same.
    data = b'id: %d-%d\nevent: delivery\ndata: {"id":"%s","deliveries":%s}\n\n' % (place.row, place.part, shown, told)
    return Rendered(place, desks, data)


def _rendered(place: Place, name: str, desks: frozenset[str], view: View | _Told) -> Rendered:
    # JSON on one line holds no line break, which alone would end a field of the stream.
    data = b"id: %d-%d\nevent: %s\ndata: %s\n\n" % (*place, name.encode(), _ENCODER.encode(view))
    return Rendered(place, desks, data)
