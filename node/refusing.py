"""What a recipient answers when it cannot take an envelope: it asks for another sealing, or refuses (SPEC 9.6).

Neither closes a number: both name the envelope alone, so that a hub that tampers cannot kill a message.
"""

from __future__ import annotations

from dataclasses import replace

from node.context import Context
from node.tables import inbox, owed, peers, state
from node.tables.inbox import Aside
from protocol.errors import OpenError, PeerError, UnknownMemberError, ValijaError
from protocol.messages.envelope import Attestation, AttestationData, Core, Slot
from protocol.messages.receipts import Rejected, Unopened
from protocol.names import EnvelopeId, Party


def claimed_sender(core: bytes) -> str:
    """The member that these bytes name as sender, proven or not; the empty text if they name none."""
    try:
        return Core.from_bytes(core).sender.member
    except PeerError:
        return ""


def ask_again(ctx: Context, item: Aside, error: OpenError) -> None:
    """Afterwards the sender of this item, which does not open, is owed a receipt that asks for another sealing."""
    # The checks before it passed: core and slot are in form, and the hub accepted this envelope for us.
    core, slot = Core.from_bytes(item.core), Slot.from_bytes(item.slot)
    receipt = Unopened(ctx.second, core.id, slot.link_leaf, slot.prekey_hash, core.ciphertext_digest, error.code)
    _owe_if_member(ctx, core.sender, core.id, receipt.encode())
    state.alarm(ctx.tx, ctx.second, error.code, core.sender.member)


def refuse(ctx: Context, item: Aside, attestation: Attestation, error: ValijaError) -> None:
    """Afterwards the item is in quarantine, and its sender, if it can be told, is owed a receipt that says why."""
    inbox.quarantine(ctx.tx, replace(item, code=error.code))
    state.alarm(ctx.tx, ctx.second, error.code, f"quarantined: {claimed_sender(item.core)}")
    try:
        core = Core.from_bytes(item.core)
        leaf = AttestationData.from_bytes(attestation.data).link_leaf
    except PeerError:
        return  # it names no envelope that anybody could be answered about
    refused = _accepted_id(ctx, attestation) or core.id
    _owe_if_member(ctx, core.sender, refused, Rejected(ctx.second, refused, leaf, error.code).encode())


def _accepted_id(ctx: Context, attestation: Attestation) -> EnvelopeId | None:
    """Which envelope the hub proves that it accepted: a core that its disk altered has another id, unknown to its sender."""
    try:
        return attestation.verify(ctx.registry, ctx.verified).envelope_id
    except ValijaError:
        return None


def _owe_if_member(ctx: Context, sender: Party, envelope_id: EnvelopeId, body: bytes) -> None:
    if sender.association != ctx.registry.association or sender == ctx.identity.me:
        return
    try:
        ctx.registry.member(sender.member)
    except UnknownMemberError:
        return
    peer = peers.meet(ctx.tx, sender)
    owed.owe(ctx.tx, peer.id, envelope_id, body, 1, ctx.now)
