"""Signing: drafts become manifests and numbered links, under one batch signature, stored before anything leaves.

    draft -> bodies with fresh salts -> manifest -> one link for each target -> one signature over all links of the run

Whatever this returns is in the transaction already; a link is never signed twice (SPEC 8.4, 8.5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from msgspec import Struct

from node.context import Context
from node.model import LinkState
from node.reach import Audience, Target
from node.tables import evidence, links, outbox, peers
from node.tables.peers import Peer
from protocol.batch import LeafProof, sign_batch
from protocol.messages.message import Ack, Body, Kind, Link, Manifest, View
from protocol.names import Incarnation
from protocol.sealing import PreparedLink, Recipient
from protocol.signing import HashLabel, Label, fresh_salts


class Part(Struct, frozen=True, gc=False):
    """What becomes a body once it is salted; no dataclass, because there is one for every message."""

    signed_part: bytes
    content: bytes = b""

    def __repr__(self) -> str:
        """How much it is; never what is in it."""
        return f"Part({self.size} bytes)"

    @property
    def size(self) -> int:
        """The bytes that it takes in an envelope, salt and encoding included."""
        return len(self.signed_part) + len(self.content) + 64


@dataclass(slots=True)
class Draft:
    """One manifest to be, and to whom; `numbered` fixes where a void's numbers begin, else the next ones are taken."""

    kind: Kind
    audience: Audience
    targets: Sequence[Target]
    expires_at: int
    parts: list[Part] = field(default_factory=list)
    messages: list[int] = field(default_factory=list)
    size: int = 0
    numbered: tuple[Incarnation, int] | None = None
    voids: tuple[int, range] | None = None


@dataclass(frozen=True, slots=True)
class SignedLink:
    """A stored link with its row id, ready to be sealed to its recipient."""

    row: int
    prepared: PreparedLink
    recipient: Recipient


@dataclass(frozen=True, slots=True)
class SignedDraft:
    """A manifest with its bodies, and a link for each target."""

    manifest: Manifest
    bodies: tuple[Body, ...]
    links: tuple[SignedLink, ...]


@dataclass(frozen=True, slots=True)
class _Unsigned:
    draft: Draft
    target: Target
    manifest_row: int
    link: Link


def sign(ctx: Context, incarnation: Incarnation, view: View, drafts: Sequence[Draft]) -> list[SignedDraft]:
    """The drafts, signed under one batch of at most 4,096 links and stored; their numbers are taken, in order."""
    if not drafts:
        return []
    written = [_write(ctx, view, draft) for draft in drafts]
    unsigned = [
        _Unsigned(draft, target, row, _link(ctx, incarnation, draft, target, manifest))
        for draft, (manifest, _bodies, row) in zip(drafts, written, strict=True)
        for target in draft.targets
    ]
    signed = iter(_sign(ctx, unsigned))
    return [
        SignedDraft(manifest, bodies, tuple(next(signed) for _target in draft.targets))
        for draft, (manifest, bodies, _row) in zip(drafts, written, strict=True)
    ]


def _write(ctx: Context, view: View, draft: Draft) -> tuple[Manifest, tuple[Body, ...], int]:
    salted = zip(fresh_salts(len(draft.parts)), draft.parts, strict=True)
    bodies = tuple([Body(salt, part.signed_part, part.content) for salt, part in salted])
    audience, identity = draft.audience, ctx.identity
    manifest = Manifest.build(
        draft.kind,
        identity.me,
        identity.certificate,
        audience.parties,
        audience.network,
        [view],
        draft.expires_at,
        bodies,
    )
    row = evidence.keep_manifest(ctx.tx, manifest, bodies)
    outbox.place(ctx.tx, row, draft.messages)
    return manifest, bodies, row


def _link(ctx: Context, current: Incarnation, draft: Draft, target: Target, manifest: Manifest) -> Link:
    peer = target.peer
    if draft.numbered:
        incarnation, first = draft.numbered
    else:
        incarnation, first = current, peers.next_seq(ctx.tx, peer.id, current)
        peers.take_numbers(ctx.tx, peer.id, current, first + manifest.count)
    peers.sent(ctx.tx, peer.id, ctx.second, traffic=draft.kind is not Kind.EMPTY)
    if draft.kind is Kind.NOTICE:
        peers.noticed(ctx.tx, peer.id)
    return Link.build(manifest, peer.party, incarnation, first, ack_for(ctx, peer))


def ack_for(ctx: Context, peer: Peer) -> Ack | None:
    """What we hold without gap of the peer's newest incarnation; None if nothing of it was ever applied."""
    if peer.newest is None:
        return None
    return Ack(peer.newest, peers.series(ctx.tx, peer.id, peer.newest).contiguous)


def _sign(ctx: Context, unsigned: Sequence[_Unsigned]) -> Iterable[SignedLink]:
    salts = fresh_salts(len(unsigned))
    raws = [each.link.raw for each in unsigned]
    association = ctx.identity.me.association
    batch, proofs = sign_batch(ctx.identity.key, Label.LINKS, HashLabel.LINK_LEAF, association, raws, salts)
    batch_row = evidence.keep_batch(ctx.tx, batch)
    for each, proof in zip(unsigned, proofs, strict=True):
        row = _store(ctx, each, proof, batch_row)
        yield SignedLink(row, PreparedLink(each.link, proof, batch), each.target.recipient)


def _store(ctx: Context, unsigned: _Unsigned, proof: LeafProof, batch_row: int) -> int:
    # Nobody answers an empty link, and a lost one is followed by the next day's.
    state = LinkState.RELEASED if unsigned.link.kind is Kind.EMPTY else LinkState.OPEN
    row = links.add(
        ctx.tx,
        unsigned.target.peer.id,
        unsigned.link,
        unsigned.link.leaf(proof.salt),
        unsigned.manifest_row,
        evidence.proof_bytes(proof),
        batch_row,
        ctx.second,
        state,
    )
    if unsigned.draft.voids:
        link, places = unsigned.draft.voids
        links.voided_by(ctx.tx, link, places, row)
    return row
