"""What there is one of: our incarnation, the hub's, counters, the cursor, alarms, events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from node.model import INCARNATION_BYTES, EventKind, pack, unpack
from node.store import Transaction
from protocol.messages.envelope import Submission
from protocol.names import Incarnation


def get(tx: Transaction, name: str) -> Any:
    """The value of this name, None if it was never set."""
    if name in tx.memo:
        return tx.memo[name]
    row = tx.one("SELECT value FROM state WHERE name = ?", (name,))
    value = tx.memo[name] = row[0] if row else None
    return value


def put(tx: Transaction, name: str, value: int | bytes | str | None) -> None:
    """Afterwards this name has this value."""
    tx.run("INSERT OR REPLACE INTO state (name, value) VALUES (?, ?)", (name, value))
    tx.memo[name] = value


# -- incarnations ------------------------------------------------------------------------------------
def incarnation(tx: Transaction) -> Incarnation | None:
    """The incarnation in which this node numbers what it sends; None before its first."""
    packed = get(tx, "incarnation")
    return unpack(packed) if packed else None


def begin_incarnation(tx: Transaction, begun: Incarnation) -> None:
    """Afterwards this node is in the incarnation `begun`, with nothing submitted in it."""
    put(tx, "incarnation", pack(begun))
    put(tx, "counter", 0)


def hub_incarnation(tx: Transaction) -> Incarnation | None:
    """The newest incarnation of the hub that this node met."""
    packed = get(tx, "hub")
    return unpack(packed) if packed else None


def meet_hub(tx: Transaction, met: Incarnation) -> None:
    """Afterwards positions and answers are those of this incarnation of the hub: none was taken, none given."""
    put(tx, "hub", pack(met))
    put(tx, "cursor", 0)
    put(tx, "reached", 0)
    put(tx, "answered", None)


NUDGES_SENT: Final = "nudges_sent"
NUDGES_FAILED: Final = "nudges_failed"


# -- counters ----------------------------------------------------------------------------------------
def cursor(tx: Transaction) -> int:
    """The mailbox position taken in last, under `hub_incarnation`."""
    return int(get(tx, "cursor") or 0)


def reached(tx: Transaction) -> int:
    """The highest position ever taken in under `hub_incarnation`, above `cursor` where the hub showed a lower one since."""
    return max(int(get(tx, "reached") or 0), cursor(tx))


def go_on_from(tx: Transaction, position: int) -> None:
    """Afterwards what follows this position of the mailbox is taken in, again if it was before."""
    if position != cursor(tx):
        put(tx, "reached", reached(tx))
        put(tx, "cursor", position)


def placed_upto(tx: Transaction) -> int:
    """The row id up to which every message of the outbox was placed, set waiting or ended."""
    return int(get(tx, "placed") or 0)


def submissions(tx: Transaction) -> int:
    """The counter of the newest submission in this incarnation; 0 if there is none."""
    return int(get(tx, "counter") or 0)


def last_submission(tx: Transaction) -> Submission | None:
    """The newest submission of all, numbered 0 while none was made in this incarnation; None before the first."""
    current = incarnation(tx)
    return None if current is None else Submission(current, submissions(tx))


def answered(tx: Transaction) -> Submission | None:
    """The newest submission that the hub of `hub_incarnation` answered slot by slot; None if it answered none."""
    packed = get(tx, "answered")
    return Submission(unpack(packed), int.from_bytes(packed[INCARNATION_BYTES:], "big")) if packed else None


def put_answered(tx: Transaction, newest: Submission | None) -> None:
    """Afterwards this is the newest submission that the hub answered."""
    packed = pack(newest.incarnation) + newest.counter.to_bytes(8, "big") if newest else None
    put(tx, "answered", packed)


# -- alarms and events -------------------------------------------------------------------------------
MAX_ALARMS: Final = 1_024
"""So many alarms are kept, the newest; who makes a node raise many fills neither its disk nor an answer."""


def alarm(tx: Transaction, at: int, code: str, detail: str) -> None:
    """Record that a person should look; the same alarm is recorded once an hour at most."""
    known = tx.one("SELECT 1 FROM alarm WHERE code = ? AND detail = ? AND at > ?", (code, detail, at - 3600))
    if not known:
        row = tx.add("INSERT INTO alarm (at, code, detail) VALUES (?, ?, ?)", (at, code, detail))
        tx.run("DELETE FROM alarm WHERE id <= ?", (row - MAX_ALARMS,))


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something that a person should look at: when, a stable code, and whom or what it concerns."""

    id: int
    at: int
    code: str
    detail: str


def alarms(tx: Transaction, after: int = 0) -> list[Alarm]:
    """The alarms with row ids above `after`, oldest first."""
    rows = tx.all("SELECT id, at, code, detail FROM alarm WHERE id > ? ORDER BY id", (after,))
    return [Alarm(*row) for row in rows]


def event(tx: Transaction, at: int, kind: EventKind, subject: int, place: int | None = None) -> None:
    """Record for those who follow that something changed."""
    tx.run("INSERT INTO event (at, kind, subject, place) VALUES (?, ?, ?, ?)", (at, int(kind), subject, place))


@dataclass(frozen=True, slots=True)
class Event:
    """One change, in order of `id`; see `EventKind` for what `subject` names."""

    id: int
    at: int
    kind: EventKind
    subject: int
    place: int | None


LEAP: Final = 1 << 36
"""So far row ids go on behind a backup that was put back: further than what was written after it can have come."""

_NUMBERED: Final = ("inbox", "outbox", "event")


def leap(tx: Transaction) -> None:
    """Afterwards no row that callers know by a cursor gets an id that one had who wrote after this moment."""
    for table in _NUMBERED:
        if not tx.run("UPDATE sqlite_sequence SET seq = seq + ? WHERE name = ?", (LEAP, table)):
            tx.run("INSERT INTO sqlite_sequence (name, seq) VALUES (?, ?)", (table, LEAP))


def event_time(tx: Transaction, row: int) -> int:
    """When the event with this id happened (Unix seconds); 0 if there is none."""
    found = tx.one("SELECT at FROM event WHERE id = ?", (row,))
    return int(found[0]) if found else 0


def events(tx: Transaction, after: int, limit: int = 1000) -> list[Event]:
    """At most `limit` events with ids above `after`, oldest first."""
    rows = tx.all("SELECT id, at, kind, subject, place FROM event WHERE id > ? ORDER BY id LIMIT +?", (after, limit))
    return [Event(row[0], row[1], EventKind(row[2]), row[3], row[4]) for row in rows]
