"""Messages on a terminal: what others wrote is shown as text, whatever it holds, and can move no cursor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from rich.text import Text

from keys.words import plain
from node.speaking import N_, language, say

View = dict[str, Any]

__all__ = [
    "delivery",
    "either_line",
    "inbox_line",
    "message",
    "outbox_line",
    "plain",
    "reader_line",
    "readers",
    "text_lines",
    "title",
]

SHORT_ID_CHARS: Final = 12
_LANGUAGES: Final = ("es", "pt", "en")
_MARKS: Final = {"gap_before": N_("an earlier message of this sender is missing"), "late": N_("came late")}
_STATES: Final = {
    "queued": N_("queued: safe here, not sealed yet"),
    "sealed": N_("sealed: on its way to the hub"),
    "relayed": N_("relayed: the hub holds it for the recipient"),
    "delivered": N_("delivered: the recipient's node signed for it"),
    "acknowledged": N_("acknowledged: a desk answered"),
    "held": N_("held: it waits and goes by itself"),
    "late": N_("late: relayed, and not signed for within a day"),
    "refused": N_("refused"),
    "expired": N_("expired: its time ended before it was delivered"),
    "withdrawn": N_("withdrawn"),
}
_SHORT: Final = {
    "queued": N_("queued"),
    "sealed": N_("sealed"),
    "relayed": N_("relayed"),
    "delivered": N_("delivered"),
    "acknowledged": N_("acknowledged"),
    "held": N_("held"),
    "late": N_("late"),
    "refused": N_("refused"),
    "expired": N_("expired"),
    "withdrawn": N_("withdrawn"),
}
_FORMALITIES: Final = {"operational": N_("operational"), "formal": N_("formal")}
_URGENT: Final = {"routine": "", "urgent": N_("URGENT"), "emergency": N_("EMERGENCY")}
ACTIONS: Final = {
    "acknowledged": N_("received and taken in hand"),
    "accepted": N_("accepted"),
    "declined": N_("declined"),
    "needs-information": N_("needs more information"),
    "refused": N_("refused by the desk"),
}


# -- pieces ------------------------------------------------------------------------------------------
def text_lines(text: str, indent: str = "") -> list[str]:
    """The lines of a text that somebody wrote, every character that is not print shown as its number."""
    lines = text.expandtabs(4).replace("\r\n", "\n").split("\n")
    return [indent + plain(line) for line in lines]


def title(reader: View) -> str:
    """What a member calls itself, in the reader's language or one near it where it says so."""
    titles: dict[str, str] = reader.get("titles") or {}
    wanted = (language(), language().partition("-")[0], *_LANGUAGES)
    chosen = next((titles[each] for each in wanted if each in titles), next(iter(titles.values()), ""))
    return plain(chosen)


def reader_line(reader: View) -> str:
    """One member who can read."""
    country = f" ({plain(reader['country'])})" if reader.get("country") else ""
    return f"  {plain(reader['member']):<16} {title(reader)}{country}".rstrip()


def readers(told: Iterable[View]) -> list[str]:
    """Everybody who can read, under a heading."""
    return [say("Who will be able to read it, besides you:"), *map(reader_line, told)]


def short(message_id: str) -> str:
    """The start of an id, enough to name it."""
    return message_id[:SHORT_ID_CHARS]


def strong(line: str) -> Text:
    """A line that stands out where there is colour."""
    return Text(line, style="bold")


# -- lists -------------------------------------------------------------------------------------------
def inbox_line(item: View) -> str:
    """One received message."""
    content = item["content"]
    marks = [_said(_URGENT, content["urgency"]), _code(content), _due(content), _said(_MARKS, item.get("mark") or "")]
    noted = ", ".join(each for each in marks if each)
    subject = plain(content["subject"]) or say("(no subject)")
    line = f"{short(item['id'])}  {item['received_at']}  {plain(item['sender']['member']):<12}  {subject}"
    return f"{line}  [{noted}]" if noted else line


def outbox_line(item: View) -> str:
    """One sent message, with where it stands."""
    states = _tally(item["deliveries"])
    content = item["content"]
    subject = plain(content["subject"]) or say("(no subject)")
    to = ", ".join(plain(each.partition("@")[0]) for each in content["to"])
    return f"{short(item['id'])}  {item['accepted_at']}  {to}  {subject}  [{states}]"


