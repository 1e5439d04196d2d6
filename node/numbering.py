"""What becomes of each number that arrives (SPEC 10.2): the dedupe of a node, by number and by message id.

unknown number   message, id unknown        archive            delivered
message, id held           record             delivered, or refused for another content
message, id voided         record             void
void, id unknown           record             void, for ever
void, id held              record             delivered
known number     the same message           nothing            what is recorded
another message            nothing            taken
a void                     close the id       by message id, as above
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field

from node.context import Context
from node.model import Mark
from node.tables import inbox, peers
from node.tables.inbox import Arrived, Known, Remembered
from node.tables.peers import Peer, Series
from protocol.messages.message import Header, Link
from protocol.messages.receipts import Exceptional, LinkRef, Outcome, Void
from protocol.names import MessageId
from protocol.sealing import OpenedBody


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a link's numbers: exceptions for the receipt, and which bodies (by place) are new messages."""

    exceptions: tuple[Exceptional, ...]
    fresh: tuple[tuple[int, Mark], ...] = ()
    series: Series | None = field(default=None, repr=False)


def judge_messages(ctx: Context, peer: Peer, link: Link, bodies: Sequence[OpenedBody]) -> Judged:
    """Record the numbers of a link of messages; the caller archives what is fresh."""
    series = peers.series(ctx.tx, peer.id, link.incarnation)
    headers = [body.part for body in bodies if isinstance(body.part, Header)]
    ids = [header.message_id for header in headers]
    known = _known(ctx, series, link)
    remembered = inbox.remembered(ctx.tx, peer.id, ids)
    overtaken = _is_overtaken(ctx, peer, link)
    if not known and not remembered and len(set(ids)) == len(ids):
        return _all_new(ctx, series, link, ids, overtaken=overtaken)
    outcomes: list[Outcome] = []
    recorded: list[tuple[int, Known]] = []
    fresh: list[tuple[int, Mark]] = []
    seen: dict[MessageId, bytes] = {}
    for place, (seq, header) in enumerate(zip(link.numbers, headers, strict=True)):
        name, before = header.message_id, known.get(seq)
        outcome = _outcome(header, remembered.get(name))
        twice = name in seen
        if seen.setdefault(name, header.content_digest) != header.content_digest:
            outcome = Outcome.REFUSED
        if before is not None:
            outcomes.append(_again(before, name, outcome))
            continue
        if name not in remembered and not twice:
            fresh.append((place, _mark(series, link, seq, overtaken=overtaken)))
        outcomes.append(outcome)
        recorded.append((seq, Known(outcome, name)))
    return Judged(_exceptions(link, outcomes, ids), tuple(fresh), _record(ctx, series, recorded))


def _all_new(ctx: Context, series: Series, link: Link, ids: Sequence[MessageId], *, overtaken: bool) -> Judged:
    """The same where no number and no message was ever heard of, as nearly always."""
    fresh = [(place, _mark(series, link, seq, overtaken=overtaken)) for place, seq in enumerate(link.numbers)]
    recorded = [(seq, Known(Outcome.DELIVERED, name)) for seq, name in zip(link.numbers, ids, strict=True)]
    return Judged((), tuple(fresh), _record(ctx, series, recorded))


def _again(before: Known, name: MessageId, outcome: Outcome) -> Outcome:
    if before.name != name:
        return Outcome.TAKEN
    return outcome if before.outcome is Outcome.DELIVERED else before.outcome


def _known(ctx: Context, series: Series, link: Link) -> dict[int, Known]:
    if link.first_seq > series.highest or not link.count:
        return {}
    return inbox.known(ctx.tx, series.id, link.first_seq, link.numbers[-1])


def _outcome(header: Header, memory: Remembered | None) -> Outcome:
    if memory is None:
        return Outcome.DELIVERED
    if memory.is_void:
        return Outcome.VOID
    same = memory.digest in {None, header.content_digest}
    # A receipt covers the content's digest: what is held is another one, and nothing else may be signed for.
    return Outcome.DELIVERED if same else Outcome.REFUSED


