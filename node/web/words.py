"""The words of the field as pages show them: what each value of a message means, for the catalogue and for readers.

Sentences are marked with `N_` where they stand alone, so that the extraction finds them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from keys.journal import Entry
from node.i18n import Speech
from node.people.acts import NODE
from node.status import State
from protocol.messages.content import EuropolCode, FormalityKind, Matter, MessageType, Tlp, Urgency


def N_(sentence: str) -> str:  # noqa: N802 - the customary mark for extraction
    """The same: it is translated where it is shown."""
    return sentence


TYPES: Final = {
    MessageType.MLA_REQUEST: N_("Request for mutual legal assistance"),
    MessageType.MLA_RESPONSE: N_("Answer to a request for assistance"),
    MessageType.EMERGENCY_ASSISTANCE: N_("Emergency assistance"),
    MessageType.EXTRADITION_REQUEST: N_("Extradition request"),
    MessageType.SPONTANEOUS_INFORMATION: N_("Spontaneous information"),
    MessageType.JIT_SETUP: N_("Joint investigation team: set-up"),
    MessageType.JIT_EXCHANGE: N_("Joint investigation team: exchange"),
    MessageType.CONTROLLED_DELIVERY: N_("Controlled delivery"),
    MessageType.WITNESS_VIDEOCONFERENCE: N_("Witness by videoconference"),
    MessageType.PROTECTION: N_("Protection of a victim or witness"),
    MessageType.ASSET_INFORMATION: N_("Information on assets"),
    MessageType.ASSET_FREEZING: N_("Freezing of assets"),
    MessageType.DATA_PRESERVATION: N_("Preservation of data"),
    MessageType.CRIMINAL_RECORDS: N_("Criminal records"),
    MessageType.SERVICE_OF_DOCUMENTS: N_("Service of documents"),
    MessageType.TRANSFER_OF_PROCEEDINGS: N_("Transfer of proceedings"),
    MessageType.CONSULTATION: N_("Consultation"),
    MessageType.GOOD_PRACTICE: N_("Good practice and training"),
    MessageType.MESSAGE: N_("Message"),
}

URGENCIES: Final = {
    Urgency.ROUTINE: N_("Routine"),
    Urgency.URGENT: N_("Urgent"),
    Urgency.EMERGENCY: N_("Emergency"),
}

STATES: Final = {
    State.QUEUED: N_("queued"),
    State.SEALED: N_("sealed"),
    State.RELAYED: N_("relayed"),
    State.DELIVERED: N_("delivered"),
    State.ACKNOWLEDGED: N_("acknowledged"),
    State.HELD: N_("held"),
    State.LATE: N_("late"),
    State.REFUSED: N_("refused"),
    State.EXPIRED: N_("expired"),
    State.WITHDRAWN: N_("withdrawn"),
}

STATES_EXPLAINED: Final = {
    State.QUEUED: N_("Safe in this node, and not sealed yet. It goes as soon as the line to the hub is open."),
    State.SEALED: N_("Encrypted for the recipient and signed. The hub has not confirmed it yet."),
    State.RELAYED: N_(
        "The hub signed that it has the sealed message, and keeps it for the recipient. It cannot read it."
    ),
    State.DELIVERED: N_(
        "The recipient's node opened it, checked it and signed for it. Nobody there need have read it."
    ),
    State.ACKNOWLEDGED: N_("A desk of the recipient signed that it took the message in hand."),
    State.HELD: N_("It cannot go just now, for the reason given. It goes by itself as soon as it can."),
    State.LATE: N_("The hub has had it for over a day, and the recipient's node has not signed for it."),
    State.REFUSED: N_("The recipient's node could not accept it, and signed why."),
    State.EXPIRED: N_("It was not delivered in its time. The recipient never had it."),
    State.WITHDRAWN: N_("You took it back. The recipient never had it, and signed so."),
}
CLOSING: Final = {
    "withdrawn": N_("being taken back"),
    "expired": N_("its time is over"),
    "refused": N_("being given up"),
}
"""Why a delivery is being ended, until the recipient has signed whether it has the message."""

CLOSING_EXPLAINED: Final = {
    "withdrawn": N_(
        "You took it back. Once the recipient's node is there, it signs that it never had the message, or that it had "
        "it before."
    ),
    "expired": N_(
        "Its time ended before it was delivered. Once the recipient's node is there, it signs that it never had it, or "
        "that it had it before."
    ),
    "refused": N_(
        "It was refused and goes no more. Once the recipient's node is there, it signs that it never had it."
    ),
}
_WITHDRAWN_HERE: Final = N_("You took it back before it left this node. No recipient ever had it.")

ANSWERED: Final = {
    "acknowledged": ("acknowledged", N_("desk has it in hand")),
    "accepted": ("acknowledged", N_("desk accepted")),
    "needs-information": ("held", N_("desk needs information")),
    "declined": ("refused", N_("desk declined")),
    "refused": ("refused", N_("desk refused")),
}
"""What a desk answered, as a mark: the state whose look it has, and the words."""

ANSWERED_EXPLAINED: Final = {
    "accepted": N_("A desk of the recipient signed that it accepts what is asked."),
    "needs-information": N_("A desk of the recipient signed that it needs more information from you."),
    "declined": N_("A desk of the recipient signed that it declines what is asked."),
    "refused": N_("A desk of the recipient signed that it refuses what is asked."),
}


SENTENCES: Final = {
    "unknown_message": N_("There is no such message, or it is not for your desks."),
    "unknown_member": N_("No member of this name is in the association; the page of members shows who is."),
    "unknown_network": N_("No network of this name exists; the page of members shows those that do."),
    "unknown_desk": N_("No desk of this name exists here; ask whoever runs this node."),
    "disabled": N_("This webhook is disabled, so nothing is sent to it; enable it first."),
}
"""What pages say of errors whose own sentence names a command."""


def answer_of(actions: Iterable[str]) -> str:
    """Of what desks answered, by its names, oldest first: the newest that says more than that it came; else nothing."""
    return next((each for each in reversed(list(actions)) if each in ANSWERED_EXPLAINED), "")


def mark(state: State, actions: Iterable[str], closing: str | None = None) -> tuple[str, str]:
    """How a delivery in this state, thus answered, is marked: look and words; `closing` is why it is being ended."""
    if closing:
        return "closing", CLOSING[closing]
    answer = answer_of(actions) if state is State.ACKNOWLEDGED else ""
    return ANSWERED[answer] if answer else (state.value, STATES[state])


def explained(state: State, actions: Iterable[str], closing: str | None = None, *, is_signed: bool) -> str:
    """What that mark means; `is_signed` says that there is a receipt behind it."""
    if closing:
        return CLOSING_EXPLAINED[closing]
    if state is State.WITHDRAWN and not is_signed:
        return _WITHDRAWN_HERE
    answer = answer_of(actions) if state is State.ACKNOWLEDGED else ""
    return ANSWERED_EXPLAINED[answer] if answer else STATES_EXPLAINED[state]


MATTERS: Final = {
    Matter.SENT: N_("sent out"),
    Matter.RECEIVED: N_("received"),
    Matter.ACCEPTED: N_("accepted"),
    Matter.NEEDS_INFORMATION: N_("needs information"),
    Matter.DECLINED: N_("declined"),
    Matter.IN_EXECUTION: N_("in execution"),
    Matter.PARTLY_EXECUTED: N_("partly executed"),
    Matter.EXECUTED: N_("executed"),
    Matter.WITHDRAWN: N_("taken back"),
}

TLP: Final = {
    Tlp.RED: N_("For the eyes of its recipients alone"),
    Tlp.AMBER_STRICT: N_("For the organisations of its recipients alone"),
    Tlp.AMBER: N_("For the organisations of its recipients and those whom they serve, where they need it"),
    Tlp.GREEN: N_("For the community, not for the public"),
    Tlp.CLEAR: N_("May be told to anybody"),
}

EUROPOL: Final = {
    EuropolCode.H0: N_("For fighting crime only"),
    EuropolCode.H1: N_("Not in judicial proceedings without permission"),
    EuropolCode.H2: N_("Not to be passed on without permission"),
    EuropolCode.H3: N_("Other restrictions: see the text"),
}

FORMALITIES: Final = {
    FormalityKind.OPERATIONAL: N_("Operational: it prepares or accompanies a formal act"),
    FormalityKind.FORMAL: N_("Formal: the official copy goes its own way"),
}

ACTIONS: Final = {
    "acknowledged": N_("received and taken in hand"),
    "accepted": N_("accepted"),
    "declined": N_("declined"),
    "needs-information": N_("needs more information"),
    "refused": N_("refused by the desk"),
}

FOLDERS: Final = {
    "inbox": N_("Inbox"),
    "flagged": N_("Flagged"),
    "waiting": N_("Waiting for answer"),
    "sent": N_("Sent"),
    "held": N_("Held"),
    "drafts": N_("Drafts"),
}

EMPTY: Final = {
    "inbox": N_("Nothing has come yet. What other members send to your desks appears here by itself."),
    "flagged": N_(
        "Nothing is flagged. Flag a message, and you find it here until you take the flag off; nobody else sees it."
    ),
    "waiting": N_("Nothing that you sent waits for an answer."),
    "sent": N_("You have not sent anything yet. Write the first message with the button above."),
    "held": N_("Nothing is held: everything that you sent is on its way or has arrived."),
    "drafts": N_("You are writing nothing just now."),
}

NOTHING_SENT: Final = N_("Nothing was sent from these desks yet.")
"""For whoever writes nothing."""

NO_DESK: Final = N_("You see no desk yet, so nothing comes to you and you cannot send. Ask your administrator for one.")

ROLES: Final = {
    "prosecutor": N_("prosecutor"),
    "clerk": N_("clerk"),
    "auditor": N_("auditor"),
    "administrator": N_("administrator"),
}

ACTS: Final = {
    "logged-in": N_("logged in"),
    "login-failed": N_("tried to log in"),
    "logged-out": N_("logged out"),
    "session-closed": N_("closed a session"),
    "passkey-added": N_("added a passkey"),
    "passkey-removed": N_("removed a passkey"),
    "password-set": N_("chose a password"),
    "recovery-codes-renewed": N_("made new recovery codes"),
    "person-added": N_("added a person"),
    "person-changed": N_("changed a person"),
    "person-disabled": N_("shut a person out"),
    "person-enabled": N_("let a person in again"),
    "invited": N_("made an invitation"),
    "opened": N_("opened a message"),
    "searched": N_("searched"),
    "sent": N_("sent a message"),
    "withdrew": N_("took a message back"),
    "answered": N_("answered by a receipt"),
    "receipt-opened": N_("opened a receipt"),
    "journal-read": N_("read this journal"),
    "webhook-handled": N_("handled a webhook"),
}

WHO: Final = {NODE: N_("the operator")}
"""Who acts without being a person of the register."""

METHODS: Final = {
    "passkey": N_("passkey"),
    "password+totp": N_("password and a code"),
    "recovery-code": N_("recovery code"),
    "invitation": N_("invitation"),
}


def more(entry: Entry, speech: Speech) -> str:
    """What else an entry of the journal tells, in this language as far as its words are known."""
    if entry.act in {"person-added", "person-changed"}:
        role, mark, desks = entry.detail.partition(":")
        return speech.say(ROLES.get(role, role)) + (mark + desks if desks.strip() else "")
    known = {"answered": ACTIONS, "logged-in": METHODS}.get(entry.act, {})
    return speech.say(known[entry.detail]) if entry.detail in known else entry.detail


REASONS: Final = (
    N_("Not Found"),
    N_("Method Not Allowed"),
    N_("asked by a page of another site"),
    N_("this site has another name"),
    N_("the form did not arrive in time"),
    N_("no webhook of this name"),
    N_("no notice of this number in the log of this webhook"),
)
"""Why a page is refused, as the server, `keys.guard` and the book of webhooks say it."""

UNREAD: Final = N_(
    "The address, or what the browser sends with it, is too long or cannot be read. If this stays, delete the cookies of "
    "this site in the browser."
)
"""Where no request came to be; a browser that keeps too many cookies of neighbours is the usual cause."""

HOOK_EVENTS: Final = {
    "message": N_("a message came"),
    "delivery": N_("a delivery changed"),
    "handover": N_("a desk answered"),
    "webhook.test": N_("a test"),
}

HOOK_OUTCOMES: Final = {
    "answered": N_("answered"),
    "redirect not followed": N_("led elsewhere, not followed"),
    "address not allowed": N_("an address that is not allowed"),
    "no answer in time": N_("no answer in time"),
}

HOOK_ENDS: Final = {
    "by hand": N_("by hand"),
    "gone": N_("it said that it is gone"),
    "failing for 30 days": N_("it failed for thirty days"),
}

ALARMS: Final = {
    "silent_peer": N_("A member has not answered for long."),
    "clock_skew": N_("The clocks of this node and of its hub differ."),
    "gap": N_("Messages of a member are missing before one that came."),
    "new_incarnation": N_("This node began a new numbering of what it sends."),
    "incarnation_limit": N_(
        "The hub says again and again that this node was put back; nothing is sent until tomorrow."
    ),
    "urgent_unopened": N_("Something urgent waits unopened, and whoever answers for the desk was called."),
    "nudge_failed": N_("Whoever is on duty could not be called."),
    "webhook_disabled": N_("A webhook is told nothing more."),
    "webhook_notice_given_up": N_("A webhook did not take a notice for thirty days."),
}
"""Alarms whose code is no error's, or whose error says more than happened."""

