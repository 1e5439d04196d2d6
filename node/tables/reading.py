"""What each person opened and flagged; a message of the inbox is new to whoever has not opened it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.store import Transaction
from node.tables.desks import RECEIVED, rows_of
from node.tables.finding import FOREVER

COUNTED: Final = 1_000
"""New messages are counted among so many of the newest: nobody reads a larger number, and no inbox is read whole."""


def open_message(tx: Transaction, inbox: int, person: int, at: int) -> int | None:
    """When the person last opened it (Unix seconds), None for never; afterwards they did at `at`."""
    row = tx.one("SELECT at FROM opened WHERE inbox = ? AND person = ?", (inbox, person))
    tx.run("INSERT OR REPLACE INTO opened (inbox, person, at) VALUES (?, ?, ?)", (inbox, person, at))
    return None if row is None else int(row[0])


def open_sent(tx: Transaction, outbox: int, person: int, at: int) -> int | None:
    """The same for a message of ours, which is new to nobody."""
    row = tx.one("SELECT at FROM opened_sent WHERE outbox = ? AND person = ?", (outbox, person))
    tx.run("INSERT OR REPLACE INTO opened_sent (outbox, person, at) VALUES (?, ?, ?)", (outbox, person, at))
    return None if row is None else int(row[0])


def close_message(tx: Transaction, inbox: int, person: int) -> None:
    """Afterwards it is new to the person again."""
    tx.run("DELETE FROM opened WHERE inbox = ? AND person = ?", (inbox, person))


def opened(tx: Transaction, person: int, rows: Sequence[int]) -> frozenset[int]:
    """Which of these messages of the inbox the person opened."""
    marks = ", ".join("?" * len(rows))
    found = tx.all(f"SELECT inbox FROM opened WHERE person = ? AND inbox IN ({marks})", (person, *rows))  # noqa: S608
    return frozenset(row[0] for row in found)


def is_opened_at(tx: Transaction, inbox: int, people: Sequence[int]) -> bool:
    """Whether one of these people opened it."""
    marks = ", ".join("?" * len(people))
    sql = f"SELECT 1 FROM opened WHERE inbox = ? AND person IN ({marks}) LIMIT 1"  # noqa: S608
    return tx.one(sql, (inbox, *people)) is not None


def unopened(tx: Transaction, person: int, desks: Sequence[str]) -> int:
    """How many of the newest messages of these desks the person has not opened."""
    newest, given = rows_of(RECEIVED, desks, 0, FOREVER, COUNTED, newest_first=True)
    row = tx.one(
        f"SELECT count(*) FROM ({newest}) n "  # noqa: S608
        "WHERE NOT EXISTS (SELECT 1 FROM opened o WHERE o.inbox = n.row AND o.person = ?)",
        (*given, person),
    )
    return int(row[0]) if row else 0


def flag(tx: Transaction, person: int, item: int, *, on: bool) -> None:
    """Afterwards the person's flag is on this item (`node.search.Hit.item`), or is not."""
    sql = (
        "INSERT OR IGNORE INTO flag (person, item) VALUES (?, ?)"
        if on
        else "DELETE FROM flag WHERE person = ? AND item = ?"
    )
    tx.run(sql, (person, item))


def flagged(tx: Transaction, person: int, items: Sequence[int]) -> frozenset[int]:
    """Which of these items carry the person's flag."""
    marks = ", ".join("?" * len(items))
    found = tx.all(f"SELECT item FROM flag WHERE person = ? AND item IN ({marks})", (person, *items))  # noqa: S608
    return frozenset(row[0] for row in found)


def flags(tx: Transaction, person: int, first: int, limit: int) -> list[int]:
    """At most `limit` of the items that carry the person's flag, from the one of number `first` on, newest message first."""
    rows = tx.all(
        "SELECT f.item FROM flag f LEFT JOIN inbox i ON f.item % 2 = 0 AND i.id = f.item / 2 "
        "LEFT JOIN outbox o ON f.item % 2 = 1 AND o.id = f.item / 2 WHERE f.person = ? "
        "ORDER BY coalesce(i.received_at, o.accepted_at) DESC, f.item DESC LIMIT ? OFFSET ?",
        (person, limit, first),
    )
    return [int(row[0]) for row in rows]
