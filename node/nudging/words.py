"""What a call says: that something urgent waits, where, since when and how many; never what, nor from whom."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from node.api_requests import show_time
from node.i18n import Speech
from node.nudging.settings import Rule
from node.tables.urgent import Step
from protocol.names import check_name


@dataclass(frozen=True, slots=True)
class Call:
    """One call: at which desk of which member, how many wait, of them emergencies, since when, and where to open them.

    `number` counts the calls of this step; `open_at` is empty where the node has no pages under a public name.  Where
    none waits it is a trial.
    """

    desk: str
    member: str
    step: Step
    rule: Rule
    count: int
    emergencies: int
    since: int
    number: int
    open_at: str

    def __post_init__(self) -> None:
        """Refuse a desk or member that is no name (`MalformedError`): both stand in the headers of a mail."""
        for name in (self.desk, *self.member.split("@")):
            check_name(name)

    @property
    def address(self) -> str:
        """Who is called."""
        return self.rule.duty if self.step is Step.DUTY else self.rule.escalation

    @property
    def id(self) -> str:
        """The same for the same call, tried however often; it names no message."""
        return f"nudge.{self.desk}.{self.step}.{self.since}.{self.number}"


def subject(call: Call, speech: Speech) -> str:
    """One line."""
    if not call.count:
        return speech.say("Valija: trial call for the desk %(desk)s of %(member)s", desk=call.desk, member=call.member)
    return speech.count(
        "Valija: %(num)d urgent message unopened, desk %(desk)s of %(member)s",
        "Valija: %(num)d urgent messages unopened, desk %(desk)s of %(member)s",
        call.count,
        desk=call.desk,
        member=call.member,
    )


def text(call: Call, speech: Speech, now: int) -> str:
    """All of it, in paragraphs."""
    if not call.count:
        return speech.say(
            "This is a trial: it tells of nothing that waits. A call such as this one comes while something urgent is"
            " unopened at the desk."
        )
    return "\n\n".join([_waits(call, speech, now), *_escalated(call, speech), _where(call, speech), _closing(speech)])


def _waits(call: Call, speech: Speech, now: int) -> str:
    said = speech.count(
        "At the desk %(desk)s of %(member)s %(num)d urgent message waits that nobody has opened.",
        "At the desk %(desk)s of %(member)s %(num)d urgent messages wait that nobody has opened.",
        call.count,
        desk=call.desk,
        member=call.member,
    )
    marked = speech.count("%(num)d is marked as an emergency.", "%(num)d are marked as emergencies.", call.emergencies)
    oldest = speech.say(
        "The oldest came on %(moment)s (%(ago)s).", moment=speech.moment(call.since), ago=speech.ago(call.since, now)
    )
    return " ".join([said, *([marked] if call.emergencies else []), oldest])


def _escalated(call: Call, speech: Speech) -> list[str]:
    if call.step is Step.DUTY:
        return []
    return [speech.say("The desk's duty address was called before; this goes to you because they are still unopened.")]


def _where(call: Call, speech: Speech) -> str:
    if call.open_at:
        return speech.say("Open them here: %(address)s", address=call.open_at)
    return speech.say("Open them in your case system, or at your node.")


def _closing(speech: Speech) -> str:
    return speech.say(
        "This notice tells nothing of what was written. It comes again until somebody at the desk opens the messages."
    )


def payload(call: Call, speech: Speech, now: int) -> bytes:
    """The same for a program, as JSON; `text` is for a person."""
    data = {
        "member": call.member,
        "desk": call.desk,
        "step": call.step.value,
        "count": call.count,
        "emergencies": call.emergencies,
        "since": show_time(call.since),
        "open_at": call.open_at or None,
        "subject": subject(call, speech),
        "text": text(call, speech, now),
    }
    return msgspec.json.encode({"type": "nudge", "timestamp": show_time(now), "data": data})
