"""What frames carry: envelopes on their way in and out, the hub's answers, and windows (SPEC section 11.2).

Cores, ciphertexts and slots travel as byte strings and stay so here: whoever needs their inside parses them
once, and the hub stores and passes on what it received without encoding anything again.  Attestations share
their batch signatures: a frame lists each signature once, in the order of first use, and each attestation
names it by its number in that list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from protocol.batch import BatchSignature, LeafProof
from protocol.codec import Value, array, binary, bounded, fields, uint
from protocol.errors import LimitError, MalformedError, NonCanonicalError
from protocol.limits import (
    MAX_ARRAY_ITEMS,
    MAX_ATTESTATION_BYTES,
    MAX_AUDIENCE,
    MAX_ENVELOPES_PER_FRAME,
    MAX_FRAME_BYTES,
)
from protocol.messages.envelope import Attestation
from protocol.names import EnvelopeId
from protocol.signing import HashLabel, digest

TAG_BYTES: Final = 16
MAX_PLAINTEXT_BYTES: Final = MAX_FRAME_BYTES - TAG_BYTES
SIGNATURE_WIRE_BYTES: Final = 3_500


@dataclass(frozen=True, slots=True)
class Window:
    """How much may be under way unanswered: `envelopes` of them, and `max_bytes` of core, ciphertext and slots."""

    envelopes: int
    max_bytes: int

    @classmethod
    def parse(cls, envelopes: Value, max_bytes: Value) -> Window:
        """The window that these two integers hold; else `MalformedError`."""
        return cls(uint(envelopes, 32), uint(max_bytes, 63))

    def values(self) -> tuple[int, int]:
        """What `parse` reads."""
        return (self.envelopes, self.max_bytes)

    def admits(self, envelopes: int, size: int) -> bool:
        """Whether so much may be under way; one envelope alone may be larger than `max_bytes`, or it could never pass."""
        return envelopes <= self.envelopes and (size <= self.max_bytes or envelopes <= 1)

    def wider(self, other: Window) -> Window:
        """The larger of both in each measure."""
        return Window(max(self.envelopes, other.envelopes), max(self.max_bytes, other.max_bytes))


@dataclass(frozen=True, slots=True)
class SubmitItem:
    """An envelope on its way in, with the slots that the hub shall accept: all bytes as their makers encoded them."""

    core: bytes = field(repr=False)
    ciphertext: bytes = field(repr=False)
    slots: tuple[bytes, ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse no slot, and more than 128."""
        check_count(len(self.slots), MAX_AUDIENCE)

    @classmethod
    def parse(cls, value: Value) -> SubmitItem:
        """The item of [core, ciphertext, [slot…]] with 1 to 128 slots."""
        core, ciphertext, slots = fields(value, 3)
        return cls(binary(core), binary(ciphertext), tuple([binary(slot) for slot in array(slots, MAX_AUDIENCE)]))

    def value(self) -> Sequence[Value]:
        """What `parse` reads."""
        return (self.core, self.ciphertext, self.slots)

    @property
    def id(self) -> EnvelopeId:
        """The envelope id, computed from the core at each call."""
        return EnvelopeId(digest(HashLabel.ENVELOPE, self.core))

    @property
    def size(self) -> int:
        """The bytes that count towards the submit window."""
        return len(self.core) + len(self.ciphertext) + sum(map(len, self.slots))

    @property
    def attestations(self) -> tuple[Attestation, ...]:
        """None: the hub has not spoken yet."""
        return ()

    @property
    def wire_bytes(self) -> int:
        """At most so many bytes in a frame."""
        return self.size + 5 * len(self.slots) + 16


@dataclass(frozen=True, slots=True)
class ResultItem:
    """The hub's answer to one envelope: a `code` that refuses the whole of it, or one attestation per slot, in order."""

    envelope_id: EnvelopeId
    code: str | None
    attestations: tuple[Attestation, ...]

    def __post_init__(self) -> None:
        """Refuse an answer that is neither, or both."""
        if (self.code is None) is (not self.attestations):
            raise MalformedError("either a code or attestations")

    @property
    def wire_bytes(self) -> int:
        """At most so many bytes in a frame, signatures aside."""
        return 80 + sum(map(_attestation_bytes, self.attestations))


