"""What recipients answer, and what senders say of their own numbers (SPEC sections 8.6 to 8.8).

Receipts are signed by the recipient's node under the names of ETSI EN 319 522; a void closes a number
that will not be delivered; a notice opens the series of a node that was restored.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import ClassVar, Final, TypeAlias

from protocol.bodies import require_ascending
from protocol.codec import (
    VERSION,
    Value,
    array,
    decode,
    encode,
    fields,
    one_of,
    optional,
    positive,
    text,
    uint,
    versioned,
)
from protocol.errors import MalformedError
from protocol.limits import (
    MAX_ACTOR_BYTES,
    MAX_BODIES,
    MAX_HANDOVER_NOTE_BYTES,
    MAX_NOTICE_INCARNATIONS,
    MAX_SIGNED_PART_BYTES,
)
from protocol.messages.envelope import read_code
from protocol.messages.message import Kind, Link, read_message_id
from protocol.names import Digest, EnvelopeId, Incarnation, MessageId, read_digest, read_name


class ReceiptEvent(IntEnum):
    """What happened at the recipient."""

    CONSIGNED = 1
    UNOPENED = 2
    REJECTED = 3
    HANDED_OVER = 4


class Outcome(IntEnum):
    """What became of a number."""

    DELIVERED = 1
    VOID = 2
    TAKEN = 3
    REFUSED = 4


class Action(IntEnum):
    """What a desk or person did with a message."""

    ACKNOWLEDGED = 1
    ACCEPTED = 2
    DECLINED = 3
    NEEDS_INFORMATION = 4
    REFUSED = 5


class VoidReason(IntEnum):
    """Why a number will not be delivered."""

    WITHDRAWN = 1
    EXPIRED = 2
    REFUSED = 3


# -- receipts ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class LinkRef:
    """Names a link: its numbers, its manifest's digest and its kind."""

    incarnation: Incarnation
    first_seq: int
    count: int
    manifest_digest: Digest
    kind: Kind

    def __post_init__(self) -> None:
        """Refuse with `MalformedError` what no receipt is for: a link without numbers."""
        if self.kind is Kind.EMPTY or not 1 <= self.count <= MAX_BODIES:
            raise MalformedError("a receipt for no number")

    @classmethod
    def of(cls, link: Link) -> LinkRef:
        """The reference to `link`; `MalformedError` for an empty one."""
        return cls(link.incarnation, link.first_seq, link.count, link.manifest_digest, link.kind)

    @classmethod
    def parse(cls, value: Value) -> LinkRef:
        """The reference that [incarnation, first_seq, count, manifest digest, kind] holds; else `MalformedError`."""
        incarnation, first_seq, count, manifest_digest, kind = fields(value, 5)
        place = Incarnation.parse(incarnation), positive(first_seq, 63), uint(count)
        return cls(*place, Digest(read_digest(manifest_digest)), one_of(Kind, kind))

    def value(self) -> tuple[Value, ...]:
        """What `parse` reads, ready to encode."""
        return (self.incarnation.value(), self.first_seq, self.count, self.manifest_digest, int(self.kind))

    @property
    def numbers(self) -> range:
        """The numbers that it takes, or for voids closes."""
        return range(self.first_seq, self.first_seq + self.count)

    @property
    def default(self) -> Outcome:
        """The outcome of every number that no exception names."""
        return Outcome.VOID if self.kind is Kind.VOID else Outcome.DELIVERED


@dataclass(frozen=True, slots=True)
class Exceptional:
    """A number whose outcome is not the default, and the message that it stands for."""

    seq: int
    outcome: Outcome
    message_id: MessageId

    @classmethod
    def parse(cls, value: Value) -> Exceptional:
        """The exception that [seq, outcome, message id] holds; else `MalformedError`."""
        seq, outcome, message_id = fields(value, 3)
        return cls(positive(seq, 63), one_of(Outcome, outcome), read_message_id(message_id))

    def value(self) -> tuple[int, int, bytes]:
        """What `parse` reads, ready to encode."""
        return (self.seq, int(self.outcome), self.message_id)


