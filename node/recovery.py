"""What survives a restore: new incarnations of this node, of its peers and of the hub (SPEC 10.3).

    reason to start anew (cause 2, 3, 4)  ->  statement, stored, posted, mirrored  ->  begin
    begin     open links are sealed again under new envelope ids; receipts that no ack released are owed again;
              every member gets a notice as number 1
    notice    of a peer: what it lacks is sent again, what is open is sealed again; what it had signed for was delivered

Between request and begin this node signs nothing; it goes on receiving.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from node.context import Context
from node.model import DAY, EventKind, LinkState
from node.store import Transaction
from node.tables import evidence, links, outbox, owed, peers, signed, state
from node.tables.links import LinkRow
from node.tables.peers import Peer
from protocol.errors import ResealLimitError, StaleError, UsageError
from protocol.limits import CLOCK_REFUSE_SECONDS, MAX_HUB_INCARNATIONS_A_DAY
from protocol.messages.envelope import Submission
from protocol.messages.message import Ack, Kind
from protocol.messages.receipts import Notice
from protocol.names import Incarnation, Party
from protocol.trust.statements import Cause, Opening, Role, SignedStatement, sign_statement

CLAIMS_A_DAY: Final = 3
_CLAIM_BASE: Final = 64
_PENDING: Final = "opening"
_PUT_OFF: Final = "opening put off"
_STATEMENT: Final = "opening statement"
_PUT_BACK: Final = "put back"
_LATER: Final = "later life"
_UNCOMPARED: Final = "not compared"


# -- our own -----------------------------------------------------------------------------------------
def request(ctx: Context, cause: Cause) -> None:
    """Afterwards this node needs a new incarnation, and signs nothing until it has one."""
    if pending(ctx.tx) in {None, Cause.FIRST} - {cause}:
        state.put(ctx.tx, _PENDING, int(cause))
        state.put(ctx.tx, _STATEMENT, None)
        if cause is not Cause.FIRST:
            state.alarm(ctx.tx, ctx.second, "new_incarnation", cause.name.lower())


def request_by_hub(ctx: Context) -> None:
    """The hub says that this node was rolled back: afterwards it needs a new incarnation, and signs nothing until then.

    If it is right, going on would use numbers twice.  One that lies has every member do the work of a new incarnation:
    after so many in a day the next is put off until tomorrow.
    """
    if pending(ctx.tx) not in {None, Cause.FIRST}:
        return
    is_within = _count(ctx, "claims hub of us", MAX_HUB_INCARNATIONS_A_DAY)
    request(ctx, Cause.ROLLED_BACK)
    if not is_within:
        state.put(ctx.tx, _PUT_OFF, (ctx.second // DAY + 1) * DAY)
        state.alarm(ctx.tx, ctx.second, "incarnation_limit", "the hub says again and again that this node was put back")


def put_off_until(tx: Transaction, now: int) -> int | None:
    """When the incarnation that is needed may be opened (Unix seconds), if that is not at `now` already."""
    until = state.get(tx, _PUT_OFF)
    return int(until) if until is not None and now < until and pending(tx) is not None else None


def due(ctx: Context) -> Cause | None:
    """Why this node needs a new incarnation that it may open now; None if it needs none, or has to wait."""
    return None if put_off_until(ctx.tx, ctx.second) is not None else pending(ctx.tx)


def pending(tx: Transaction) -> Cause | None:
    """Why this node needs a new incarnation; None if it does not."""
    cause = state.get(tx, _PENDING)
    return None if cause is None else Cause(cause)


def was_restored(ctx: Context) -> bool:
    """Whether messages may have gone that this node has forgotten.

    In a later life, before its incarnation is open, and until its process has compared numbers with the hub's.
    """
    current, lives = state.incarnation(ctx.tx), ctx.registry.incarnations(Role.NODE, ctx.identity.me.member)
    is_later = current is not None and lives[:1] != [current]
    if is_later and state.get(ctx.tx, _LATER) is None:
        state.put(ctx.tx, _LATER, 1)
    return is_later or seems_restored(ctx.tx)


def seems_restored(tx: Transaction) -> bool:
    """The same without a registry, by what `was_restored` and `begin` noted of it."""
    noted = state.get(tx, _LATER) or state.get(tx, _UNCOMPARED)
    return noted is not None or pending(tx) not in {None, Cause.FIRST}


def statement(ctx: Context, nonce: bytes) -> SignedStatement | None:
    """The statement to post at the hub: the same bytes at each call until it is logged; None if none is due.

    `nonce` is 16 random bytes, used where the statement is not written yet.
    """
    cause = due(ctx)
    if cause is None:
        return None
    stored = state.get(ctx.tx, _STATEMENT)
    if stored is not None and _still_fits(ctx, SignedStatement.from_bytes(stored)):
        return SignedStatement.from_bytes(stored)
    me, last = ctx.identity.me, ctx.registry.last_opening(Role.NODE, ctx.identity.me.member)
    # What an earlier life published counts until then, and this clock may be behind that by which it did.
    opened_at = max(ctx.second, last.opened_at + 1 if last else 0, _shown_at(ctx))
    body = Opening(me.association, Role.NODE, me.member, ctx.identity.certificate, cause, nonce, opened_at)
    signed = sign_statement(body.body(), me.association, [ctx.identity.key])
    state.put(ctx.tx, _STATEMENT, signed.raw)
    return signed


def _shown_at(ctx: Context) -> int:
    """When the log showed itself last (Unix seconds), by its own clock; 0 if it never did, or too far ahead of ours."""
    at = ctx.mirror.checkpoint.cosignature.timestamp if ctx.mirror.checkpoint else 0
    return at if at <= ctx.second + CLOCK_REFUSE_SECONDS else 0


def _still_fits(ctx: Context, signed: SignedStatement) -> bool:
    # A statement that another one overtook, or of a certificate renewed since, would never be logged.
    opening = signed.statement
    if ctx.registry.index_of(signed.id) is not None:
        return True
    last = ctx.registry.last_opening(Role.NODE, ctx.identity.me.member)
    fits = isinstance(opening, Opening) and opening.certificate == ctx.identity.certificate
    return fits and (last is None or signed.statement.opened_at > last.opened_at)  # type: ignore[union-attr]


def begin(ctx: Context) -> Incarnation | None:
    """Begin the incarnation that was asked for, if the mirror holds its leaf; None if there is none to begin."""
    stored = state.get(ctx.tx, _STATEMENT)
    if pending(ctx.tx) is None or stored is None:
        return None
    index = ctx.registry.index_of(SignedStatement.from_bytes(stored).id)
    if index is None:
        return None
    known = ctx.registry.incarnations(Role.NODE, ctx.identity.me.member)
    begun = next(each for each in known if each.leaf_index == index)
    state.begin_incarnation(ctx.tx, begun)
    state.put(ctx.tx, _PENDING, None)
    state.put(ctx.tx, _STATEMENT, None)
    if known[0] != begun:
        state.put(ctx.tx, _LATER, 1)
        _carry_over(ctx)
    return begun


def _carry_over(ctx: Context) -> None:
    for link in links.open_of_kinds(ctx.tx, (Kind.MESSAGE, Kind.VOID)):
        links.reopen(ctx.tx, link.id, ctx.second)
    for link in links.open_of_kinds(ctx.tx, (Kind.RECEIPT, Kind.NOTICE)):
        # In a link of an older incarnation a receipt would close nothing.
        if link.kind is Kind.RECEIPT:
            _owe_again(ctx, link)
        links.settle(ctx.tx, link.id, LinkState.SUPERSEDED)
    # The backup may be older than the first word of some peer: every member hears of us.
    for member in ctx.registry.members():
        if member.name != ctx.identity.me.member:
            peer = peers.meet(ctx.tx, Party(ctx.registry.association, member.name))
            peers.due_notice(ctx.tx, peer.id)


def _owe_again(ctx: Context, link: LinkRow) -> None:
    _manifest, parts = evidence.manifest_and_parts(ctx.tx, link.manifest)
    for part in parts:
        owed.owe(ctx.tx, link.peer, part.signed_part, part.signed_part, 1, ctx.now)


# -- the hub -----------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Start:
    """What a session starts with: the position to acknowledge first, and why a new incarnation is needed, if it is."""

    position: int
    cause: Cause | None


def meet_hub(ctx: Context, hub: Incarnation, cursor: int, highest: Submission | None) -> Start:
    """Compare what the hub shows with what is stored; `StaleError` for a hub older than one met before.

    A cursor below our own is no alarm, for an acknowledgement may be lost with its line; but positions are the hub's,
    and one that was put back gives them a second time.  So what follows its cursor is taken in, again if it comes again.
    """
    known = state.hub_incarnation(ctx.tx)
    if known is not None and hub < known:
        raise StaleError("an older incarnation of the hub")
    # Nothing was submitted yet in the incarnation that the restore opened, and its notices tell what is held now.
    is_put_back = state.get(ctx.tx, _PUT_BACK) is not None
    if is_put_back:
        state.put(ctx.tx, _PUT_BACK, None)
    if known is None or hub > known:
        state.meet_hub(ctx.tx, hub)
        if known is not None and not is_put_back:
            request(ctx, Cause.HUB_CHANGED)
    elif _has_forgotten(ctx, highest) and not is_put_back:
        _start_over(ctx)
    own = state.last_submission(ctx.tx)
    lives = ctx.registry.incarnations(Role.NODE, ctx.identity.me.member)
    # Of a life that was never opened nobody can have lost the memory.
    ahead = highest is not None and highest.incarnation in lives and (own is None or highest > own)
    if ahead or (cursor > state.reached(ctx.tx) and not is_put_back):
        # What was acknowledged is gone from the hub: peers send it again on our notice.
        request_by_hub(ctx)
    state.go_on_from(ctx.tx, cursor)
    _compared(ctx)
    return Start(state.cursor(ctx.tx), pending(ctx.tx))


def _compared(ctx: Context) -> None:
    """What was to be closed meanwhile is, unless something may be forgotten: then its recipients have to say."""
    state.put(ctx.tx, _UNCOMPARED, None)
    if was_restored(ctx):
        return
    for peer, message, reason in outbox.to_be_closed(ctx.tx):
        outbox.end(ctx.tx, peer, message, reason, ctx.second)
        outbox.no_longer_waiting(ctx.tx, peer, [message])
        state.event(ctx.tx, ctx.second, EventKind.MESSAGE, message)


def hub_answered(ctx: Context, number: Submission) -> None:
    """The hub said what became of the envelope of this number, and so will know of it as long as it forgets nothing."""
    newest = state.answered(ctx.tx)
    if newest is None or number > newest:
        state.put_answered(ctx.tx, number)


def _has_forgotten(ctx: Context, highest: Submission | None) -> bool:
    """Whether the hub, in the incarnation in which it answered it, does not know our newest submission any more."""
    answered = state.answered(ctx.tx)
    if answered is None or (highest is not None and highest >= answered):
        return False
    state.alarm(ctx.tx, ctx.second, StaleError.code, "the hub forgot envelopes that it had answered")
    state.put_answered(ctx.tx, highest)
    return True


def _start_over(ctx: Context) -> None:
    # Nobody told the hub that it was put back.  What it has forgotten besides cannot be known: all that is open goes again.
    if _is_believed(ctx, "claims hub", "the hub forgets what it answered"):
        request(ctx, Cause.HUB_CHANGED)
    else:
        links.wake_open_by(ctx.tx, (ctx.second // DAY + 1) * DAY)


def check_claim(ctx: Context, peer: Peer, incarnation: Incarnation, last: int) -> None:
    """A peer names a number of ours: above our highest of this incarnation, it shows that we were rolled back."""
    current = state.incarnation(ctx.tx)
    is_beyond = incarnation == current and last >= peers.next_seq(ctx.tx, peer.id, incarnation)
    if is_beyond and may_claim(ctx, peer):
        request(ctx, Cause.ROLLED_BACK)


def may_claim(ctx: Context, peer: Peer) -> bool:
    """Whether a new incarnation may follow from this peer's word, which it then has given: three times a day at most.

    Every member mirrors and answers an incarnation, so one that lies must not have them at will.
    """
    return _is_believed(ctx, f"claims {peer.id}", f"{peer.party.member} knows other numbers of ours")


def _is_believed(ctx: Context, name: str, what: str) -> bool:
    if pending(ctx.tx) not in {None, Cause.FIRST}:
        return True
    is_within = _count(ctx, name, CLAIMS_A_DAY)
    if not is_within:
        state.alarm(ctx.tx, ctx.second, ResealLimitError.code, what)
    return is_within


def _count(ctx: Context, name: str, most: int) -> bool:
    """Count one more today, if there were not `most` already; whether it was counted."""
    today = ctx.second // DAY
    day, count = divmod(int(state.get(ctx.tx, name) or 0), _CLAIM_BASE)
    count = count if day == today else 0
    if count >= most:
        return False
    state.put(ctx.tx, name, today * _CLAIM_BASE + count + 1)
    return True


# -- a peer ------------------------------------------------------------------------------------------
def believe(ctx: Context, peer: Peer, ack: Ack | None) -> None:
    """Release what the ack covers; it stands in a link of the peer's newest incarnation."""
    if ack is None:
        return
    check_claim(ctx, peer, ack.incarnation, ack.last)
    # Of an earlier life of ours nothing is left to release: what was open in it ended when the next one began.
    links.release(ctx.tx, peer.id, ack.incarnation, ack.last)


