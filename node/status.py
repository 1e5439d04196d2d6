"""What an author is told of a message, for each recipient: derived from rows, each with the receipt that proves it.

    queued -> sealed -> relayed -> delivered -> acknowledged        held, late, refused, expired, withdrawn

`withdrawn`, `expired` and `refused` of a numbered message are said once the recipient has signed for the void; until
then the delivery has its former state and says `closing`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from node import recovery
from node.model import DAY, LinkState
from node.reach import read_audience
from node.store import Transaction
from node.tables import evidence, inbox, links, outbox, peers
from node.tables.links import LinkRow, NumberRow
from node.tables.outbox import CLOSING, EVERYBODY
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


@dataclass(frozen=True, slots=True)
class Delivery:
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


class _Own(Protocol):
    """A message of ours: its row id, and when its author wants it no more."""

    @property
    def id(self) -> int: ...

    @property
    def expires_at(self) -> int: ...


def deliveries_of(tx: Transaction, messages: Sequence[_Own], now: int) -> dict[int, list[Delivery]]:
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
    carried = links.of_messages(tx, rows)
    numbers = links.numbers_of(tx, [*{link.id for _message, link, _place in carried}])
    # The newest link to a peer counts: an older one was superseded.
    for message, link, place in carried:
        found[message][link.peer] = _linked(tx, party(link.peer), link, place, numbers.get((link.id, place)), now)
    for message, peer, why in outbox.waits_of(tx, rows):
        found[message][peer] = _waiting(party(peer), why)
    handed: dict[tuple[int, int], list[outbox.Handover]] = {}
    for message, each in outbox.handovers(tx, rows):
        handed.setdefault((message, each.peer), []).append(each)
    return {each.id: _told(tx, each, found[each.id], handed, now) for each in messages}


def _told(
    tx: Transaction,
    message: _Own,
    found: dict[int, Delivery],
    handed: Mapping[tuple[int, int], list[outbox.Handover]],
    now: int,
) -> list[Delivery]:
    if found.keys() - {EVERYBODY}:
        found.pop(EVERYBODY, None)
    if not found:
        return [_unplaced(tx, message, now)]
    told = [_acknowledged(delivery, handed.get((message.id, peer), [])) for peer, delivery in found.items()]
    return sorted(told, key=lambda each: (each.party is not None, each.party))


def _party(tx: Transaction, peer: int) -> Party | None:
    return None if peer == EVERYBODY else peers.find(tx, peer).party


def _unplaced(tx: Transaction, message: _Own, now: int) -> Delivery:
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


def _linked(
    tx: Transaction, party: Party | None, link: LinkRow, place: int, number: NumberRow | None, now: int
) -> Delivery:
    state, receipt = (number.state, number.evidence) if number else (link.state, link.evidence)
    if link.kind is Kind.VOID and state is not LinkState.DELIVERED:
        number = NumberRow(link.id, place, state, _reason(tx, link, place), None, *(receipt or (None, None)))
        state = LinkState.VOIDING if state is LinkState.OPEN else state
    closed = number.reason if number else None
    if state is LinkState.DELIVERED:
        return Delivery(party, State.DELIVERED, receipt=receipt)
    if state is LinkState.VOID:
        return Delivery(party, _VOIDED[closed or VoidReason.WITHDRAWN], link.hold, receipt=receipt)
    if state is LinkState.REFUSED:
        return Delivery(party, State.REFUSED, "conflict", receipt=receipt)
    if state is LinkState.SUPERSEDED:
        return Delivery(party, State.HELD, receipt=receipt)
    return Delivery(party, _under_way(tx, link, now), link.hold, closed if state is LinkState.VOIDING else None)


def _reason(tx: Transaction, link: LinkRow, place: int) -> VoidReason:
    _manifest, parts = evidence.manifest_and_parts(tx, link.manifest)
    return read_void(parts[place].signed_part).reason


def _under_way(tx: Transaction, link: LinkRow, now: int) -> State:
    if link.hold is not None:
        return State.HELD
    if link.first_attestation is None:
        return State.SEALED
    if now >= links.accepted_at(tx, link.first_attestation) + LATE_SECONDS:
        return State.LATE
    return State.RELAYED if link.relayed else State.SEALED


def _acknowledged(delivery: Delivery, handovers: list[outbox.Handover]) -> Delivery:
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


def _said(tx: Transaction, link: inbox.InLink, place: int) -> Said:
    manifest, parts = evidence.manifest_and_parts(tx, link.manifest)
    part = parts[place]
    body = Body(part.salt, part.signed_part)
    return Said(read_receipt(part.signed_part), body, place, manifest, Link.from_bytes(link.raw))


def readers(tx: Transaction, message_id: MessageId) -> tuple[Party, ...]:
    """Everybody who can read the message but its sender; nobody yet, if it was not placed."""
    message = outbox.find(tx, message_id)
    if message is None:
        raise UnknownMessageError
    return readers_of(tx, message)


def readers_of(tx: Transaction, message: _Own) -> tuple[Party, ...]:
    """The same of a message of ours that was found."""
    carried = links.manifest_of(tx, message.id)
    if carried is not None:
        return evidence.manifest(tx, carried).audience
    waiting = outbox.audience_of(tx, message.id)
    return read_audience(waiting).parties if waiting else ()
