"""An author takes a message back: where it was not numbered yet at once, elsewhere by asking the recipient (SPEC 10.1).

not placed, or waiting for a peer      ended at once; in a restored node voided under a number of its own,
because the same message may have gone before the backup was put back; before this process has compared numbers with
the hub's it is ended, or voided, once it has
numbered and open                      to be voided, and the hub is asked to recall the envelope
delivered                              too late, though the recipient lost it since and it goes again, under that
                                       number or, where that one is taken, under another
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from node import recovery
from node.context import Context
from node.model import EventKind, LinkState
from node.reach import resolve
from node.tables import links, outbox, peers, signed, state
from node.tables.links import LinkRow
from node.tables.outbox import CLOSING, EVERYBODY, WITHDRAWN, Written
from protocol.errors import TooLateError, UnknownMessageError
from protocol.messages.message import Kind
from protocol.messages.receipts import VoidReason
from protocol.names import EnvelopeId, MessageId, Party


@dataclass(frozen=True, slots=True)
class Recalling:
    """A slot that the hub shall drop if it was not delivered yet."""

    envelope_id: EnvelopeId
    recipient: Party


def withdraw(ctx: Context, message_id: MessageId) -> list[Recalling]:
    """Afterwards the message is on its way back wherever it was not receipted; gives what to recall from the hub.

    Withdrawing twice changes nothing.  Raises `UnknownMessageError`, and `TooLateError` if every recipient has it or
    it is closed for another reason.
    """
    message = outbox.find(ctx.tx, message_id)
    if message is None:
        raise UnknownMessageError
    if message.id > state.placed_upto(ctx.tx):
        touched = _withdraw_unplaced(ctx, message)
        recalling: list[Recalling] = []
    else:
        had = signed.peers_of(ctx.tx, message.id)
        touched = _withdraw_waiting(ctx, message, had)
        recalling, taken_back = _withdraw_numbered(ctx, message, had)
        touched = touched or taken_back
    if not touched:
        raise TooLateError
    state.event(ctx.tx, ctx.second, EventKind.MESSAGE, message.id)
    return recalling


def unfinished(ctx: Context) -> list[Recalling]:
    """What to ask of the hub in a new session: whatever was withdrawn and not receipted, for the asking may be lost."""
    found = links.being_voided(ctx.tx, VoidReason.WITHDRAWN)
    return [_recalling(ctx, link, link.envelope) for link in found if link.envelope is not None]


def _recalling(ctx: Context, link: LinkRow, envelope: int) -> Recalling:
    return Recalling(links.envelope_id(ctx.tx, envelope), peers.find(ctx.tx, link.peer).party)


def _withdraw_unplaced(ctx: Context, message: Written) -> bool:
    if any(peer == EVERYBODY for _message, peer, _reason in outbox.ends_of(ctx.tx, [message.id])):
        return True
    outbox.end(ctx.tx, EVERYBODY, message.id, VoidReason.WITHDRAWN, ctx.second)
    if recovery.was_restored(ctx):
        audience = resolve(ctx, message.addressed)
        for party in audience.parties:
            outbox.wait(ctx.tx, peers.meet(ctx.tx, party).id, [message.id], audience.encode(), WITHDRAWN)
    return True


def _withdraw_waiting(ctx: Context, message: Written, had: Container[int]) -> bool:
    waits = [each for each in outbox.waits_of(ctx.tx, [message.id]) if each[1] not in had]
    restored = recovery.was_restored(ctx)
    for _message, peer, reason in waits:
        if reason in CLOSING:
            continue
        if not restored:
            outbox.no_longer_waiting(ctx.tx, peer, [message.id])
            outbox.end(ctx.tx, peer, message.id, VoidReason.WITHDRAWN, ctx.second)
        else:
            outbox.mark_closing(ctx.tx, peer, message.id, WITHDRAWN)
    ended = outbox.ends_of(ctx.tx, [message.id])
    return bool(waits) or any(reason is VoidReason.WITHDRAWN for _message, _peer, reason in ended)


def _withdraw_numbered(ctx: Context, message: Written, had: Container[int]) -> tuple[list[Recalling], bool]:
    recalling, touched = [], False
    for link, place in links.of_message(ctx.tx, message.id):
        if link.peer in had:
            continue
        number = links.numbers(ctx.tx, link.id).get(place)
        now = number.state if number else link.state
        is_withdrawn = number is not None and number.reason is VoidReason.WITHDRAWN
        if link.kind is Kind.VOID or (is_withdrawn and now is not LinkState.DELIVERED):
            touched = True
        elif now is LinkState.OPEN:
            links.begin_void(ctx.tx, link.id, [place], VoidReason.WITHDRAWN)
            touched = True
            if link.envelope is not None:
                recalling.append(_recalling(ctx, link, link.envelope))
    return recalling, touched
