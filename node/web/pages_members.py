"""Members and their fingerprints, and the signed receipts behind the marks."""

from __future__ import annotations

import msgspec
from aiohttp import web

from keys.kinds import hex_groups, spoken
from node import api_views, status
from node.api_views import View, action_name
from node.people.acts import Act
from node.people.roles import Power
from node.search import Box
from node.status import Delivery, SignedReceipt
from node.store import Transaction
from node.web.pages_mail import hit_of, look_of, named, parts_of, read
from node.web.render import page
from node.web.requests import require
from node.web.signs import qr_code
from protocol.errors import UnknownMessageError
from protocol.messages.receipts import HandedOver

MEMBERS = "/members"


def routes() -> list[web.RouteDef]:
    """The routes of this room."""
    receipt = "/messages/{sender}/{id}/receipt/{member}"
    return [
        web.get(MEMBERS, members),
        web.get(f"{MEMBERS}/{{member}}", member),
        web.get(receipt, show_receipt),
        web.get(f"{receipt}/export", export_receipt),
    ]


async def members(request: web.Request) -> web.Response:
    """Everybody in the association, and its networks."""
    require(request).require(Power.READ)
    service = parts_of(request).service
    return page(request, "members.html", {"members": await service.members(), "networks": await service.networks()})


async def member(request: web.Request) -> web.Response:
    """One member with the fingerprint of its root key, to compare by telephone."""
    require(request).require(Power.READ)
    service = parts_of(request).service
    record = service.registry.member(request.match_info["member"])
    listed = next(each for each in await service.members() if each["member"] == record.name)
    fingerprint = record.root.fingerprint
    values = {
        "member_name": record.name,
        "can_be_written_to": listed["in_standing"] and not listed["is_this_node"],
        "record": record,
        "spoken": spoken(fingerprint),
        "groups": hex_groups(fingerprint),
        "sign": qr_code(f"valija:{record.name}:{fingerprint.hex()}"),
    }
    return page(request, "member.html", values)


# -- receipts --------------------------------------------------------------------------------------------
async def _receipt(request: web.Request) -> tuple[Delivery, SignedReceipt]:
    """A receipt of this recipient for this message, which the visitor has now opened.

    The newest, unless the number of a desk's answer is asked, counted from 1.
    """
    look, parts, visitor = look_of(request), parts_of(request), require(request)
    message_id, sender = named(request)

    def job(tx: Transaction) -> tuple[Delivery, SignedReceipt]:
        if hit_of(tx, look, message_id, sender).box is not Box.OUTBOX:
            raise UnknownMessageError
        for each in status.deliveries(tx, message_id, look.now):
            if each.party is not None and each.party.member == request.match_info["member"] and each.receipt:
                return each, status.signed_receipt(tx, _chosen(each, request.query.get("answer")) or each.receipt)
        raise UnknownMessageError

    found = await read(request, job)
    await parts.register.record(visitor, Act.RECEIPT_OPENED, request.match_info["id"], request.match_info["member"])
    return found


def _chosen(delivery: Delivery, asked: str | None) -> tuple[int, int] | None:
    if asked is None:
        return None
    for number, each in enumerate(delivery.handovers, 1):
        if asked == str(number):
            return each.inlink, each.place
    raise UnknownMessageError


async def show_receipt(request: web.Request) -> web.Response:
    """What a receipt says, and who signed it."""
    delivery, signed = await _receipt(request)
    sender, shown = request.match_info["sender"], request.match_info["id"]
    values = {
        "recipient": request.match_info["member"],
        "state": delivery.state,
        "handed": signed.receipt if isinstance(signed.receipt, HandedOver) else None,
        "actions": [action_name(signed.receipt.action)] if isinstance(signed.receipt, HandedOver) else [],
        "query": f"?{request.query_string}" if request.query_string else "",
        "told": api_views.receipt(signed),
        "shown_id": shown,
        "back": f"/messages/{sender}/{shown}",
    }
    return page(request, "receipt.html", values)


async def export_receipt(request: web.Request) -> web.Response:
    """A receipt with everything that proves who signed it, as JSON with bytes in base64."""
    delivery, signed = await _receipt(request)
    shown = request.match_info["id"]
    told: View = api_views.receipt_in_full(shown, delivery, signed)
    name = f"{shown}-{request.match_info['member']}.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return web.Response(body=msgspec.json.encode(told), content_type="application/json", headers=headers)
