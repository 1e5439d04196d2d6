"""The incoming half of a node: what the mailbox delivers is verified, archived and answered (SPEC 9.6, 10.2).

    item -> every check -> link, numbers, messages, what it says of our own links -> receipt owed -> cursor

All of it is one transaction: receipts and the acknowledgement to the hub leave after it.  Nothing blocks the mailbox:
what cannot be verified is quarantined and refused by a signed receipt; what is not wrong but early is held here, and
judged again when the mirror has grown or the peer's notice has come.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from node import answers, numbering, receipting, recovery, refusing
from node.context import Context
from node.model import EventKind
from node.numbering import Judged
from node.tables import desks as table
from node.tables import evidence, inbox, owed, peers, state
from node.tables import urgent as unopened
from node.tables.inbox import Aside, InLink
from node.tables.peers import Peer
from node.upkeep import RECEIPT_SECONDS, is_first
from protocol import opening
from protocol.codec import decode, encode
from protocol.errors import (
    HeldError,
    LimitError,
    OpenError,
    PeerError,
    StandingError,
    VerificationError,
    ViewAheadError,
)
from protocol.limits import MAX_CIPHERTEXT_BYTES
from protocol.messages.content import Urgency
from protocol.messages.envelope import Attestation
from protocol.messages.message import Body, Kind, Link
from protocol.messages.receipts import Consigned, LinkRef, Notice, Rejected, Unopened, Void
from protocol.names import Digest
from protocol.opening import Received
from protocol.sealing import OpenedBody, Prekey
from protocol.session.items import DeliverItem
from protocol.trust.statements import SignedStatement

NOTICE_FIRST: Final = "notice_first"
MAX_HELD_EARLY: Final = 256
"""So many envelopes wait for the notice that should have come before them; the sender of more seals them again."""

MAX_HELD_AHEAD: Final = 1_024
"""So many wait for a registry that this mirror does not hold, or contradicts: a hub may sign one and never show it."""


FindPrekey = Callable[[Digest], Prekey]


@dataclass(slots=True)
class _Run:
    """What one run needs and notes: where prekeys are found, and whether an incarnation of some peer began in it."""

    find_prekey: FindPrekey
    begun: bool = False


def receive(ctx: Context, items: Sequence[DeliverItem], find_prekey: FindPrekey) -> int:
    """Take in what the hub delivered, in order of position; gives the position to acknowledge, of known items again.

    `find_prekey` gives the prekey with this prekey hash or raises `OpenError`.  Raises nothing of what peers did.
    """
    position, run = state.cursor(ctx.tx), _Run(find_prekey)
    for item in items:
        if item.position > position:
            _take(ctx, item, run)
            position = item.position
    state.put(ctx.tx, "cursor", position)
    if run.begun:
        _retry_all(ctx, run)
    return position


def retry_held(ctx: Context, find_prekey: FindPrekey) -> None:
    """Judge again what was held, oldest first, until a whole round changes nothing: due when the mirror has grown."""
    _retry_all(ctx, _Run(find_prekey))


def _retry_all(ctx: Context, run: _Run) -> None:
    moved = True
    while moved:
        moved, after = False, 0
        while batch := inbox.held_items(ctx.tx, after):
            after = batch[-1].id
            for aside in batch:
                moved |= _retry(ctx, aside, run)


def _take(ctx: Context, item: DeliverItem, run: _Run) -> None:
    if item.core is None or item.slot is None:
        answers.notice(ctx, item.attestation)
        return
    attestation = encode(item.attestation.value())
    aside = Aside(0, item.position, item.core, item.ciphertext, item.slot, attestation, "", ctx.second)
    code = _judge(ctx, aside, item.attestation, run)
    if code is None:
        return
    most = MAX_HELD_EARLY if code == NOTICE_FIRST else MAX_HELD_AHEAD
    if inbox.held_codes(ctx.tx).get(code, 0) >= most:
        refusing.refuse(ctx, aside, item.attestation, LimitError("too much waits for the same reason"))
    else:
        inbox.hold(ctx.tx, replace(aside, code=code))


def _retry(ctx: Context, aside: Aside, run: _Run) -> bool:
    attestation = Attestation.parse(decode(aside.attestation, MAX_CIPHERTEXT_BYTES))
    waits = (
        _judge(ctx, aside, attestation, run) is not None if aside.core else not answers.judge_again(ctx, attestation)
    )
    if not waits:
        inbox.let_go(ctx.tx, aside.id)
    return not waits


def _judge(ctx: Context, aside: Aside, attestation: Attestation, run: _Run) -> str | None:
    """Take in, refuse or answer one envelope; the reason why it must be held, None once it is dealt with."""
    try:
        received = opening.receive(
            aside.core,
            aside.ciphertext,
            aside.slot,
            attestation,
            ctx.registry,
            ctx.identity.me,
            run.find_prekey,
            ctx.verified,
        )
        return _apply(ctx, received, aside.core, run)
    except HeldError as error:
        state.alarm(ctx.tx, ctx.second, error.code, refusing.claimed_sender(aside.core))
        return error.code
    except OpenError as error:
        refusing.ask_again(ctx, aside, error)
    except (PeerError, StandingError) as error:
        if _is_hub_renewed(ctx, attestation):
            state.alarm(ctx.tx, ctx.second, ViewAheadError.code, refusing.claimed_sender(aside.core))
            return ViewAheadError.code
        refusing.refuse(ctx, aside, attestation, error)
    return None


def _is_hub_renewed(ctx: Context, attestation: Attestation) -> bool:
    """Whether the mirror may lack the hub's certificate, and there is room to wait for it."""
    if not answers.names_unseen_certificate(ctx, attestation):
        return False
    return inbox.held_codes(ctx.tx).get(ViewAheadError.code, 0) < MAX_HELD_EARLY


