"""What callers ask, parsed: every field is checked here once, and what comes out can be carried out or refused whole."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Final, TypeAlias

import msgspec
from msgspec import Meta

from node import faults
from node.acceptance import Request
from node.desks import AtDesk, Caller, Colleague, desks_of
from node.faults import Fault, FieldError
from node.handling import Forwarded
from node.lines import is_line
from protocol.errors import LimitError, MalformedError, PeerError, UsageError, ValijaError
from protocol.limits import MAX_ACTOR_BYTES, MAX_AUDIENCE, MAX_HANDOVER_NOTE_BYTES, MIB
from protocol.messages.content import (
    MAX_LINE_CHARS,
    MAX_SUBJECT_CHARS,
    MAX_USE_LIMITS_CHARS,
    SCHEMA,
    AddressText,
    Author,
    BodyFormat,
    Content,
    Formality,
    Handling,
    MessageType,
    Origin,
    Text,
    Transition,
    Urgency,
    to_json,
)
from protocol.messages.receipts import Action
from protocol.names import MAX_KEY_BYTES, Address, MessageId, parse_address, read_id

KEY_HEADER: Final = "Idempotency-Key"
DUE_IN_THE_PAST: Final = "due_in_the_past"
MAX_SINGLE_BYTES: Final = 768 * 1024
MAX_BATCH_BYTES: Final = 8 * MIB
MAX_BATCH_LINES: Final = 4_096
_LAST_SECOND: Final = 253_402_300_799

ACTIONS: Final = {
    "acknowledged": Action.ACKNOWLEDGED,
    "accepted": Action.ACCEPTED,
    "declined": Action.DECLINED,
    "needs-information": Action.NEEDS_INFORMATION,
    "refused": Action.REFUSED,
}


# What is said of these is judged with the content, which has a sentence for each: here it is stated for readers alone.
def _stated(**limits: Any) -> Meta:
    return Meta(extra_json_schema=limits)


SubjectText: TypeAlias = Annotated[str, _stated(maxLength=MAX_SUBJECT_CHARS)]
LineText: TypeAlias = Annotated[str, _stated(maxLength=MAX_LINE_CHARS)]
UseLimitsText: TypeAlias = Annotated[str, _stated(maxLength=MAX_USE_LIMITS_CHARS)]
IdText: TypeAlias = Annotated[str, _stated(pattern="^msg_[a-z2-7]{26}$")]
DueText: TypeAlias = Annotated[
    str, _stated(format="date-time", pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z$")
]
TimeText: TypeAlias = Annotated[str, _stated(format="date-time")]
LanguageText: TypeAlias = Annotated[str, _stated(maxLength=16, pattern="^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$")]
KeyText: TypeAlias = Annotated[str, _stated(minLength=1, maxLength=MAX_KEY_BYTES)]


class MessageRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message to send; `body` is plain text or `{"format", "text"}`, `expires_at` a time of RFC 3339 in UTC."""

    to: Annotated[tuple[AddressText, ...], Meta(min_length=1, max_length=MAX_AUDIENCE)]
    body: str | Text = ""
    type: MessageType = MessageType.MESSAGE
    subject: SubjectText = ""
    desk: str | None = None
    author: Author | None = None
    urgency: Urgency = Urgency.ROUTINE
    thread: IdText | None = None
    in_reply_to: IdText | None = None
    forward_of: IdText | None = None
    case_reference: LineText | None = None
    due_at: DueText | None = None
    handling: Handling | None = None
    formality: Formality | None = None
    transition: Transition | None = None
    language: LanguageText | None = None
    use_limits: UseLimitsText | None = None
    expires_at: TimeText | None = None
    idempotency_key: KeyText | None = None


class AcknowledgeRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a desk says of a message that it took in hand."""

    action: Annotated[str, Meta(extra_json_schema={"enum": [*ACTIONS]})] = "acknowledged"
    note: Annotated[str, Meta(max_length=MAX_HANDOVER_NOTE_BYTES)] = ""
    desk: str | None = None
    author: Author | None = None


_MESSAGE: Final = msgspec.json.Decoder(MessageRequest)
_ACKNOWLEDGE: Final = msgspec.json.Decoder(AcknowledgeRequest)


class Writer(msgspec.Struct, frozen=True):
    """Whose messages are written here: this member, its association's name, and the desk that speaks by default."""

    member: str
    association: str
    desk: str