@dataclass(frozen=True, slots=True)
class DeliverItem:
    """One item of a mailbox: an envelope with this member's slot, or (core and slot None) a notice to the sender."""

    position: int
    core: bytes | None = field(repr=False)
    ciphertext: bytes = field(repr=False)
    slot: bytes | None = field(repr=False)
    attestation: Attestation

    def __post_init__(self) -> None:
        """Refuse position 0 and an item that is half envelope, half notice."""
        if not self.position:
            raise MalformedError("position 0")
        if (self.core is None) is not (self.slot is None) or (self.core is None and self.ciphertext):
            raise MalformedError("neither an envelope nor a notice")

    @property
    def size(self) -> int:
        """The bytes that count towards the delivery window; a notice counts none."""
        return len(self.core or b"") + len(self.ciphertext) + len(self.slot or b"")

    @property
    def attestations(self) -> tuple[Attestation, ...]:
        """The one attestation."""
        return (self.attestation,)

    @property
    def wire_bytes(self) -> int:
        """At most so many bytes in a frame, its signature aside."""
        return self.size + _attestation_bytes(self.attestation) + 32


def fitting(items: Sequence[SubmitItem | ResultItem | DeliverItem]) -> int:
    """How many of `items`, from the first on, fit into one frame, by count and by bytes."""
    total, batches = 64, set[BatchSignature]()
    for count, item in enumerate(items[:MAX_ENVELOPES_PER_FRAME]):
        fresh = {attestation.batch for attestation in item.attestations} - batches
        total += item.wire_bytes + len(fresh) * SIGNATURE_WIRE_BYTES
        if total > MAX_PLAINTEXT_BYTES:
            return count
        batches |= fresh
    return min(len(items), MAX_ENVELOPES_PER_FRAME)


def _attestation_bytes(attestation: Attestation) -> int:
    return len(attestation.data) + 34 * len(attestation.proof.path) + 64


class SignatureList:
    """Numbers batch signatures in the order of first use."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        self._numbers: dict[BatchSignature, int] = {}

    def refer(self, attestation: Attestation) -> Sequence[Value]:
        """The attestation, with the number of its signature."""
        number = self._numbers.setdefault(attestation.batch, len(self._numbers))
        proof = attestation.proof
        return (attestation.data, proof.salt, proof.index, proof.path, number)

    def value(self) -> Sequence[Value]:
        """The list that the numbers point into."""
        return tuple([batch.value() for batch in self._numbers])


class SignatureTable:
    """Finds batch signatures by number, and insists on what `SignatureList` would write."""

    __slots__ = ("_batches", "_used")

    def __init__(self, value: Value) -> None:
        self._batches = [BatchSignature.parse(item) for item in array(value, MAX_ARRAY_ITEMS)]
        self._used = 0
        if len(set(self._batches)) != len(self._batches):
            raise NonCanonicalError("a signature twice")

    def attestation(self, value: Value) -> Attestation:
        """The attestation that [data, salt, index, path, signature index] holds, with its signature."""
        data, salt, index, path, reference = fields(value, 5)
        number = uint(reference)
        if number >= len(self._batches):
            raise MalformedError("no such signature in this frame")
        if number > self._used:
            raise NonCanonicalError("signatures out of order")
        self._used = max(self._used, number + 1)
        proof = LeafProof.parse([salt, index, path])
        return Attestation(bounded(data, MAX_ATTESTATION_BYTES), proof, self._batches[number])

    def attestations(self, value: Value) -> tuple[Attestation, ...]:
        """Those of one envelope, one for each of at most 128 slots."""
        return tuple([self.attestation(item) for item in array(value, MAX_AUDIENCE)])

    def finish(self) -> None:
        """Return if every signature was named; else `NonCanonicalError`."""
        if self._used != len(self._batches):
            raise NonCanonicalError("a signature that nothing names")


def check_count(count: int, max_count: int) -> None:
    """Return if a list of `count` has 1 to `max_count` items; else `MalformedError` or `LimitError`."""
    if not count:
        raise MalformedError("an empty list")
    if count > max_count:
        raise LimitError(f"{count} items, at most {max_count}")
