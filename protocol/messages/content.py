"""What an author wrote: one JSON document that a court can read in thirty years (SPEC section 8.1).

The bytes that the author's node wrote are kept and digested for ever; this module writes them, and reads
those of others.  Readers ignore fields that they do not know, because within a version the schema grows by
optional ones.  Text is text: nothing in it is interpreted, control characters included.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct

from protocol.errors import LimitError, MalformedError, PeerError, UsageError
from protocol.limits import MAX_CONTENT_BYTES, MAX_DEPTH

SCHEMA: Final = "valija/content/0"
MAX_SUBJECT_CHARS: Final = 300
MAX_LINE_CHARS: Final = 255
MAX_USE_LIMITS_CHARS: Final = 4_000

# Python's `$` also matches before a last newline, which readers in other languages do not forgive.
_END: Final = r"$(?!\n)"
_NAME: Final = r"^[a-z0-9]+(-[a-z0-9]+)*" + _END
_MESSAGE_ID: Final = r"^msg_[a-z2-7]{26}" + _END
_TIME: Final = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z" + _END
_LANGUAGE: Final = r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*" + _END

Name: TypeAlias = Annotated[str, Meta(min_length=2, max_length=32, pattern=_NAME)]
Line: TypeAlias = Annotated[str, Meta(max_length=MAX_LINE_CHARS)]
MessageIdText: TypeAlias = Annotated[
    str, Meta(pattern=_MESSAGE_ID, description="A message id as people see it.", examples=["msg_" + "a" * 26])
]
AddressText: TypeAlias = Annotated[
    str, Meta(min_length=2, max_length=128, description="An address as the author wrote it.")
]


class MessageType(StrEnum):
    """What act of legal cooperation a message is."""

    MLA_REQUEST = "mla-request"
    MLA_RESPONSE = "mla-response"
    EMERGENCY_ASSISTANCE = "emergency-assistance"
    EXTRADITION_REQUEST = "extradition-request"
    SPONTANEOUS_INFORMATION = "spontaneous-information"
    JIT_SETUP = "jit-setup"
    JIT_EXCHANGE = "jit-exchange"
    CONTROLLED_DELIVERY = "controlled-delivery"
    WITNESS_VIDEOCONFERENCE = "witness-videoconference"
    PROTECTION = "protection"
    ASSET_INFORMATION = "asset-information"
    ASSET_FREEZING = "asset-freezing"
    DATA_PRESERVATION = "data-preservation"
    CRIMINAL_RECORDS = "criminal-records"
    SERVICE_OF_DOCUMENTS = "service-of-documents"
    TRANSFER_OF_PROCEEDINGS = "transfer-of-proceedings"
    CONSULTATION = "consultation"
    GOOD_PRACTICE = "good-practice"
    MESSAGE = "message"


class BodyFormat(StrEnum):
    """How the author's text is to be shown."""

    PLAIN = "plain"
    COMMONMARK = "commonmark"


class Urgency(StrEnum):
    """How soon somebody must look; everything but routine is receipted at once."""

    ROUTINE = "routine"
    URGENT = "urgent"
    EMERGENCY = "emergency"


class Tlp(StrEnum):
    """Traffic Light Protocol 2.0, written as FIRST writes it and never translated."""

    RED = "TLP:RED"
    AMBER_STRICT = "TLP:AMBER+STRICT"
    AMBER = "TLP:AMBER"
    GREEN = "TLP:GREEN"
    CLEAR = "TLP:CLEAR"


class EuropolCode(StrEnum):
    """Europol handling codes: purpose, judicial use, dissemination, other restrictions."""

    H0 = "H0"
    H1 = "H1"
    H2 = "H2"
    H3 = "H3"


class SourceGrade(StrEnum):
    """How reliable the source is."""

    A = "A"
    B = "B"
    C = "C"
    X = "X"


class FormalityKind(StrEnum):
    """Whether the message is the official act or prepares and accompanies it."""

    OPERATIONAL = "operational"
    FORMAL = "formal"


class Matter(StrEnum):
    """Where a request stands in its life."""

    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    NEEDS_INFORMATION = "needs-information"
    DECLINED = "declined"
    IN_EXECUTION = "in-execution"
    PARTLY_EXECUTED = "partly-executed"
    EXECUTED = "executed"
    WITHDRAWN = "withdrawn"


class Text(Struct, frozen=True, kw_only=True):
    """The text itself."""

    format: BodyFormat
    text: str

    def __repr__(self) -> str:
        """The format and the length; never the text."""
        return f"Text({self.format}, {len(self.text)} characters)"


class Origin(Struct, frozen=True, kw_only=True):
    """The member and the desk that write."""

    member: Name
    desk: Name


class Author(Struct, frozen=True, kw_only=True):
    """Who wrote it, as the node of the sender claims, and how that person or system logged in there."""

    name: Line
    role: Line
    login_method: Line