class Asked(msgspec.Struct, frozen=True):
    """A request that is ready to be accepted, the message that it forwards, and when an answer is due, if it says so."""

    request: Request
    addresses: tuple[Address, ...]
    forwarded: Forwarded | None
    due_at: str | None = None


# -- bodies --------------------------------------------------------------------------------------------
def read_message(data: bytes) -> MessageRequest:
    """The message in one JSON object; `UsageError` naming the field for anything else."""
    if len(data) > MAX_SINGLE_BYTES:
        raise LimitError(f"a message of {len(data)} bytes, at most {MAX_SINGLE_BYTES}")
    asked: MessageRequest = _read(_MESSAGE, data)
    return asked


def read_acknowledge(data: bytes) -> AcknowledgeRequest:
    """What a desk says; an empty body says acknowledged."""
    asked: AcknowledgeRequest = _read(_ACKNOWLEDGE, data or b"{}")
    _check_bytes("note", asked.note, MAX_HANDOVER_NOTE_BYTES)
    for name in ("name", "role", "login_method") if asked.author else ():
        _check_bytes(f"author/{name}", getattr(asked.author, name), MAX_ACTOR_BYTES)
    return asked


def _check_bytes(field: str, text: str, max_bytes: int) -> None:
    # A receipt counts bytes, where the schema can only count characters.
    if len(text.encode()) > max_bytes:
        raise faults.field(field, f"a text of more than {max_bytes} bytes")


def split_batch(data: bytes) -> list[bytes]:
    """The lines of a batch; `LimitError` for more than 4,096, `UsageError` for none."""
    lines = [line for line in data.split(b"\n") if line.strip()]
    if len(lines) > MAX_BATCH_LINES:
        raise LimitError(f"{len(lines)} messages, at most {MAX_BATCH_LINES} in a batch")
    if not lines:
        raise UsageError("an empty batch")
    return lines


def line_numbers(data: bytes) -> list[int]:
    """Where each line that `split_batch` gives stands in the batch, counted from 1."""
    return [number for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]


def _read(decoder: msgspec.json.Decoder[Any], data: bytes) -> Any:
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise faults.misfit(error, decoder.type) from None
    except MalformedError as error:
        # The one thing that a field says of itself beyond its type.
        raise faults.field("handling/europol", error.detail) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise UsageError("the body is not UTF-8 and JSON") from None
    except RecursionError:
        raise UsageError("the body is nested too deeply") from None


# -- what is asked ---------------------------------------------------------------------------------------
def message_of(asked: MessageRequest, key: str | None, caller: Caller, writer: Writer) -> Asked:
    """What to accept; raises `UsageError` for whatever no recipient would take."""
    if key is None:
        raise faults.header(KEY_HEADER, f"the {KEY_HEADER} header is missing")
    check_key(key)
    desk = desk_of(caller, asked.desk, writer.desk)
    named = _named(asked.to, writer.association)
    _check_lines(asked)
    origin = _origin(writer.member, desk)
    try:
        content = to_json(_content(asked, named.shown, origin, caller))
    except (PeerError, UsageError) as error:
        raise _of_content(error, asked) from None
    request = Request(
        desk, key, content, named.members, named.networks, read_time("expires_at", asked.expires_at), origin
    )
    forwarded = None if asked.forward_of is None else Forwarded(_forwarded(asked.forward_of), asked.handling)
    return Asked(request, named.addresses, forwarded, asked.due_at)


def warnings_of(asked: Asked, now: int) -> list[str]:
    """What the author should look at twice, though the message goes as it is."""
    return [DUE_IN_THE_PAST] if is_overdue(asked.due_at, now) else []


def is_overdue(due_at: str | None, now: int) -> bool:
    """Whether an answer was needed before now.

    No reason to refuse: what a caller hands in again, after a restore for instance, may have become due meanwhile.
    """
    return due_at is not None and due_at < show_time(now)


