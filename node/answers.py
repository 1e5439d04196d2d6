"""What the hub says of envelopes under way, and what follows (SPEC 10.1).

    accepted                               relayed; the attestation is kept
    no room, no such prekey                sealed again when it may pass
    any other refusal                      a message is voided with reason 3; everything else is tried again, rarely
    expired or recalled (a notice)         sealed again, unless every number was voided meanwhile
    a code for the envelope as a whole     nobody's fault but ours: held, with an alarm; a conflict means rolled back

Nothing is believed that a hub in standing did not sign.  What it signed by a certificate that the mirror does not hold
yet is kept, and judged when the mirror has grown: answers to envelopes, to recalls, and notices alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from node import recovery
from node.context import Context
from node.model import DAY, EventKind, LinkState
from node.tables import evidence, inbox, links, peers, state
from node.tables.inbox import Aside
from node.tables.links import LinkRow
from protocol.codec import encode
from protocol.errors import (
    ConflictError,
    MailboxFullError,
    PeerError,
    PrekeyExpiredError,
    PrekeyUnknownError,
    StandingError,
    ValijaError,
    VerificationError,
    ViewAheadError,
)
from protocol.messages.envelope import Attestation, AttestationData, Event, Submission
from protocol.messages.message import Kind
from protocol.messages.receipts import VoidReason
from protocol.session.items import ResultItem

PASSING_SECONDS: Final = {MailboxFullError.code: 60, PrekeyUnknownError.code: 5, PrekeyExpiredError.code: 5}
"""Refusals that pass, and after how long to try again at first."""

REFUSED_WHOLE_SECONDS: Final = 900
"""After how long to try again what is refused for another reason, and the longest pause before what passes."""

MAX_HELD: Final = 1_024
"""So many answers wait for the certificate that they name; more count for nothing."""

_PAUSE_SHARE: Final = 8
"""What has waited for long may wait a share of that longer: the same bytes every few seconds help nobody."""


def take(ctx: Context, item: ResultItem, number: Submission) -> frozenset[str]:
    """Take in the answer to one envelope of ours, of this number; gives the members whose calendars must be asked anew."""
    envelope = links.envelope_row(ctx.tx, item.envelope_id)
    if item.code is not None:
        _refused_whole(ctx, links.under_way(ctx.tx, envelope) if envelope is not None else [], item.code)
        return frozenset()
    recovery.hub_answered(ctx, number)
    stale: set[str] = set()
    for attestation in item.attestations:
        said = _said_of_ours(ctx, attestation)
        if said is not None and said.data.envelope_id == item.envelope_id:
            stale |= _answered(ctx, said)
    return frozenset(stale)


@dataclass(frozen=True, slots=True)
class _Said:
    """What the hub proves to say of one of our links: by this attestation, of the envelope with this row id."""

    attestation: Attestation
    data: AttestationData
    link: LinkRow
    envelope: int

    @property
    def is_of_newest(self) -> bool:
        """Whether the link was not sealed again since."""
        return self.link.envelope == self.envelope


def _said_of_ours(ctx: Context, attestation: Attestation) -> _Said | None:
    """What is said of a link of ours; None if it is not proven, or names another recipient or no envelope of ours.

    Recipients refuse what comes with such a first acceptance: one that was believed would stop its message for ever.
    """
    data = _proven(ctx, attestation)
    link = links.by_leaf(ctx.tx, data.link_leaf) if data else None
    if data is None or link is None:
        return None
    envelope = links.envelope_row(ctx.tx, data.envelope_id)
    if envelope is None or peers.find(ctx.tx, link.peer).party != data.recipient:
        _alarm(ctx, VerificationError.code)
        return None
    return _Said(attestation, data, link, envelope)


def _proven(ctx: Context, attestation: Attestation) -> AttestationData | None:
    try:
        return attestation.verify(ctx.registry, ctx.verified)
    except ValijaError as error:
        if names_unseen_certificate(ctx, attestation) and inbox.held_answers(ctx.tx) < MAX_HELD:
            _hold(ctx, attestation)
            return None
        _alarm(ctx, error.code)
        return None


def _alarm(ctx: Context, code: str) -> None:
    state.alarm(ctx.tx, ctx.second, code, "an attestation of the hub does not prove itself; it counts for nothing")


def names_unseen_certificate(ctx: Context, attestation: Attestation) -> bool:
    """Whether the hub's statement names a certificate that the mirror does not hold: it may have been logged just now."""
    try:
        ctx.registry.certificate(AttestationData.from_bytes(attestation.data).certificate)
    except StandingError:
        return True
    except PeerError:
        pass
    return False


