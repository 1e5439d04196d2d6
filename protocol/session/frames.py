"""What node and hub say to each other once a session is up: one class per frame of SPEC section 11.2.

A frame is an encoded array, its type first.  The classes are plain values; the table at the end holds, for each
type, who may send it, how many fields it has, how they are read and how they are written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, TypeAlias

from protocol.codec import Value, array, binary, bounded, decode, encode, fields, optional, text, uint
from protocol.errors import MalformedError, UsageError, ValijaError
from protocol.limits import MAX_CALENDAR_BYTES, MAX_DETAIL_BYTES, MAX_ENVELOPES_PER_FRAME, MAX_LOOKUP_MEMBERS
from protocol.messages.envelope import Attestation, Submission, read_code
from protocol.names import EnvelopeId, Party, read_digest, read_name
from protocol.session.items import (
    MAX_PLAINTEXT_BYTES,
    DeliverItem,
    ResultItem,
    SignatureList,
    SignatureTable,
    SubmitItem,
    Window,
    check_count,
)
from protocol.signing import Signature


# -- opening -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Finish:
    """The node proves its key: its signature of the transcript."""

    signature: Signature


@dataclass(frozen=True, slots=True)
class Welcome:
    """The hub lets the node in.

    `cursor` is the highest position that the node acknowledged, `highest` the greatest submission seen of it,
    `window` what it may have under way.
    """

    cursor: int
    highest: Submission | None
    window: Window


# -- envelopes ---------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Submit:
    """1 to 256 envelopes for the hub."""

    items: tuple[SubmitItem, ...]

    def __post_init__(self) -> None:
        """Refuse none, and too many."""
        check_count(len(self.items), MAX_ENVELOPES_PER_FRAME)


@dataclass(frozen=True, slots=True)
class Results:
    """The hub's answers to 1 to 256 envelopes, each durable before it is given."""

    items: tuple[ResultItem, ...]

    def __post_init__(self) -> None:
        """Refuse none, and too many."""
        check_count(len(self.items), MAX_ENVELOPES_PER_FRAME)


@dataclass(frozen=True, slots=True)
class Deliver:
    """1 to 256 items of the node's mailbox, by ascending position."""

    items: tuple[DeliverItem, ...]

    def __post_init__(self) -> None:
        """Refuse none, and too many."""
        check_count(len(self.items), MAX_ENVELOPES_PER_FRAME)


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The node holds everything up to `position` durably, and takes `window` beyond it."""

    position: int
    window: Window


# -- requests and their answers ----------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Recall:
    """The node asks that an envelope be dropped for a recipient, if it is not delivered yet."""

    request: int
    envelope_id: EnvelopeId
    recipient: Party


@dataclass(frozen=True, slots=True)
class Recalled:
    """The answer to a Recall: the attestation that it was dropped; None if it is gone, delivered or unknown."""

    request: int
    attestation: Attestation | None


@dataclass(frozen=True, slots=True)
class Publish:
    """The node publishes its signed prekey calendar, as encoded."""

    request: int
    calendar: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Published:
    """The answer to a Publish: None, or the code that refuses the calendar."""

    request: int
    code: str | None


@dataclass(frozen=True, slots=True)
class Lookup:
    """The node asks for the calendars of 1 to 128 members."""

    request: int
    members: tuple[str, ...]

    def __post_init__(self) -> None:
        """Refuse none, and too many."""
        check_count(len(self.members), MAX_LOOKUP_MEMBERS)


@dataclass(frozen=True, slots=True)
class Calendars:
    """The answer to a Lookup: for each member asked, in that order, its signed calendar or None."""

    request: int
    calendars: tuple[tuple[str, bytes | None], ...] = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse none, and too many."""
        check_count(len(self.calendars), MAX_LOOKUP_MEMBERS)


# -- the rest ----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Registry:
    """The registry log has grown to `size` entries."""

    size: int


