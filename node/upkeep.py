"""What is to be signed besides messages: receipts that are due, voids, notices, and a link a day where nothing went."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import accumulate, groupby
from typing import Final

from node.context import Context
from node.gathering import LASTING_SECONDS, Room
from node.linking import Draft, Part
from node.model import DAY
from node.reach import Audience, Reach, Target
from node.tables import evidence, links, owed, peers
from node.tables.links import NumberRow
from node.tables.owed import Owed
from node.tables.peers import Peer
from protocol.limits import MAX_BODIES, MAX_BODIES_BYTES, MAX_NOTICE_INCARNATIONS
from protocol.messages.message import Kind, message_id_of
from protocol.messages.receipts import Notice, Void, VoidReason
from protocol.names import Incarnation, MessageId
from protocol.trust.registry import Registry
from protocol.trust.statements import Role

RECEIPT_SECONDS: Final = 2
TRAFFIC_SECONDS: Final = 7 * DAY
NOTICES_A_RUN: Final = 256
FULL_RECEIPT: Final = MAX_BODIES
"""So many numbers owed for make a receipt due at once: there is nothing more to wait for."""

MANY_RECEIPTS: Final = 32
"""So many receipts are due at once, too: each closes a link of its own, and a hundred in one keep their author's node busy."""


def draft(ctx: Context, kind: Kind, target: Target, parts: Iterable[bytes]) -> Draft:
    """A draft of this kind to one peer."""
    alone = Audience((target.peer.party,), None)
    return Draft(kind, alone, [target], ctx.second + LASTING_SECONDS, [Part(each) for each in parts])


def receipts(ctx: Context, reach: Reach, room: Room, going: frozenset[int]) -> list[Draft]:
    """Receipts for the peers whose time has come, and for those (`going`, by row id) to whom something goes anyway."""
    found = []
    for peer_id, count, numbers, due_at in owed.totals(ctx.tx):
        # A time further ahead was set by a clock that has been put right since.
        is_early = ctx.now < due_at <= ctx.now + RECEIPT_SECONDS
        if is_early and numbers < FULL_RECEIPT and count < MANY_RECEIPTS and peer_id not in going:
            continue
        target = reach.target(peers.find(ctx.tx, peer_id).party)
        if isinstance(target, Target) and room.take(1):
            bodies = _fitting(owed.to_peer(ctx.tx, peer_id, MAX_BODIES))
            owed.paid(ctx.tx, bodies)
            found.append(draft(ctx, Kind.RECEIPT, target, [each.body for each in bodies]))
    return found


def _fitting(bodies: Sequence[Owed]) -> list[Owed]:
    """As many, from the first on, as one manifest takes; one body alone always fits."""
    sizes = accumulate(Part(each.body).size for each in bodies)
    return [each for each, size in zip(bodies, sizes, strict=True) if size <= MAX_BODIES_BYTES]


# -- voids -------------------------------------------------------------------------------------------
def voids(ctx: Context, reach: Reach, room: Room) -> list[Draft]:
    """Voids for the numbers that are to be closed, neighbours together; each repeats the numbers of its link."""
    found: list[Draft] = []
    for link_row, numbers in groupby(links.unvoided(ctx.tx), key=lambda number: number.link):
        link = links.find(ctx.tx, link_row)
        target = reach.target(peers.find(ctx.tx, link.peer).party)
        if isinstance(target, str):
            continue
        ids = message_ids(ctx, link.manifest)
        for run in _runs(list(numbers)):
            if not room.take(1):
                return found
            places = range(run[0].place, run[-1].place + 1)
            bodies = [Void(ids[each.place], each.reason or VoidReason.WITHDRAWN).encode() for each in run]
            void = draft(ctx, Kind.VOID, target, bodies)
            void.numbered = (link.incarnation, link.first_seq + places[0])
            void.voids = (link_row, places)
            found.append(void)
    return found


def message_ids(ctx: Context, manifest: int) -> list[MessageId]:
    """The ids of the messages in this manifest of ours, in order."""
    _manifest, parts = evidence.manifest_and_parts(ctx.tx, manifest)
    return [message_id_of(part.signed_part) for part in parts]


def _runs(numbers: Sequence[NumberRow]) -> list[list[NumberRow]]:
    neighbours = groupby(enumerate(numbers), key=lambda pair: pair[1].place - pair[0])
    return [[number for _index, number in run] for _key, run in neighbours]


# -- notices -----------------------------------------------------------------------------------------
def is_first(registry: Registry, member: str, incarnation: Incarnation) -> bool:
    """Whether this is the member's first incarnation, the only one that begins without a notice."""
    return registry.incarnations(Role.NODE, member)[:1] == [incarnation]


def notices(ctx: Context, reach: Reach, current: Incarnation, going: Iterable[Peer]) -> list[Draft]:
    """Notices for peers that must learn of our incarnation, and for those to whom its first number would go now."""
    if is_first(ctx.registry, ctx.identity.me.member, current):
        return []
    # Not the other way round: of those written to now, none may be left for the next run.
    wanted = {peer.id: peer for peer in (*going, *peers.due_notices(ctx.tx))}
    targets = [reach.target(peer.party) for peer in wanted.values() if peers.next_seq(ctx.tx, peer.id, current) == 1]
    return [notice(ctx, target) for target in targets if isinstance(target, Target)][:NOTICES_A_RUN]


def notice(ctx: Context, target: Target) -> Draft:
    """What this node holds of the peer, by incarnation; the oldest are left out where there are too many."""
    known = peers.all_series(ctx.tx, target.peer.id)[-MAX_NOTICE_INCARNATIONS:]
    body = Notice(tuple((series.incarnation, series.contiguous) for series in known))
    return draft(ctx, Kind.NOTICE, target, [body.encode()])


# -- a link a day --------------------------------------------------------------------------------------
def empties(ctx: Context, reach: Reach, room: Room) -> list[Draft]:
    """An empty link for each peer with traffic in the last week to whom nothing went for a day."""
    quiet = peers.quiet(ctx.tx, ctx.second - DAY, ctx.second - TRAFFIC_SECONDS)
    targets = [reach.target(peer.party) for peer in quiet]
    return [draft(ctx, Kind.EMPTY, each, ()) for each in targets if isinstance(each, Target) and room.take(1)]
