"""A desk, or somebody at it, takes a message in hand: the sender gets a signed receipt of it (SPEC 8.6, event 4)."""

from __future__ import annotations

import hashlib

from node.context import Context
from node.model import EventKind
from node.tables import inbox, owed, state
from protocol.errors import PeerError, UnknownMessageError, UsageError
from protocol.messages.receipts import Action, Actor, HandedOver, read_receipt


def hand_over(ctx: Context, row: int, desk: str, actor: Actor | None, action: Action, note: str = "") -> None:
    """Afterwards the sender of the inbox message with row id `row` is owed a receipt that says so, due at once.

    The same act said twice in a second is said once.  Raises `UnknownMessageError`, and `UsageError` for a text that
    is too long or a desk that is no name.
    """
    arrived = inbox.find(ctx.tx, row)
    if arrived is None:
        raise UnknownMessageError
    receipt = HandedOver(ctx.second, arrived.message_id, desk, actor, action, note).encode()
    try:
        read_receipt(receipt)
    except PeerError as error:
        raise UsageError(error.detail or error.code) from error
    peer = inbox.find_link(ctx.tx, arrived.inlink).peer
    owed.owe(ctx.tx, peer, hashlib.sha256(receipt).digest(), receipt, 1, ctx.now)
    state.event(ctx.tx, ctx.second, EventKind.HANDED_OVER, row, int(action))