@dataclass(frozen=True, slots=True)
class Consigned:
    """ContentConsignment: `at` (Unix seconds) the numbers of `link` are archived, with these exceptions."""

    event: ClassVar = ReceiptEvent.CONSIGNED
    at: int
    link: LinkRef
    exceptions: tuple[Exceptional, ...] = ()

    def __post_init__(self) -> None:
        """Refuse exceptions out of order, outside the link, or that except nothing, with `MalformedError`."""
        require_ascending([each.seq for each in self.exceptions], "exceptions")
        for each in self.exceptions:
            if each.seq not in self.link.numbers or each.outcome is self.link.default:
                raise MalformedError("an exception that excepts nothing")

    def outcome(self, seq: int) -> Outcome:
        """What became of number `seq`, one of the link's."""
        return next((each.outcome for each in self.exceptions if each.seq == seq), self.link.default)

    def encode(self) -> bytes:
        """The body; `read_receipt` gives this receipt back."""
        return _encode(self.event, self.at, self.link.value(), [each.value() for each in self.exceptions])

    @classmethod
    def parse(cls, at: int, further: Sequence[Value]) -> Consigned:
        """The receipt that these fields tell; else `MalformedError` or `LimitError`."""
        link, exceptions = fields(further, 2)
        excepted = tuple(Exceptional.parse(each) for each in array(exceptions, MAX_BODIES))
        return cls(at, LinkRef.parse(link), excepted)


@dataclass(frozen=True, slots=True)
class Unopened:
    """ContentConsignmentFailure: the envelope did not open; its sender seals the same link again."""

    event: ClassVar = ReceiptEvent.UNOPENED
    at: int
    envelope_id: EnvelopeId
    link_leaf: Digest
    prekey_hash: Digest
    ciphertext_digest: Digest
    reason: str

    def encode(self) -> bytes:
        """The body; `read_receipt` gives this receipt back."""
        names = (self.envelope_id, self.link_leaf, self.prekey_hash, self.ciphertext_digest)
        return _encode(self.event, self.at, *names, self.reason)

    @classmethod
    def parse(cls, at: int, further: Sequence[Value]) -> Unopened:
        """The receipt that these fields tell; else `MalformedError` or `LimitError`."""
        envelope_id, link_leaf, prekey_hash, ciphertext_digest, reason = fields(further, 5)
        return cls(
            at,
            EnvelopeId(read_digest(envelope_id)),
            Digest(read_digest(link_leaf)),
            Digest(read_digest(prekey_hash)),
            Digest(read_digest(ciphertext_digest)),
            read_code(reason),
        )


