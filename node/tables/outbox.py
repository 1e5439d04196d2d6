"""What authors handed in: messages, and whom they wait for before they have a number."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

from node.model import Record
from node.store import Row, Transaction, holes
from node.tables import state
from protocol.errors import DamagedError
from protocol.limits import MIB
from protocol.messages.receipts import VoidReason
from protocol.names import MessageId

EVERYBODY = 0
"""The peer of an `ended` row that concerns a message before it had any recipient by name."""

WITHDRAWN, EXPIRED, REFUSED = "withdrawn", "expired", "refused"
CLOSING: Final = {WITHDRAWN: VoidReason.WITHDRAWN, EXPIRED: VoidReason.EXPIRED, REFUSED: VoidReason.REFUSED}
"""The reasons of `waiting` rows whose messages a restored node must void under numbers of their own, and for what."""

_CLOSING: Final = ", ".join(f"'{reason}'" for reason in CLOSING)


class Written(Record, frozen=True, gc=False):
    """A message as it was accepted; `addressed` names members and networks, `header` and `content` are its bytes."""

    id: int
    message_id: MessageId
    desk: str
    accepted_at: int
    expires_at: int
    addressed: bytes
    header: bytes
    content: bytes

    @property
    def is_intact(self) -> bool:
        """Whether the content is still the one that the header names (see `evidence.intact`)."""
        return hashlib.sha256(self.content).digest() in self.header


_COLUMNS = "id, message_id, desk, accepted_at, expires_at, addressed, header, content"


def _written(row: Row) -> Written:
    return Written(row[0], MessageId(row[1]), *row[2:])


def add(tx: Transaction, messages: Sequence[tuple[Written, bytes]]) -> None:
    """Afterwards these messages are stored, each with the digest of its request, to tell a retry from a conflict."""
    if not messages:
        return
    newest = tx.one("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'") or (0,)
    numbered = list(enumerate(messages, newest[0] + 1))
    rows = [
        (row, w.message_id, w.desk, request, w.accepted_at, w.expires_at, w.addressed, w.header, w.content)
        for row, (w, request) in numbered
    ]
    tx.many(
        "INSERT INTO outbox (id, message_id, desk, request, accepted_at, expires_at, addressed, header, content) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        rows,
    )
    _keep_at_hand(tx, newest[0], [_numbered(row, w) for row, (w, _request) in numbered])


def _numbered(row: int, w: Written) -> Written:
    return Written(row, w.message_id, w.desk, w.accepted_at, w.expires_at, w.addressed, w.header, w.content)


def requests(tx: Transaction, message_ids: Sequence[MessageId]) -> dict[MessageId, bytes]:
    """The digests of the requests that made those of these messages that are known."""
    marks = ", ".join("?" * len(message_ids))
    rows = tx.all(f"SELECT message_id, request FROM outbox WHERE message_id IN ({marks})", message_ids)  # noqa: S608
    return {MessageId(row[0]): row[1] for row in rows}


def find(tx: Transaction, message_id: MessageId) -> Written | None:
    """The message with this id, None if it is not known."""
    row = tx.one(f"SELECT {_COLUMNS} FROM outbox WHERE message_id = ?", (message_id,))  # noqa: S608 - fixed columns
    return _written(row) if row else None


def by_row(tx: Transaction, row_id: int) -> Written:
    """The message with this row id."""
    return _written(tx.one(f"SELECT {_COLUMNS} FROM outbox WHERE id = ?", (row_id,)) or ())  # noqa: S608


def contents(tx: Transaction, message_ids: Sequence[MessageId]) -> list[bytes]:
    """The contents of these messages, in order; `DamagedError` if one is not what its header names."""
    found = [find(tx, each) for each in message_ids]
    if not all(message is not None and message.is_intact for message in found):
        raise DamagedError
    return [message.content for message in found if message is not None]


# -- placement ---------------------------------------------------------------------------------------
_AT_HAND: Final = "outbox at hand"
_MAX_AT_HAND: Final = 2_048
_MAX_AT_HAND_BYTES: Final = 8 * MIB


def _keep_at_hand(tx: Transaction, before: int, added: list[Written]) -> None:
    # Most are placed by the round that accepts them, and need not be read, deciphered and digested once more.
    held: list[Written] = tx.memo.get(_AT_HAND) or []
    joined = [*held, *added] if not held or held[-1].id == before else added
    is_small = len(joined) <= _MAX_AT_HAND and sum(len(each.content) for each in joined) <= _MAX_AT_HAND_BYTES
    tx.memo[_AT_HAND] = joined if is_small else []


def unplaced(tx: Transaction, limit: int) -> list[Written]:
    """At most `limit` messages that were not looked at yet, oldest first."""
    held: list[Written] = tx.memo.get(_AT_HAND) or []
    if held and held[0].id == state.placed_upto(tx) + 1:
        return held[:limit]
    sql = f"SELECT {_COLUMNS} FROM outbox WHERE id > ? ORDER BY id LIMIT +?"  # noqa: S608
    return [_written(row) for row in tx.all(sql, (state.placed_upto(tx), limit))]


def placed(tx: Transaction, upto: int) -> None:
    """Afterwards every message up to this row id was looked at."""
    tx.memo[_AT_HAND] = [each for each in tx.memo.get(_AT_HAND) or () if each.id > upto]
    state.put(tx, "placed", upto)


def place(tx: Transaction, manifest: int, messages: Iterable[int]) -> None:
    """Afterwards these messages are the bodies of the manifest, in this order."""
    rows = [(message, manifest, place) for place, message in enumerate(messages)]
    tx.many("INSERT INTO placement (message, manifest, place) VALUES (?, ?, ?)", rows)


# -- waiting and ended -------------------------------------------------------------------------------
def wait(tx: Transaction, peer: int, messages: Iterable[int], audience: bytes, reason: str) -> None:
    """Afterwards these messages wait for this peer, for a `reason` that is an error code."""
    rows = [(peer, message, audience, reason) for message in messages]
    tx.many("INSERT OR REPLACE INTO waiting (peer, message, audience, reason) VALUES (?, ?, ?, ?)", rows)


def awaited(tx: Transaction) -> list[int]:
    """The row ids of the peers for whom messages wait."""
    return [row[0] for row in tx.all("SELECT DISTINCT peer FROM waiting")]


def waiting_for(tx: Transaction, peer: int, limit: int) -> list[tuple[int, bytes, str]]:
    """At most `limit` of (message, audience, reason) that wait for this peer, oldest first."""
    sql = "SELECT message, audience, reason FROM waiting WHERE peer = ? ORDER BY message LIMIT +?"
    return [(row[0], row[1], row[2]) for row in tx.all(sql, (peer, limit))]


def still_waiting(tx: Transaction, peer: int, reason: str) -> None:
    """Afterwards what waits for this peer waits for this reason (what waits to be voided stays so)."""
    sql = f"UPDATE waiting SET reason = ? WHERE peer = ? AND reason NOT IN ({_CLOSING}, ?)"  # noqa: S608
    tx.run(sql, (reason, peer, reason))


def waits_of(tx: Transaction, messages: Sequence[int]) -> list[tuple[int, int, str]]:
    """(message, peer, reason) for each recipient for whom one of these messages waits."""
    rows = tx.all(f"SELECT message, peer, reason FROM waiting WHERE message IN ({holes(messages)})", messages)  # noqa: S608
    return [(row[0], row[1], row[2]) for row in rows]


def no_longer_waiting(tx: Transaction, peer: int, messages: Iterable[int]) -> None:
    """Afterwards these messages do not wait for this peer."""
    tx.many("DELETE FROM waiting WHERE peer = ? AND message = ?", [(peer, message) for message in messages])


def overdue(tx: Transaction, now: int) -> list[tuple[int, int]]:
    """(peer, message) of what waits past its author's expiry, but not to be voided."""
    sql = (
        "SELECT w.peer, w.message FROM waiting w JOIN outbox o ON o.id = w.message "  # noqa: S608
        f"WHERE o.expires_at <= ? AND w.reason NOT IN ({_CLOSING})"
    )
    return [(row[0], row[1]) for row in tx.all(sql, (now,))]


