"""SPEC 6.3, a hub put back from a backup: what its members' nodes offer it, and what it takes in of that."""

from collections.abc import Sequence
from typing import NamedTuple

from tests.spec_reader.merkle import check_consistency, plain_leaf, root
from tests.spec_reader.notes import Checkpoint, Key, check_cosignature
from tests.spec_reader.refusal import require
from tests.spec_reader.registry import check_leaf, read_entry, replay
from tests.spec_reader.shape import array, binary, digest, many, structure, uint
from tests.spec_reader.wire import Wire

OFFER_BYTES, LEAVES, HASHES = 4_194_304, 8_192, 128
ENTRY_BYTES, STATEMENT_BYTES, SIGNATURE_BYTES = 64, 262_144, 2_420


class Offer(NamedTuple):
    association: bytes
    size: int
    root: bytes
    timestamp: int
    signature: bytes
    first: int
    leaves: list[tuple[bytes, bytes]]
    proof: list[bytes]


def read_offer(raw: bytes) -> Offer:
    association, size, top, signed, first, leaves, proof = structure(raw, OFFER_BYTES, 8)
    timestamp, signature = array(signed, 2)
    offer = Offer(
        digest(association),
        uint(size),
        digest(top),
        uint(timestamp),
        binary(signature, SIGNATURE_BYTES),
        uint(first),
        many(leaves, _leaf, 1, LEAVES),
        many(proof, digest, 0, HASHES),
    )
    require(offer.first + len(offer.leaves) <= offer.size, "malformed", "leaves beyond the checkpoint")
    return offer


def _leaf(value: Wire) -> tuple[bytes, bytes]:
    entry, statement = array(value, 2)
    return binary(entry, most=ENTRY_BYTES), binary(statement, most=STATEMENT_BYTES)


def take_in(raw: bytes, association: bytes, log: Key, held: Sequence[bytes]) -> list[bytes]:
    """The entries of the hub's log afterwards: those held, and what it takes in."""
    offer = read_offer(raw)
    require(offer.association == association, "wrong_association")
    if offer.size <= len(held) or offer.first != len(held):
        return list(held)
    signed = Checkpoint(log.name, offer.size, offer.root)
    check_cosignature(log, signed, offer.timestamp, offer.signature)
    _check_leaves(offer, held)
    entries = [*held, *(entry for entry, _ in offer.leaves)]
    tree = root([plain_leaf(entry) for entry in entries])
    check_consistency((len(entries), tree), (offer.size, offer.root), offer.proof)
    return entries


def _check_leaves(offer: Offer, held: Sequence[bytes]) -> None:
    """As a mirror does, that held these entries."""
    if not held:
        replay(offer.association, offer.leaves)
        return
    _, before, _ = read_entry(held[-1])
    for entry, statement in offer.leaves:
        _, before = check_leaf(entry, statement, before)
