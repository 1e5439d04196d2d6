"""What an author is told of a message, for each recipient: derived from rows, each with the receipt that proves it.

    queued -> sealed -> relayed -> delivered -> acknowledged        held, late, refused, expired, withdrawn

`withdrawn`, `expired` and `refused` of a numbered message are said once the recipient has signed for the void; until
then the delivery has its former state and says `closing`.  What a recipient signed for was delivered, and stays so
with that receipt where it has lost the message since, whatever becomes of it then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, Protocol

from node import recovery
from node.model import DAY, LinkState, Record
from node.reach import read_audience
from node.store import Transaction
from node.tables import evidence, inbox, links, outbox, peers
from node.tables.outbox import CLOSING, EVERYBODY
from node.tables.standings import Standing, standings
from protocol.batch import BatchSignature, LeafProof
from protocol.errors import UnknownMessageError
from protocol.messages.envelope import Attestation
from protocol.messages.message import Body, Kind, Link, Manifest
from protocol.messages.receipts import Receipt, VoidReason, read_receipt, read_void
from protocol.names import MessageId, Party

LATE_SECONDS: Final = DAY
"""A relayed message without a receipt for so long is late."""


class State(StrEnum):
    """Where a message stands with one recipient."""

    QUEUED = "queued"
    SEALED = "sealed"
    RELAYED = "relayed"
    DELIVERED = "delivered"
    ACKNOWLEDGED = "acknowledged"
    HELD = "held"
    LATE = "late"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


_VOIDED: Final = {
    VoidReason.WITHDRAWN: State.WITHDRAWN,
    VoidReason.EXPIRED: State.EXPIRED,
    VoidReason.REFUSED: State.REFUSED,
}


@dataclass(frozen=True, slots=True)
class Said:
    """A receipt as it stands in the archive: its body (with its salt) and place, manifest and link."""

    receipt: Receipt
    body: Body = field(repr=False)
    place: int
    manifest: Manifest = field(repr=False)
    link: Link = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedReceipt(Said):
    """The same with all that proves who signed it: the link's place in the batch, and what the hub attested."""

    proof: LeafProof = field(repr=False)
    batch: BatchSignature = field(repr=False)
    attestation: Attestation = field(repr=False)


class Delivery(Record, frozen=True, gc=False):
    """One recipient of a message: None is everybody, of a message that was not placed.

    `reason` is an error code where one is known; `closing` says that a void is under way; `receipt` names the signed
    receipt behind the state, to be had from `signed_receipt`; `handovers` are what its desks answered.
    """

    party: Party | None
    state: State
    reason: str | None = None
    closing: VoidReason | None = None
    receipt: tuple[int, int] | None = None
    handovers: tuple[outbox.Handover, ...] = ()


def deliveries(tx: Transaction, message_id: MessageId, now: int) -> list[Delivery]:
    """Where the message stands with each recipient, by party; `UnknownMessageError` if it is none of ours."""
    message = outbox.find(tx, message_id)
    if message is None:
        raise UnknownMessageError
    return deliveries_of(tx, [message], now)[message.id]


class Own(Protocol):
    """A message of ours: its row id, and when its author wants it no more."""

    @property
    def id(self) -> int:
        """Its row id."""

    @property
    def expires_at(self) -> int:
        """Unix seconds."""


def deliveries_of(tx: Transaction, messages: Sequence[Own], now: int) -> dict[int, list[Delivery]]:
    """Where each of these messages of ours stands with each recipient, by party; the key is its row id."""
    rows = [message.id for message in messages]
    found: dict[int, dict[int, Delivery]] = {row: {} for row in rows}
    known: dict[int, Party | None] = {}

    def party(peer: int) -> Party | None:
        if peer not in known:
            known[peer] = _party(tx, peer)
        return known[peer]

    for message, peer, reason in outbox.ends_of(tx, rows):
        found[message][peer] = Delivery(party(peer), _VOIDED[reason])
    carried = standings(tx, rows)
    # The newest link to a peer counts: an older one was superseded.
    for here in carried:
        found[here.message][here.peer] = _linked(tx, party(here.peer), here, now)
    for message, peer, why in outbox.waits_of(tx, rows):
        found[message][peer] = _waiting(party(peer), why)
    for here in carried:
        if here.signed is not None and found[here.message][here.peer].state is not State.DELIVERED:
            found[here.message][here.peer] = Delivery(party(here.peer), State.DELIVERED, receipt=here.signed)
    handed: dict[tuple[int, int], list[outbox.Handover]] = {}
    for message, each in outbox.handovers(tx, rows):
        handed.setdefault((message, each.peer), []).append(each)
    return {each.id: _told(tx, each, found[each.id], handed, now) for each in messages}


