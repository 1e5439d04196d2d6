"""What somebody types, and the message that it makes: one form, kept as it was typed until it is sent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from node.api_requests import MAX_SINGLE_BYTES, MessageRequest
from node.web.folders import Line
from node.web.forms import Form
from node.web.words import N_
from protocol.errors import LimitError, UsageError
from protocol.messages.content import (
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
from protocol.names import Party

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
    "case_reference": N_("Case reference"),
    "due": N_("Answer needed by"),
    "use_limits": N_("What it may be used for"),
}


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
    if not typed.to:
        raise UsageError("choose at least one recipient")
    if not typed["subject"]:
        raise UsageError("write a subject: what others see in their lists")
    missing = [name for name in NEEDED.get(kind, ()) if not typed[name]]
    if missing:
        raise UsageError(LABELS[missing[0]])
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
    except ValueError:
        raise UsageError("the date is none: choose a day and a time") from None
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


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


def forward(source: Source, zone: tzinfo) -> Typed:
    """The beginning of a message that passes this one on: the same act, under the same handling code.

    When it is due is told in `zone`.
    """
    content = source.content
    quoted = "\n".join(f"> {line}" for line in content.body.text.splitlines())
    fields = _carried(content) | {
        "subject": _prefixed("Fwd: ", content.subject),
        "forward_of": source.line.shown_id,
        "type": content.type.value,
        "urgency": content.urgency.value,
        "due": _local(content.due_at, zone),
        "use_limits": content.use_limits or "",
        "format": content.body.format.value,
        "body": f"\n\n{content.origin.member}/{content.origin.desk}:\n{quoted}\n",
        "desk": source.desks[0] if source.desks else "",
    }
    return Typed(fields, _codes(content))


def _carried(content: Content) -> dict[str, str]:
    tlp = content.handling.tlp.value if content.handling and content.handling.tlp else ""
    return {"case_reference": content.case_reference or "", "tlp": tlp}


def _local(due_at: str | None, zone: tzinfo) -> str:
    return "" if due_at is None else datetime.fromisoformat(due_at).astimezone(zone).strftime(_LOCAL)


def _codes(content: Content) -> dict[str, list[str]]:
    return {"europol": [each.value for each in content.handling.europol]} if content.handling else {}


def _prefixed(prefix: str, subject: str) -> str:
    return subject if subject.startswith(prefix) else prefix + subject
