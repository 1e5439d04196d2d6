"""The desks of this member, and the tokens by which their systems speak; of a token only its hash is here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node.store import Transaction


@dataclass(frozen=True, slots=True)
class Token:
    """One token: the SHA-256 hash of its text, whose it is, what it is called, and its times (Unix seconds).

    `handle` stands in its text, so that a token that was found can be told from others; of tokens made before it did,
    it is the start of the hash.  `scopes` are words with a space between; a token without `expires_at` is good until it is revoked.
    """

    hash: bytes
    handle: str
    desk: str
    label: str
    created_at: int
    revoked_at: int | None
    scopes: str
    expires_at: int | None


def add_desk(tx: Transaction, name: str, at: int) -> None:
    """Afterwards there is a desk of this name; `ConflictError` if there was one."""
    tx.run("INSERT INTO desk (name, created_at) VALUES (?, ?)", (name, at))


def desks(tx: Transaction) -> dict[str, int]:
    """When each desk was made (Unix seconds), by name."""
    return dict(tx.all("SELECT name, created_at FROM desk ORDER BY name"))


# -- whose messages ------------------------------------------------------------------------------------
RECEIVED: Final = "SELECT inbox AS row FROM inbox_desk WHERE desk = ? AND inbox > ? AND inbox < ?"
SENT: Final = "SELECT id AS row FROM outbox WHERE desk = ? AND id > ? AND id < ?"


def rows_of(
    branch: str, desks: Sequence[str], after: int, before: int, limit: int, *, newest_first: bool = False
) -> tuple[str, tuple[str | int, ...]]:
    """A query of one column, `row`, and what it is given: at most `limit` row ids between these two, both excluded.

    `branch` is `RECEIVED` or `SENT`.  With a branch for each desk SQLite merges what stands in order already; by `IN`
    it would read and sort all of it.
    """
    branches = " UNION ".join([branch] * len(desks)) or "SELECT NULL AS row WHERE FALSE"
    sql = f"{branches} ORDER BY row {'DESC' if newest_first else 'ASC'} LIMIT +?"
    return sql, (*(each for desk in desks for each in (desk, after, before)), limit)


# -- tokens ----------------------------------------------------------------------------------------------
def add_token(tx: Transaction, token: Token) -> None:
    """Afterwards this token is valid."""
    tx.run(
        "INSERT INTO token (hash, handle, desk, label, created_at, scopes, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (token.hash, token.handle, token.desk, token.label, token.created_at, token.scopes, token.expires_at),
    )


def revoke_token(tx: Transaction, hashed: bytes, at: int) -> None:
    """Afterwards this token is valid no more, since the first time that it was revoked."""
    tx.run("UPDATE token SET revoked_at = ? WHERE hash = ? AND revoked_at IS NULL", (at, hashed))


def tokens(tx: Transaction) -> list[Token]:
    """All tokens ever made, oldest first."""
    rows = tx.all(
        "SELECT hash, handle, desk, label, created_at, revoked_at, scopes, expires_at FROM token ORDER BY created_at, hash"
    )
    return [Token(*row) for row in rows]
