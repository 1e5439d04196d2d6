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


def add(tx: Transaction, person: int, key: str, form: bytes, at: int) -> int:
    """The id of a draft begun just now."""
    return tx.add("INSERT INTO draft (person, key, form, updated_at) VALUES (?, ?, ?, ?)", (person, key, form, at))


def keep(tx: Transaction, draft: int, person: int, form: bytes, at: int) -> bool:
    """Whether the person had this draft and it was not about to go; afterwards it says this."""
    sql = "UPDATE draft SET form = ?, updated_at = ? WHERE id = ? AND person = ? AND send_at IS NULL"
    return tx.run(sql, (form, at, draft, person)) == 1


def send(tx: Transaction, draft: int, person: int, send_at: int | None) -> bool:
    """Whether the person had this draft; afterwards it goes at `send_at`, or is being written again for None."""
    sql = "UPDATE draft SET send_at = ?, failure = NULL WHERE id = ? AND person = ?"
    return tx.run(sql, (send_at, draft, person)) == 1


def fail(tx: Transaction, draft: int, failure: str) -> None:
    """Afterwards the draft is being written again, and says why it did not go."""
    tx.run("UPDATE draft SET send_at = NULL, failure = ? WHERE id = ?", (failure, draft))


def drop(tx: Transaction, draft: int, person: int) -> bool:
    """Whether the person had this draft; afterwards not."""
    return tx.run("DELETE FROM draft WHERE id = ? AND person = ?", (draft, person)) == 1


def find(tx: Transaction, draft: int, person: int) -> Draft | None:
    """The person's draft with this id."""
    row = tx.one(f"{_DRAFT} WHERE id = ? AND person = ?", (draft, person))
    return None if row is None else Draft(*row)


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