@dataclass(frozen=True, slots=True)
class Rejected:
    """ConsignmentRejection: the envelope was not what it claims, and `reason` says why; it closes no number."""

    event: ClassVar = ReceiptEvent.REJECTED
    at: int
    envelope_id: EnvelopeId
    link_leaf: Digest
    reason: str

    def encode(self) -> bytes:
        """The body; `read_receipt` gives this receipt back."""
        return _encode(self.event, self.at, self.envelope_id, self.link_leaf, self.reason)

    @classmethod
    def parse(cls, at: int, further: Sequence[Value]) -> Rejected:
        """The receipt that these fields tell; else `MalformedError` or `LimitError`."""
        envelope_id, link_leaf, reason = fields(further, 3)
        return cls(at, EnvelopeId(read_digest(envelope_id)), Digest(read_digest(link_leaf)), read_code(reason))


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acted at a desk, as its node claims: `name`, `role` and `login_method`, each at most 255 bytes."""

    name: str
    role: str
    login_method: str

    @classmethod
    def parse(cls, value: Value) -> Actor:
        """The actor that [name, role, login method] holds; else `MalformedError` or `LimitError`."""
        name, role, login_method = fields(value, 3)
        return cls(text(name, MAX_ACTOR_BYTES), text(role, MAX_ACTOR_BYTES), text(login_method, MAX_ACTOR_BYTES))

    def value(self) -> tuple[str, str, str]:
        """What `parse` reads, ready to encode."""
        return (self.name, self.role, self.login_method)


@dataclass(frozen=True, slots=True)
class HandedOver:
    """ContentHandover: a desk, or somebody at it, took the message in hand; `note` is theirs to the sender."""

    event: ClassVar = ReceiptEvent.HANDED_OVER
    at: int
    message_id: MessageId
    desk: str
    actor: Actor | None
    action: Action
    note: str = field(default="", repr=False)

    def encode(self) -> bytes:
        """The body; `read_receipt` gives this receipt back."""
        actor = None if self.actor is None else self.actor.value()
        return _encode(self.event, self.at, self.message_id, self.desk, actor, int(self.action), self.note)

    @classmethod
    def parse(cls, at: int, further: Sequence[Value]) -> HandedOver:
        """The receipt that these fields tell; else `MalformedError` or `LimitError`."""
        message_id, desk, actor, action, note = fields(further, 5)
        return cls(
            at,
            read_message_id(message_id),
            read_name(desk),
            optional(actor, Actor.parse),
            one_of(Action, action),
            text(note, MAX_HANDOVER_NOTE_BYTES),
        )


Receipt: TypeAlias = Consigned | Unopened | Rejected | HandedOver

_PARSERS: Final[dict[ReceiptEvent, Callable[[int, Sequence[Value]], Receipt]]] = {
    kind.event: kind.parse for kind in (Consigned, Unopened, Rejected, HandedOver)
}


def read_receipt(data: bytes) -> Receipt:
    """The receipt in a body; raises what `codec.decode` does, `VersionError`, `MalformedError` and `LimitError`."""
    event, at, *further = versioned(decode(data, MAX_SIGNED_PART_BYTES), range(2, 16))
    return _PARSERS[one_of(ReceiptEvent, event)](uint(at, 63), further)


def _encode(event: ReceiptEvent, at: int, *further: Value) -> bytes:
    return encode((VERSION, int(event), at, *further))


# -- void and notice -----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Void:
    """The message of a number will not be delivered."""

    message_id: MessageId
    reason: VoidReason

    def encode(self) -> bytes:
        """The body; `read_void` gives this void back."""
        return encode((VERSION, self.message_id, int(self.reason)))


def read_void(data: bytes) -> Void:
    """The void in a body; raises what `codec.decode` does, `VersionError` and `MalformedError`."""
    message_id, reason = versioned(decode(data, MAX_SIGNED_PART_BYTES), 2)
    return Void(read_message_id(message_id), one_of(VoidReason, reason))


@dataclass(frozen=True, slots=True)
class Notice:
    """What a restored node still holds: for each incarnation of its reader the last number without gap."""

    held: tuple[tuple[Incarnation, int], ...]

    def __post_init__(self) -> None:
        """Refuse incarnations out of order, or one twice, with `MalformedError`."""
        require_ascending([incarnation for incarnation, _last in self.held], "incarnations")

    def encode(self) -> bytes:
        """The body; `read_notice` gives this notice back."""
        return encode((VERSION, [(incarnation.value(), last) for incarnation, last in self.held]))


def read_notice(data: bytes) -> Notice:
    """The notice in a body; raises what `codec.decode` does, `VersionError`, `MalformedError` and `LimitError`."""
    (held,) = versioned(decode(data, MAX_SIGNED_PART_BYTES), 1)
    pairs = [fields(each, 2) for each in array(held, MAX_NOTICE_INCARNATIONS)]
    return Notice(tuple((Incarnation.parse(incarnation), uint(last, 63)) for incarnation, last in pairs))
