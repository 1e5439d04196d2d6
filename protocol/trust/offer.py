"""Leaves that a mirror holds and a hub put back from a backup lacks, with the proof that the hub's own log signed them.

    [0, association id, size, root, [timestamp, signature], first, [[entry, signed statement]…], proof]

Size, root and signature are a checkpoint of the log; the proof shows that the tree with these leaves begins that tree.
So every offer is proven by itself, however many are needed, and nobody needs to be believed (SPEC 6.3).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.codec import VERSION, Value, array, binary, bounded, decode, encode, fields, uint, versioned
from protocol.errors import LogError, MalformedError, PeerError, ProofError
from protocol.limits import MAX_ENTRY_BYTES, MAX_OFFER_BYTES, MAX_OFFER_LEAVES, MAX_OFFER_PROOF, MAX_STATEMENT_BYTES
from protocol.merkle import HASH_BYTES, Frontier, leaf_hash, verify_consistency
from protocol.names import AssociationId
from protocol.trust.checkpoint import Cosignature, LogKey
from protocol.trust.registry import Entry
from protocol.trust.statements import statement_hash

_COUNT_BITS: Final = 63

Leaf = tuple[bytes, bytes]
"""An entry of the log, and the bytes of its signed statement."""


@dataclass(frozen=True, slots=True)
class Offer:
    """Leaves from index `first` on, and the signed checkpoint of `size` and `root` that proves them."""

    association: AssociationId
    size: int
    root: bytes
    cosignature: Cosignature
    first: int
    leaves: Sequence[Leaf] = field(repr=False)
    proof: Sequence[bytes] = field(repr=False)

    def encode(self) -> bytes:
        """The body of a request."""
        leaves: list[Value] = [list(leaf) for leaf in self.leaves]
        cosignature: list[Value] = list(self.cosignature.value())
        return encode([
            VERSION, self.association, self.size, self.root, cosignature, self.first, leaves, list(self.proof)
        ])  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> Offer:
        """The offer in these bytes, of which nothing is proven yet.

        Raises `MalformedError` and its kinds, `LimitError`, `VersionError`.
        """
        association, size, root, cosignature, first, leaves, proof = versioned(decode(data, MAX_OFFER_BYTES), 7)
        offered = [_leaf(each) for each in array(leaves, MAX_OFFER_LEAVES)]
        offer = cls(
            AssociationId(binary(association, HASH_BYTES)),
            uint(size, _COUNT_BITS),
            binary(root, HASH_BYTES),
            Cosignature.parse(cosignature),
            uint(first, _COUNT_BITS),
            offered,
            [binary(each, HASH_BYTES) for each in array(proof, MAX_OFFER_PROOF)],
        )
        if not offered or offer.first + len(offered) > offer.size:
            raise MalformedError("leaves of an offer")
        return offer

    def check(self, log: LogKey, frontier: Frontier, logged_at: int) -> None:
        """Return if `log` signed a tree that begins with that of `frontier` and these leaves.

        `logged_at` is that of the leaf before.  Raises `SignatureError`, `LogError`, `ProofError`.
        """
        log.verify(self.size, self.root, self.cosignature)
        grown = Frontier(frontier.size, frontier.peaks)
        for entry, statement in self.leaves:
            parsed = _entry(entry)
            if parsed.logged_at < logged_at:
                raise LogError("logged_at decreases")
            if statement_hash(statement) != parsed.hash:
                raise ProofError("statement hash")
            logged_at = parsed.logged_at
            grown.append(leaf_hash(entry))
        verify_consistency(grown.size, grown.root(), self.size, self.root, self.proof)


def _entry(entry: bytes) -> Entry:
    try:
        return Entry.parse(entry)
    except PeerError:
        raise LogError("entry") from None


def _leaf(value: Value) -> Leaf:
    entry, statement = fields(value, 2)
    return bounded(entry, MAX_ENTRY_BYTES), bounded(statement, MAX_STATEMENT_BYTES)