class Handling(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What readers may do with it; `source` and `information` grade what it reports."""

    tlp: Tlp | None = None
    europol: Annotated[tuple[EuropolCode, ...], Meta(max_length=4)] = ()
    source: SourceGrade | None = None
    information: Annotated[int, Meta(ge=1, le=4)] | None = None

    def __post_init__(self) -> None:
        """Refuse a code twice with `MalformedError`."""
        if len(set(self.europol)) != len(self.europol):
            raise MalformedError("a Europol code twice")


class Formality(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Whether this is operational or formal, and where the official copy is, for instance its reference in Iber@."""

    kind: FormalityKind = FormalityKind.OPERATIONAL
    official_reference: Line | None = None


class Transition(Struct, frozen=True, kw_only=True):
    """The state into which this message brings the matter of its thread."""

    matter: Matter


class Content(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message as its author wrote it.

    `thread` is the message id of the first message of the thread, `in_reply_to` that of the one answered;
    `due_at` is a time of RFC 3339 in UTC, in whole seconds; `use_limits` says what the reader may use it for.
    """

    schema: Literal["valija/content/0"]
    type: MessageType
    subject: Annotated[str, Meta(max_length=MAX_SUBJECT_CHARS)]
    body: Text
    to: Annotated[tuple[AddressText, ...], Meta(min_length=1, max_length=128)]
    origin: Origin = msgspec.field(name="from")
    author: Author
    urgency: Urgency
    thread: MessageIdText | None = None
    in_reply_to: MessageIdText | None = None
    case_reference: Line | None = None
    due_at: Annotated[str, Meta(pattern=_TIME, extra_json_schema={"format": "date-time"})] | None = None
    handling: Handling | None = None
    formality: Formality | None = None
    transition: Transition | None = None
    language: Annotated[str, Meta(max_length=16, pattern=_LANGUAGE)] | None = None
    use_limits: Annotated[str, Meta(max_length=MAX_USE_LIMITS_CHARS)] | None = None

    def __post_init__(self) -> None:
        """Refuse a due date that is in no calendar with `MalformedError`."""
        if self.due_at is not None:
            _check_date(self.due_at)

    def __repr__(self) -> str:
        """The type and the urgency; never what was written."""
        return f"Content({self.type}, {self.urgency})"


_SCHEMA_ID: Final = "urn:valija:content:0"
_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Content)


def to_json(content: Content) -> bytes:
    """The document: UTF-8, fields in the order of the schema, what is not stated left out.

    The same content gives the same bytes.  Raises `UsageError` for what `from_json` would refuse.
    """
    try:
        data = _ENCODER.encode(content)
        _read(data)
    except (PeerError, UnicodeEncodeError) as error:
        raise UsageError(getattr(error, "detail", "a text that is not Unicode")) from None
    return data


def from_json(data: bytes) -> Content:
    """The content in a document.

    Raises `LimitError` over 512 KiB or for arrays and objects nested deeper than 16, and `MalformedError`
    for what is not UTF-8 and JSON, does not fit the schema, or names a field twice: one reader would
    take the first and another the last.
    """
    try:
        content = _read(data)
        if _ENCODER.encode(content) != data:  # what our own encoder writes is flat, and has every field once
            _check_shape(data)
    except RecursionError:
        raise LimitError(f"nested deeper than {MAX_DEPTH}") from None
    return content


def _read(data: bytes) -> Content:
    if len(data) > MAX_CONTENT_BYTES:
        raise LimitError(f"a content of {len(data)} bytes, at most {MAX_CONTENT_BYTES}")
    try:
        return _DECODER.decode(data)
    except msgspec.ValidationError as error:
        raise MalformedError(_place(error)) from None
    except (msgspec.DecodeError, ValueError):
        raise MalformedError("not UTF-8 and JSON") from None


def _check_shape(data: bytes) -> None:
    try:
        # As text: of bytes this library lets the encodings of lone surrogates pass.
        _check_depth(json.loads(data.decode(), object_pairs_hook=_fields_once, parse_int=str, parse_float=str))
    except ValueError:
        raise MalformedError("not UTF-8 and JSON") from None


def _fields_once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise MalformedError("a field twice")
    return fields


def _check_depth(document: Any) -> None:
    level = [document]
    for _depth in range(MAX_DEPTH):
        level = [item for outer in level for item in _items(outer) if isinstance(item, (dict, list))]
        if not level:
            return
    raise LimitError(f"nested deeper than {MAX_DEPTH}")


def _items(value: Any) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value


def _check_date(due_at: str) -> None:
    try:
        datetime.fromisoformat(due_at)
    except ValueError:
        raise MalformedError("content at `$.due_at`") from None


def _place(error: msgspec.ValidationError) -> str:
    # The path alone: the message may repeat a value, and what was written belongs in no error.
    path = str(error).rpartition(" - at ")[2]
    return f"content at {path}" if path.startswith("`$") else "content"


def schema() -> dict[str, Any]:
    """The JSON Schema of a document, as `content.schema.json` holds it."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": _SCHEMA_ID,
        "title": SCHEMA,
        **_clean(msgspec.json.schema(Content)),
    }


def _clean(node: Any) -> Any:
    # Docstrings become descriptions, without the line breaks of the source.
    if isinstance(node, dict):
        return {key: " ".join(each.split()) if key == "description" else _clean(each) for key, each in node.items()}
    return [_clean(each) for each in node] if isinstance(node, list) else node
