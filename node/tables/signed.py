"""What recipients signed for and have lost since: their numbers go again, and what authors were told stays (SPEC 10.1)."""

from __future__ import annotations

from node.model import LinkState
from node.store import Transaction
from node.tables import links
from node.tables.links import LinkRow


def keep(tx: Transaction, link: LinkRow) -> None:
    """Afterwards the receipts of the numbers of this link that are delivered outlast whatever becomes of them."""
    known = links.numbers(tx, link.id)
    rows = []
    for place in range(link.count):
        number = known.get(place)
        state, receipt = (number.state, number.evidence) if number else (link.state, link.evidence)
        if state is LinkState.DELIVERED and receipt is not None:
            rows.append((link.id, place, *receipt))
    tx.many("INSERT OR IGNORE INTO signed (link, place, receipt, receipt_place) VALUES (?, ?, ?, ?)", rows)


def peers_of(tx: Transaction, message: int) -> set[int]:
    """The peers that signed for this message and lost it since, under whatever number it goes to them now."""
    rows = tx.all(
        "SELECT l.peer FROM placement p JOIN link l ON l.manifest = p.manifest "
        "JOIN signed s ON s.link = l.id AND s.place = p.place WHERE p.message = ?",
        (message,),
    )
    return {row[0] for row in rows}
