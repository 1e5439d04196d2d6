"""What callers are shown, built from rows: plain values, ready for JSON; content goes out as the bytes that came in."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from node import status
from node.api_requests import show_time
from node.model import Mark
from node.paging import show_cursor
from node.status import Delivery, Said, SignedReceipt
from node.store import Transaction
from node.tables import evidence, finding, inbox
from node.tables.finding import Arrival, Sent
from protocol.codec import encode
from protocol.errors import StandingError, UnknownMemberError
from protocol.messages.receipts import Action, HandedOver, VoidReason
from protocol.names import MESSAGE_ID_BYTES, Party, show_id
from protocol.trust.registry import Registry
from protocol.trust.standing import MemberRecord

View: TypeAlias = dict[str, Any]

_MARKS: Final = {Mark.GAP_BEFORE: "gap_before", Mark.LATE: "late"}
_EVENTS: Final = {
    1: "ContentConsignment",
    2: "ContentConsignmentFailure",
    3: "ConsignmentRejection",
    4: "ContentHandover",
}


_LETTERS: Final = "abcdefghijklmnopqrstuvwxyz234567"
_LOW_BITS: Final = (1 << 68) - 1
_PAIRS: Final = tuple(first + second for first in _LETTERS for second in _LETTERS)


@lru_cache(maxsize=8_192)
def show_message_id(message_id: bytes) -> str:
    """The id as people see it."""
    if len(message_id) != MESSAGE_ID_BYTES:
        return show_id("msg", message_id)
    # As `show_id` does, for the one id that is shown by the thousand: 26 letters, two at a time.
    bits, pairs = int.from_bytes(message_id, "big"), _PAIRS
    high, low = bits >> 68, (bits & _LOW_BITS) << 2
    return (
        f"msg_{pairs[high >> 50]}{pairs[high >> 40 & 1023]}{pairs[high >> 30 & 1023]}{pairs[high >> 20 & 1023]}"
        f"{pairs[high >> 10 & 1023]}{pairs[high & 1023]}{pairs[low >> 60]}{pairs[low >> 50 & 1023]}"
        f"{pairs[low >> 40 & 1023]}{pairs[low >> 30 & 1023]}{pairs[low >> 20 & 1023]}{pairs[low >> 10 & 1023]}"
        f"{pairs[low & 1023]}"
    )


# -- people ------------------------------------------------------------------------------------------
def reader(registry: Registry, party: Party) -> View:
    """One member who can read: address, titles by language, country."""
    try:
        record: MemberRecord | None = registry.member(party.member)
    except UnknownMemberError:
        record = None
    return {
        "member": party.member,
        "titles": dict(record.titles) if record else {},
        "country": record.country if record else "",
    }


def readers(registry: Registry, parties: Iterable[Party]) -> list[View]:
    """Everybody who can read a message besides its sender."""
    return [reader(registry, party) for party in parties]


def members(registry: Registry, me: str, now: int) -> list[View]:
    """Every name ever admitted, and whether it is in standing at `now` (Unix seconds)."""
    return [
        reader(registry, Party(registry.association, record.name))
        | {"in_standing": _is_in_standing(registry, record.name, now), "is_this_node": record.name == me}
        for record in registry.members()
    ]


def _is_in_standing(registry: Registry, name: str, now: int) -> bool:
    try:
        registry.member_standing(name, now)
    except StandingError:
        return False
    return True


def networks(registry: Registry) -> list[View]:
    """Every network with its members."""
    return [
        {
            "network": f"#{roster.network}",
            "titles": dict(roster.titles),
            "version": roster.version,
            "members": readers(registry, roster.members),
        }
        for roster in registry.networks()
    ]


# -- received ----------------------------------------------------------------------------------------
def arrival(registry: Registry, found: Arrival) -> View:
    """A received message as lists show it."""
    return {
        "id": show_message_id(found.message_id),
        "direction": "received",
        "cursor": show_cursor(found.id),
        "sender": reader(registry, Party(registry.association, found.sender)),
        "received_at": show_time(found.received_at),
        "mark": _MARKS.get(Mark(found.mark)),
        "content": msgspec.Raw(found.content),
    } | ({} if found.is_intact else {"damaged": True})


def arrival_in_full(tx: Transaction, registry: Registry, found: Arrival) -> View:
    """The same, with the desks that it is for and everybody who can read it."""
    manifest = evidence.manifest(tx, finding.manifest_of(tx, found.id))
    return arrival(registry, found) | {
        "desks": [desk for desk in inbox.desks_of(tx, found.id) if desk],
        "network": f"#{manifest.network}" if manifest.network else None,
        "readers": readers(registry, manifest.audience),
        "expires_at": show_time(manifest.expires_at),
    }


# -- sent --------------------------------------------------------------------------------------------
def all_sent(tx: Transaction, found: Sequence[Sent], now: int) -> list[View]:
    """Sent messages as lists show them, with where each stands with each recipient."""
    told = deliveries_of(tx, found, now)
    return [_sent(each) | {"deliveries": told[each.id]} for each in found]


def _sent(found: Sent) -> View:
    return {
        "id": show_message_id(found.message_id),
        "direction": "sent",
        "cursor": show_cursor(found.id),
        "desk": found.desk,
        "accepted_at": show_time(found.accepted_at),
        "expires_at": show_time(found.expires_at),
        "content": msgspec.Raw(found.content),
    }


def sent_in_full(tx: Transaction, registry: Registry, found: Sent, now: int) -> View:
    """The same, with everybody who can read it and what their desks answered."""
    told = status.deliveries_of(tx, [found], now)[found.id]
    return _sent(found) | {
        "readers": readers(registry, status.readers_of(tx, found)),
        "deliveries": [_delivery(each) | _proof(tx, each) for each in told],
    }


def deliveries_of(tx: Transaction, messages: Sequence[status.Own], now: int) -> dict[int, list[View]]:
    """Where each of these messages of ours stands with each recipient, by row id."""
    told = status.deliveries_of(tx, messages, now)
    return {row: [_delivery(each) for each in standing] for row, standing in told.items()}


def _delivery(told: Delivery) -> View:
    return {
        "recipient": {"member": told.party.member} if told.party else None,
        "state": told.state,
        "reason": told.reason,
        "closing": _reason(told.closing),
    }


def _reason(reason: VoidReason | None) -> str | None:
    return None if reason is None else reason.name.lower()


def _proof(tx: Transaction, told: Delivery) -> View:
    return {
        "receipt": None if told.receipt is None else receipt(status.said(tx, told.receipt)),
        "answers": [_answer(tx, (each.inlink, each.place)) for each in told.handovers],
    }


def receipt(signed: Said) -> View:
    """What a receipt says and who signed it."""
    return {
        "event": _EVENTS[int(signed.receipt.event)],
        "at": show_time(signed.receipt.at),
        "signed_by": signed.manifest.sender.member,
        "certificate": show_id("stm", signed.manifest.certificate),
        "link": [*signed.link.incarnation.value(), signed.link.first_seq],
    }


def receipt_in_full(shown_id: str, told: Delivery, signed: SignedReceipt) -> View:
    """The receipt behind a delivery, with everything that proves who signed it; bytes in base64."""
    recipient = told.party.member if told.party else None
    about = {"message": shown_id, "recipient": recipient, "state": told.state}
    return about | receipt(signed) | {"proof": _proof_of(signed)}


def _proof_of(signed: SignedReceipt) -> View:
    parts = {
        "body": signed.body.signed_part,
        "salt": signed.body.salt,
        "manifest": signed.manifest.raw,
        "link": signed.link.raw,
        "leaf_proof": evidence.proof_bytes(signed.proof),
        "batch": encode(signed.batch.value()),
    }
    return {name: base64.b64encode(raw).decode("ascii") for name, raw in parts.items()} | {"place": signed.place}


def _answer(tx: Transaction, where: tuple[int, int]) -> View:
    signed = status.said(tx, where)
    told: View = {"at": show_time(signed.receipt.at), "member": signed.manifest.sender.member}
    if isinstance(signed.receipt, HandedOver):
        actor = signed.receipt.actor
        told |= {
            "desk": signed.receipt.desk,
            "action": action_name(signed.receipt.action),
            "note": signed.receipt.note,
            "by": None if actor is None else {"name": actor.name, "role": actor.role},
        }
    return told


def action_name(action: Action) -> str:
    """The action as callers write it."""
    return action.name.lower().replace("_", "-")


# -- both --------------------------------------------------------------------------------------------
def page(items: Sequence[View], *, more: bool) -> View:
    """A page of a list: `next` continues behind its last item, `more` says that there may be something."""
    return {"items": items, "next": items[-1]["cursor"] if items else None, "more": more}