def _is_overtaken(ctx: Context, peer: Peer, link: Link) -> bool:
    """Whether more than its notice came of a newer incarnation of the peer before this link."""
    if peer.newest is None or link.incarnation >= peer.newest:
        return False
    return any(each.highest > 1 for each in peers.all_series(ctx.tx, peer.id) if each.incarnation > link.incarnation)


def _mark(series: Series, link: Link, seq: int, *, overtaken: bool) -> Mark:
    if overtaken or seq <= series.highest:
        return Mark.LATE
    return Mark.GAP_BEFORE if seq == link.first_seq > series.highest + 1 else Mark.NONE


def _exceptions(link: Link, outcomes: Sequence[Outcome], ids: Sequence[MessageId]) -> tuple[Exceptional, ...]:
    default = LinkRef.of(link).default
    judged = zip(link.numbers, outcomes, ids, strict=True)
    return tuple(Exceptional(seq, outcome, name) for seq, outcome, name in judged if outcome is not default)


def _record(ctx: Context, series: Series, recorded: Sequence[tuple[int, Known]]) -> Series:
    inbox.record(ctx.tx, series.id, recorded)
    if not recorded:
        return series
    return peers.held(ctx.tx, series, recorded[0][0], recorded[-1][0])


# -- voids -------------------------------------------------------------------------------------------
def judge_voids(ctx: Context, peer: Peer, link: Link, voids: Sequence[Void]) -> Judged:
    """Record the numbers of a link of voids, and close each message that is not held for ever."""
    series = peers.series(ctx.tx, peer.id, link.incarnation)
    known = _known(ctx, series, link)
    ids = [void.message_id for void in voids]
    remembered = inbox.remembered(ctx.tx, peer.id, ids)
    outcomes = [_void_outcome(remembered.get(each)) for each in ids]
    for message_id, outcome in zip(ids, outcomes, strict=True):
        if outcome is Outcome.VOID:
            inbox.remember_void(ctx.tx, peer.id, message_id)
    judged = zip(link.numbers, outcomes, ids, strict=True)
    recorded = [(seq, Known(outcome, name)) for seq, outcome, name in judged if seq not in known]
    return Judged(_exceptions(link, outcomes, ids), series=_record(ctx, series, recorded))


def _void_outcome(memory: Remembered | None) -> Outcome:
    return Outcome.VOID if memory is None or memory.is_void else Outcome.DELIVERED


# -- everything else -----------------------------------------------------------------------------------
def judge_others(ctx: Context, peer: Peer, link: Link, bodies: Sequence[OpenedBody]) -> frozenset[int]:
    """Record the numbers of receipts and notices; gives the places of those that were not known before."""
    series = peers.series(ctx.tx, peer.id, link.incarnation)
    known = _known(ctx, series, link)
    fresh = [(place, seq) for place, seq in enumerate(link.numbers) if seq not in known]
    names = [hashlib.sha256(bodies[place].body.signed_part).digest()[:16] for place, _seq in fresh]
    pairs = zip(fresh, names, strict=True)
    _record(ctx, series, [(seq, Known(Outcome.DELIVERED, name)) for (_place, seq), name in pairs])
    return frozenset(place for place, _seq in fresh)


def arrivals(inlink: int, first_id: int, now: int, judged: Judged, bodies: Sequence[OpenedBody]) -> tuple[Arrived, ...]:
    """The rows of the fresh messages of a link, from row id `first_id` on."""
    found = []
    for offset, (place, mark) in enumerate(judged.fresh):
        part, content = bodies[place].part, bodies[place].body.content
        if isinstance(part, Header):
            row = Arrived(first_id + offset, inlink, place, part.message_id, now, mark, part.content_digest, content)
            found.append(row)
    return tuple(found)
