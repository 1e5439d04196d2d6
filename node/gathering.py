"""What is to be signed now: messages in the order of acceptance, in groups that share audience and expiry.

A group is a manifest and travels in one envelope.  A recipient who cannot be sealed to is set waiting with the
reason while the others go; once it can be, a manifest of its own goes to it.  Nothing here signs or sends.

What cannot go any more ends at once; but a restored node may have sent it before, and so asks each recipient by a void.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node import recovery
from node.context import Context
from node.linking import Draft, Part
from node.model import EventKind
from node.reach import Audience, Reach, Target, read_audience, resolve, still
from node.tables import outbox, peers, state
from node.tables.outbox import CLOSING, EVERYBODY, Written
from protocol.errors import DamagedError, HeldError
from protocol.limits import KIB, MAX_AUDIENCE, MAX_BATCH_LEAVES, MAX_BODIES
from protocol.messages.message import Kind
from protocol.messages.receipts import Void, VoidReason
from protocol.names import MessageId, Party

LINKS_A_RUN: Final = MAX_BATCH_LEAVES - 256
"""The rest of a batch is left for notices, which wait for no room."""

MESSAGES_A_RUN: Final = 4_096
FULL_BYTES: Final = 246 * KIB
"""So much fills a ciphertext of 256 KiB, with what comes beside the messages; more would be padded to twice that."""

LASTING_SECONDS: Final = 3_660 * 86_400
"""What is no message has no author's expiry: it goes until it is answered."""


@dataclass(slots=True)
class Room:
    """How much may still be formed in this run: envelopes, plaintext bytes, links."""

    envelopes: int
    max_bytes: int
    links: int = LINKS_A_RUN

    def take(self, targets: int) -> bool:
        """Whether there is room for one more envelope to so many; then it is taken."""
        if self.envelopes < 1 or self.max_bytes <= 0 or self.links < targets:
            return False
        self.envelopes -= 1
        self.links -= targets
        return True

    @property
    def is_spent(self) -> bool:
        """Whether nothing more fits."""
        return self.envelopes < 1 or self.max_bytes <= 0 or self.links < 1


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """One audience and whom of it can be sealed to now; from one `Groups` the same two give the same object."""

    audience: Audience
    targets: Sequence[Target]


class Groups:
    """Messages joined into drafts while they fit, and while no recipient would get a later one before an earlier.

    For the peers in `behind` (by row id) earlier messages wait still.
    """

    __slots__ = ("_behind", "_courses", "_latest", "_open", "_room", "drafts")

    def __init__(self, room: Room, behind: frozenset[int] = frozenset()) -> None:
        """Nothing yet."""
        self._room, self._behind = room, behind
        self._courses: dict[tuple[Audience, tuple[int, ...]], Course] = {}
        self._open: dict[tuple[Kind, Course, int], Draft] = {}
        self._latest: dict[int, Draft] = {}
        self.drafts: list[Draft] = []

    def in_turn(self, target: Target | str) -> Target | str:
        """The same, or why not yet, for a peer who is still to get what came before."""
        return HeldError.code if isinstance(target, Target) and target.peer.id in self._behind else target

    def course(self, audience: Audience, targets: Sequence[Target]) -> Course:
        """The course to these targets."""
        # One peer more or less to seal to is another envelope, although the audience be the same.
        key = (audience, tuple([target.peer.id for target in targets]))
        return self._courses.setdefault(key, Course(audience, targets))

    def add(self, kind: Kind, course: Course, message: Written, part: Part) -> bool:
        """Whether the message found a place; False once the run is full."""
        expires_at = message.expires_at if kind is Kind.MESSAGE else message.accepted_at + LASTING_SECONDS
        key, size = (kind, course, expires_at), part.size
        draft = self._open.get(key)
        if draft is None or not self._fits(draft, size):
            if not self._room.take(len(course.targets)):
                return False
            draft = self._open[key] = Draft(kind, course.audience, course.targets, expires_at)
            self.drafts.append(draft)
            self._latest.update((target.peer.id, draft) for target in course.targets)
        draft.parts.append(part)
        draft.messages.append(message.id)
        draft.size += size
        self._room.max_bytes -= size
        return True

    def _fits(self, draft: Draft, size: int) -> bool:
        if len(draft.parts) >= MAX_BODIES or draft.size + size > FULL_BYTES:
            return False
        # Numbers follow the order of drafts: one that another overtook at some recipient takes nothing more.
        return draft is self.drafts[-1] or all(self._latest[target.peer.id] is draft for target in draft.targets)


# -- messages not looked at yet ------------------------------------------------------------------------
def new_messages(ctx: Context, reach: Reach, room: Room) -> list[Draft]:
    """Drafts of the messages accepted since the last run, in order, until the room is full."""
    messages = outbox.unplaced(ctx.tx, MESSAGES_A_RUN)
    if not messages:
        return []
    groups = Groups(room, frozenset(outbox.awaited(ctx.tx)))
    ended = outbox.withdrawn_unplaced(ctx.tx, [message.id for message in messages])
    plans: dict[bytes, _Plan] = {}
    done = 0
    for message in messages:
        if message.id not in ended and not _place(ctx, reach, groups, plans, message):
            break
        done = message.id
    if done:
        outbox.placed(ctx.tx, done)
    return groups.drafts