@dataclass(frozen=True, slots=True)
class Close:
    """The last frame: an error code of SPEC section 13, and a detail for people, at most 255 bytes."""

    code: str
    detail: str

    @classmethod
    def of(cls, error: ValijaError) -> Close:
        """The frame that tells the peer of `error`, its detail cut to what fits."""
        return cls(error.code, error.detail.encode("utf-8", "replace")[:MAX_DETAIL_BYTES].decode("utf-8", "ignore"))


Frame: TypeAlias = (
    Finish
    | Welcome
    | Submit
    | Results
    | Deliver
    | Acknowledge
    | Recall
    | Recalled
    | Publish
    | Published
    | Lookup
    | Calendars
    | Registry
    | Close
)


# -- readers and writers of what is more than its fields ---------------------------------------------
def _number(value: Value) -> int:
    # Databases count to 2**63 - 1.
    return uint(value, 63)


def _read_calendar(value: Value) -> bytes:
    return bounded(value, MAX_CALENDAR_BYTES)


def _read_items(value: Value) -> list[Value]:
    # Before the signatures: of a list without items none is used.
    items = array(value, MAX_ENVELOPES_PER_FRAME)
    check_count(len(items), MAX_ENVELOPES_PER_FRAME)
    return items


def _read_submit(items: Value) -> Submit:
    return Submit(tuple([SubmitItem.parse(item) for item in _read_items(items)]))


def _read_results(signatures: Value, items: Value) -> Results:
    answers, listed = [], _read_items(items)
    table = SignatureTable(signatures)
    for item in listed:
        envelope_id, code, proofs = fields(item, 3)
        attestations = table.attestations(proofs)
        answers.append(ResultItem(EnvelopeId(read_digest(envelope_id)), optional(code, read_code), attestations))
    table.finish()
    return Results(tuple(answers))


def _write_results(frame: Results) -> Sequence[Value]:
    signatures = SignatureList()
    items = [(i.envelope_id, i.code, [signatures.refer(each) for each in i.attestations]) for i in frame.items]
    return (signatures.value(), items)


def _read_deliver(signatures: Value, items: Value) -> Deliver:
    delivered, listed = [], _read_items(items)
    table = SignatureTable(signatures)
    for item in listed:
        position, core, ciphertext, slot, proof = fields(item, 5)
        sealed = (optional(core, binary), binary(ciphertext), optional(slot, binary))
        delivered.append(DeliverItem(_number(position), *sealed, table.attestation(proof)))
    table.finish()
    return Deliver(tuple(delivered))


def _write_deliver(frame: Deliver) -> Sequence[Value]:
    signatures = SignatureList()
    items = [(i.position, i.core, i.ciphertext, i.slot, signatures.refer(i.attestation)) for i in frame.items]
    return (signatures.value(), items)


def _read_recalled(request: Value, signatures: Value, proof: Value) -> Recalled:
    table = SignatureTable(signatures)
    attestation = optional(proof, table.attestation)
    table.finish()
    return Recalled(_number(request), attestation)


def _write_recalled(frame: Recalled) -> Sequence[Value]:
    signatures = SignatureList()
    proof = None if frame.attestation is None else signatures.refer(frame.attestation)
    return (frame.request, signatures.value(), proof)


def _read_lookup(request: Value, members: Value) -> Lookup:
    return Lookup(_number(request), tuple([read_name(member) for member in array(members, MAX_LOOKUP_MEMBERS)]))


def _read_calendars(request: Value, pairs: Value) -> Calendars:
    calendars = []
    for pair in array(pairs, MAX_LOOKUP_MEMBERS):
        member, calendar = fields(pair, 2)
        calendars.append((read_name(member), optional(calendar, _read_calendar)))
    return Calendars(_number(request), tuple(calendars))


def _read_welcome(cursor: Value, highest: Value, envelopes: Value, max_bytes: Value) -> Welcome:
    return Welcome(_number(cursor), optional(highest, Submission.parse), Window.parse(envelopes, max_bytes))


