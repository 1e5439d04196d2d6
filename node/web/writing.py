"""What somebody types, and the message that it makes: one form, kept as it was typed until it is sent."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from node import faults
from node.api_requests import MAX_SINGLE_BYTES, MessageRequest
from node.faults import FieldError
from node.i18n import Speech
from node.lines import as_line
from node.web.folders import Line
from node.web.forms import Form
from node.web.words import N_
from protocol.errors import LimitError, UsageError, ValijaError
from protocol.messages.content import (
    MAX_SUBJECT_CHARS,
    BodyFormat,
    Content,
    EuropolCode,
    Formality,
    FormalityKind,
    Handling,
    Matter,
    MessageType,
    Text,
    Tlp,
    Transition,
    Urgency,
)
from protocol.names import Party, parse_address

E = TypeVar("E", bound=StrEnum)

FIELDS: Final = (
    "desk", "others", "type", "subject", "body", "format", "urgency", "due", "tlp", "case_reference", "kind",
    "official_reference", "use_limits", "matter", "in_reply_to", "thread", "forward_of",
)  # fmt: skip
LISTS: Final = ("to", "europol")
_LOCAL: Final = "%Y-%m-%dT%H:%M"

NEEDED: Final[dict[MessageType, tuple[str, ...]]] = {
    MessageType.MLA_REQUEST: ("case_reference", "due"),
    MessageType.MLA_RESPONSE: ("case_reference",),
    MessageType.EMERGENCY_ASSISTANCE: ("due",),
    MessageType.EXTRADITION_REQUEST: ("case_reference", "due"),
    MessageType.SPONTANEOUS_INFORMATION: ("use_limits",),
    MessageType.JIT_SETUP: ("case_reference",),
    MessageType.JIT_EXCHANGE: ("case_reference",),
    MessageType.CONTROLLED_DELIVERY: ("case_reference", "due"),
    MessageType.WITNESS_VIDEOCONFERENCE: ("case_reference", "due"),
    MessageType.PROTECTION: ("due",),
    MessageType.ASSET_FREEZING: ("case_reference", "due"),
    MessageType.DATA_PRESERVATION: ("case_reference", "due"),
    MessageType.SERVICE_OF_DOCUMENTS: ("case_reference", "due"),
    MessageType.TRANSFER_OF_PROCEEDINGS: ("case_reference",),
}
"""What each act needs besides a text: without it the recipient has to ask before they can begin."""

LABELS: Final = {
    "desk": N_("From the desk"),
    "to": N_("To: at least one recipient"),
    "subject": N_("Subject: what others see in their lists"),
    "case_reference": N_("Case reference"),
    "due": N_("Answer needed by"),
    "use_limits": N_("What it may be used for"),
}
"""What every message needs, and what its act may need besides; in the order of the form."""

REFUSALS: Final = {
    "invalid_request": N_("This cannot be sent as it is; correct what is named and send it again."),
    "unknown_member": N_("No member of this name is here; choose one from the list of members."),
    "unknown_recipient": N_("No member of this name is here; choose one from the list of members."),
    "unknown_network": N_("No network of this name is here; choose one from the list of networks."),
    "unknown_desk": N_("Your service has no desk of this name any more; choose another, or ask your administrator."),
    "unknown_message": N_(
        "The message that this one passes on is not among those you may read; begin it anew from there."
    ),
    "conflict": N_("A message went from this draft already; copy your text, and write a new one."),
    "stale_view": N_("Your node has not reached the hub for long; keep this as a draft and try again later."),
}
"""What is told on the form instead of the sentence of the code, which may speak to whoever runs the node."""

ADDRESS_FAULTS: Final = (
    N_("an address is a member, a desk of one as in co-fgn/central, or a network as in #rfai"),
    N_("a name has 2 to 32 lower-case letters, digits and single hyphens"),
    N_("an address in another association"),
)
"""What is said of an address where it is read."""

_OF_ADDRESS: Final = frozenset({"unknown_member", "unknown_recipient", "unknown_network", "recipient_suspended"})
_FIELD_OF: Final = {"to": "others", "due_at": "due", "handling": "tlp", "formality": "kind", "transition": "matter"}


class MissingError(UsageError):
    """Something is still missing; nothing was sent."""

    def __init__(self, names: Sequence[str]) -> None:
        """Keep the names of the fields that are empty."""
        super().__init__(", ".join(LABELS[name] for name in names))
        self.names = tuple(names)


class Typed(msgspec.Struct, frozen=True):
    """A form as it was typed: single fields, and those that may stand there more than once."""

    fields: dict[str, str] = {}
    lists: dict[str, list[str]] = {}
    method: str = ""

    def __getitem__(self, name: str) -> str:
        """The field of this name, empty where nothing was typed."""
        return self.fields.get(name, "")

    def encode(self) -> bytes:
        """As it is kept."""
        return msgspec.json.encode(self)

    @property
    def to(self) -> tuple[str, ...]:
        """Every address: those chosen, and those typed with commas or spaces between."""
        typed = self["others"].replace(",", " ").replace(";", " ").split()
        return tuple(dict.fromkeys([*self.lists.get("to", []), *typed]))


def ticked(typed: Typed, offered: Collection[str]) -> Typed:
    """The same, in which whoever is `offered` as a choice is chosen, and everybody else typed."""
    chosen = [each for each in typed.to if each in offered]
    others = [each for each in typed.to if each not in offered]
    return Typed(typed.fields | {"others": ", ".join(others)}, typed.lists | {"to": chosen}, typed.method)


def typed_of(form: Form, method: str) -> Typed:
    """What was typed into this form; `LimitError` for more than a message may hold."""
    typed = Typed(
        {name: form.raw(name) if name == "body" else form.text(name) for name in FIELDS},
        {name: form.every(name) for name in LISTS},
        method,
    )
    if len(typed.encode()) > MAX_SINGLE_BYTES:
        raise LimitError(f"a message has at most {MAX_SINGLE_BYTES} bytes")
    return typed


def read_typed(data: bytes) -> Typed:
    """What was kept."""
    return msgspec.json.decode(data, type=Typed)


# -- the message -----------------------------------------------------------------------------------------
def request_of(typed: Typed, zone: tzinfo) -> MessageRequest:
    """The message that was typed, its times in `zone`; `UsageError` saying what is missing or is none."""
    kind = _chosen(MessageType, typed["type"] or "message")
    needed = {"desk", "to", "subject", *NEEDED.get(kind, ())}
    missing = [name for name in LABELS if name in needed and not (typed.to if name == "to" else typed[name])]
    if missing:
        raise MissingError(missing)
    return MessageRequest(
        to=typed.to,
        body=Text(format=_chosen(BodyFormat, typed["format"] or "plain"), text=typed["body"]),
        type=kind,
        subject=typed["subject"],
        desk=typed["desk"] or None,
        urgency=_chosen(Urgency, typed["urgency"] or "routine"),
        thread=typed["thread"] or None,
        in_reply_to=typed["in_reply_to"] or None,
        forward_of=typed["forward_of"] or None,
        case_reference=typed["case_reference"] or None,
        due_at=_due(typed["due"], zone),
        handling=_handling(typed),
        formality=_formality(typed),
        transition=Transition(matter=_chosen(Matter, typed["matter"])) if typed["matter"] else None,
        use_limits=typed["use_limits"] or None,
    )


def _chosen(kind: type[E], written: str) -> E:
    try:
        return kind(written)
    except ValueError:
        raise UsageError("choose one of the values offered") from None


def _handling(typed: Typed) -> Handling | None:
    codes = tuple(_chosen(EuropolCode, each) for each in typed.lists.get("europol", []))
    if not typed["tlp"] and not codes:
        return None
    return Handling(tlp=_chosen(Tlp, typed["tlp"]) if typed["tlp"] else None, europol=codes)


def _formality(typed: Typed) -> Formality | None:
    if not typed["kind"]:
        return None
    return Formality(kind=_chosen(FormalityKind, typed["kind"]), official_reference=typed["official_reference"] or None)


def _due(written: str, zone: tzinfo) -> str | None:
    if not written:
        return None
    try:
        at = datetime.strptime(written[: len("2026-01-01T00:00")], _LOCAL).replace(tzinfo=zone)
        return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError):
        raise faults.field("due", "the date is none: choose a day and a time") from None


def faulty(error: ValijaError | None) -> tuple[str, ...]:
    """The fields of the form that this refusal is about."""
    if isinstance(error, MissingError):
        return error.names
    if error is None or error.code in _OF_ADDRESS:
        return ("others",) if error else ()
    pointer = (error.fault.pointer or "" if isinstance(error, FieldError) else "").split("/")[1:2]
    return tuple(_FIELD_OF.get(each, each) for each in pointer)


def desks_named(contents: Iterable[Content], me: str, association: str) -> set[str]:
    """Every desk of another member that wrote one of these messages or was written to, as `member/desk`."""
    found: set[str] = set()
    for content in contents:
        for each in (f"{content.origin.member}/{content.origin.desk}", *content.to):
            try:
                address = parse_address(each, association)
            except UsageError:
                continue
            if address.member not in {None, me} and address.desk is not None:
                found.add(f"{address.member}/{address.desk}")
    return found


# -- beginnings ------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Source:
    """The message that is answered or passed on: its line, who could read it, the desks that it came to."""

    line: Line
    content: Content
    readers: tuple[Party, ...]
    desks: tuple[str, ...]


def reply(source: Source, me: str, root: str, *, to_all: bool) -> Typed:
    """The beginning of an answer to the author's desk, or to everybody who could read the message.

    Whatever act was asked for, an answer does not ask for it in turn.
    """
    content = source.content
    is_answer = content.type is MessageType.MLA_REQUEST and content.origin.member != me
    first = f"{content.origin.member}/{content.origin.desk}"
    others = [each.member for each in source.readers if each.member not in {me, content.origin.member}]
    to = list(content.to) if content.origin.member == me else [first, *(others if to_all else [])]
    fields = _carried(content) | {
        "subject": _prefixed("Re: ", content.subject),
        "in_reply_to": source.line.shown_id,
        "thread": root,
        "type": (MessageType.MLA_RESPONSE if is_answer else MessageType.MESSAGE).value,
        "desk": source.desks[0] if source.desks else "",
    }
    return Typed(fields | {"others": " ".join(to)}, _codes(content))


def forward(source: Source, told: Speech) -> Typed:
    """The beginning of a message that passes this one on: the same act, under the same handling code.

    When it is due is told where the reader is.
    """
    content = source.content
    quoted = "\n".join(f"> {line}" for line in content.body.text.splitlines())
    fields = _carried(content) | {
        "subject": _prefixed("Fwd: ", content.subject),
        "forward_of": source.line.shown_id,
        "type": content.type.value,
        "urgency": content.urgency.value,
        "due": _local(content.due_at, told),
        "use_limits": content.use_limits or "",
        "format": content.body.format.value,
        "body": f"\n\n{content.origin.member}/{content.origin.desk}:\n{quoted}\n",
        "desk": source.desks[0] if source.desks else "",
    }
    return Typed(fields, _codes(content))


def _carried(content: Content) -> dict[str, str]:
    tlp = content.handling.tlp.value if content.handling and content.handling.tlp else ""
    return {"case_reference": as_line(content.case_reference or ""), "tlp": tlp}


def _local(due_at: str | None, told: Speech) -> str:
    return "" if due_at is None else told.local(int(datetime.fromisoformat(due_at).timestamp())).strftime(_LOCAL)


def _codes(content: Content) -> dict[str, list[str]]:
    return {"europol": [each.value for each in content.handling.europol]} if content.handling else {}


def _prefixed(prefix: str, subject: str) -> str:
    # What others wrote may hold what no node sends, and leave no room for the prefix.
    line = as_line(subject)
    return line if line.startswith(prefix) else (prefix + line)[:MAX_SUBJECT_CHARS]