@dataclass(frozen=True, slots=True)
class _Plan:
    course: Course
    away: tuple[tuple[Party, str], ...]


def _plan(ctx: Context, reach: Reach, groups: Groups, addressed: bytes) -> _Plan:
    audience = resolve(ctx, addressed)
    answers = [(party, groups.in_turn(reach.target(party))) for party in audience.parties]
    course = groups.course(audience, tuple(answer for _party, answer in answers if isinstance(answer, Target)))
    return _Plan(course, tuple((party, why) for party, why in answers if isinstance(why, str)))


def _place(ctx: Context, reach: Reach, groups: Groups, plans: dict[bytes, _Plan], message: Written) -> bool:
    if message.expires_at <= ctx.second:
        return _end(ctx, message, outbox.EXPIRED)
    if not message.is_intact:
        state.alarm(ctx.tx, ctx.second, DamagedError.code, "a message that was to be sent")
        return _end(ctx, message, outbox.REFUSED)
    plan = plans.get(message.addressed)
    if plan is None:
        plan = plans[message.addressed] = _plan(ctx, reach, groups, message.addressed)
    audience = plan.course.audience
    if not 1 <= len(audience.parties) <= MAX_AUDIENCE:
        state.alarm(ctx.tx, ctx.second, "audience_mismatch", "a network that a message names was dissolved or grew")
        return _end(ctx, message, outbox.REFUSED)
    part = Part(message.header, message.content)
    if plan.course.targets and not groups.add(Kind.MESSAGE, plan.course, message, part):
        return False
    for party, why in plan.away:
        outbox.wait(ctx.tx, peers.meet(ctx.tx, party).id, [message.id], audience.encode(), why)
    if plan.away:
        state.event(ctx.tx, ctx.second, EventKind.MESSAGE, message.id)
    return True


def _end(ctx: Context, message: Written, reason: str) -> bool:
    audience = resolve(ctx, message.addressed)
    if audience.parties and recovery.was_restored(ctx):
        for party in audience.parties:
            outbox.wait(ctx.tx, peers.meet(ctx.tx, party).id, [message.id], audience.encode(), reason)
    else:
        outbox.end(ctx.tx, EVERYBODY, message.id, CLOSING[reason], ctx.second)
    state.event(ctx.tx, ctx.second, EventKind.MESSAGE, message.id)
    return True


# -- messages that wait for somebody -------------------------------------------------------------------
def waiting_messages(ctx: Context, reach: Reach, room: Room) -> list[Draft]:
    """Drafts of what waited for a peer that can be sealed to now, each to that peer alone."""
    groups = Groups(room)
    for peer_id in outbox.awaited(ctx.tx):
        target = reach.target(peers.find(ctx.tx, peer_id).party)
        if isinstance(target, Target):
            _take_waiting(ctx, target, groups)
        elif outbox.waiting_for(ctx.tx, peer_id, 1)[0][2] not in {target, *CLOSING}:
            outbox.still_waiting(ctx.tx, peer_id, target)
    return groups.drafts


def _take_waiting(ctx: Context, target: Target, groups: Groups) -> None:
    taken = []
    for row, packed, reason in outbox.waiting_for(ctx.tx, target.peer.id, MESSAGES_A_RUN):
        message = outbox.by_row(ctx.tx, row)
        closing = CLOSING.get(reason) or _closing(ctx, message)
        if closing is not None and (reason in CLOSING or recovery.was_restored(ctx)):
            added = _add_void(groups, target, message, closing)
        elif closing is not None:
            outbox.end(ctx.tx, target.peer.id, row, closing, ctx.second)
            added = True
        else:
            course = groups.course(still(ctx, read_audience(packed)), [target])
            added = groups.add(Kind.MESSAGE, course, message, Part(message.header, message.content))
        if not added:
            break
        taken.append(row)
    outbox.no_longer_waiting(ctx.tx, target.peer.id, taken)


def _closing(ctx: Context, message: Written) -> VoidReason | None:
    """Why this message cannot go any more; None if it can."""
    if message.expires_at <= ctx.second:
        return VoidReason.EXPIRED
    return None if message.is_intact else VoidReason.REFUSED


def _add_void(groups: Groups, target: Target, message: Written, reason: VoidReason) -> bool:
    # A restored node cannot know whether it had sent this already: so the recipient is asked (SPEC 10.1).
    alone = Audience((target.peer.party,), None)
    void = Void(MessageId(message.message_id), reason)
    return groups.add(Kind.VOID, groups.course(alone, [target]), message, Part(void.encode()))
