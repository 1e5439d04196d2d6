"""Folders: which messages stand in which, and what a line of a list tells of each.

    inbox      what came to the reader's desks
    flagged    what the reader flagged, of all that they see
    waiting    what they sent, that calls for an answer and has not those of all whom it names
    sent       what they sent
    held       what they sent and somebody has not got, with something in the way

`waiting` and `held` look through so many messages sent for one page; the next page goes on behind them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Final

from node import handover, search, status
from node.api_views import action_name, show_message_id
from node.search import Box, Hit
from node.status import Delivery, State
from node.store import Transaction
from node.tables import finding, reading
from node.tables.finding import FOREVER, Arrival, Sent
from node.web import words
from protocol.errors import PeerError
from protocol.messages.content import Content, Matter, MessageType, from_json
from protocol.messages.receipts import Action, HandedOver
from protocol.names import MessageId

LINES: Final = 30
_LOOKED_THROUGH: Final = 1_000
_FOUND: Final = 3_000
_UNANSWERABLE: Final = frozenset({
    MessageType.MESSAGE,
    MessageType.MLA_RESPONSE,
    MessageType.SPONTANEOUS_INFORMATION,
    MessageType.GOOD_PRACTICE,
})  # fmt: skip
_STUCK: Final = frozenset({State.HELD, State.LATE, State.REFUSED, State.EXPIRED})
_OPEN: Final = frozenset({State.QUEUED, State.SEALED, State.RELAYED, State.HELD, State.LATE})
_NEVER: Final = frozenset({State.WITHDRAWN, State.REFUSED, State.EXPIRED})
_NO: Final = frozenset({"declined", "refused"})
_CLOSING: Final = frozenset({Matter.DECLINED, Matter.EXECUTED, Matter.WITHDRAWN})


class Folder(StrEnum):
    """Where messages stand."""

    INBOX = "inbox"
    FLAGGED = "flagged"
    WAITING = "waiting"
    SENT = "sent"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Line:
    """A message in a list; `content` is None where it is of a later schema than this program knows.

    `answers` are what desks of ours signed for it; where it `is_settled` nobody has still to do what it asks by its
    day, and `matter` is what became of it where somebody wrote so.
    """

    hit: Hit
    sender: str
    shown_id: str
    at: int
    content: Content | None
    is_new: bool = False
    is_flagged: bool = False
    mark: int = 0
    deliveries: tuple[Delivery, ...] = ()
    answers: tuple[HandedOver, ...] = ()
    is_settled: bool = False
    matter: Matter | None = None

    @property
    def address(self) -> str:
        """Its page."""
        return f"/messages/{self.sender}/{self.shown_id}"

    @property
    def is_under_way(self) -> bool:
        """Whether there is somebody from whom it can still be taken back, and was not."""
        return any(each.state in _OPEN and each.closing is None for each in self.deliveries)

    @property
    def marks(self) -> list[tuple[str, str]]:
        """How it stands with its recipients, or what our desks answered, each once: look and words."""
        told = [(each.state, actions_of(each), closing_of(each)) for each in sorted(self.deliveries, key=_by_state)]
        own = [action_name(each.action) for each in self.answers]
        answered = [words.ANSWERED[words.answer_of(own) or own[-1]]] if own else []
        return list(dict.fromkeys([*(words.mark(*each) for each in told), *answered]))


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks at what: a person, the desks for which they speak, all that they see, this member, and the time."""

    person: int
    own: tuple[str, ...]
    seen: tuple[str, ...]
    member: str
    now: int


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a folder; `next` is where the following one begins, None at the end."""

    lines: list[Line] = field(default_factory=list)
    next: int | None = None


def actions_of(delivery: Delivery) -> list[str]:
    """What desks of the recipient answered, by its names, oldest first."""
    return [action_name(Action(each.action)) for each in delivery.handovers]


def closing_of(delivery: Delivery) -> str | None:
    """Why the delivery is being ended; None where it is not."""
    return None if delivery.closing is None else delivery.closing.name.lower()


def _by_state(delivery: Delivery) -> int:
    return list(State).index(delivery.state)


def listed(tx: Transaction, folder: Folder, look: Look, before: int = FOREVER) -> Listed:
    """The newest lines of the folder below the row `before`; of what is flagged, from the flag of this number on."""
    if folder is Folder.FLAGGED:
        return _flagged(tx, look, 0 if before == FOREVER else before)
    if folder is Folder.INBOX:
        arrived = finding.arrivals(tx, 0, before, LINES + 1, look.seen, newest_first=True)
        return Listed(_with_marks(tx, look, [_arrival(each) for each in arrived[:LINES]]), _next(arrived))
    keeps = {Folder.WAITING: is_waiting, Folder.HELD: is_held}.get(folder)
    if keeps is None:
        sent = finding.sent(tx, 0, before, LINES + 1, look.own, newest_first=True)
        return Listed(_with_marks(tx, look, [_sent(tx, each, look.now) for each in sent[:LINES]]), _next(sent))
    return _sifted(tx, look, before, keeps)


def _next(rows: Sequence[Arrival] | Sequence[Sent]) -> int | None:
    return rows[LINES - 1].id if len(rows) > LINES else None


def _sifted(tx: Transaction, look: Look, before: int, keeps: Callable[[Transaction, Line], bool]) -> Listed:
    found: list[Line] = []
    rows = finding.sent(tx, 0, before, _LOOKED_THROUGH, look.own, newest_first=True)
    for each in rows:
        line = _sent(tx, each, look.now)
        if keeps(tx, line):
            found.append(line)
        if len(found) == LINES:
            return Listed(_with_marks(tx, look, found), each.id)
    return Listed(_with_marks(tx, look, found), rows[-1].id if len(rows) == _LOOKED_THROUGH else None)


def _flagged(tx: Transaction, look: Look, first: int) -> Listed:
    items = reading.flags(tx, look.person, first, _LOOKED_THROUGH)
    # Whoever lost a desk sees nothing of it any more, what they flagged there neither.
    seen = [(number, hit) for number, hit in enumerate(map(Hit.of, items), first + 1) if _sees(tx, look, hit)]
    more = seen[LINES - 1][0] if len(seen) > LINES else first + len(items) if len(items) == _LOOKED_THROUGH else None
    return Listed(of_hits(tx, look, [hit for _number, hit in seen[:LINES]]), more)


def _sees(tx: Transaction, look: Look, hit: Hit) -> bool:
    find, desks = (finding.sent, look.own) if hit.box is Box.OUTBOX else (finding.arrivals, look.seen)
    return bool(find(tx, hit.row - 1, hit.row + 1, 1, desks))


def found(tx: Transaction, look: Look, sought: str, first: int = 0) -> Listed:
    """Messages with all of these words, or with this piece of a case reference, from the `first` on; raises `UsageError`."""
    upto = min(first, _FOUND) + LINES
    hits = search.find(tx, sought, look.seen, upto + 1)
    if len(sought.strip()) >= search.MIN_FRAGMENT_CHARS:
        hits = [*search.find_case(tx, sought, look.seen, upto + 1), *hits]
    unique = list(dict.fromkeys(hits))
    more = upto if len(unique) > upto and upto < _FOUND else None
    return Listed(of_hits(tx, look, unique[upto - LINES : upto]), more)


def thread(tx: Transaction, look: Look, line: Line) -> list[Line]:
    """Every message of the thread of this one that the reader sees, oldest first; itself at least."""
    lines = [line]
    if line.content is not None:
        root = search.thread_of(line.content, _message_id(tx, line.hit))
        lines = of_hits(tx, look, search.thread(tx, root, look.seen)) or lines
    return sorted(lines, key=lambda each: (each.at, each.hit.row))


def _message_id(tx: Transaction, hit: Hit) -> MessageId:
    rows = _rows(tx, [hit])
    return next(rows).message_id


def of_hits(tx: Transaction, look: Look, hits: Sequence[Hit]) -> list[Line]:
    """The lines of these messages, in this order."""
    rows = [_arrival(each) if isinstance(each, Arrival) else _sent(tx, each, look.now) for each in _rows(tx, hits)]
    return _with_marks(tx, look, rows)


def _rows(tx: Transaction, hits: Iterable[Hit]) -> Iterator[Arrival | Sent]:
    for hit in hits:
        if hit.box is Box.OUTBOX:
            yield from finding.sent_by_row(tx, [hit.row])
        else:
            yield from finding.arrivals(tx, hit.row - 1, hit.row + 1, 1, None)


# -- lines ---------------------------------------------------------------------------------------------
def content_of(document: bytes) -> Content | None:
    """What was written; None for a document of a later schema."""
    try:
        return from_json(document)
    except PeerError:
        return None


def _arrival(row: Arrival) -> Line:
    content = content_of(row.content)
    shown = show_message_id(row.message_id)
    return Line(Hit(Box.INBOX, row.id), row.sender, shown, row.received_at, content, mark=row.mark)


def _sent(tx: Transaction, row: Sent, now: int) -> Line:
    content = content_of(row.content)
    told = tuple(status.deliveries(tx, row.message_id, now))
    member = content.origin.member if content else ""
    hit, shown = Hit(Box.OUTBOX, row.id), show_message_id(row.message_id)
    return Line(hit, member, shown, row.accepted_at, content, deliveries=told)


def _with_marks(tx: Transaction, look: Look, lines: Sequence[Line]) -> list[Line]:
    arrived = [each.hit.row for each in lines if each.hit.box is Box.INBOX]
    seen = reading.opened(tx, look.person, arrived)
    flags = reading.flagged(tx, look.person, [each.hit.item for each in lines])
    answers = handover.answers(tx, arrived)
    return [
        _settled(
            tx,
            look,
            replace(
                each,
                is_new=each.hit.box is Box.INBOX and each.hit.row not in seen,
                is_flagged=each.hit.item in flags,
                answers=tuple(answers.get(each.hit.row, ())) if each.hit.box is Box.INBOX else (),
            ),
        )
        for each in lines
    ]


def _settled(tx: Transaction, look: Look, line: Line) -> Line:
    """The same; if it has a day, with what became of it."""
    if line.content is None or line.content.due_at is None:
        return line
    said = _matters(tx, look, line)
    if said.get(line.sender) is Matter.WITHDRAWN:
        return replace(line, is_settled=True, matter=Matter.WITHDRAWN)
    if line.hit.box is Box.INBOX:
        asked = [look.member]
        if words.answer_of(action_name(each.action) for each in line.answers) in _NO:
            return replace(line, is_settled=True)
    else:
        asked = [each.party.member if each.party else "" for each in line.deliveries if not _is_over(each)]
    done = {said.get(each) for each in asked}
    if not done <= _CLOSING:
        return line
    return replace(line, is_settled=True, matter=next(iter(done), None) if len(done) == 1 else None)


def _matters(tx: Transaction, look: Look, line: Line) -> dict[str, Matter]:
    """What each member said last, after this message and in its thread, of how the matter stands."""
    said: dict[str, Matter] = {}
    if line.content is None:
        return said
    root = search.thread_of(line.content, _message_id(tx, line.hit))
    for row in _rows(tx, [hit for hit in search.thread(tx, root, look.seen) if hit != line.hit]):
        content = content_of(row.content)
        at, sender = (row.received_at, row.sender) if isinstance(row, Arrival) else (row.accepted_at, look.member)
        if content is not None and content.transition is not None and at >= line.at:
            said[sender] = content.transition.matter
    return said


# -- what still has to happen ----------------------------------------------------------------------------
def is_held(_tx: Transaction, line: Line) -> bool:
    """Whether somebody has not got it, and something is in the way."""
    return any(each.state in _STUCK for each in line.deliveries)


def _is_over(delivery: Delivery) -> bool:
    """Whether this recipient will not answer any more: they never had it, it is taken from them, or they said no."""
    return delivery.state in _NEVER or delivery.closing is not None or words.answer_of(actions_of(delivery)) in _NO


def is_waiting(tx: Transaction, line: Line) -> bool:
    """Whether it asks for something, and somebody named in it has not answered in its thread; of networks, nobody."""
    content = line.content
    if content is None or not _asks(content) or all(map(_is_over, line.deliveries)):
        return False
    message_id = _message_id(tx, line.hit)
    hits = search.thread(tx, search.thread_of(content, message_id))
    answered = {name for each in hits if each.box is Box.INBOX for name in _answering(tx, each, line)}
    over = {each.party.member for each in line.deliveries if each.party and _is_over(each)}
    return not answered or bool(_named(content) - answered - over - {line.sender})


def _named(content: Content) -> set[str]:
    """The members to whom it is addressed by name, a desk of theirs included."""
    return {each.partition("/")[0].partition("@")[0] for each in content.to if not each.startswith("#")}


def _asks(content: Content) -> bool:
    if content.transition is not None and content.transition.matter in _CLOSING:
        return False
    return content.due_at is not None or content.type not in _UNANSWERABLE


def _answering(tx: Transaction, hit: Hit, line: Line) -> Iterator[str]:
    """Who answers that message by this one, if it is an answer."""
    for row in finding.arrivals(tx, hit.row - 1, hit.row + 1, 1, None):
        answer = content_of(row.content)
        if answer is not None and (answer.in_reply_to == line.shown_id or row.received_at > line.at):
            yield row.sender
