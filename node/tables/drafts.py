"""What people are writing, and what is about to be sent: a message waits some seconds, so that it can be taken back."""

from __future__ import annotations

from dataclasses import dataclass, field

from node.store import Transaction


@dataclass(frozen=True, slots=True)
class Draft:
    """One draft: `form` is what was typed, in JSON; `key` the idempotency key under which it will be sent.

    `send_at` is when it goes (Unix seconds), None while it is being written; `failure` the code and detail of why it
    did not go.
    """

    id: int
    person: int
    key: str
    form: bytes = field(repr=False)
    updated_at: int
    send_at: int | None
    failure: str | None


_DRAFT = "SELECT id, person, key, form, updated_at, send_at, failure FROM draft"


def keep(tx: Transaction, key: str, person: int, form: bytes, at: int) -> bool:
    """Whether the draft is the person's and not about to go; afterwards it says this, begun now if there was none."""
    sql = (
        "INSERT INTO draft (key, person, form, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO UPDATE "
        "SET form = excluded.form, updated_at = excluded.updated_at WHERE person = excluded.person AND send_at IS NULL"
    )
    return tx.run(sql, (key, person, form, at)) == 1


def send(tx: Transaction, key: str, person: int, send_at: int) -> bool:
    """Whether the person had this draft; afterwards it goes at `send_at`."""
    sql = "UPDATE draft SET send_at = ?, failure = NULL WHERE key = ? AND person = ?"
    return tx.run(sql, (send_at, key, person)) == 1


def undo(tx: Transaction, key: str, person: int, now: int) -> bool:
    """Whether the draft was still to go after `now`; afterwards it is being written again."""
    # What is due may be under way already.
    sql = "UPDATE draft SET send_at = NULL WHERE key = ? AND person = ? AND send_at > ?"
    return tx.run(sql, (key, person, now)) == 1


def fail(tx: Transaction, draft: int, failure: str) -> None:
    """Afterwards the draft is being written again, and says why it did not go."""
    tx.run("UPDATE draft SET send_at = NULL, failure = ? WHERE id = ?", (failure, draft))


def drop(tx: Transaction, key: str, person: int) -> bool:
    """Whether the person had this draft; afterwards not."""
    return tx.run("DELETE FROM draft WHERE key = ? AND person = ?", (key, person)) == 1


def find(tx: Transaction, key: str) -> Draft | None:
    """The draft with this key, whosever it is."""
    row = tx.one(f"{_DRAFT} WHERE key = ?", (key,))
    return None if row is None else Draft(*row)


def failed(tx: Transaction, person: int) -> int:
    """How many of the person's drafts did not go."""
    row = tx.one("SELECT count(*) FROM draft WHERE person = ? AND failure IS NOT NULL", (person,))
    return int(row[0]) if row else 0


def of_person(tx: Transaction, person: int) -> list[Draft]:
    """The person's drafts, the newest first."""
    return [Draft(*row) for row in tx.all(f"{_DRAFT} WHERE person = ? ORDER BY updated_at DESC, id DESC", (person,))]


def due(tx: Transaction, now: int) -> list[Draft]:
    """What has to go by `now`, oldest first."""
    return [Draft(*row) for row in tx.all(f"{_DRAFT} WHERE send_at <= ? ORDER BY send_at, id", (now,))]


def next_due(tx: Transaction) -> int | None:
    """When the next draft goes; None if none does."""
    row = tx.one("SELECT min(send_at) FROM draft WHERE send_at IS NOT NULL")
    return None if row is None or row[0] is None else int(row[0])