def _check_lines(asked: MessageRequest) -> None:
    # A reader takes what the schema takes; here, where its writer can still mend it, a text is told what it lacks.
    formality, author = asked.formality, asked.author
    reference = formality.official_reference if formality is not None else None
    lines = [("subject", asked.subject, MAX_SUBJECT_CHARS), ("case_reference", asked.case_reference, MAX_LINE_CHARS)]
    if reference is not None:
        lines.append(("formality/official_reference", reference, MAX_LINE_CHARS))
    if author is not None:
        lines += [("author/name", author.name, MAX_LINE_CHARS), ("author/role", author.role, MAX_LINE_CHARS)]
        lines.append(("author/login_method", author.login_method, MAX_LINE_CHARS))
    for name, written, most in lines:
        if written is not None and len(written) > most:
            raise faults.field(name, f"{name} has {len(written)} characters; at most {most} are possible")
        if written is not None and not is_line(written):
            raise faults.field(name, f"{name} holds a line break or another control character; write it in one line")


class _Named(msgspec.Struct, frozen=True):
    """To whom a message goes: as addresses, as people read them, and by name."""

    addresses: tuple[Address, ...]
    shown: tuple[str, ...]
    members: tuple[str, ...]
    networks: tuple[str, ...]


# A case system writes to the same few again and again.
@lru_cache(maxsize=256)
def _named(to: tuple[str, ...], association: str) -> _Named:
    addresses = tuple(_address(place, each, association) for place, each in enumerate(to))
    members = tuple(each.member for each in addresses if each.member is not None)
    networks = tuple(each.network for each in addresses if each.network is not None)
    return _Named(addresses, tuple(str(each) for each in addresses), members, networks)


def _address(place: int, written: str, association: str) -> Address:
    try:
        return parse_address(written, association)
    except UsageError as error:
        raise faults.field(f"to/{place}", error.detail) from None


def _forwarded(shown: str) -> MessageId:
    try:
        return message_id_of(shown)
    except UsageError as error:
        raise faults.field("forward_of", error.detail) from None


_FIELDS: Final = {
    "unknown_recipient": "/to",
    "recipient_suspended": "/to",
    "unknown_network": "/to",
    "not_in_standing": "/to",
    "unknown_desk": "/desk",
    "unknown_message": "/forward_of",
    "handling_forbids": "/handling",
    "conflict": "/idempotency_key",
}


def fault_of(error: ValijaError, asked: Asked, *, alone: bool = False) -> Fault | None:
    """Where in a message that was refused under way the reason lies, if in one field.

    The key of one that comes `alone` stands in a header.
    """
    pointer = _FIELDS.get(error.code)
    if pointer is None:
        return None
    if pointer == "/to":
        named = [each.member or f"#{each.network}" for each in asked.addresses]
        if error.detail not in named:
            # Of standing it may be this node's own that is missing.
            return None if error.code == "not_in_standing" else Fault(error.detail or "not found", pointer=pointer)
        pointer += f"/{named.index(error.detail)}"
    if error.code == "conflict" and alone:
        return Fault(error.detail, header=KEY_HEADER)
    return Fault(error.detail or "not found", pointer=pointer)


def _of_content(error: ValijaError, asked: MessageRequest) -> FieldError:
    """The same error with the field of the request from which that part of the content was made."""
    path = error.detail.partition("`")[2].rstrip("`")
    # What names no field is about the whole: too large, which of all fields the text alone can make it.
    pointer = faults.pointer_of(path) or "/body"
    pointer = "/body" if pointer.startswith("/body/") and isinstance(asked.body, str) else pointer
    pointer = "/desk" if pointer == "/from/desk" else pointer
    return _unfit(pointer.removeprefix("/"), error.detail)


def _unfit(name: str, detail: str) -> FieldError:
    match name:
        case "thread" | "in_reply_to":
            return faults.field(name, "a message id is msg_ and 26 letters and digits")
        case "due_at":
            return faults.field(name, "due_at is no time of the calendar in UTC, as 2026-11-30T12:00:00Z")
        case "language":
            return faults.field(name, "a language is a tag of at most 16 characters, as es or pt-BR")
        case "use_limits":
            return faults.field(name, f"use_limits has more than {MAX_USE_LIMITS_CHARS} characters")
        case "desk":
            return faults.field(name, "a name has 2 to 32 lower-case letters, digits and single hyphens")
    return faults.field(name, detail)