def _hold(ctx: Context, attestation: Attestation) -> None:
    state.alarm(ctx.tx, ctx.second, ViewAheadError.code, "the hub answers by a certificate that is not seen here yet")
    raw = encode(attestation.value())
    inbox.hold(ctx.tx, Aside(0, 0, b"", b"", b"", raw, ViewAheadError.code, ctx.second))


def judge_again(ctx: Context, attestation: Attestation) -> bool:
    """Take in an answer that was held; whether it need not wait any more."""
    if names_unseen_certificate(ctx, attestation):
        return False
    said = _said_of_ours(ctx, attestation)
    if said is not None and said.data.event is Event.FAILED:
        _dropped(ctx, said)
    elif said is not None:
        _answered(ctx, said)
    return True


def _answered(ctx: Context, said: _Said) -> set[str]:
    link, data = said.link, said.data
    row = evidence.keep_attestation(ctx.tx, said.attestation, data, link.id)
    if link.kind is Kind.MESSAGE:
        state.event(ctx.tx, ctx.second, EventKind.LINK, link.id)
    if data.event is Event.ACCEPTED:
        links.accepted(ctx.tx, link.id, row, newest=said.is_of_newest)
    elif data.event is Event.REJECTED and said.is_of_newest:
        return _refused(ctx, link, data)
    return set()


def _refused(ctx: Context, link: LinkRow, data: AttestationData) -> set[str]:
    if link.state is not LinkState.OPEN:
        return set()
    seconds = PASSING_SECONDS.get(data.result)
    if seconds is not None:
        waited = (ctx.second - link.signed_at) // _PAUSE_SHARE
        links.wake(ctx.tx, link.id, ctx.second + min(max(seconds, waited), REFUSED_WHOLE_SECONDS), data.result)
        return set() if data.result == MailboxFullError.code else {data.recipient.member}
    state.alarm(ctx.tx, ctx.second, data.result, f"the hub refuses what goes to {data.recipient.member}")
    if link.kind is Kind.MESSAGE:
        links.begin_void(ctx.tx, link.id, range(link.count), VoidReason.REFUSED)
        links.wake(ctx.tx, link.id, None, data.result)
    else:
        links.wake(ctx.tx, link.id, ctx.second + DAY, data.result)
    return set()


def _refused_whole(ctx: Context, under_way: Sequence[LinkRow], code: str) -> None:
    if code == ConflictError.code:
        # Another core stands under this submission: somebody with our memory spent the number.
        recovery.request_by_hub(ctx)
    state.alarm(ctx.tx, ctx.second, code, "the hub refuses an envelope of this node as a whole")
    for link in under_way:
        if link.state is LinkState.OPEN:
            links.wake(ctx.tx, link.id, ctx.second + REFUSED_WHOLE_SECONDS, code)


def notice(ctx: Context, attestation: Attestation) -> None:
    """Take in the hub's notice, or its answer to a recall, that it dropped a slot of ours."""
    said = _said_of_ours(ctx, attestation)
    if said is not None and said.data.event is Event.FAILED:
        _dropped(ctx, said)


def _dropped(ctx: Context, said: _Said) -> None:
    link = said.link
    # One envelope is sealed again once: a notice about an earlier one changes nothing, and a hub may repeat it without end.
    if link.state is not LinkState.OPEN or not said.is_of_newest:
        return
    evidence.keep_attestation(ctx.tx, said.attestation, said.data, link.id)
    links.wake(ctx.tx, link.id, ctx.second)
    if link.kind is Kind.MESSAGE:
        state.event(ctx.tx, ctx.second, EventKind.LINK, link.id)