ALARM_DETAILS: Final = (
    N_("desk {desk}"),
    N_("desk {desk}, {step}: {outcome}"),
    N_("gone"),
    N_("failing for 30 days"),
    N_("quarantined: {sender}"),
    N_("the hub forgets what it answered"),
    N_("{member} knows other numbers of ours"),
)
"""What alarms tell, where no sentence of the source stands by itself."""

CAUSES: Final = {
    "first": N_("its first one"),
    "restored": N_("it was restored from a backup"),
    "rolled_back": N_("its numbers were in use already: an older state of it was running"),
    "hub_changed": N_("the hub was put back, or is another one"),
}
"""Why a node begins a new numbering."""

_BROWSERS: Final = {"Edg": "Edge", "OPR/": "Opera", "Firefox/": "Firefox", "FxiOS/": "Firefox", "Chrome/": "Chrome",
                    "CriOS/": "Chrome", "Safari/": "Safari"}  # fmt: skip
_SYSTEMS: Final = {"Windows": "Windows", "Android": "Android", "iPhone": "iOS", "iPad": "iPadOS", "Mac OS X": "macOS",
                   "CrOS": "ChromeOS", "Linux": "Linux"}  # fmt: skip
_MAX_AGENT_CHARS: Final = 60


def browser(agent: str) -> str:
    """What a browser that calls itself so is called by people, and the system that it runs on: `Firefox, Linux`.

    Each claims to be those before it: the first sign that is found counts.
    """
    found = [next((name for sign, name in signs.items() if sign in agent), "") for signs in (_BROWSERS, _SYSTEMS)]
    return ", ".join(filter(None, found)) or agent[:_MAX_AGENT_CHARS] or "?"
