"""Finding messages for those who ask: by the start of an id, by page, by the link that an event names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from node.model import Record
from node.store import Row, Transaction, holes
from node.tables.desks import RECEIVED, SENT, rows_of
from node.tables.evidence import intact
from node.tables.state import LEAP
from protocol.errors import DamagedError
from protocol.messages.content import (
    SCHEMA,
    Author,
    BodyFormat,
    Content,
    MessageType,
    Origin,
    Text,
    Urgency,
    to_json,
)
from protocol.messages.message import Kind
from protocol.names import MessageId

FOREVER = (1 << 63) - 1
_UNKNOWN = "unknown"


class Sent(Record, frozen=True, gc=False):
    """A message of ours as lists show it."""

    id: int
    message_id: MessageId
    desk: str
    accepted_at: int
    expires_at: int
    content: bytes


class Arrival(Record, frozen=True, gc=False):
    """A message for us as lists show it, with its verified sender.

    `content` is what the sender signed; where the disk damaged it, a document that says so, and `is_intact` is False.
    """

    id: int
    message_id: MessageId
    sender: str
    received_at: int
    mark: int
    content: bytes
    is_intact: bool = True


def ids_between(tx: Transaction, low: bytes, high: bytes, limit: int) -> list[MessageId]:
    """At most `limit` ids of messages, sent or received, from `low` to `high`, both included."""
    sent = tx.all("SELECT message_id FROM outbox WHERE message_id BETWEEN ? AND ? LIMIT +?", (low, high, limit))
    received = tx.all(
        "SELECT r.message_id FROM peer p JOIN received r ON r.peer = p.id AND r.message_id BETWEEN ? AND ? "
        "WHERE r.inbox IS NOT NULL LIMIT +?",
        (low, high, limit),
    )
    return sorted({MessageId(row[0]) for row in (*sent, *received)})[:limit]


# -- received ----------------------------------------------------------------------------------------
_ARRIVAL = (
    "SELECT i.id, i.message_id, p.member, i.received_at, i.mark, i.content, i.digest FROM inbox i "
    "JOIN inlink l ON l.id = i.inlink JOIN peer p ON p.id = l.peer "
)


def arrivals(
    tx: Transaction, after: int, before: int, limit: int, desks: Sequence[str] | None, *, newest_first: bool = False
) -> list[Arrival]:
    """At most `limit` messages between these row ids, both excluded, in archive order or the reverse.

    Of these desks alone (the empty name is the member itself), or of all for None.
    """
    order = "DESC" if newest_first else "ASC"
    if desks is None:
        rows = tx.all(f"{_ARRIVAL} WHERE i.id > ? AND i.id < ? ORDER BY i.id {order} LIMIT +?", (after, before, limit))
    else:
        chosen, given = rows_of(RECEIVED, desks, after, before, limit, newest_first=newest_first)
        rows = tx.all(f"{_ARRIVAL} WHERE i.id IN ({chosen}) ORDER BY i.id {order}", given)
    return [_arrival(row) for row in rows]


def arrivals_of(tx: Transaction, message_id: MessageId) -> list[Arrival]:
    """The messages received under this id: one, unless two peers claim the same."""
    rows = tx.all(
        "SELECT i.id, i.message_id, p.member, i.received_at, i.mark, i.content, i.digest FROM peer p "
        "JOIN received r ON r.peer = p.id AND r.message_id = ? JOIN inbox i ON i.id = r.inbox ORDER BY i.id",
        (message_id,),
    )
    return [_arrival(row) for row in rows]


def manifest_of(tx: Transaction, inbox: int) -> int:
    """The row id of the manifest in which this message of the inbox came."""
    row = tx.one("SELECT l.manifest FROM inbox i JOIN inlink l ON l.id = i.inlink WHERE i.id = ?", (inbox,))
    return int(row[0]) if row else 0


def _arrival(row: Row) -> Arrival:
    row_id, message_id, sender, received_at, mark, content, digest = row
    try:
        return Arrival(row_id, message_id, sender, received_at, mark, intact(content, digest))
    except DamagedError:
        return Arrival(row_id, message_id, sender, received_at, mark, _damaged(sender), is_intact=False)


@lru_cache(maxsize=64)
def _damaged(sender: str) -> bytes:
    """What is shown in the place of a content that cannot be shown any more."""
    said = str(DamagedError())
    content = Content(
        schema=SCHEMA,
        type=MessageType.MESSAGE,
        subject=said,
        body=Text(format=BodyFormat.PLAIN, text=said),
        to=(f"{_UNKNOWN}@{_UNKNOWN}",),
        origin=Origin(member=sender, desk=_UNKNOWN),
        author=Author(name="", role="", login_method=""),
        urgency=Urgency.ROUTINE,
    )
    return to_json(content)


# -- sent --------------------------------------------------------------------------------------------
_SENT = "SELECT id, message_id, desk, accepted_at, expires_at, content FROM outbox "


def sent(
    tx: Transaction, after: int, before: int, limit: int, desks: Sequence[str] | None, *, newest_first: bool = False
) -> list[Sent]:
    """At most `limit` messages of ours between these row ids, both excluded, of these desks or of all for None."""
    order = "DESC" if newest_first else "ASC"
    if desks is None:
        rows = tx.all(f"{_SENT} WHERE id > ? AND id < ? ORDER BY id {order} LIMIT +?", (after, before, limit))
    else:
        chosen, given = rows_of(SENT, desks, after, before, limit, newest_first=newest_first)
        rows = tx.all(f"{_SENT} WHERE id IN ({chosen}) ORDER BY id {order}", given)
    return [_sent(row) for row in rows]


def sent_by_row(tx: Transaction, rows: Sequence[int]) -> list[Sent]:
    """The messages of ours with these row ids."""
    marks = ", ".join("?" * len(rows))
    return [_sent(row) for row in tx.all(f"{_SENT} WHERE id IN ({marks}) ORDER BY id", tuple(rows))]


def sent_of(tx: Transaction, message_id: MessageId) -> Sent | None:
    """The message of ours with this id, None if there is none."""
    row = tx.one(f"{_SENT} WHERE message_id = ?", (message_id,))
    return _sent(row) if row else None


def manifests_of(tx: Transaction, links: Sequence[int]) -> dict[int, int]:
    """The row id of the manifest that each of these links of ours carries, by link."""
    if not links:
        return {}
    rows = tx.all(f"SELECT id, manifest FROM link WHERE id IN ({holes(links)})", links)  # noqa: S608
    return {row[0]: row[1] for row in rows}


def _sent(row: Sequence[object]) -> Sent:
    return Sent(*row)  # type: ignore[arg-type]


# -- many at once ------------------------------------------------------------------------------------
def desks_between(tx: Transaction, first: int, last: int) -> dict[int, frozenset[str]]:
    """The desks (the empty name is the member itself) of each message of the inbox with a row id from first to last."""
    rows = tx.all(
        "SELECT inbox, desk FROM inbox_desk WHERE desk IN (SELECT name FROM desk UNION SELECT '') "
        "AND inbox BETWEEN ? AND ?",
        (first, last),
    )
    found: dict[int, set[str]] = {}
    for inbox, desk in rows:
        found.setdefault(inbox, set()).add(desk)
    return {inbox: frozenset(desks) for inbox, desks in found.items()}


class Own(Record, frozen=True, gc=False):
    """A message of ours: its row id and desk, and when its author wants it no more."""

    id: int
    desk: str
    expires_at: int


def authors_of(tx: Transaction, message_ids: Sequence[MessageId]) -> dict[MessageId, Own]:
    """Those of these messages that are ours."""
    sql = f"SELECT message_id, id, desk, expires_at FROM outbox WHERE message_id IN ({holes(message_ids)})"  # noqa: S608
    return {MessageId(row[0]): Own(*row[1:]) for row in tx.all(sql, message_ids)}


@dataclass(frozen=True, slots=True)
class Apart:
    """Which messages of a manifest may fare otherwise than the rest: by row id, and by place in the manifest."""

    messages: frozenset[int]
    places: frozenset[int]


def fare_alone(tx: Transaction, manifest: int, messages: Sequence[int]) -> Apart:
    """Those that wait, ended, were answered or were linked again beside this manifest, and numbers with rows of their own."""
    marks = ", ".join("?" * len(messages))
    tables = " UNION ".join(
        f"SELECT message FROM {table} WHERE message IN ({marks})"  # noqa: S608 - fixed names
        for table in ("waiting", "ended", "handover")
    )
    elsewhere = f"SELECT message FROM placement WHERE message IN ({marks}) AND manifest <> ?"  # noqa: S608
    rows = tx.all(f"{tables} UNION {elsewhere}", (*messages, *messages, *messages, *messages, manifest))
    places = tx.all(
        "SELECT n.place FROM link l JOIN number_out n ON n.link = l.id WHERE l.manifest = ? "
        "UNION SELECT s.place FROM link l JOIN signed s ON s.link = l.id WHERE l.manifest = ?",
        (manifest, manifest),
    )
    return Apart(frozenset(row[0] for row in rows), frozenset(row[0] for row in places))


# -- counts ------------------------------------------------------------------------------------------
# A void that closes no number of before has its own, and is all that is under way of its messages: so asks a node in a
# new life.
_UNDER_WAY: Final = (
    f"FROM link WHERE wake_at IS NOT NULL AND (kind = {int(Kind.MESSAGE)} OR kind = {int(Kind.VOID)} "  # noqa: S608
    "AND NOT EXISTS (SELECT 1 FROM number_out n WHERE n.void_link = link.id))"
)


def counts(tx: Transaction) -> dict[str, int]:
    """How many messages ever came and went, and how many wait for what; no query reads a table that only grows."""
    queries = {
        "received": "SELECT seq FROM sqlite_sequence WHERE name = 'inbox'",
        "sent": "SELECT seq FROM sqlite_sequence WHERE name = 'outbox'",
        "under_way": f"SELECT coalesce(sum(count), 0) {_UNDER_WAY}",
        "held": f"SELECT coalesce(sum(count), 0) {_UNDER_WAY} AND hold IS NOT NULL",
        "waiting": "SELECT count(*) FROM waiting",
        "held_here": "SELECT count(*) FROM held WHERE core <> x''",
        "quarantined": "SELECT count(*) FROM quarantine",
        "forks": "SELECT count(*) FROM fork",
    }
    # Ids leap where a backup was put back.
    return {name: int((tx.one(sql) or (0,))[0]) % LEAP for name, sql in queries.items()}


def oldest_sent(tx: Transaction) -> int | None:
    """When the oldest of ours that a recipient has not signed for was accepted, or signed; None if there is none."""
    found = tx.one(
        f"SELECT min(at) FROM (SELECT min(signed_at) AS at {_UNDER_WAY} "  # noqa: S608
        "UNION ALL SELECT accepted_at FROM outbox WHERE id = (SELECT min(message) FROM waiting))"
    )
    return None if found is None or found[0] is None else int(found[0])


def last_event(tx: Transaction) -> int:
    """The id of the newest event; 0 before the first."""
    row = tx.one("SELECT seq FROM sqlite_sequence WHERE name = 'event'")
    return int(row[0]) if row else 0
