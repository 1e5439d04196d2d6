"""What came in: verified links, what each number became, messages for desks, and what waits or was set aside."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from node.model import Mark, Record, pack, unpack
from node.store import Row, Transaction
from protocol.messages.message import Kind
from protocol.messages.receipts import Outcome
from protocol.names import Incarnation, MessageId


# -- links -------------------------------------------------------------------------------------------
class InLink(Record, frozen=True, gc=False):
    """A verified link of a peer with all that proves it: row ids of manifest, batch and attestation, and bytes."""

    peer: int
    incarnation: Incarnation
    first_seq: int
    count: int
    kind: Kind
    manifest: int
    raw: bytes
    proof: bytes
    batch: int
    core: bytes
    attestation: int
    accepted_at: int
    received_at: int


def add_link(tx: Transaction, link: InLink) -> int:
    """The row id of this link."""
    return tx.add(
        "INSERT INTO inlink (peer, incarnation, first_seq, count, kind, manifest, raw, proof, batch, core, attestation, "
        "accepted_at, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            link.peer,
            pack(link.incarnation),
            link.first_seq,
            link.count,
            int(link.kind),
            link.manifest,
            link.raw,
            link.proof,
            link.batch,
            link.core,
            link.attestation,
            link.accepted_at,
            link.received_at,
        ),
    )


def find_link(tx: Transaction, row_id: int) -> InLink:
    """The link with this row id."""
    row = tx.one(
        "SELECT peer, incarnation, first_seq, count, kind, manifest, raw, proof, batch, core, attestation, "
        "accepted_at, received_at FROM inlink WHERE id = ?",
        (row_id,),
    )
    found = row or ()
    return InLink(found[0], unpack(found[1]), found[2], found[3], Kind(found[4]), *found[5:])


# -- numbers -----------------------------------------------------------------------------------------
class Known(Record, frozen=True, gc=False):
    """What a number became, and the id of the message that it stands for (for other kinds a digest of the body)."""

    outcome: Outcome
    name: bytes


def known(tx: Transaction, series: int, first: int, last: int) -> dict[int, Known]:
    """What is recorded of these numbers of a series."""
    rows = tx.all(
        "SELECT seq, outcome, name FROM number_in WHERE series = ? AND seq BETWEEN ? AND ?", (series, first, last)
    )
    return {row[0]: Known(Outcome(row[1]), row[2]) for row in rows}


def record(tx: Transaction, series: int, numbers: Iterable[tuple[int, Known]]) -> None:
    """Afterwards these numbers are what is given for each."""
    tx.many(
        "INSERT INTO number_in (series, seq, outcome, name) VALUES (?, ?, ?, ?)",
        [(series, seq, int(each.outcome), each.name) for seq, each in numbers],
    )


# -- messages ----------------------------------------------------------------------------------------
class Arrived(Record, frozen=True, gc=False):
    """A message in the inbox; its row id is its place in the archive's order, `digest` the SHA-256 of its content."""

    id: int
    inlink: int
    place: int
    message_id: MessageId
    received_at: int
    mark: Mark
    digest: bytes
    content: bytes


_COLUMNS = "id, inlink, place, message_id, received_at, mark, digest, content"


def _arrived(row: Row) -> Arrived:
    return Arrived(row[0], row[1], row[2], MessageId(row[3]), row[4], Mark(row[5]), row[6], row[7])


def last_id(tx: Transaction) -> int:
    """The row id of the newest message ever archived; ids are never used twice."""
    row = tx.one("SELECT seq FROM sqlite_sequence WHERE name = 'inbox'")
    return row[0] if row else 0


def archive(tx: Transaction, peer: int, messages: Sequence[Arrived], desks: Iterable[tuple[str, int]]) -> None:
    """Afterwards these messages of the peer are in the inbox, remembered by id, and shown to (desk, row id)."""
    tx.many(
        f"INSERT INTO inbox ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",  # noqa: S608
        [(m.id, m.inlink, m.place, m.message_id, m.received_at, int(m.mark), m.digest, m.content) for m in messages],
    )
    tx.many(
        "INSERT INTO received (peer, message_id, inbox) VALUES (?, ?, ?)",
        [(peer, message.message_id, message.id) for message in messages],
    )
    tx.many("INSERT OR IGNORE INTO inbox_desk (desk, inbox) VALUES (?, ?)", desks)


def remember_void(tx: Transaction, peer: int, message_id: bytes) -> None:
    """Afterwards the peer's message is closed for ever, unless it is held."""
    tx.run("INSERT OR IGNORE INTO received (peer, message_id, inbox) VALUES (?, ?, NULL)", (peer, message_id))


class Remembered(Record, frozen=True, gc=False):
    """What is remembered of a message id: its inbox row (None: it was voided), and its content's digest while it is kept."""

    inbox: int | None
    digest: bytes | None

    @property
    def is_void(self) -> bool:
        """Whether the message was closed without being delivered."""
        return self.inbox is None