def _told(
    tx: Transaction,
    message: Own,
    found: dict[int, Delivery],
    handed: Mapping[tuple[int, int], list[outbox.Handover]],
    now: int,
) -> list[Delivery]:
    if len(found) > 1:
        found.pop(EVERYBODY, None)
    if not found:
        return [_unplaced(tx, message, now)]
    told = [_acknowledged(delivery, handed.get((message.id, peer))) for peer, delivery in found.items()]
    return told if len(told) == 1 else sorted(told, key=lambda each: (each.party is not None, each.party))


def _party(tx: Transaction, peer: int) -> Party | None:
    return None if peer == EVERYBODY else peers.find(tx, peer).party


def _unplaced(tx: Transaction, message: Own, now: int) -> Delivery:
    if message.expires_at > now:
        return Delivery(None, State.QUEUED)
    # The same message may have gone before the backup that was put back: its recipients have to say.
    if recovery.seems_restored(tx):
        return Delivery(None, State.QUEUED, closing=VoidReason.EXPIRED)
    return Delivery(None, State.EXPIRED)


def _waiting(party: Party | None, reason: str) -> Delivery:
    if reason in CLOSING:
        return Delivery(party, State.HELD, closing=CLOSING[reason])
    return Delivery(party, State.HELD, reason)


def _linked(tx: Transaction, party: Party | None, here: Standing, now: int) -> Delivery:
    state, closed, receipt = here.state, here.reason, here.evidence
    if here.kind is Kind.VOID and state is not LinkState.DELIVERED:
        closed = _reason(tx, here)
        state = LinkState.VOIDING if state is LinkState.OPEN else state
    if state is LinkState.DELIVERED:
        return Delivery(party, State.DELIVERED, receipt=receipt)
    if state is LinkState.VOID:
        return Delivery(party, _VOIDED[closed or VoidReason.WITHDRAWN], here.hold, receipt=receipt)
    if state is LinkState.REFUSED:
        return Delivery(party, State.REFUSED, "conflict", receipt=receipt)
    if state is LinkState.SUPERSEDED:
        return Delivery(party, State.HELD, receipt=receipt)
    return Delivery(party, _under_way(tx, here, now), here.hold, closed if state is LinkState.VOIDING else None)


def _reason(tx: Transaction, here: Standing) -> VoidReason:
    _manifest, parts = evidence.manifest_and_parts(tx, here.manifest)
    return read_void(parts[here.place].signed_part).reason


def _under_way(tx: Transaction, here: Standing, now: int) -> State:
    if here.hold is not None:
        return State.HELD
    if here.first_attestation is None:
        return State.SEALED
    if now >= links.accepted_at(tx, here.first_attestation) + LATE_SECONDS:
        return State.LATE
    return State.RELAYED if here.relayed else State.SEALED


def _acknowledged(delivery: Delivery, handovers: list[outbox.Handover] | None) -> Delivery:
    if not handovers:
        return delivery
    newest = handovers[-1]
    state = State.ACKNOWLEDGED if delivery.state is State.DELIVERED else delivery.state
    receipt = (newest.inlink, newest.place)
    return Delivery(delivery.party, state, delivery.reason, delivery.closing, receipt, tuple(handovers))


# -- evidence ----------------------------------------------------------------------------------------
def said(tx: Transaction, receipt: tuple[int, int]) -> Said:
    """The receipt that `Delivery.receipt` or a handover names."""
    return _said(tx, inbox.find_link(tx, receipt[0]), receipt[1])


def signed_receipt(tx: Transaction, receipt: tuple[int, int]) -> SignedReceipt:
    """The same, with everything that proves it."""
    inlink, place = receipt
    link = inbox.find_link(tx, inlink)
    told = _said(tx, link, place)
    return SignedReceipt(
        told.receipt,
        told.body,
        place,
        told.manifest,
        told.link,
        evidence.read_proof(link.proof),
        evidence.batch(tx, link.batch),
        evidence.attestation(tx, link.attestation),
    )


_read_link: Final = lru_cache(maxsize=256)(Link.from_bytes)


def _said(tx: Transaction, link: inbox.InLink, place: int) -> Said:
    manifest, parts = evidence.manifest_and_parts(tx, link.manifest)
    part = parts[place]
    body = Body(part.salt, part.signed_part)
    return Said(read_receipt(part.signed_part), body, place, manifest, _read_link(link.raw))


def readers(tx: Transaction, message_id: MessageId) -> tuple[Party, ...]:
    """Everybody who can read the message but its sender; nobody yet, if it was not placed."""
    message = outbox.find(tx, message_id)
    if message is None:
        raise UnknownMessageError
    return readers_of(tx, message)


def readers_of(tx: Transaction, message: Own) -> tuple[Party, ...]:
    """The same of a message of ours that was found."""
    carried = links.manifest_of(tx, message.id)
    if carried is not None:
        return evidence.manifest(tx, carried).audience
    waiting = outbox.audience_of(tx, message.id)
    return read_audience(waiting).parties if waiting else ()