# -- what is verified ----------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Taken:
    """A link that was taken in: its peer, what it holds, whether it is of the peer's newest incarnation; its row id.

    That is 0 where the link itself is not kept: then nothing refers to it.
    """

    peer: Peer
    received: Received
    inlink: int
    is_newest: bool


def _apply(ctx: Context, received: Received, core: bytes, run: _Run) -> str | None:
    for negative in received.negatives:
        _see(ctx, negative)
    known, link = peers.meet(ctx.tx, received.sender), received.link
    newest = known.newest
    if newest is None or link.incarnation > newest:
        if not _may_begin(ctx, received):
            _hear_early(ctx, known, received)
            return NOTICE_FIRST
        newest, run.begun = link.incarnation, True
    # What decides nothing is referred to by nothing: a peer could say it without end.
    inlink = _keep(ctx, known, received, core) if _decides(ctx, known, link) else 0
    peer = peers.heard(ctx.tx, known.id, ctx.second, newest, traffic=link.kind is not Kind.EMPTY)
    taken = _Taken(peer, received, inlink, link.incarnation == newest)
    if taken.is_newest:
        recovery.believe(ctx, taken.peer, link.ack)
    _TAKERS[link.kind](ctx, taken)
    return None


def _decides(ctx: Context, peer: Peer, link: Link) -> bool:
    """Whether some number of the link is new here, and of a kind that closes, opens or proves something."""
    if link.kind is Kind.EMPTY or (link.kind is Kind.NOTICE and link.first_seq != 1):
        return False
    series = peers.series(ctx.tx, peer.id, link.incarnation)
    if link.first_seq > series.highest:
        return True
    return len(inbox.known(ctx.tx, series.id, link.first_seq, link.numbers[-1])) < link.count


def _see(ctx: Context, negative: SignedStatement) -> None:
    try:
        ctx.mirror.see(ctx.tx, negative)
    except (PeerError, StandingError) as error:
        state.alarm(ctx.tx, ctx.second, error.code, "a negative statement in a view does not hold")


def _may_begin(ctx: Context, received: Received) -> bool:
    """Whether this link may be the first that is applied of its incarnation (SPEC 10.3)."""
    link = received.link
    if is_first(ctx.registry, received.sender.member, link.incarnation):
        return True
    if link.first_seq == 1 and link.kind in {Kind.MESSAGE, Kind.RECEIPT}:
        raise VerificationError("an incarnation that begins without a notice")
    return link.kind is Kind.NOTICE and link.first_seq == 1


def _hear_early(ctx: Context, peer: Peer, received: Received) -> None:
    # Of two who lost their prekeys at one time neither may open the other's notice.
    for body in received.bodies:
        if isinstance(body.part, Unopened | Rejected):
            receipting.asked_again(ctx, peer, body.part)


def _keep(ctx: Context, peer: Peer, received: Received, core: bytes) -> int:
    link = received.link
    bodies = [Body(each.body.salt, each.body.signed_part, b"", each.body.file_keys) for each in received.bodies]
    row = InLink(
        peer.id,
        link.incarnation,
        link.first_seq,
        link.count,
        link.kind,
        evidence.keep_manifest(ctx.tx, received.manifest, bodies),
        link.raw,
        evidence.proof_bytes(received.proof),
        evidence.keep_batch(ctx.tx, received.batch),
        core,
        evidence.keep_attestation(ctx.tx, received.attestation, received.accepted, None),
        received.accepted_at,
        ctx.second,
    )
    return inbox.add_link(ctx.tx, row)


