"""Webhooks: where each desk wants to be told, and what is still to be told there; what was told stays for a while.

A *notice* is one event for one webhook.  It is written in the transaction that moves the webhook's cursor beyond the
event, so that none is lost; it is due while `next_at` is set, and of each thread only the oldest one goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from node.store import Transaction

BY_HAND: Final = "by hand"
KEPT: Final = 1_000
"""So many notices of a webhook are kept once they are told."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """One endpoint: its name, desk, address, secrets, where it stands among the events, and since when it fails.

    `enabled_at` is when it was put in force again, 0 if it never was out of it.
    """

    id: int
    name: str
    desk: str
    url: str = field(repr=False)
    secret: bytes = field(repr=False)
    old_secret: bytes | None = field(repr=False)
    old_until: int
    created_at: int
    row: int
    part: int
    failing_since: int | None
    disabled_at: int | None
    disabled_why: str | None
    enabled_at: int


@dataclass(frozen=True, slots=True)
class Notice:
    """One event for one webhook; `next_at` is when it is tried next, None when it is not."""

    id: int
    webhook: int
    event: str
    type: str
    thread: str
    body: bytes = field(repr=False)
    created_at: int
    attempts: int
    next_at: int | None
    tried_at: int | None
    status: int | None
    outcome: str | None


_HOOK: Final = (
    "SELECT id, name, desk, url, secret, old_secret, old_until, created_at, row, part, failing_since, disabled_at, "
    "disabled_why, enabled_at FROM webhook"
)
_NOTICE: Final = "SELECT id, webhook, event, type, thread, body, created_at, attempts, next_at, tried_at, status, outcome FROM notice"

_OLDEST: Final = "SELECT min(id) FROM notice WHERE webhook = ? AND next_at IS NOT NULL GROUP BY thread"
_HEADS: Final = f"{_NOTICE} WHERE id IN ({_OLDEST}) ORDER BY next_at, id LIMIT +?"


def add(tx: Transaction, name: str, desk: str, url: str, secret: bytes, now: int, place: Sequence[int]) -> None:
    """Afterwards this webhook is told what happens behind `place` (row and part of an event)."""
    tx.add(
        "INSERT INTO webhook (name, desk, url, secret, old_until, created_at, row, part) VALUES (?, ?, ?, ?, 0, ?, ?, ?)",
        (name, desk, url, secret, now, *place),
    )


def all_of(tx: Transaction) -> list[Webhook]:
    """All webhooks, oldest first."""
    return [Webhook(*row) for row in tx.all(f"{_HOOK} ORDER BY id")]


def find(tx: Transaction, webhook: int) -> Webhook | None:
    """The webhook with this row id."""
    row = tx.one(f"{_HOOK} WHERE id = ?", (webhook,))
    return Webhook(*row) if row else None


def named(tx: Transaction, name: str) -> Webhook | None:
    """The webhook of this name."""
    row = tx.one(f"{_HOOK} WHERE name = ?", (name,))
    return Webhook(*row) if row else None


def rotate(tx: Transaction, webhook: int, secret: bytes, now: int, old_until: int) -> None:
    """Afterwards this is the secret; the one before signs too until `old_until`.

    While one before it is in force that one stays, and until its own time: whoever lost the answer to a rotation and
    asks again has not learnt the secret between them.
    """
    tx.run(
        "UPDATE webhook SET old_secret = CASE WHEN old_until > ? THEN old_secret ELSE secret END, "
        "old_until = CASE WHEN old_until > ? THEN old_until ELSE ? END, secret = ? WHERE id = ?",
        (now, now, old_until, secret, webhook),
    )


def disable(tx: Transaction, webhook: int, now: int, why: str) -> None:
    """Afterwards nothing is sent to it; the first reason stays."""
    tx.run(
        "UPDATE webhook SET disabled_at = ?, disabled_why = ? WHERE id = ? AND disabled_at IS NULL", (now, why, webhook)
    )


def enable(tx: Transaction, webhook: int, now: int) -> None:
    """Afterwards it is told again, from where it stood; what waits is tried at once."""
    tx.run(
        "UPDATE webhook SET disabled_at = NULL, disabled_why = NULL, failing_since = NULL, enabled_at = ? WHERE id = ?",
        (now, webhook),
    )
    tx.run("UPDATE notice SET next_at = ? WHERE webhook = ? AND next_at IS NOT NULL", (now, webhook))


def remove(tx: Transaction, webhook: int) -> None:
    """Afterwards there is no such webhook, and no log of it."""
    tx.run("DELETE FROM notice WHERE webhook = ?", (webhook,))
    tx.run("DELETE FROM webhook WHERE id = ?", (webhook,))


# -- notices -------------------------------------------------------------------------------------------
def take(
    tx: Transaction, hook: Webhook, place: Sequence[int], found: Iterable[tuple[str, str, str, bytes]], now: int
) -> None:
    """Afterwards these (event, type, thread, body) are due, and the webhook stands at `place`."""
    tx.many(
        "INSERT INTO notice (webhook, event, type, thread, body, created_at, next_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(hook.id, *each, now, now) for each in found],
    )
    tx.run("UPDATE webhook SET row = ?, part = ? WHERE id = ?", (*place, hook.id))


def waiting(tx: Transaction, webhook: int) -> int:
    """How many notices are still to be told."""
    row = tx.one("SELECT count(*) FROM notice WHERE webhook = ? AND next_at IS NOT NULL", (webhook,))
    return int(row[0]) if row else 0


def heads(tx: Transaction, webhook: int, limit: int) -> list[Notice]:
    """The oldest notice of each thread that is still to be told, the soonest first."""
    rows = tx.all(_HEADS, (webhook, limit))
    return [Notice(*row) for row in rows]


def told(tx: Transaction, notice: Notice, now: int, status: int | None, outcome: str, next_at: int | None) -> None:
    """Afterwards the notice was tried once more, with this outcome, and is tried again at `next_at` if that is set."""
    tx.run(
        "UPDATE notice SET attempts = attempts + 1, tried_at = ?, status = ?, outcome = ?, next_at = ? WHERE id = ?",
        (now, status, outcome, next_at, notice.id),
    )
    if next_at is None:
        tx.run(
            "DELETE FROM notice WHERE webhook = ? AND next_at IS NULL AND id <= (SELECT max(id) FROM notice) - ?",
            (notice.webhook, KEPT),
        )


def failed(tx: Transaction, webhook: int, now: int) -> None:
    """Afterwards the webhook fails, since the first failure behind its last success."""
    tx.run("UPDATE webhook SET failing_since = ? WHERE id = ? AND failing_since IS NULL", (now, webhook))


def worked(tx: Transaction, webhook: int) -> None:
    """Afterwards the webhook does not fail."""
    tx.run("UPDATE webhook SET failing_since = NULL WHERE id = ? AND failing_since IS NOT NULL", (webhook,))


def again(tx: Transaction, webhook: int, notice: int, now: int) -> bool:
    """Afterwards the notice is due again; False if there is none."""
    return tx.run("UPDATE notice SET next_at = ? WHERE id = ? AND webhook = ?", (now, notice, webhook)) == 1


def newest(tx: Transaction, webhook: int, limit: int) -> list[Notice]:
    """At most `limit` notices, newest first."""
    return [Notice(*row) for row in tx.all(f"{_NOTICE} WHERE webhook = ? ORDER BY id DESC LIMIT +?", (webhook, limit))]


def log(tx: Transaction, webhook: int, after: int, limit: int) -> list[Notice]:
    """At most `limit` notices with row ids above `after`, oldest first."""
    rows = tx.all(f"{_NOTICE} WHERE webhook = ? AND id > ? ORDER BY id LIMIT +?", (webhook, after, limit))
    return [Notice(*row) for row in rows]
