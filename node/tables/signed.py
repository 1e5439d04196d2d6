"""What recipients signed for and have lost since: their numbers go again, and what authors were told stays (SPEC 10.1)."""

from __future__ import annotations

from collections.abc import Sequence

from node.model import LinkState
from node.store import Transaction, holes
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


def of_links(tx: Transaction, some: Sequence[int]) -> dict[tuple[int, int], tuple[int, int]]:
    """The receipts, as (inlink, place), that were kept of these links, by link and place."""
    if not some:
        return {}
    sql = f"SELECT link, place, receipt, receipt_place FROM signed WHERE link IN ({holes(some)})"  # noqa: S608
    return {(row[0], row[1]): (row[2], row[3]) for row in tx.all(sql, some)}
