"""What a hub put back from a backup is offered: the leaves that this mirror holds and the hub lacks (SPEC 6.3)."""

from __future__ import annotations

from typing import Final

from node.mirror import Mirror
from node.store import Transaction
from protocol.errors import StaleViewError
from protocol.limits import KIB, MAX_OFFER_LEAVES
from protocol.merkle import consistency, leaf_hash
from protocol.trust.offer import Leaf, Offer

OFFER_BYTES: Final = 768 * KIB


def offer(tx: Transaction, mirror: Mirror, first: int) -> Offer:
    """The next leaves from index `first` on, proven by the newest checkpoint of this mirror, which holds them all.

    Raises `StaleViewError` while there is no checkpoint.
    """
    signed = mirror.checkpoint
    if signed is None:
        raise StaleViewError("no checkpoint yet")
    checkpoint, leaves = signed.checkpoint, _leaves(tx, first)
    hashes = [leaf_hash(row[0]) for row in tx.all("SELECT entry FROM registry_leaf ORDER BY leaf")]
    proof = consistency(hashes, first + len(leaves))
    return Offer(
        mirror.registry.association, checkpoint.size, checkpoint.root, signed.cosignature, first, leaves, proof
    )


def _leaves(tx: Transaction, first: int) -> list[Leaf]:
    rows = tx.all(
        "SELECT entry, statement FROM registry_leaf WHERE leaf >= ? ORDER BY leaf LIMIT ?", (first, MAX_OFFER_LEAVES)
    )
    taken: list[Leaf] = []
    size = 0
    for entry, statement in rows:
        size += len(entry) + len(statement)
        if taken and size > OFFER_BYTES:
            break
        taken.append((entry, statement))
    return taken
