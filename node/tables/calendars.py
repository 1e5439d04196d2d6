"""The newest signed calendar of each member, as the hub gave it."""

from __future__ import annotations

from node.store import Transaction


def keep(tx: Transaction, member: str, raw: bytes) -> None:
    """Afterwards this is the member's newest calendar."""
    tx.run("INSERT OR REPLACE INTO calendar (member, raw) VALUES (?, ?)", (member, raw))


def forget(tx: Transaction, member: str) -> None:
    """Afterwards no calendar of the member is kept."""
    tx.run("DELETE FROM calendar WHERE member = ?", (member,))


def stored(tx: Transaction) -> list[tuple[str, bytes]]:
    """(member, signed calendar) for each that is kept."""
    return [(row[0], row[1]) for row in tx.all("SELECT member, raw FROM calendar ORDER BY member")]
