"""What the hub attests in one group commit: many statements, one signature (SPEC 9.5).

A statement is promised while the group runs and signed when it closes, so what names it before is a `Promise`.
There is one for every slot that passes: so its bytes are put together from parts that were encoded before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from hub.store import StoredAttestation, Transaction
from protocol.batch import BatchSignature, LeafProof, sign_batch
from protocol.codec import VERSION, decode, encode
from protocol.errors import UsageError
from protocol.limits import KIB, MAX_BATCH_LEAVES
from protocol.messages.envelope import Attestation, Event
from protocol.names import AssociationId, Digest, EnvelopeId, Party, StatementId
from protocol.signing import HashLabel, Label, PrivateKey

_MAX_SIGNATURE_BYTES: Final = 4 * KIB

Salts = Callable[[int], Sequence[bytes]]

# An array's encoding is its header and the encodings of its items, one after the other.
_ARRAY_OF_8: Final = encode([None] * 8)[:1]
_DIGEST_HEADER: Final = encode(bytes(32))[:-32]
_encoded = lru_cache(maxsize=4096)(encode)


@dataclass(frozen=True, slots=True)
class Attestor:
    """With what a hub attests: its operating `key`, that key's `certificate`, and where salts come from."""

    association: AssociationId
    key: PrivateKey
    certificate: StatementId
    salts: Salts

    def data(
        self, event: Event, envelope_id: EnvelopeId, recipient: Party, link_leaf: Digest, result: str, at: int
    ) -> bytes:
        """The bytes that state this of one slot; `AttestationData.from_bytes` reads them."""
        return b"".join((
            _ARRAY_OF_8,
            _encoded(VERSION),
            _encoded(int(event)),
            _encoded(self.certificate),
            _DIGEST_HEADER,
            envelope_id,
            _encoded(recipient.value()),
            _DIGEST_HEADER,
            link_leaf,
            _encoded(result),
            _encoded(at),
        ))  # fmt: skip

    def sign(self, datas: Sequence[bytes]) -> list[Attestation]:
        """An attestation of each, in order, under as few signatures as batches of 4,096 allow."""
        signed: list[Attestation] = []
        for start in range(0, len(datas), MAX_BATCH_LEAVES):
            leaves = datas[start : start + MAX_BATCH_LEAVES]
            labels = (Label.ACCEPTANCES, HashLabel.ACCEPTANCE_LEAF)
            batch, proofs = sign_batch(self.key, *labels, self.association, leaves, self.salts(len(leaves)))
            signed += [Attestation(data, proof, batch) for data, proof in zip(leaves, proofs, strict=True)]
        return signed


class Promise:
    """A statement that is signed when its group closes; `keep_until` is set if the store keeps it so long."""

    __slots__ = ("_signed", "data", "keep_until", "stored")

    def __init__(self, data: bytes, keep_until: int | None = None) -> None:
        """Not signed yet."""
        self.data = data
        self.keep_until = keep_until
        self.stored: StoredAttestation | None = None
        self._signed: Attestation | None = None

    @property
    def attestation(self) -> Attestation:
        """The signed statement; `UsageError` before its group closed."""
        if self._signed is None:
            raise UsageError("the group is still open")
        return self._signed

    @property
    def row(self) -> StoredAttestation:
        """How the store keeps it; `UsageError` if it does not, or before its group closed."""
        if self.stored is None:
            raise UsageError("nothing is kept")
        return self.stored

    def fulfil(self, signed: Attestation) -> None:
        """The signature is there."""
        self._signed = signed


def fulfil(promises: Sequence[Promise], attestor: Attestor, tx: Transaction) -> None:
    """Sign all of them, and keep the batch signatures of those that the store keeps."""
    batches: dict[BatchSignature, list[Promise]] = {}
    signed = attestor.sign([promise.data for promise in promises])
    for promise, attestation in zip(promises, signed, strict=True):
        promise.fulfil(attestation)
        batches.setdefault(attestation.batch, []).append(promise)
    for batch, members in batches.items():
        _keep(batch, members, tx)


def _keep(batch: BatchSignature, promises: Sequence[Promise], tx: Transaction) -> None:
    times = [promise.keep_until for promise in promises if promise.keep_until is not None]
    if not times:
        return
    number = tx.add_batch(encode(batch.value()), max(times))
    for promise in promises:
        proof = promise.attestation.proof
        promise.stored = StoredAttestation(promise.data, proof.salt, proof.index, proof.path, number)


def recall_attestation(stored: StoredAttestation, tx: Transaction) -> Attestation:
    """The attestation that the store kept, as it was signed."""
    proof = LeafProof(stored.salt, stored.index, stored.path)
    return Attestation(stored.data, proof, _read_batch(tx.batch(stored.batch)))


# Everything that waits for one reader was often signed at once: then one object serves all of it.
@lru_cache(maxsize=256)
def _read_batch(signature: bytes) -> BatchSignature:
    return BatchSignature.parse(decode(signature, _MAX_SIGNATURE_BYTES))
