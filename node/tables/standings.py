"""Where messages of ours stand, read for many of them at once: lists and events ask by the thousand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from node.model import LinkState, Record
from node.store import Row, Transaction, holes
from protocol.messages.message import Kind
from protocol.messages.receipts import VoidReason


class Standing(Record, frozen=True, gc=False):
    """A message in a link that carried it: how it stands there, as its number if that went another way, else as the link.

    `evidence` is the (inlink, place) of the receipt that says so, if one does, and `signed` of the one by which the
    recipient signed for what it has lost since.
    """

    message: int
    place: int
    peer: int
    kind: Kind
    manifest: int
    relayed: int
    hold: str | None
    first_attestation: int | None
    state: LinkState
    reason: VoidReason | None
    evidence: tuple[int, int] | None
    signed: tuple[int, int] | None


def standings(tx: Transaction, messages: Sequence[int]) -> list[Standing]:
    """How each of these messages stands in each link that carried it, oldest link first."""
    rows = tx.all(
        "SELECT p.message, p.place, l.peer, l.kind, l.manifest, l.relayed, l.hold, l.first_attestation, "  # noqa: S608
        "coalesce(n.state, l.state), n.reason, iif(n.state IS NULL, l.receipt, n.receipt), "
        "iif(n.state IS NULL, l.receipt_place, n.receipt_place), s.receipt, s.receipt_place "
        "FROM placement p JOIN link l ON l.manifest = p.manifest "
        "LEFT JOIN number_out n ON n.link = l.id AND n.place = p.place "
        "LEFT JOIN signed s ON s.link = l.id AND s.place = p.place "
        f"WHERE p.message IN ({holes(messages)}) ORDER BY l.id",
        messages,
    )
    return [_standing(row) for row in rows]


# By table: a call of an enumeration costs as much as all else of a row.
_KINDS: Final = {int(each): each for each in Kind}
_STATES: Final = {int(each): each for each in LinkState}


def _standing(row: Row) -> Standing:
    message, place, peer, kind, manifest, relayed, hold, first, state, reason, receipt, receipt_place, *signed = row
    return Standing(
        message,
        place,
        peer,
        _KINDS[kind],
        manifest,
        relayed,
        hold,
        first,
        _STATES[state],
        None if reason is None else VoidReason(reason),
        None if receipt is None else (receipt, receipt_place),
        None if signed[0] is None else (signed[0], signed[1]),
    )