def either_line(item: View) -> str:
    """One message of a thread or of a search."""
    return f"→ {outbox_line(item)}" if item["direction"] == "sent" else f"← {inbox_line(item)}"


def _tally(deliveries: list[View]) -> str:
    counted: dict[str, int] = {}
    for each in deliveries:
        state = (_said(_SHORT, each["state"]) or plain(each["state"])) + (
            f" ({each['reason']})" if each.get("reason") else ""
        )
        counted[state] = counted.get(state, 0) + 1
    return ", ".join(f"{count} {state}" if len(deliveries) > 1 else state for state, count in counted.items())


def _code(content: View) -> str:
    handling = content.get("handling") or {}
    return " ".join(each for each in (handling.get("tlp") or "", *handling.get("europol", ())) if each)


def _due(content: View) -> str:
    return say("due %(when)s", when=content["due_at"]) if content.get("due_at") else ""


# -- one message -------------------------------------------------------------------------------------
def message(item: View) -> list[str | Text]:
    """A message in full."""
    content = item["content"]
    lines: list[str | Text] = [strong(plain(content["subject"]) or say("(no subject)")), *_facts(item, content)]
    lines += ["", *text_lines(content["body"]["text"]), ""]
    if item["direction"] == "sent":
        lines += [line for each in item["deliveries"] for line in delivery(each)]
    return lines


def _facts(item: View, content: View) -> list[str]:
    author = content["author"]
    by = ", ".join(plain(each) for each in (author["name"], author["role"]) if each)
    sender = content["from"]
    claimed = say("%(who)s (as that service claims)", who=by)
    pairs = {
        say("id"): item["id"],
        say("from"): f"{plain(sender['member'])}/{plain(sender['desk'])}: {claimed}",
        say("to"): ", ".join(map(plain, content["to"])),
        say("type"): content["type"],
        say("urgency"): _said(_URGENT, content["urgency"]) or say("routine"),
        say("due"): content.get("due_at"),
        say("handling"): _code(content),
        say("case"): plain(content["case_reference"]) if content.get("case_reference") else None,
        say("use limits"): plain(content["use_limits"]) if content.get("use_limits") else None,
        say("formality"): _formality(content.get("formality")),
        say("thread"): content.get("thread"),
        say("in reply to"): content.get("in_reply_to"),
        say("received"): item.get("received_at"),
        say("note"): _said(_MARKS, item.get("mark") or ""),
        say("sent"): item.get("accepted_at"),
        say("readers"): ", ".join(plain(each["member"]) for each in item.get("readers", ())),
    }
    return [f"  {name:<12} {value}" for name, value in pairs.items() if value]


def _said(table: dict[str, str], value: str) -> str:
    """What the table says of the value, in the reader's language; empty if nothing."""
    return say(table[value]) if table.get(value) else ""


def _formality(told: View | None) -> str | None:
    if not told:
        return None
    kind, reference = str(told.get("kind", "operational")), told.get("official_reference")
    shown = say(_FORMALITIES.get(kind, kind))
    return say("%(kind)s, official copy %(reference)s", kind=shown, reference=plain(reference)) if reference else shown


def delivery(told: View) -> list[str]:
    """Where a message stands with one recipient, and the receipts behind that."""
    who = plain(told["recipient"]["member"]) if told["recipient"] else say("everybody")
    state = _said(_STATES, told["state"]) or plain(told["state"])
    reason = f" [{plain(told['reason'])}]" if told.get("reason") else ""
    closing = (
        f"; {say('being taken back (%(why)s)', why=_said(_SHORT, told['closing']))}" if told.get("closing") else ""
    )
    lines = [f"  {who:<16} {state}{reason}{closing}"]
    if told.get("receipt"):
        receipt = told["receipt"]
        signed = {"event": receipt["event"], "who": plain(receipt["signed_by"]), "when": receipt["at"]}
        lines.append(f"  {'':<16} {say('receipt %(event)s, signed by %(who)s, %(when)s', **signed)}")
    for each in told.get("answers", ()):
        note = f": {plain(each['note'])}" if each.get("note") else ""
        action = _said(ACTIONS, each.get("action", "")) or plain(each.get("action", ""))
        lines.append(f"  {'':<16} {plain(each.get('desk', ''))}: {action}, {each['at']}{note}")
    return lines
