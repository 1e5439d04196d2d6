"""The outgoing half of a node: from the author's message to the recipient's signed receipt.

Every entry is synchronous and works within one transaction; what it returns leaves only after that is durable.  What
is kept outside the tables is what a session may forget: the ciphertexts under way and the room in the hub's window.

    session_opened             what the hub shows, compared with what is stored
    prepare                    sign, store, seal: what to submit now, within the window
    answered, recalled         what the hub said
    incarnation_begun          the mirror holds our new incarnation
    tick                       what time alone brings, and when to come again

Messages come in through `acceptance` and are taken back through `withdrawal`; what peers answer is `receipting`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from node import answers, gathering, linking, posting, recovery, upkeep
from node.context import Context
from node.gathering import Room
from node.linking import Draft
from node.model import DAY
from node.posting import Post
from node.reach import Reach
from node.recovery import Start
from node.tables import links, outbox, owed, peers, state
from protocol.errors import StaleViewError, ValijaError
from protocol.messages.envelope import Attestation
from protocol.messages.receipts import VoidReason
from protocol.names import EnvelopeId, Incarnation, Party
from protocol.session.frames import Welcome
from protocol.session.items import ResultItem, SubmitItem
from protocol.trust.prekeys import PrekeyCalendar

ENVELOPES_A_RUN: Final = 64
BYTES_A_RUN: Final = 24 * 1024 * 1024
SILENCE_SECONDS: Final = 2 * DAY
UPKEEP_SECONDS: Final = 3_600
OVERDUE_SECONDS: Final = 60


@dataclass(frozen=True, slots=True)
class Prepared:
    """What to do once the transaction is durable: `items` to submit, `wanted` members to look up, whether more is ready."""

    items: tuple[SubmitItem, ...] = field(repr=False)
    wanted: frozenset[str] = frozenset()
    more: bool = False
    reason: str | None = None


class Courier:
    """The rules of sending; one for a running node, used on the store's thread alone."""

    __slots__ = ("_is_open", "_post", "_stale", "_started")

    def __init__(self) -> None:
        """No session yet."""
        self._post = Post()
        self._is_open = False
        self._started = False
        self._stale: set[str] = set()

    # -- sessions ------------------------------------------------------------------------------------
    def session_opened(self, ctx: Context, welcome: Welcome, hub: Incarnation) -> Start:
        """Afterwards this session may carry envelopes; gives the position to acknowledge first.

        `hub` is the hub's incarnation as ServerHello names it.  Raises `StaleError` for a hub older than one met before.
        """
        start = recovery.meet_hub(ctx, hub, welcome.cursor, welcome.highest)
        if not self._started:
            # What this process did not seal itself it cannot submit again: it is sealed anew.
            links.wake_unanswered(ctx.tx, ctx.second)
            self._started = True
        # A pause that ends later was begun by a clock that has been put right since.
        links.wake_held_by(ctx.tx, ctx.second + answers.REFUSED_WHOLE_SECONDS)
        self._post.open(welcome.window)
        self._is_open = True
        return start

    def session_closed(self) -> None:
        """Afterwards nothing is prepared until the next session, in which everything unanswered goes again."""
        self._is_open = False

    # -- sending -------------------------------------------------------------------------------------
    def prepare(self, ctx: Context, calendars: Mapping[str, PrekeyCalendar]) -> Prepared:
        """Sign and seal what is ready, and take what the window admits.

        `calendars` are verified calendars by member.  Nothing is signed while a new incarnation is needed, the view is
        too old or the charter long expired; `reason` then says so.
        """
        incarnation, reason = state.incarnation(ctx.tx), self._obstacle(ctx)
        if not self._is_open or incarnation is None or reason is not None:
            return Prepared((), reason=reason)
        fresh = {member: calendar for member, calendar in calendars.items() if member not in self._stale}
        reach = Reach(ctx, fresh)
        room = self._room()
        self._seal_again(ctx, incarnation, reach, room)
        drafts = _drafts(ctx, incarnation, reach, room)
        for envelope in posting.post(ctx, incarnation, linking.sign(ctx, incarnation, ctx.mirror.view(), drafts)):
            self._post.add(envelope)
        items = tuple(self._post.take())
        return Prepared(items, frozenset(reach.wanted), more=bool(items) and room.is_spent)

    def _obstacle(self, ctx: Context) -> str | None:
        if recovery.pending(ctx.tx) is not None:
            return "new_incarnation"
        try:
            if ctx.mirror.age(ctx.now) > ctx.registry.charter.limits.freshness_stop_seconds:
                raise StaleViewError
            ctx.registry.check_charter(ctx.second)
            ctx.registry.certificate_standing(ctx.identity.certificate, ctx.second)
        except ValijaError as error:
            state.alarm(ctx.tx, ctx.second, error.code, "nothing is sent")
            return error.code
        return None

    def _room(self) -> Room:
        window = self._post.window
        envelopes = min(ENVELOPES_A_RUN, window.envelopes - self._post.waiting)
        waiting_bytes = self._post.waiting_bytes
        return Room(envelopes, min(BYTES_A_RUN, max(window.max_bytes, 1) - waiting_bytes))

    def _seal_again(self, ctx: Context, incarnation: Incarnation, reach: Reach, room: Room) -> None:
        superseded: list[EnvelopeId] = []
        for envelope in posting.reseal(ctx, incarnation, reach, max(room.envelopes, 0), superseded):
            self._post.add(envelope)
            room.take(1)
            room.max_bytes -= len(envelope.ciphertext)
        self._post.drop(superseded)

    def calendar_shown(self, ctx: Context, member: str, *, is_new: bool) -> None:
        """Afterwards what was held for want of this member's prekey is tried again.

        What the hub refused under the same calendar goes again in its own time: else the two would answer each other
        for as long as a clock is wrong.
        """
        self._stale.discard(member)
        peer = peers.meet(ctx.tx, Party(ctx.registry.association, member))
        links.wake_peer(ctx.tx, peer.id, ctx.second, refused_too=is_new)

    # -- answers -------------------------------------------------------------------------------------
    def answered(self, ctx: Context, results: Sequence[ResultItem]) -> None:
        """Take in the hub's answers of this session; what it did not ask in this session counts for nothing."""
        for item in results:
            number = self._post.answered(item.envelope_id)
            if number is not None:
                self._stale |= answers.take(ctx, item, number)

    def recalled(self, ctx: Context, attestation: Attestation | None) -> None:
        """Take in the hub's answer to a recall; None says that there was nothing to drop."""
        if attestation is not None:
            answers.notice(ctx, attestation)

    # -- incarnations --------------------------------------------------------------------------------
    def incarnation_begun(self, ctx: Context) -> Incarnation | None:
        """Begin the incarnation that was asked for, if the mirror holds its leaf now; None if there is none to begin."""
        begun = recovery.begin(ctx)
        if begun is not None:
            self._post.forget()
        return begun

    # -- time ----------------------------------------------------------------------------------------
    def tick(self, ctx: Context, surely: int | None = None) -> float:
        """Afterwards what time alone ends has ended; gives the time (Unix seconds) at which to prepare again.

        By the clock, or by `surely` (Unix seconds) where the clock may have been set.
        """
        restored = recovery.was_restored(ctx)
        for peer, message in outbox.overdue(ctx.tx, ctx.second if surely is None else surely):
            if restored:
                outbox.mark_closing(ctx.tx, peer, message, outbox.EXPIRED)
            else:
                outbox.end(ctx.tx, peer, message, VoidReason.EXPIRED, ctx.second)
                outbox.no_longer_waiting(ctx.tx, peer, [message])
        silent = peers.fallen_silent(ctx.tx, ctx.second - SILENCE_SECONDS, ctx.second - upkeep.TRAFFIC_SECONDS)
        for each in silent:
            state.alarm(ctx.tx, ctx.second, "silent_peer", each.party.member)
        receipt = owed.next_due(ctx.tx)
        soon = None if receipt is None else min(receipt, ctx.now + upkeep.RECEIPT_SECONDS)
        due = [soon, links.next_wake(ctx.tx), ctx.now + UPKEEP_SECONDS]
        # What is overdue waits for room, or for somebody who is away: asking at once again would change nothing.
        return min(each if each > ctx.now else ctx.now + OVERDUE_SECONDS for each in due if each is not None)


def _drafts(ctx: Context, incarnation: Incarnation, reach: Reach, room: Room) -> list[Draft]:
    """Everything to be signed in this run, notices first: nothing else of an incarnation counts before them."""
    drafts = upkeep.voids(ctx, reach, room)
    # Whoever waits for a receipt that is due does not wait until a backlog is gone.
    drafts += upkeep.receipts(ctx, reach, room, frozenset())
    drafts += gathering.waiting_messages(ctx, reach, room)
    drafts += gathering.new_messages(ctx, reach, room)
    going = frozenset(target.peer.id for draft in drafts for target in draft.targets)
    drafts += upkeep.receipts(ctx, reach, room, going)
    drafts += upkeep.empties(ctx, reach, room)
    first = {target.peer.id: target.peer for draft in drafts if draft.numbered is None for target in draft.targets}
    return upkeep.notices(ctx, reach, incarnation, first.values()) + drafts
