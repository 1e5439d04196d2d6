"""A desk, or somebody at it, takes a message in hand: the sender gets a signed receipt of it (SPEC 8.6, event 4)."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Final

from node.context import Context
from node.model import EventKind
from node.store import Transaction
from node.tables import inbox, owed, state
from protocol.errors import PeerError, UnknownMessageError, UsageError
from protocol.messages.receipts import Action, Actor, HandedOver, read_receipt

FINAL: Final = frozenset({Action.ACCEPTED, Action.DECLINED, Action.REFUSED})
"""What says whether something will be done."""


def answers(tx: Transaction, rows: Sequence[int]) -> dict[int, list[HandedOver]]:
    """What desks of ours answered to these messages of the inbox, oldest first; the key is the row id."""
    found: dict[int, list[HandedOver]] = {}
    for row, raw in inbox.answers(tx, rows):
        receipt = read_receipt(raw)
        if isinstance(receipt, HandedOver):
            found.setdefault(row, []).append(receipt)
    return found


def contradicts(earlier: Sequence[HandedOver], desk: str, action: Action) -> bool:
    """Whether this answer of the desk says otherwise than what its member said last of whether something will be done."""
    final = [each for each in earlier if each.action in FINAL]
    if not final or final[-1].action is action:
        return False
    return action is not Action.ACKNOWLEDGED or final[-1].desk == desk


def hand_over(
    ctx: Context, row: int, desk: str, actor: Actor | None, action: Action, note: str = "", *, otherwise: bool = True
) -> None:
    """Afterwards the sender of the inbox message with row id `row` is owed a receipt that says so, due at once.

    The same act said twice in a second is said once.  Raises `UnknownMessageError`, and `UsageError` for a text that
    is too long, a desk that is no name, or an answer that contradicts an earlier one unless `otherwise` is meant.
    """
    arrived = inbox.find(ctx.tx, row)
    if arrived is None:
        raise UnknownMessageError
    receipt = HandedOver(ctx.second, arrived.message_id, desk, actor, action, note).encode()
    try:
        read_receipt(receipt)
    except PeerError as error:
        raise UsageError(error.detail or error.code) from error
    if not otherwise and contradicts(answers(ctx.tx, [row]).get(row, []), desk, action):
        raise UsageError("this was answered otherwise already: confirm that you answer it anew")
    inbox.answer(ctx.tx, row, receipt)
    peer = inbox.find_link(ctx.tx, arrived.inlink).peer
    owed.owe(ctx.tx, peer, hashlib.sha256(receipt).digest(), receipt, 1, ctx.now)
    state.event(ctx.tx, ctx.second, EventKind.HANDED_OVER, row, int(action))