def _write_welcome(frame: Welcome) -> Sequence[Value]:
    highest = None if frame.highest is None else frame.highest.value()
    return (frame.cursor, highest, *frame.window.values())


# -- the table ---------------------------------------------------------------------------------------
class Direction(Enum):
    """Who may send a frame."""

    NODE_TO_HUB = "node → hub"
    HUB_TO_NODE = "hub → node"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Shape:
    """One row of the table of SPEC section 11.2: `read` takes the `width` fields after the type."""

    type: int
    direction: Direction
    width: int
    read: Callable[..., Frame]
    write: Callable[[Any], Sequence[Value]]


_UP, _DOWN = Direction.NODE_TO_HUB, Direction.HUB_TO_NODE

SHAPES: Final[dict[type[Frame], Shape]] = {
    Finish: Shape(2, _UP, 2, lambda *halves: Finish(Signature.parse([*halves])), lambda f: f.signature.value()),
    Welcome: Shape(3, _DOWN, 4, _read_welcome, _write_welcome),
    Submit: Shape(16, _UP, 1, _read_submit, lambda f: ([item.value() for item in f.items],)),
    Results: Shape(17, _DOWN, 2, _read_results, _write_results),
    Deliver: Shape(18, _DOWN, 2, _read_deliver, _write_deliver),
    Acknowledge: Shape(
        19,
        _UP,
        3,
        lambda at, *window: Acknowledge(_number(at), Window.parse(*window)),
        lambda f: (f.position, *f.window.values()),
    ),
    Recall: Shape(
        20,
        _UP,
        3,
        lambda request, envelope, to: Recall(_number(request), EnvelopeId(read_digest(envelope)), Party.parse(to)),
        lambda f: (f.request, f.envelope_id, f.recipient.value()),
    ),
    Recalled: Shape(21, _DOWN, 3, _read_recalled, _write_recalled),
    Publish: Shape(
        22,
        _UP,
        2,
        lambda request, own: Publish(_number(request), _read_calendar(own)),
        lambda f: (f.request, f.calendar),
    ),
    Published: Shape(
        23,
        _DOWN,
        2,
        lambda request, code: Published(_number(request), optional(code, read_code)),
        lambda f: (f.request, f.code),
    ),
    Lookup: Shape(24, _UP, 2, _read_lookup, lambda f: (f.request, f.members)),
    Calendars: Shape(25, _DOWN, 2, _read_calendars, lambda f: (f.request, f.calendars)),
    Registry: Shape(26, _DOWN, 1, lambda size: Registry(_number(size)), lambda f: (f.size,)),
    Close: Shape(
        27,
        Direction.BOTH,
        2,
        lambda code, detail: Close(read_code(code), text(detail, MAX_DETAIL_BYTES)),
        lambda f: (f.code, f.detail),
    ),
}
_BY_TYPE: Final = {shape.type: shape for shape in SHAPES.values()}


def encode_frame(frame: Frame) -> bytes:
    """The plaintext of one message; `UsageError` if with its tag it would pass the limit of a frame."""
    shape = SHAPES[type(frame)]
    data = encode([shape.type, *shape.write(frame)])
    if len(data) > MAX_PLAINTEXT_BYTES:
        raise UsageError(f"a frame of {len(data)} bytes, at most {MAX_PLAINTEXT_BYTES}")
    return data


def decode_frame(data: bytes) -> Frame:
    """The frame that `data` encodes, so that `encode_frame` of it gives `data` again.

    Raises `MalformedError` for an unknown type or another shape, `NonCanonicalError` for another encoding, and
    `LimitError` for what passes a limit.
    """
    value = decode(data, MAX_PLAINTEXT_BYTES)
    if not isinstance(value, list) or not value:
        raise MalformedError("not a frame")
    shape = _BY_TYPE.get(uint(value[0]))
    if shape is None:
        raise MalformedError("frame type")
    return shape.read(*fields(value, shape.width + 1)[1:])