def end(tx: Transaction, peer: int, message: int, reason: VoidReason, at: int) -> None:
    """Afterwards this message will not go to this peer (`EVERYBODY`: to nobody), and never had a number there."""
    sql = "INSERT OR IGNORE INTO ended (message, peer, reason, at) VALUES (?, ?, ?, ?)"
    tx.run(sql, (message, peer, int(reason), at))


def ends_of(tx: Transaction, messages: Sequence[int]) -> list[tuple[int, int, VoidReason]]:
    """(message, peer, reason) for each recipient to whom one of these messages will not go."""
    rows = tx.all(f"SELECT message, peer, reason FROM ended WHERE message IN ({holes(messages)})", messages)  # noqa: S608
    return [(row[0], row[1], VoidReason(row[2])) for row in rows]


def withdrawn_unplaced(tx: Transaction, messages: Sequence[int]) -> frozenset[int]:
    """Those of the messages, all after `placed_upto`, that their authors withdrew."""
    low, high = messages[0], messages[-1]
    rows = tx.all("SELECT message FROM ended WHERE message BETWEEN ? AND ? AND peer = ?", (low, high, EVERYBODY))
    return frozenset(row[0] for row in rows)


# -- in hand -----------------------------------------------------------------------------------------
class Handover(Record, frozen=True, gc=False):
    """A desk's answer to a message: by which peer, when, what it did, and the receipt as (inlink, place)."""

    peer: int
    at: int
    action: int
    inlink: int
    place: int


def handed_over(tx: Transaction, message: int, peer: int, receipt: tuple[int, int], at: int, action: int) -> None:
    """Afterwards this peer's desk is known to have taken the message in hand."""
    tx.run(
        "INSERT OR IGNORE INTO handover (message, peer, inlink, place, at, action) VALUES (?, ?, ?, ?, ?, ?)",
        (message, peer, *receipt, at, action),
    )


def handovers(tx: Transaction, messages: Sequence[int]) -> list[tuple[int, Handover]]:
    """Every desk's answer to one of these messages, with that message, oldest first."""
    sql = f"SELECT message, peer, at, action, inlink, place FROM handover WHERE message IN ({holes(messages)}) "  # noqa: S608
    return [(row[0], Handover(*row[1:])) for row in tx.all(sql + "ORDER BY at, inlink, place", messages)]


def mark_closing(tx: Transaction, peer: int, message: int, reason: str) -> None:
    """Afterwards this message waits for the peer only to be voided, for this reason of `CLOSING`."""
    tx.run("UPDATE waiting SET reason = ? WHERE peer = ? AND message = ?", (reason, peer, message))


def to_be_closed(tx: Transaction) -> list[tuple[int, int, VoidReason]]:
    """(peer, message, reason) of what waits only to be voided."""
    rows = tx.all(f"SELECT peer, message, reason FROM waiting WHERE reason IN ({_CLOSING}) ORDER BY message, peer")  # noqa: S608
    return [(row[0], row[1], CLOSING[row[2]]) for row in rows]


def audience_of(tx: Transaction, message: int) -> bytes | None:
    """The audience with which this message waits for somebody; None if it does not wait."""
    row = tx.one("SELECT audience FROM waiting WHERE message = ? LIMIT 1", (message,))
    return bytes(row[0]) if row else None
