"""What travels and what the hub says of it: core, slots, attestations (SPEC sections 9.1, 9.3, 9.5).

Everything that the hub reads of an envelope is here, and nothing that could open one.  Cores, slots and
attestation data keep the bytes they came as: ids, digests and signatures are of those.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from protocol.batch import BatchSignature, LeafProof, Verified, check_leaf, leaf, sign_batch
from protocol.bodies import Role
from protocol.codec import (
    VERSION,
    Value,
    array,
    binary,
    bounded,
    decode,
    encode,
    fields,
    one_of,
    positive,
    text,
    uint,
    versioned,
)
from protocol.errors import LimitError, MalformedError, VerificationError
from protocol.limits import (
    MAX_ATTACHMENTS,
    MAX_ATTESTATION_BYTES,
    MAX_AUDIENCE,
    MAX_CIPHERTEXT_BYTES,
    MAX_CORE_BYTES,
    MAX_SLOT_BYTES,
    MIN_CIPHERTEXT_BYTES,
)
from protocol.names import AssociationId, Digest, EnvelopeId, Incarnation, Party, StatementId, read_digest
from protocol.signing import HashLabel, Label, PrivateKey, digest
from protocol.trust.registry import Registry

WRAP_BYTES: Final = 1_843
MAX_CODE_BYTES: Final = 64

_CODE: Final = re.compile(r"[a-z]+(?:_[a-z]+)*")


def read_code(value: Value) -> str:
    """The error code that a wire text holds: lower-case words joined by `_`, at most 64 bytes; else `MalformedError`.

    A code that this version does not know is fine: the other side may be newer.
    """
    code = text(value, MAX_CODE_BYTES)
    if not _CODE.fullmatch(code):
        raise MalformedError("error code")
    return code


# -- core ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True, order=True)
class Submission:
    """The number of an envelope at its sender: `counter`, from 1, within an incarnation; they only grow."""

    incarnation: Incarnation
    counter: int

    @classmethod
    def parse(cls, value: Value) -> Submission:
        """The submission that [incarnation, counter] holds; else `MalformedError`."""
        incarnation, counter = fields(value, 2)
        return cls(Incarnation.parse(incarnation), positive(counter, 63))

    def value(self) -> tuple[tuple[int, int], int]:
        """What `parse` reads, ready to encode."""
        return (self.incarnation.value(), self.counter)


@dataclass(frozen=True, slots=True)
class Blob:
    """An encrypted file that an envelope refers to: the SHA-256 of its ciphertext and its size in bytes."""

    digest: Digest
    size: int

    @classmethod
    def parse(cls, value: Value) -> Blob:
        """The reference that [digest, size] holds; else `MalformedError`."""
        blob_digest, size = fields(value, 2)
        return cls(Digest(read_digest(blob_digest)), uint(size, 63))

    def value(self) -> tuple[bytes, int]:
        """What `parse` reads, ready to encode."""
        return (self.digest, self.size)


@dataclass(frozen=True, slots=True)
class Core:
    """The part of an envelope that every recipient and the hub see; made by `build` or `from_bytes`."""

    association: AssociationId
    sender: Party
    submission: Submission
    expires_at: int
    ciphertext_digest: Digest
    blobs: tuple[Blob, ...]
    raw: bytes = field(repr=False)

    @property
    def id(self) -> EnvelopeId:
        """The envelope id."""
        return EnvelopeId(digest(HashLabel.ENVELOPE, self.raw))

    @classmethod
    def from_bytes(cls, raw: bytes) -> Core:
        """The core in `raw`.

        Raises what `codec.decode` does, `VersionError`, and `MalformedError` for anything but a core
        whose sender belongs to its association.
        """
        association, sender, submission, expires_at, ciphertext, blobs = versioned(decode(raw, MAX_CORE_BYTES), 6)
        party = Party.parse(sender)
        if party.association != read_digest(association):
            raise MalformedError("the sender is of another association")
        blob_list = tuple(Blob.parse(each) for each in array(blobs, MAX_ATTACHMENTS))
        number = Submission.parse(submission)
        return cls(
            party.association, party, number, uint(expires_at, 63), Digest(read_digest(ciphertext)), blob_list, raw
        )

    @classmethod
    def build(
        cls, sender: Party, submission: Submission, expires_at: int, ciphertext: bytes, blobs: Sequence[Blob] = ()
    ) -> Core:
        """The core of this `ciphertext`, expiring at `expires_at` (Unix seconds); raises what `from_bytes` does."""
        ciphertext_digest = hashlib.sha256(ciphertext).digest()
        values = [each.value() for each in blobs]
        start = (VERSION, sender.association, sender.value(), submission.value())
        return cls.from_bytes(encode([*start, expires_at, ciphertext_digest, values]))

    def check_ciphertext(self, ciphertext: bytes) -> None:
        """Return if these are the bytes that the core names; else `MalformedError`."""
        if hashlib.sha256(ciphertext).digest() != self.ciphertext_digest:
            raise MalformedError("another ciphertext than the core names")


# -- slot ----------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Slot:
    """What lets one recipient open an envelope; made by `build` or `from_bytes`."""

    recipient: Party
    epoch: int
    prekey_hash: Digest
    link_leaf: Digest
    wrap: bytes = field(repr=False)
    raw: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Slot:
        """The slot in `raw`; raises what `codec.decode` does, and `MalformedError` for anything but a slot."""
        recipient, epoch, prekey_hash, link_leaf, wrap = fields(decode(raw, MAX_SLOT_BYTES), 5)
        hashes = Digest(read_digest(prekey_hash)), Digest(read_digest(link_leaf))
        return cls(Party.parse(recipient), uint(epoch, 63), *hashes, binary(wrap, WRAP_BYTES), raw)

    @classmethod
    def build(cls, recipient: Party, epoch: int, prekey_hash: bytes, link_leaf: bytes, wrap: bytes) -> Slot:
        """The slot of these parts; raises what `from_bytes` does."""
        return cls.from_bytes(encode((recipient.value(), epoch, prekey_hash, link_leaf, wrap)))


# -- envelope ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Envelope:
    """A core, its ciphertext, and 1 to 128 slots for distinct recipients.

    That the ciphertext is the core's is another question (`Core.check_ciphertext`): it is asked later.
    """

    core: Core
    ciphertext: bytes = field(repr=False)
    slots: tuple[Slot, ...]

    def __post_init__(self) -> None:
        """Refuse sizes that no envelope has with `LimitError`, and everything else with `MalformedError`."""
        check_ciphertext_size(len(self.ciphertext))
        if len(self.slots) > MAX_AUDIENCE:
            raise LimitError(f"{len(self.slots)} slots, at most {MAX_AUDIENCE}")
        if not self.slots or len({slot.recipient for slot in self.slots}) != len(self.slots):
            raise MalformedError("slots for no recipient, or two for one")

    @classmethod
    def from_bytes(cls, core: bytes, ciphertext: bytes, slots: Sequence[bytes]) -> Envelope:
        """The envelope of these parts as they were submitted; raises what their readers do."""
        check_ciphertext_size(len(ciphertext))
        return cls(Core.from_bytes(core), ciphertext, tuple(Slot.from_bytes(slot) for slot in slots))


def check_ciphertext_size(size: int) -> None:
    """Return if a ciphertext can have `size` bytes, a power of two from 8 KiB to 1 MiB.

    Raises `LimitError` for a larger one and `MalformedError` for every other.
    """
    if size > MAX_CIPHERTEXT_BYTES:
        raise LimitError(f"a ciphertext of {size} bytes, at most {MAX_CIPHERTEXT_BYTES}")
    if size < MIN_CIPHERTEXT_BYTES or size.bit_count() != 1:
        raise MalformedError(f"a ciphertext of {size} bytes")


# -- attestations --------------------------------------------------------------------------------------
class Event(IntEnum):
    """What the hub attests of one slot (names of ETSI EN 319 522)."""

    ACCEPTED = 1
    REJECTED = 2
    FAILED = 3


RESULT_ACCEPTED: Final = "accepted"
RESULT_EXPIRED: Final = "expired"
RESULT_RECALLED: Final = "recalled"


@dataclass(frozen=True, slots=True)
class AttestationData:
    """What the hub says happened to one slot `at` a time of its clock (Unix seconds); see `Attestation`.

    `result` is `accepted` for an acceptance, `expired` or `recalled` for a failure, else an error code.
    """

    event: Event
    certificate: StatementId
    envelope_id: EnvelopeId
    recipient: Party
    link_leaf: Digest
    result: str
    at: int
    raw: bytes = field(repr=False)

    @classmethod
    def from_bytes(cls, raw: bytes) -> AttestationData:
        """The data in `raw`, which nobody may have signed.

        Raises what `codec.decode` does, `VersionError`, and `MalformedError` also for a result that does not fit.
        """
        event, certificate, envelope_id, recipient, link_leaf, result, at = versioned(
            decode(raw, MAX_ATTESTATION_BYTES), 7
        )
        kind = one_of(Event, event)
        return cls(
            kind,
            StatementId(read_digest(certificate)),
            EnvelopeId(read_digest(envelope_id)),
            Party.parse(recipient),
            Digest(read_digest(link_leaf)),
            _result(kind, result),
            uint(at, 63),
            raw,
        )

    @classmethod
    def build(
        cls,
        event: Event,
        certificate: StatementId,
        envelope_id: EnvelopeId,
        slot: Slot,
        result: str,
        at: int,
    ) -> AttestationData:
        """What the hub with this certificate says of `slot`; raises what `from_bytes` does."""
        start = (VERSION, int(event), certificate, envelope_id)
        return cls.from_bytes(encode((*start, slot.recipient.value(), slot.link_leaf, result, at)))


def _result(event: Event, value: Value) -> str:
    result = read_code(value)
    fitting = {Event.ACCEPTED: {RESULT_ACCEPTED}, Event.FAILED: {RESULT_EXPIRED, RESULT_RECALLED}}
    if result not in fitting.get(event, {result}):
        raise MalformedError("a result that does not fit the event")
    return result


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement of the hub about one slot: `data` in bytes, unread and unproven until `verify` returns it."""

    data: bytes = field(repr=False)
    proof: LeafProof
    batch: BatchSignature

    @classmethod
    def parse(cls, value: Value) -> Attestation:
        """The attestation that [data, salt, index, path, batch signature] holds; else `MalformedError` or `LimitError`."""
        data, salt, index, path, batch = fields(value, 5)
        proof = LeafProof.parse([salt, index, path])
        return cls(bounded(data, MAX_ATTESTATION_BYTES), proof, BatchSignature.parse(batch))

    def value(self) -> tuple[Value, ...]:
        """What `parse` reads, ready to encode."""
        return (self.data, *self.proof.value(), self.batch.value())

    def verify(self, registry: Registry, verified: Verified | None = None) -> AttestationData:
        """What a hub whose certificate was in standing at that time attested.

        Raises what `AttestationData.from_bytes` does, `StandingError`, `VerificationError` if the
        certificate is no hub's, `ProofError` and `SignatureError`.
        """
        data = AttestationData.from_bytes(self.data)
        record = registry.certificate_standing(data.certificate, data.at)
        if record.role != Role.HUB:
            raise VerificationError("the certificate is no hub's")
        check_leaf(leaf(HashLabel.ACCEPTANCE_LEAF, self.proof.salt, self.data), self.proof, self.batch)
        self.batch.verify(record.key, Label.ACCEPTANCES, registry.association, verified)
        return data


def attest(
    key: PrivateKey, association: AssociationId, datas: Sequence[AttestationData], salts: Sequence[bytes]
) -> list[Attestation]:
    """An attestation of each of `datas`, in order, under one signature by `key`, which their certificate names.

    `salts` are fresh and as many.  Raises `UsageError` for none or over 4,096.
    """
    raws = [data.raw for data in datas]
    batch, proofs = sign_batch(key, Label.ACCEPTANCES, HashLabel.ACCEPTANCE_LEAF, association, raws, salts)
    return [Attestation(raw, proof, batch) for raw, proof in zip(raws, proofs, strict=True)]
