"""Receipts that peers are owed and that no link carries yet."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.store import Transaction


@dataclass(frozen=True, slots=True)
class Owed:
    """One receipt body, for `numbers` numbers of the peer, due at `due_at` (Unix seconds) at the latest."""

    id: int
    body: bytes = field(repr=False)
    numbers: int


def owe(tx: Transaction, peer: int, subject: bytes, body: bytes, numbers: int, due_at: float) -> None:
    """Afterwards the peer is owed this receipt once, due at the earlier time; `subject` names what it is about."""
    tx.run(
        "INSERT INTO owed (peer, subject, body, numbers, due_at) VALUES (?, ?, ?, ?, ?) ON CONFLICT (peer, subject) "
        "DO UPDATE SET body = excluded.body, due_at = min(due_at, excluded.due_at)",
        (peer, subject, body, numbers, due_at),
    )


def totals(tx: Transaction) -> list[tuple[int, int, int, float]]:
    """(peer, receipts owed, numbers that they are for, earliest due time) for each peer that is owed anything."""
    rows = tx.all("SELECT peer, count(*), sum(numbers), min(due_at) FROM owed GROUP BY peer")
    return [(row[0], row[1], row[2], row[3]) for row in rows]


def to_peer(tx: Transaction, peer: int, limit: int) -> list[Owed]:
    """At most `limit` receipts owed to this peer, oldest first."""
    rows = tx.all("SELECT id, body, numbers FROM owed WHERE peer = ? ORDER BY id LIMIT +?", (peer, limit))
    return [Owed(*row) for row in rows]


def paid(tx: Transaction, receipts: list[Owed]) -> None:
    """Afterwards these are owed no more: a link carries them."""
    tx.many("DELETE FROM owed WHERE id = ?", [(each.id,) for each in receipts])


def next_due(tx: Transaction) -> float | None:
    """The earliest time at which a receipt is due; None if none is owed."""
    row = tx.one("SELECT min(due_at) FROM owed")
    return row[0] if row else None