# -- by kind -------------------------------------------------------------------------------------------
def _messages(ctx: Context, taken: _Taken) -> None:
    bodies = taken.received.bodies
    judged = numbering.judge_messages(ctx, taken.peer, taken.received.link, bodies)
    first = inbox.last_id(ctx.tx) + 1
    arrived = numbering.arrivals(taken.inlink, first, ctx.second, judged, bodies)
    if arrived:
        known = table.desks(ctx.tx).keys()
        to = {each.id: _to(bodies[each.place]) for each in arrived}
        # Of the hundreds in one link nearly all are for the same.
        named = {each: _desks(ctx, each, known) for each in set(to.values())}
        desks = [(desk, row) for row, each in to.items() for desk in named[each]]
        inbox.archive(ctx.tx, taken.peer.id, arrived, desks)
        state.event(ctx.tx, ctx.second, EventKind.RECEIVED, first, len(arrived))
    urgent = any(_urgency(body) is not Urgency.ROUTINE for body in bodies)
    if urgent and arrived:
        _press(ctx, desks, {each.id: _urgency(bodies[each.place]) for each in arrived})
    _owe_receipt(ctx, taken, judged, ctx.now if urgent else ctx.now + RECEIPT_SECONDS)


def _press(ctx: Context, desks: Sequence[tuple[str, int]], urgencies: Mapping[int, Urgency]) -> None:
    """Afterwards what is not routine waits to be opened at each of these (desk, row id)."""
    pressing = [(desk, row) for desk, row in desks if urgencies[row] is not Urgency.ROUTINE]
    is_emergency = {row: how is Urgency.EMERGENCY for row, how in urgencies.items()}
    unopened.wait(ctx.tx, [(desk, row, is_emergency[row], ctx.second) for desk, row in pressing])


def _urgency(body: OpenedBody) -> Urgency:
    return body.content.urgency if body.content else Urgency.ROUTINE


def _to(body: OpenedBody) -> tuple[str, ...]:
    return body.content.to if body.content else ()


def _desks(ctx: Context, to: Sequence[str], known: Container[str]) -> set[str]:
    """The desks of ours that the author named; the empty name for this member, a network it is in, or a desk that is none."""
    me = ctx.identity.me
    named = [address.partition("@")[0].partition("/") for address in to]
    desks = {desk if desk in known else "" for member, _slash, desk in named if member == me.member}
    networks = [member[1:] for member, _slash, _desk in named if member.startswith("#")]
    if any(me in (ctx.registry.roster(network) or ()) for network in networks):
        # Whoever keeps watch for the network is not whoever the author named besides.
        desks.add("")
    return desks or {""}


def _voids(ctx: Context, taken: _Taken) -> None:
    voids = [body.part for body in taken.received.bodies if isinstance(body.part, Void)]
    judged = numbering.judge_voids(ctx, taken.peer, taken.received.link, voids)
    _owe_receipt(ctx, taken, judged, ctx.now + RECEIPT_SECONDS)


def _owe_receipt(ctx: Context, taken: _Taken, judged: Judged, due_at: float) -> None:
    link = taken.received.link
    receipt = Consigned(ctx.second, LinkRef.of(link), judged.exceptions)
    # The link itself is the subject: however often it comes before the receipt goes, it is answered once.
    subject = hashlib.sha256(link.raw).digest()
    owed.owe(ctx.tx, taken.peer.id, subject, receipt.encode(), link.count, due_at)


def _receipts(ctx: Context, taken: _Taken) -> None:
    bodies = taken.received.bodies
    fresh = numbering.judge_others(ctx, taken.peer, taken.received.link, bodies)
    for place in sorted(fresh) if taken.is_newest else ():  # of an older incarnation it is evidence, and closes nothing
        receipt = bodies[place].part
        if isinstance(receipt, receipting.ANY):
            receipting.apply(ctx, receipting.Source(taken.peer, taken.inlink, place), receipt)


def _notices(ctx: Context, taken: _Taken) -> None:
    bodies, link = taken.received.bodies, taken.received.link
    fresh = numbering.judge_others(ctx, taken.peer, link, bodies)
    # Each has all that is open to the peer sealed again: so it is one for each incarnation, of which few are logged.
    is_first, notice = link.first_seq == 1 and 0 in fresh, bodies[0].part
    if taken.is_newest and is_first and isinstance(notice, Notice):
        recovery.answer_notice(ctx, taken.peer, notice)


def _empties(ctx: Context, taken: _Taken) -> None:
    series = peers.series(ctx.tx, taken.peer.id, taken.received.link.incarnation)
    if series.contiguous + 1 < taken.received.link.first_seq:
        state.alarm(ctx.tx, ctx.second, "gap", taken.peer.party.member)


_TAKERS: Final[dict[Kind, Callable[[Context, _Taken], None]]] = {
    Kind.MESSAGE: _messages,
    Kind.RECEIPT: _receipts,
    Kind.VOID: _voids,
    Kind.NOTICE: _notices,
    Kind.EMPTY: _empties,
}