def answer_notice(ctx: Context, peer: Peer, notice: Notice) -> None:
    """The peer was restored: what it does not hold goes again, and what is open is sealed again to be receipted again."""
    held = dict(notice.held)
    for incarnation, last in held.items():
        check_claim(ctx, peer, incarnation, last)
    current = state.incarnation(ctx.tx)
    for link in links.of_peer(ctx.tx, peer.id, (Kind.MESSAGE, Kind.RECEIPT, Kind.VOID, Kind.NOTICE)):
        own = link.kind in {Kind.RECEIPT, Kind.NOTICE}
        if link.state is LinkState.SUPERSEDED or (own and link.incarnation != current):
            continue
        if link.state is LinkState.OPEN or link.last_seq > held.get(link.incarnation, 0):
            if not own:
                signed.keep(ctx.tx, link)
            links.reopen(ctx.tx, link.id, ctx.second)
            links.reopen_numbers(ctx.tx, link.id, held.get(link.incarnation, 0) + 1 - link.first_seq)
            if link.kind is Kind.MESSAGE:
                state.event(ctx.tx, ctx.second, EventKind.LINK, link.id)


def first(ctx: Context) -> None:
    """Afterwards a node that holds no incarnation asks for one; not its first, if the registry knows of an earlier."""
    if state.incarnation(ctx.tx) is None and pending(ctx.tx) is None:
        lived = ctx.registry.incarnations(Role.NODE, ctx.identity.me.member)
        request(ctx, Cause.RESTORED if lived else Cause.FIRST)


def started(tx: Transaction) -> None:
    """A process begins: nobody knows yet whether its archive was put back meanwhile."""
    state.put(tx, _UNCOMPARED, 1)


def restored(ctx: Context) -> None:
    """Afterwards a node whose archive came from a backup asks for a new incarnation."""
    if state.incarnation(ctx.tx) is None:
        raise UsageError("this archive holds no incarnation to continue")
    mark_restored(ctx.tx, ctx.second)


def mark_restored(tx: Transaction, now: int) -> None:
    """Afterwards this archive, put back from a backup, begins an incarnation that it never had, before it signs anything."""
    state.put(tx, _PENDING, int(Cause.RESTORED))
    # A statement that was written before the backup may have been logged, and its incarnation lived, after it.
    state.put(tx, _STATEMENT, None)
    state.put(tx, _PUT_OFF, None)
    state.put(tx, _PUT_BACK, 1)
    state.leap(tx)
    state.alarm(tx, now, "new_incarnation", Cause.RESTORED.name.lower())
