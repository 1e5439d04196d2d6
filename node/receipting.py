"""What peers say of our links: receipts settle numbers, each alone where it is excepted (SPEC 8.6, 10.1).

    delivered     beats everything: whatever the author was told before, this is the truth
    void          the number is closed; so it is for a void link by default
    taken         the number holds other content: somebody spent it before us; linked again in a new incarnation,
                  but for what is being taken back, whose void is answered by its message id
    refused       the recipient's node will not have it
    unopened, rejected      the same link is sealed again, three times a day at most

A receipt in a link of an older incarnation of the peer closes nothing; it is kept as evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node import recovery
from node.context import Context
from node.model import DAY, EventKind, LinkState
from node.reach import Audience
from node.tables import evidence, links, outbox, state
from node.tables.links import LinkRow
from node.tables.peers import Peer
from protocol.errors import HeldError, MalformedError, ResealLimitError
from protocol.messages.message import Kind, message_id_of
from protocol.messages.receipts import Consigned, HandedOver, Outcome, Receipt, Rejected, Unopened
from protocol.trust.statements import Cause

RESEALS_A_DAY: Final = 3
ANY: Final = (Consigned, Unopened, Rejected, HandedOver)

_STATES: Final = {
    Outcome.DELIVERED: LinkState.DELIVERED,
    Outcome.VOID: LinkState.VOID,
    Outcome.TAKEN: LinkState.SUPERSEDED,
    Outcome.REFUSED: LinkState.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Source:
    """Where a receipt stands: the row id of the peer's link, and the receipt's place in its manifest."""

    peer: Peer
    inlink: int
    place: int

    @property
    def evidence(self) -> tuple[int, int]:
        """What is stored beside the state that the receipt proves."""
        return self.inlink, self.place


def apply(ctx: Context, source: Source, receipt: Receipt) -> None:
    """Take in one receipt of the newest incarnation of its peer; what names nothing of ours changes nothing."""
    match receipt:
        case Consigned():
            _consigned(ctx, source, receipt)
        case Unopened() | Rejected():
            asked_again(ctx, source.peer, receipt)
        case HandedOver():
            _handed_over(ctx, source, receipt)


# -- consigned ---------------------------------------------------------------------------------------
def _consigned(ctx: Context, source: Source, receipt: Consigned) -> None:
    ref = receipt.link
    recovery.check_claim(ctx, source.peer, ref.incarnation, ref.numbers[-1])
    for link in links.by_number(ctx.tx, source.peer.id, ref.incarnation, ref.first_seq, ref.kind):
        named = (link.first_seq, link.count, links.manifest_digest(ctx.tx, link.id))
        if named != (ref.first_seq, ref.count, ref.manifest_digest):
            continue
        if _is_doubtful(ctx, source.peer, link, receipt):
            # The same link goes again tomorrow, and then its numbers may be taken once more.
            links.wake(ctx.tx, link.id, (ctx.second // DAY + 1) * DAY, ResealLimitError.code)
        elif ref.kind is Kind.MESSAGE:
            taken = _settle_messages(ctx, source, link, receipt)
            state.event(ctx.tx, ctx.second, EventKind.LINK, link.id)
            if taken and link.incarnation == state.incarnation(ctx.tx):
                recovery.request(ctx, Cause.ROLLED_BACK)
            if again := [place for place, before in taken.items() if _goes_again(before)]:
                _link_again(ctx, source, link, again)
        elif any(each.outcome is not Outcome.DELIVERED for each in receipt.exceptions):
            # No void is taken or refused, so whoever says so did not say that it is closed.
            state.alarm(ctx.tx, ctx.second, MalformedError.code, source.peer.party.member)
        elif ref.kind is Kind.VOID:
            _settle_voids(ctx, source, link, receipt)


def _is_doubtful(ctx: Context, peer: Peer, link: LinkRow, receipt: Consigned) -> bool:
    """Whether numbers of our present life shall be taken, by the word of a peer that said so too often."""
    if link.state is not LinkState.OPEN or link.incarnation != state.incarnation(ctx.tx):
        return False
    is_taken = any(each.outcome is Outcome.TAKEN for each in receipt.exceptions)
    return is_taken and not recovery.may_claim(ctx, peer)


def _settle_messages(ctx: Context, source: Source, link: LinkRow, receipt: Consigned) -> dict[int, LinkState]:
    """Settle each number; gives the places of those under way that are taken, with the state in which they were."""
    excepted = {each.seq - link.first_seq: each.outcome for each in receipt.exceptions}
    known = links.numbers(ctx.tx, link.id)
    if len(excepted) < link.count:
        links.settle(ctx.tx, link.id, LinkState.DELIVERED, source.evidence)
    else:
        links.wake(ctx.tx, link.id, None)
    taken: dict[int, LinkState] = {}
    for place in sorted(excepted.keys() | known.keys()):
        number = known.get(place)
        before = number.state if number else link.state
        after = _STATES[excepted.get(place, Outcome.DELIVERED)]
        told = source.evidence
        if before is LinkState.DELIVERED is not after:
            # A later void tells of another memory of the recipient's, and proves nothing of what was delivered.
            after, told = before, (number or link).evidence or told
        if after is LinkState.SUPERSEDED and before in {LinkState.OPEN, LinkState.VOIDING}:
            taken[place] = before
            if not _goes_again(before):
                continue
        links.settle_number(ctx.tx, link.id, place, after, told)
    return taken


def _goes_again(before: LinkState) -> bool:
    """Whether a message whose number is taken is linked again: what is being taken back waits for the answer to its void."""
    return before is not LinkState.VOIDING


def _link_again(ctx: Context, source: Source, link: LinkRow, places: Sequence[int]) -> None:
    manifest, parts = evidence.manifest_and_parts(ctx.tx, link.manifest)
    audience = Audience(manifest.audience, manifest.network).encode()
    for place in places:
        message = outbox.find(ctx.tx, message_id_of(parts[place].signed_part))
        if message is not None:
            outbox.wait(ctx.tx, source.peer.id, [message.id], audience, HeldError.code)


# -- voids -------------------------------------------------------------------------------------------
def _settle_voids(ctx: Context, source: Source, link: LinkRow, receipt: Consigned) -> None:
    delivered = {each.seq for each in receipt.exceptions if each.outcome is Outcome.DELIVERED}
    links.settle(ctx.tx, link.id, LinkState.VOID, source.evidence)
    for seq in delivered:
        links.settle_number(ctx.tx, link.id, seq - link.first_seq, LinkState.DELIVERED, source.evidence)
    for row, place in links.voided(ctx.tx, link.id):
        message_link = links.find(ctx.tx, row)
        number = links.numbers(ctx.tx, row)[place]
        if message_link.first_seq + place in delivered:
            links.settle_number(ctx.tx, row, place, LinkState.DELIVERED, source.evidence)
        elif number.state is not LinkState.DELIVERED:
            links.settle_number(ctx.tx, row, place, LinkState.VOID, source.evidence)
        state.event(ctx.tx, ctx.second, EventKind.LINK, row)
        # Mailboxes are in order: what is not receipted before its void is not there.  The hub may have dropped it, and
        # this node died before it was told.
        links.wake_open(ctx.tx, row, ctx.second)


# -- asked again ---------------------------------------------------------------------------------------
def asked_again(ctx: Context, peer: Peer, receipt: Unopened | Rejected) -> None:
    """Seal again what the peer could not open or judge, three times a day at most; before its notice came, too."""
    link = links.by_leaf(ctx.tx, receipt.link_leaf)
    if link is None or link.peer != peer.id or link.state is not LinkState.OPEN or link.envelope is None:
        return
    # One envelope is sealed again once, however often it is complained of.
    is_awake = link.wake_at is not None and link.wake_at <= ctx.second
    if (
        is_awake
        or links.envelope_id(ctx.tx, link.envelope) != receipt.envelope_id
        or link.hold == ResealLimitError.code
    ):
        return
    today = ctx.second // DAY
    reseals = link.reseals if link.reseal_day == today else 0
    if reseals >= RESEALS_A_DAY:
        links.wake(ctx.tx, link.id, (today + 1) * DAY, ResealLimitError.code)
        state.alarm(ctx.tx, ctx.second, ResealLimitError.code, peer.party.member)
    else:
        links.count_reseal(ctx.tx, link.id, today, reseals + 1)
        links.wake(ctx.tx, link.id, ctx.second)


# -- handed over ---------------------------------------------------------------------------------------
def _handed_over(ctx: Context, source: Source, receipt: HandedOver) -> None:
    message = outbox.find(ctx.tx, receipt.message_id)
    if message is None:
        return
    carried = [link for link, _place in links.of_message(ctx.tx, message.id) if link.peer == source.peer.id]
    if carried:
        outbox.handed_over(ctx.tx, message.id, source.peer.id, source.evidence, receipt.at, int(receipt.action))
        state.event(ctx.tx, ctx.second, EventKind.HANDED_OVER, message.id)