@lru_cache(maxsize=256)
def _origin(member: str, desk: str) -> Origin:
    return Origin(member=member, desk=desk)


def check_key(key: str) -> None:
    """Return if this can be an idempotency key: 1 to 255 bytes of text; else `UsageError`."""
    if not 1 <= len(key.encode("utf-8", "surrogatepass")) <= MAX_KEY_BYTES:
        raise faults.header(KEY_HEADER, f"an idempotency key has 1 to {MAX_KEY_BYTES} bytes")


def desk_of(caller: Caller, named: str | None, default: str) -> str:
    """The desk in whose name the caller speaks; `UsageError` if a token names another desk than its own."""
    own = desks_of(caller)
    if own is None:
        return named or default
    if named is None and len(own) == 1:
        return own[0]
    if named not in own:
        speaking = "this token speaks" if isinstance(caller, AtDesk) else "you speak"
        raise faults.field("desk", f"{speaking} for {', '.join(own)} alone")
    return named


def _content(asked: MessageRequest, to: tuple[str, ...], origin: Origin, caller: Caller) -> Content:
    login = "token" if isinstance(caller, AtDesk) else "operator"
    author = caller.author if isinstance(caller, Colleague) else asked.author
    return Content(
        schema=SCHEMA,
        type=asked.type,
        subject=asked.subject,
        body=Text(format=BodyFormat.PLAIN, text=asked.body) if isinstance(asked.body, str) else asked.body,
        to=to,
        origin=origin,
        author=author or Author(name=origin.desk, role="", login_method=login),
        urgency=asked.urgency,
        thread=asked.thread,
        in_reply_to=asked.in_reply_to,
        case_reference=asked.case_reference,
        due_at=asked.due_at,
        handling=asked.handling,
        formality=asked.formality,
        transition=asked.transition,
        language=asked.language,
        use_limits=asked.use_limits,
    )


def read_time(field: str, written: str | None) -> int | None:
    """The Unix seconds of a time of RFC 3339; None where none is given.  `UsageError` naming the field."""
    if written is None:
        return None
    try:
        at = datetime.fromisoformat(written)
    except ValueError:
        raise faults.field(field, f"{field} is no time of RFC 3339") from None
    if at.tzinfo is None:
        raise faults.field(field, f"{field} names no time zone")
    return int(at.timestamp())


@lru_cache(maxsize=256)
def show_time(at: int) -> str:
    """A time of RFC 3339 in UTC; `at` is Unix seconds, shown as the last second of 9999 where a peer wrote a later one."""
    return datetime.fromtimestamp(min(at, _LAST_SECOND), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def message_id_of(shown: str) -> MessageId:
    """The message id that people see; `UsageError` for anything else."""
    return MessageId(read_id("msg", shown))


def action_of(asked: AcknowledgeRequest) -> Action:
    """The action; `UsageError` for one that does not exist."""
    if asked.action not in ACTIONS:
        raise faults.field("action", f"action is one of: {', '.join(ACTIONS)}")
    return ACTIONS[asked.action]


# -- ids by their start --------------------------------------------------------------------------------
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_ID_BYTES, _ID_CHARS, _MIN_CHARS = 16, 26, 4


def id_range(shown: str) -> tuple[bytes, bytes]:
    """The lowest and the highest message id that begins as `shown`, `msg_` and at least four characters of it."""
    start = shown.removeprefix("msg_")
    if not _MIN_CHARS <= len(start) <= _ID_CHARS or any(each not in _ALPHABET for each in start):
        raise faults.parameter(
            "id", "a message id is msg_ and 26 letters and digits, or at least the first four of them"
        )
    low = _filled(start, "a")
    return low, low if len(start) == _ID_CHARS else _filled(start, "7")


def _filled(start: str, with_: str) -> bytes:
    # 26 characters hold two bits more than an id has.
    return base64.b32decode((start.ljust(_ID_CHARS, with_) + "======").upper())[:_ID_BYTES]