def remembered(tx: Transaction, peer: int, message_ids: Sequence[bytes]) -> dict[bytes, Remembered]:
    """What is remembered of these messages of the peer, by id."""
    marks = ", ".join("?" * len(message_ids))
    rows = tx.all(
        "SELECT r.message_id, r.inbox, i.digest FROM received r LEFT JOIN inbox i ON i.id = r.inbox "  # noqa: S608
        f"WHERE r.peer = ? AND r.message_id IN ({marks})",
        (peer, *message_ids),
    )
    return {row[0]: Remembered(row[1], row[2]) for row in rows}


def find(tx: Transaction, row_id: int) -> Arrived | None:
    """The message with this row id, None if there is none."""
    row = tx.one(f"SELECT {_COLUMNS} FROM inbox WHERE id = ?", (row_id,))  # noqa: S608 - fixed column names
    return _arrived(row) if row else None


def by_message(tx: Transaction, message_id: MessageId) -> list[Arrived]:
    """The messages with this id: one, unless two peers claim the same."""
    columns = ", ".join(f"i.{name.strip()}" for name in _COLUMNS.split(","))
    rows = tx.all(
        f"SELECT {columns} FROM peer p JOIN received r ON r.peer = p.id AND r.message_id = ? "  # noqa: S608
        "JOIN inbox i ON i.id = r.inbox ORDER BY i.id",
        (message_id,),
    )
    return [_arrived(row) for row in rows]


def answer(tx: Transaction, row_id: int, receipt: bytes) -> None:
    """Afterwards a desk of ours is known to have answered this message by this receipt, however often it is said."""
    tx.run("INSERT OR IGNORE INTO answer (inbox, receipt) VALUES (?, ?)", (row_id, receipt))


def answers(tx: Transaction, rows: Sequence[int]) -> list[tuple[int, bytes]]:
    """The receipts by which desks of ours answered these messages, each with its message, oldest first."""
    marks = ", ".join("?" * len(rows))
    found = tx.all(f"SELECT inbox, receipt FROM answer WHERE inbox IN ({marks}) ORDER BY id", tuple(rows))  # noqa: S608
    return [(row[0], row[1]) for row in found]


def desks_of(tx: Transaction, row_id: int) -> tuple[str, ...]:
    """The desks to which this message was addressed; the empty name stands for the member itself."""
    # The key leads with the desk, so the few desks of a member are probed one by one.
    rows = tx.all(
        "SELECT name FROM (SELECT name FROM desk UNION SELECT '') d "
        "WHERE EXISTS (SELECT 1 FROM inbox_desk i WHERE i.desk = d.name AND i.inbox = ?) ORDER BY name",
        (row_id,),
    )
    return tuple(row[0] for row in rows)


MAX_QUARANTINED: Final = 4_096
"""So many items are kept of what was refused: evidence for people, and no way to fill the disk."""


# -- held and quarantined ------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Aside:
    """An item of the mailbox as it came, set aside for the reason `code`.

    An answer of the hub about an envelope of ours has an attestation alone: its `core` is empty.
    """

    id: int
    position: int
    core: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)
    slot: bytes = field(repr=False)
    attestation: bytes = field(repr=False)
    code: str
    at: int


_ASIDE = "position, core, ciphertext, slot, attestation, code, at"


def hold(tx: Transaction, item: Aside) -> None:
    """Afterwards the item is kept until it can be judged."""
    _set_aside(tx, "held", item)


def quarantine(tx: Transaction, item: Aside) -> None:
    """Afterwards the item is kept for people to look at, while there are not too many, and never handed over."""
    newest = tx.one("SELECT max(id) FROM quarantine") or (None,)
    if (newest[0] or 0) < MAX_QUARANTINED:
        _set_aside(tx, "quarantine", item)


def _set_aside(tx: Transaction, table: str, item: Aside) -> None:
    tx.run(
        f"INSERT INTO {table} ({_ASIDE}) VALUES (?, ?, ?, ?, ?, ?, ?)",  # noqa: S608 - fixed names
        (item.position, item.core, item.ciphertext, item.slot, item.attestation, item.code, item.at),
    )


def held_items(tx: Transaction, after: int = 0, limit: int = 64) -> list[Aside]:
    """At most `limit` items that wait, oldest first, with row ids above `after`."""
    rows = tx.all(f"SELECT id, {_ASIDE} FROM held WHERE id > ? ORDER BY id LIMIT ?", (after, limit))  # noqa: S608
    return [Aside(*row) for row in rows]


def held_codes(tx: Transaction) -> dict[str, int]:
    """How many envelopes wait, by reason."""
    return {row[0]: row[1] for row in tx.all("SELECT code, count(*) FROM held WHERE core <> x'' GROUP BY code")}


def held_answers(tx: Transaction) -> int:
    """How many answers of the hub wait."""
    return int((tx.one("SELECT count(*) FROM held WHERE core = x''") or (0,))[0])


def let_go(tx: Transaction, row_id: int) -> None:
    """Afterwards the item does not wait any more."""
    tx.run("DELETE FROM held WHERE id = ?", (row_id,))


def quarantined(tx: Transaction, after: int = 0, limit: int = 64) -> list[Aside]:
    """At most `limit` items that were refused, oldest first, with row ids above `after`."""
    rows = tx.all(f"SELECT id, {_ASIDE} FROM quarantine WHERE id > ? ORDER BY id LIMIT ?", (after, limit))  # noqa: S608
    return [Aside(*row) for row in rows]
